"""What a build carries beside its index, such as the scale of its distances.

An addition is a few files in the build's folder and facts under its name in the manifest. It is made, or
carried over from the build before, at the end of every build; a command changes one by `amend`, which makes a
new build of the one in force: the same files, and the addition's.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from embedsearch.backends import Backend, Rows
from embedsearch.disk.checksums import file_facts
from embedsearch.disk.lock import write_lock
from embedsearch.distances.metric import Metric, Vectors
from embedsearch.encoders import Encoder
from embedsearch.encoders.unloaded import UnloadedEncoder
from embedsearch.errors import IndexDamagedError
from embedsearch.progress import Progress
from embedsearch.recipe import Recipe
from embedsearch.store.build import Build
from embedsearch.store.folders import current_build, index_folder
from embedsearch.store.manifest import BUILDS, FILES, SCHEMA
from embedsearch.store.versions import ASIDE, publish, recover


@dataclass(frozen=True, slots=True)
class ArtifactContext:
    """A build in the context: its vectors and its index are there, its manifest is not yet.

    Attributes:
        recipe: what it is made from.
        folder: where its files are; additions put theirs there.
        vectors: (n, d) float32 or float16, raw, memory-mapped.
        backend: the index over them.
        metric: which distance.
        encoder: what made them; where nothing was embedded it is an `UnloadedEncoder`.
        before: the build in force, or of a damaged one what stands for it; None for a first one.
        kept: (n,) which row of `before` holds the same vector, -1 for none; None where all are new.
        progress: who is told how it goes on.
    """

    recipe: Recipe
    folder: Path
    vectors: Vectors
    backend: Backend
    metric: Metric
    encoder: Encoder
    before: Build | None
    kept: Rows | None
    progress: Progress

    @property
    def embeds(self) -> bool:
        """Whether the encoder is loaded."""
        return not isinstance(self.encoder, UnloadedEncoder)

    def facts_before(self, name: str, *, any_metric: bool = False) -> Mapping[str, Any] | None:
        """Return what the build before says of an addition, where its vectors mean the same.

        Args:
            name: of the addition.
            any_metric: whether the distance may have been another.
        """
        if self.before is None:
            return None
        manifest = self.before.manifest
        same = manifest.encoder["fingerprint"] == self.encoder.spec.fingerprint
        if not same or not (any_metric or manifest.metric is self.metric):
            return None
        return manifest.additions.get(name)

    def readable(self, file: str) -> bool:
        """Whether the build before has this file of an addition, undamaged."""
        return (
            self.before is not None and file in self.before.manifest.files and file not in self.before.damaged
        )


# name -> "module:function"; the function takes a `ArtifactContext` and returns the addition's facts, None for
# none
ARTIFACTS: dict[str, str] = {
    "scale": "embedsearch.artifacts.scale:refresh",
    "bridge": "embedsearch.artifacts.crossmodal:refresh",
    "map": "embedsearch.artifacts.map:refresh",
}


def refresh(context: ArtifactContext) -> dict[str, Any]:
    """Make or carry over all additions of a build; return their facts by name, with their files."""
    facts = {}
    for name, home in ARTIFACTS.items():
        module, function = home.split(":")
        there = {path.name for path in context.folder.iterdir()}
        made = getattr(import_module(module), function)(context)
        if made is not None:
            facts[name] = {**made, FILES: sorted({path.name for path in context.folder.iterdir()} - there)}
    return facts


def amend(indexes: Path, name: str, addition: str, make: Callable[[Build, Path], dict[str, Any]]) -> Build:
    """Make one addition of the index `name` anew, and put the build that has it in force.

    Args:
        indexes: the folder of indexes.
        name: the index's name.
        addition: which, a name in `ARTIFACTS`.
        make: puts the addition's files into a folder and returns its facts. It is given the build in force.

    Raises:
        IndexNotFoundError, IndexDamagedError, IndexBusyError: as `open_current`, `write_lock`.
        IndexDamagedError: the index is of an older format.
    """
    folder = index_folder(indexes, name)
    with write_lock(folder):
        recover(folder)
        old = Build(current_build(folder))
        if old.manifest.schema != SCHEMA:
            raise IndexDamagedError(
                f"The index {name!r} is of an older format. Bring it up to date: embedsearch rebuild {name}"
            )
        aside = folder / BUILDS / f"{ASIDE}{os.getpid()}"
        aside.mkdir()
        try:
            facts = make(old, aside)
        except BaseException:
            shutil.rmtree(aside)
            raise
        added = file_facts(aside)
        replaced = old.manifest.additions.get(addition, {}).get(FILES, ())
        kept = {file: each for file, each in old.manifest.files.items() if file not in (*replaced, *added)}
        for file in kept:
            _link(old.folder / file, aside / file)
        created = datetime.now(UTC)
        build = f"{created:%Y%m%d-%H%M%S-%f}-{old.manifest.encoder['fingerprint'][:6]}"
        replace(
            old.manifest,
            build=build,
            created=created.isoformat(timespec="seconds"),
            before=old.folder.name,
            additions={**old.manifest.additions, addition: {**facts, FILES: sorted(added)}},
            files={**kept, **added},
        ).save(aside)
        return Build(publish(folder, aside, build, Recipe.from_dict(name, dict(old.manifest.recipe))))


def _link(file: Path, to: Path) -> None:
    """Let a file that is never written again appear in a second folder too; copy it where that can't be."""
    try:
        to.hardlink_to(file)
    except OSError:
        shutil.copy2(file, to)
