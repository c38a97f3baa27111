"""What a build carries beside its index, such as the scale of its distances.

An artifact is a few files in the build's folder, and its facts in the manifest. It is made, or taken over
from the build before, at the end of every build. A command changes one by `amend`, which publishes a copy of
the current build with the new artifact.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from embedsearch.backends import Backend, Rows
from embedsearch.disk.checksums import file_facts
from embedsearch.disk.lock import write_lock
from embedsearch.distances.centring import Centring, fingerprint_of
from embedsearch.distances.metric import Metric, Vectors
from embedsearch.encoders import Encoder
from embedsearch.encoders.unloaded import UnloadedEncoder
from embedsearch.progress import Progress
from embedsearch.recipe import Recipe
from embedsearch.records import Unit
from embedsearch.store.build import Build, Records, records_in
from embedsearch.store.facts import ArtifactFacts, Artifacts
from embedsearch.store.folders import current_build, index_folder
from embedsearch.store.manifest import BUILDS
from embedsearch.store.previous import PreviousBuild
from embedsearch.store.versions import ASIDE, publish, recover


@dataclass(frozen=True, slots=True)
class ArtifactContext:
    """A build in the making: its vectors and its index are there, its manifest is not yet.

    Attributes:
        recipe: what it is made from.
        folder: where its files are; artifacts put theirs there.
        vectors: (n, d) float32 or float16, memory-mapped; raw unless `centring` is given.
        backend: the index over them.
        metric: which distance.
        encoder: what made them; where nothing was embedded it is an `UnloadedEncoder`.
        previous: the build before; None for a first one.
        kept: (n,) which row of `previous` holds the same vector, -1 for none; None where all are new.
        progress: reports how the build goes on.
        centring: what the vectors were centred by; None where they are as the encoder gives them.
    """

    recipe: Recipe
    folder: Path
    vectors: Vectors
    backend: Backend
    metric: Metric
    encoder: Encoder
    previous: PreviousBuild | None
    kept: Rows | None
    progress: Progress
    centring: Centring | None = None

    @property
    def embeds(self) -> bool:
        """Whether the encoder is loaded."""
        return not isinstance(self.encoder, UnloadedEncoder)

    @property
    def records(self) -> Records | None:
        """Which items are stretches of time of one record; None where each is a record of its own."""
        return records_in(self.folder, self.recipe.encoder, len(self.vectors))

    @property
    def artifacts_before(self) -> Artifacts:
        """The artifacts of the build before; none without one."""
        return Artifacts() if self.previous is None else self.previous.build.manifest.artifacts

    @property
    def same_encoder(self) -> bool:
        """Whether the vectors of the build before come from an encoder of the same meaning."""
        if self.previous is None:
            return False
        return self.previous.build.manifest.encoder.fingerprint == self.encoder.spec.fingerprint

    def same_vectors(self, *, any_metric: bool = False) -> bool:
        """Whether the vectors of the build before mean the same.

        Args:
            any_metric: whether the distance may have been another.
        """
        if self.previous is None or not self.same_encoder:
            return False
        before = self.previous.build
        same = fingerprint_of(before.centring) == fingerprint_of(self.centring)
        return same and (any_metric or before.manifest.metric is self.metric)

    def readable(self, file: str) -> bool:
        """Whether the build before has this file of an artifact, undamaged."""
        if self.previous is None:
            return False
        build = self.previous.build
        return file in build.manifest.files and file not in build.damaged


class Artifact(Protocol):
    """Makes one artifact of a build, or takes it over from the build before.

    A reader opens it by the function beside it: `Build.scale`, `crossmodal.open_crossmodal`, `map.load_map`.
    """

    def __call__(self, context: ArtifactContext) -> ArtifactFacts | None:
        """Put the artifact's files into `context.folder` and return its facts; None where there is none."""


# a field of `Artifacts` -> "module:function" of the `Artifact`, imported on first use
ARTIFACTS: dict[str, str] = {
    "scale": "embedsearch.artifacts.scale:refresh",
    "crossmodal": "embedsearch.artifacts.crossmodal:refresh",
    "map": "embedsearch.artifacts.map:refresh",
    "lexical": "embedsearch.artifacts.lexical:refresh",
    "tokens": "embedsearch.artifacts.tokens:refresh",
}


def refresh(context: ArtifactContext) -> Artifacts:
    """Make or take over all artifacts of a build; return their facts, with their files."""
    artifacts = Artifacts()
    for name, home in ARTIFACTS.items():
        module, function = home.split(":")
        there = {path.name for path in context.folder.iterdir()}
        make = cast(Artifact, getattr(import_module(module), function))
        made = make(context)
        if made is not None:
            new = tuple(sorted({path.name for path in context.folder.iterdir()} - there))
            artifacts = artifacts.with_(name, replace(made, files=new))
    return artifacts


def is_complete(build: Build) -> bool:
    """Whether a build has what every build of its unit has: one of texts of before 0.10 has no words."""
    needed = "lexical" in ARTIFACTS and build.manifest.unit is Unit.TEXT
    return not needed or build.manifest.artifacts.lexical is not None


def amend(indexes: Path, name: str, artifact: str, make: Callable[[Build, Path], ArtifactFacts]) -> Build:
    """Make one artifact of the index `name` again, and publish the build that has it.

    Args:
        indexes: the folder of indexes.
        name: the index's name.
        artifact: a name in `ARTIFACTS`.
        make: puts the artifact's files into a folder and returns its facts. It is given the current build.

    Raises:
        IndexNotFoundError, IndexDamagedError, IndexBusyError: as `open_current`, `write_lock`.
    """
    folder = index_folder(indexes, name)
    with write_lock(folder):
        recover(folder)
        old = Build(current_build(folder))
        aside = folder / BUILDS / f"{ASIDE}{os.getpid()}"
        aside.mkdir()
        try:
            facts = make(old, aside)
        except BaseException:
            shutil.rmtree(aside)
            raise
        added = file_facts(aside)
        replaced: ArtifactFacts | None = getattr(old.manifest.artifacts, artifact)
        gone = replaced.files if replaced else ()
        kept = {file: each for file, each in old.manifest.files.items() if file not in (*gone, *added)}
        for file in kept:
            _link(old.folder / file, aside / file)
        created = datetime.now(UTC)
        build = f"{created:%Y%m%d-%H%M%S-%f}-{old.manifest.encoder.fingerprint[:6]}"
        replace(
            old.manifest,
            build=build,
            created=created.isoformat(timespec="seconds"),
            before=old.folder.name,
            artifacts=old.manifest.artifacts.with_(artifact, replace(facts, files=tuple(sorted(added)))),
            files={**kept, **added},
        ).save(aside)
        return Build(publish(folder, aside, build, replace(old.manifest.recipe, name=name)))


def _link(file: Path, to: Path) -> None:
    """Let a file that is never written again appear in a second folder too; copy it where that can't be."""
    try:
        to.hardlink_to(file)
    except OSError:
        shutil.copy2(file, to)
