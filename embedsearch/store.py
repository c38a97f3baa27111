"""One index on disk: `indexes/NAME/{recipe.toml, current, builds/ID/...}`.

A build is written under a name of its own and published by replacing the one line of `current`, so a
reader sees the old build or the new one, never half of either.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from embedsearch.arrays import load_array
from embedsearch.backends import Backend, backend_class
from embedsearch.errors import IndexDamagedError, IndexNotFoundError, nearest
from embedsearch.integrity import verify
from embedsearch.items import FIELD, open_table
from embedsearch.ledger import Ledger
from embedsearch.metrics import Metric, Vectors
from embedsearch.recipe import RECIPE_FILE, check_name
from embedsearch.records import Unit
from embedsearch.relatedness import Scale

CURRENT, BUILDS, MANIFEST = "current", "builds", "manifest.json"
ITEMS, VECTORS, LEDGER, REJECTED = "items.arrow", "vectors.npy", "ledger.npy", "rejected.jsonl"
INDEX, PROBES, QUERIES, SCALE = "index.faiss", "probes.npz", "queries.npy", "scale.npz"
OLD_ITEMS = "items.parquet"  # of format 1
FILES = "files"  # of an addition, in its facts
SCHEMA = 2
T = TypeVar("T")
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
        index: what the backend says of itself: its parameters, and the recall that it was measured to have.
        changes: what became of the source since the build before, where there was one.
        before: the build that was in force until this one.
        additions: what it carries beside its index, by name; see `embedsearch.additions`.
        schema: version of this format; 1 has neither ledger nor checksum of its own.
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
    index: Mapping[str, Any] = field(default_factory=dict)
    changes: Mapping[str, Any] = field(default_factory=dict)
    before: str = ""
    additions: Mapping[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA

    @property
    def added_files(self) -> frozenset[str]:
        """The files of all additions."""
        return frozenset(name for facts in self.additions.values() for name in facts.get(FILES, ()))

    def save(self, folder: Path) -> None:
        """Write `manifest.json` into `folder`, with a checksum of what it says."""
        values = asdict(self)
        text = json.dumps({**values, "checksum": _checksum(values)}, indent=2, ensure_ascii=False)
        (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Manifest:
        """Read `folder/manifest.json`.

        Raises:
            IndexDamagedError: it is missing, is not JSON, or is of another format.
        """
        path = folder / MANIFEST
        remedy = mend(folder.parent.parent.name)
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            checksum, schema = values.pop("checksum", ""), values["schema"]
            if schema not in (1, SCHEMA):
                raise IndexDamagedError(
                    f"{path} is of format {schema}; this embedsearch reads {SCHEMA}. {remedy}"
                )
            if schema == SCHEMA and checksum != _checksum(values):
                raise ValueError("it was altered: its checksum is another")
            values["unit"], values["metric"] = Unit(values["unit"]), Metric(values["metric"])
            items = {ITEMS, LEDGER} if schema == SCHEMA else {OLD_ITEMS}
            if not {*items, VECTORS, REJECTED} <= set(values["files"]):
                raise ValueError("it does not list the files of a build")
            return cls(**values)
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise IndexDamagedError(
                f"{path} can't be read ({_first_line(error)}). {mend(folder.parent.parent.name)}"
            ) from None


class Build:
    """A published build, opened for reading: its manifest, items, vectors and index.

    Everything large is memory-mapped: the system may take its pages back.

    Attributes:
        folder: its own.
        manifest: what it says of itself.
        damaged: files of additions that may not be read; empty of a whole build.
    """

    def __init__(self, folder: Path, *, whole: bool = False, spare: bool = False) -> None:
        """Open and verify the build in `folder`.

        Args:
            folder: the build's own.
            whole: read all files through; else large ones that were found right before are not.
            spare: open it where no files are damaged but additions' (see `embedsearch.additions`).

        Raises:
            IndexDamagedError: a file is missing, truncated or altered; named with the mending command.
        """
        self.folder = folder
        self.manifest = Manifest.load(folder)
        spared = self.manifest.added_files if spare else frozenset()
        damaged = set()
        for name, facts in self.manifest.files.items():
            try:
                verify(folder / name, facts, mend(folder.parent.parent.name), whole=whole)
            except IndexDamagedError:
                if name not in spared:
                    raise
                damaged.add(name)
        self.damaged = frozenset(damaged)

    @cached_property
    def items(self) -> pa.Table:
        """All items, a row per vector; see `embedsearch.items`."""
        if self.manifest.schema == 1:
            return pq.read_table(self.folder / OLD_ITEMS)
        return open_table(self.folder / ITEMS)

    @cached_property
    def _starts(self) -> npt.NDArray[np.int64]:
        """Where each batch of the items starts."""
        return np.cumsum([0, *(len(batch) for batch in self.items["id"].chunks[:-1])])

    @cached_property
    def _columns(self) -> dict[str, list[pa.Array]]:
        """The batches of each column; none of one that holds nothing."""
        columns = {name: self.items[name] for name in self.items.column_names}
        return {
            name: column.chunks if column.null_count < len(column) else [] for name, column in columns.items()
        }

    def read(self, rows: Sequence[int], columns: Iterable[str]) -> dict[str, list[Any]]:
        """Return the values of items in some columns, read where they lie on disk.

        Args:
            rows: which items.
            columns: names of columns.
        """
        batches = (np.searchsorted(self._starts, rows, side="right") - 1).tolist() if len(rows) else []
        places = [(batch, row - int(self._starts[batch])) for batch, row in zip(batches, rows, strict=True)]
        read: dict[str, list[Any]] = {}
        for name in columns:
            chunks = self._columns[name]
            read[name] = (
                [chunks[batch][at].as_py() for batch, at in places] if chunks else [None] * len(places)
            )
        return read

    @cached_property
    def vectors(self) -> Vectors:
        """The raw vectors (n, d) float32 or float16, memory-mapped."""
        vectors: Vectors = load_array(self.folder / VECTORS, mapped=True)
        return vectors

    @property
    def ledger(self) -> Ledger:
        """What is known of the entries that it was made from."""
        return Ledger.load(self.folder / LEDGER)

    @cached_property
    def backend(self) -> Backend:
        """The index over the vectors."""
        manifest = self.manifest
        return backend_class(manifest.backend).load(
            self.folder / INDEX, self.vectors, manifest.metric, manifest.index
        )

    @cached_property
    def scale(self) -> Scale | None:
        """What its distances are like; None of a build that was made without."""
        return Scale.load(self.folder / SCALE) if "scale" in self.manifest.additions else None

    def rejected(self) -> list[dict[str, Any]]:
        """Return what was quarantined: `id`, `reason`, and `entry`, the record's place in the ledger."""
        text = (self.folder / REJECTED).read_text(encoding="utf-8")
        return [json.loads(line) for line in text.split("\n") if line]  # splitlines() cuts at U+2028 too

    @property
    def field_types(self) -> dict[str, pa.DataType]:
        """Arrow type of each field, by name."""
        columns = self.items.schema
        return {
            column.name.removeprefix(FIELD): column.type
            for column in columns
            if column.name.startswith(FIELD)
        }

    @property
    def bytes_on_disk(self) -> int:
        """Size of the build's files."""
        return sum(path.stat().st_size for path in self.folder.iterdir())


