"""One index on disk: `indexes/NAME/{recipe.toml, current, builds/ID/...}`.

A build is written under a name of its own and published by replacing the one line of `current`, so a
reader sees the old build or the new one, never half of either.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from embedsearch.backends import Backend, backend_class
from embedsearch.errors import IndexDamagedError, IndexNotFoundError, nearest
from embedsearch.items import FIELD
from embedsearch.lock import write_lock
from embedsearch.metrics import Metric, Vectors
from embedsearch.recipe import RECIPE_FILE, Recipe, check_name
from embedsearch.records import Unit

CURRENT, BUILDS, MANIFEST = "current", "builds", "manifest.json"
ITEMS, VECTORS, INDEX, REJECTED = "items.parquet", "vectors.npy", "index.faiss", "rejected.jsonl"
PROBES = "probes.npz"
SCHEMA = 1
KEEP = 2
BUILD_RULE = re.compile(r"[\w-]{1,99}")


def indexes_folder(folder: str | Path | None = None) -> Path:
    """Return the folder that holds the indexes: `folder`, else $EMBEDSEARCH_INDEXES, else ./indexes."""
    return Path(folder or os.environ.get("EMBEDSEARCH_INDEXES") or "indexes").expanduser().resolve()


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a build says of itself.

    Attributes:
        name: the index's name when it was built.
        build: the build's id.
        created: ISO 8601, UTC.
        version: of embedsearch.
        unit: what has a vector.
        metric: which distance.
        backend: which kind of index.
        count: number of vectors.
        dimension: their length.
        encoder: the encoder's specification, fingerprint, precision, engine and device.
        recipe: what it was made from.
        fields: Arrow type of each field, by name.
        report: counts and seconds of the build.
        files: size in bytes and SHA-256 of each file, by name.
        schema: version of this format.
    """

    name: str
    build: str
    created: str
    version: str
    unit: Unit
    metric: Metric
    backend: str
    count: int
    dimension: int
    encoder: Mapping[str, Any]
    recipe: Mapping[str, Any]
    fields: Mapping[str, str]
    report: Mapping[str, Any]
    files: Mapping[str, Mapping[str, Any]]
    schema: int = SCHEMA

    def save(self, folder: Path) -> None:
        """Write `manifest.json` into `folder`."""
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False)
        (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Manifest:
        """Read `folder/manifest.json`.

        Raises:
            IndexDamagedError: it is missing, is not JSON, or is of another format.
        """
        path = folder / MANIFEST
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if values["schema"] != SCHEMA:
                raise IndexDamagedError(
                    f"{path} is of format {values['schema']}; this embedsearch reads {SCHEMA}. "
                    f"{_mend(folder)}"
                )
            values["unit"], values["metric"] = Unit(values["unit"]), Metric(values["metric"])
            if not {ITEMS, VECTORS, INDEX, REJECTED} <= set(values["files"]):
                raise ValueError("it does not list the files of a build")
            return cls(**values)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise IndexDamagedError(f"{path} can't be read ({_first_line(error)}). {_mend(folder)}") from None


class Build:
    """A published build, opened for reading: its manifest, items, vectors and index."""

    def __init__(self, folder: Path) -> None:
        """Open and verify the build in `folder`.

        Raises:
            IndexDamagedError: a file is missing, truncated or altered; named with the mending command.
        """
        self.folder = folder
        self.manifest = Manifest.load(folder)
        for name, facts in self.manifest.files.items():
            _verify(folder / name, facts)

    @cached_property
    def items(self) -> pa.Table:
        """All items, a row per vector; see `embedsearch.items`."""
        return pq.read_table(self.folder / ITEMS)

    @cached_property
    def vectors(self) -> Vectors:
        """The raw vectors (n, d) float32, memory-mapped."""
        return np.load(self.folder / VECTORS, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]

    @cached_property
    def backend(self) -> Backend:
        """The index over the vectors."""
        return backend_class(self.manifest.backend).load(self.folder / INDEX, self.manifest.metric)

    def rejected(self) -> list[dict[str, str]]:
        """Return what the build quarantined, as `id` and `reason`."""
        text = (self.folder / REJECTED).read_text(encoding="utf-8")
        return [json.loads(line) for line in text.split("\n") if line]  # splitlines() cuts at U+2028 too

    @property
    def field_types(self) -> dict[str, pa.DataType]:
        """Arrow type of each field, by name."""
        schema = self.items.schema
        return {
            column.name.removeprefix(FIELD): column.type for column in schema if column.name.startswith(FIELD)
        }

    @property
    def bytes_on_disk(self) -> int:
        """Size of the build's files."""
        return sum(path.stat().st_size for path in self.folder.iterdir())


def list_names(indexes: Path) -> list[str]:
    """Return the names of the published indexes in the folder `indexes`, sorted."""
    if not indexes.is_dir():
        return []
    return sorted(folder.name for folder in indexes.iterdir() if (folder / CURRENT).is_file())


def index_folder(indexes: Path, name: str) -> Path:
    """Return the folder of a published index.

    Raises:
        RecipeError: `name` can't be an index's name.
        IndexNotFoundError: there is none; the nearest name is suggested.
    """
    folder = indexes / check_name(name)
    if not (folder / CURRENT).is_file():
        names = list_names(indexes)
        has = f"it holds {', '.join(names)}" if names else "it holds none"
        unfinished = (
            " Its first build was never finished: embedsearch rebuild " + name + "."
            if (folder / RECIPE_FILE).is_file()
            else ""
        )
        raise IndexNotFoundError(
            f"There is no index {name!r} in {indexes} ({has}).{nearest(name, names)}{unfinished}"
        )
    return folder


def current_build(folder: Path) -> Path:
    """Return the folder of the build in force of the index in `folder`.

    Raises:
        IndexDamagedError: `current` names no build.
    """
    text = (folder / CURRENT).read_text(encoding="utf-8", errors="replace").strip()
    build = folder / BUILDS / text
    if not BUILD_RULE.fullmatch(text) or not build.is_dir():
        raise IndexDamagedError(
            f"{folder / CURRENT} names the build {text[:60]!r}, which is not there. "
            f"Make it anew: embedsearch rebuild {folder.name}"
        )
    return build


def open_build(indexes: Path, name: str) -> Build:
    """Open the build in force of the index `name`.

    Raises:
        RecipeError, IndexNotFoundError, IndexDamagedError: as `index_folder`, `current_build`, `Build`.
    """
    return Build(current_build(index_folder(indexes, name)))


def file_facts(folder: Path) -> dict[str, dict[str, Any]]:
    """Return size and SHA-256 of every file in `folder`, by name."""
    return {
        path.name: {"size": path.stat().st_size, "sha256": _sha256(path)} for path in sorted(folder.iterdir())
    }


def publish(folder: Path, aside: Path, build: str, recipe: Recipe) -> Path:
    """Put the finished build in `aside` in force as `build`; the caller holds the write lock.

    The newest `KEEP` builds stay.
    """
    target = folder / BUILDS / build
    aside.replace(target)
    recipe.save(folder)
    pointer = folder / f".{CURRENT}.new"
    pointer.write_text(build + "\n", encoding="utf-8")
    pointer.replace(folder / CURRENT)
    builds = sorted(path for path in (folder / BUILDS).iterdir() if not path.name.startswith("."))
    for old in [path for path in builds if path != target][: -(KEEP - 1)]:
        shutil.rmtree(old)
    return target


def remove(indexes: Path, name: str) -> Path:
    """Delete the index `name`, finished or not, and return the folder that held it.

    Raises:
        RecipeError, IndexNotFoundError: as `index_folder`.
        IndexBusyError: another process is writing it.
    """
    folder = indexes / check_name(name)
    if not (folder / RECIPE_FILE).is_file():
        folder = index_folder(indexes, name)
    with write_lock(folder):
        (folder / CURRENT).unlink(missing_ok=True)  # first, so that no reader finds half of it
    shutil.rmtree(folder)
    return folder


def _verify(path: Path, facts: Mapping[str, Any]) -> None:
    if not path.is_file():
        raise IndexDamagedError(f"{path} is missing. {_mend(path.parent)}")
    size = path.stat().st_size
    if size != facts["size"]:
        raise IndexDamagedError(
            f"{path} has {size:,} bytes where {facts['size']:,} were written. {_mend(path.parent)}"
        )
    if _sha256(path) != facts["sha256"]:
        raise IndexDamagedError(
            f"{path} was altered: its checksum is not the manifest's. {_mend(path.parent)}"
        )


def _mend(build: Path) -> str:
    return f"Make it anew: embedsearch rebuild {build.parent.parent.name}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