def list_names(indexes: Path) -> list[str]:
    """Return the names of the published indexes in the folder `indexes`, sorted."""
    if not indexes.is_dir():
        return []
    return sorted(folder.name for folder in indexes.iterdir() if is_published(folder))


def is_published(folder: Path) -> bool:
    """Whether an index in `folder` was ever put in force; its pointer may have been lost since."""
    return (folder / CURRENT).is_file() or any(folder.glob(f"{BUILDS}/[!.]*/{MANIFEST}"))


def name_in_force(folder: Path) -> str:
    """Return the id of the build in force of the index in `folder`; empty where none or a damaged one is."""
    try:
        return current_build(folder).name
    except IndexDamagedError:
        return ""


def index_folder(indexes: Path, name: str) -> Path:
    """Return the folder of a published index.

    Raises:
        RecipeError: `name` can't be an index's name.
        IndexNotFoundError: there is none; the nearest name is suggested.
    """
    folder = indexes / check_name(name)
    if not is_published(folder):
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
    try:
        text = (folder / CURRENT).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        text = ""
    build = folder / BUILDS / text
    if not BUILD_RULE.fullmatch(text) or not build.is_dir():
        raise IndexDamagedError(
            f"{folder / CURRENT} names the build {text[:60]!r}, which is not there. {mend(folder.name)}"
        )
    return build


def open_current(indexes: Path, name: str, make: Callable[[Path], T]) -> T:
    """Return what `make` makes of the folder of the build in force of the index `name`.

    Builds that are published meanwhile may take the folder away; then the new one is opened.

    Raises:
        RecipeError, IndexNotFoundError, IndexDamagedError: as `index_folder`, `current_build`, `Build`.
    """
    while True:
        build = current_build(index_folder(indexes, name))
        try:
            return make(build)
        except (IndexDamagedError, OSError):
            if current_build(index_folder(indexes, name)) == build:
                raise


def open_build(indexes: Path, name: str) -> Build:
    """Open the build in force of the index `name`.

    Raises:
        RecipeError, IndexNotFoundError, IndexDamagedError: as `open_current`.
    """
    return open_current(indexes, name, Build)


def mend(name: str) -> str:
    """Return the sentence that says how the index `name` comes back to a whole build."""
    return (
        f"Take the build before it: embedsearch rollback {name}, or make it anew: embedsearch rebuild {name}"
    )


def _checksum(values: Mapping[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
