"""One index on disk: `indexes/NAME/{recipe.toml, current, builds/ID/...}`.

A build is written under a name of its own and published by replacing the one line of `current`, so a
reader sees the old build or the new one, never half of either.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast
from unicodedata import normalize

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from embedsearch.backends import Backend, Elsewhere, Take, backend_class, is_elsewhere, taking
from embedsearch.disk.checksums import verify
from embedsearch.disk.mapped import MappedFiles
from embedsearch.disk.npy import load_array
from embedsearch.distances.centring import Centring
from embedsearch.distances.metric import Vectors
from embedsearch.distances.scale import Scale
from embedsearch.errors import IndexDamagedError
from embedsearch.modalities import UNITS
from embedsearch.recipe import EncoderRecipe
from embedsearch.store.fetched import is_fetched
from embedsearch.store.folders import current_build, index_folder, list_names
from embedsearch.store.ids import Ids
from embedsearch.store.items import FIELD, open_table
from embedsearch.store.manifest import (
    CENTRING,
    INDEX,
    ITEMS,
    NOT_READ,
    REJECTED,
    SCALE,
    SOURCE_STATE,
    UNKNOWN,
    VECTORS,
    Manifest,
    mend,
)
from embedsearch.store.source_state import SourceState

T = TypeVar("T")


def record_of(identity: str, start: int | None) -> str:
    """Return the id of the record that an item is a part of.

    Args:
        identity: of the item.
        start: where it starts in its record; None for an item that is a whole record.
    """
    return identity if start is None else identity.rpartition("#")[0]


@dataclass(frozen=True, slots=True)
class Records:
    """Which rows belong to one record.

    Attributes:
        starts: (m,) the first row of each record, ascending.
        count: the number of all rows.
    """

    starts: npt.NDArray[np.int64]
    count: int

    def of(self, rows: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return the number of the record of each row, (k,) -> (k,)."""
        return np.searchsorted(self.starts, rows, side="right") - 1

    def mask(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Return which rows belong to records of these numbers, (n,)."""
        chosen = np.zeros(len(self.starts), np.bool_)
        chosen[numbers] = True
        sizes = np.diff(self.starts, append=self.count)
        return np.repeat(chosen, sizes)  # (m,) -> (n,)


def records_in(folder: Path, encoder: EncoderRecipe, count: int) -> Records | None:
    """Return the records of a build whose records may have several items; None where each item is a record.

    Args:
        folder: of the build, finished or not.
        encoder: what it was made with.
        count: its number of items.
    """
    row = UNITS[encoder.unit]
    if not row.grouped or not (row.timed or encoder.splitter):
        return None
    starts = Ids(folder).starts
    return Records(starts, count) if row.timed or len(starts) < count else None


class Build:
    """A published build, opened for reading: its manifest, items, vectors and index.

    Everything large is memory-mapped: the system may take its pages back. Before each use, the sizes of the
    mapped files are checked.

    Attributes:
        folder: its own.
        manifest: what it says of itself.
        damaged: files of artifacts that may not be read; empty of a whole build.
        bytes_on_disk: size of its files, as they were when it was opened.
    """

    def __init__(self, folder: Path, *, whole: bool = False, spare: bool = False) -> None:
        """Open and verify the build in `folder`.

        Args:
            folder: the build's own.
            whole: read all files through; else large ones that were found right before are not.
            spare: open it also where files of artifacts alone are damaged.

        Raises:
            IndexDamagedError: a file is missing, truncated or altered; the message says what to do.
        """
        self.folder = folder
        self.manifest = Manifest.load(folder)
        # read from a server, which keeps the vectors
        self._is_fetched = is_elsewhere(self.manifest.backend) and is_fetched(folder)
        files = {
            name: facts
            for name, facts in self.manifest.files.items()
            if not self._is_fetched or name not in NOT_READ
        }
        spared = self.manifest.artifacts.files if spare else frozenset()
        damaged, advice = set(), mend(folder.parent.parent, folder.name)
        for name, facts in files.items():
            try:
                verify(folder / name, facts, advice, whole=whole)
            except IndexDamagedError:
                if name not in spared:
                    raise
                damaged.add(name)
        self.damaged = frozenset(damaged)
        self.bytes_on_disk = sum(path.stat().st_size for path in folder.iterdir())
        sizes = {name: facts.size for name, facts in files.items() if name not in damaged}
        self._files = MappedFiles(folder, sizes, advice)

    def check(self) -> None:
        """Check that no file was truncated since the build was opened: to read it would kill the process.

        Whoever holds on to what this class returns, or to a mapped file of an artifact, calls it before each
        use.

        Raises:
            IndexDamagedError: one was; the message says what to do.
        """
        self._files.check()

    @property
    def items(self) -> pa.Table:
        """All items, a row per vector; see `embedsearch.store.items`."""
        self.check()
        return self._items

    @cached_property
    def _items(self) -> pa.Table:
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

        The bytes of a record of several items are kept with its first one, and returned for each.

        Args:
            rows: which items.
            columns: names of columns.
        """
        self.check()
        wanted = np.asarray(rows, np.int64)
        batches = np.searchsorted(self._starts, wanted, side="right") - 1  # (k,) -> (k,)
        places = list(zip(batches.tolist(), (wanted - self._starts[batches]).tolist(), strict=True))
        read: dict[str, list[Any]] = {}
        for name in columns:
            chunks = self._columns[name]
            read[name] = (
                [chunks[batch][at].as_py() for batch, at in places] if chunks else [None] * len(places)
            )
            if name == "picture" and chunks and self.records is not None:
                firsts = self.records.starts[self.records.of(wanted)]  # (k,)
                later = [at for at in np.flatnonzero(firsts < wanted).tolist() if read[name][at] is None]
                found = self.read(firsts[later].tolist(), [name])[name] if later else ()
                for at, held in zip(later, found, strict=True):
                    read[name][at] = held
        return read

    @property
    def ids(self) -> Ids:
        """The ids of its records, by which `row_of` finds an item."""
        self.check()
        return self._ids

    @cached_property
    def _ids(self) -> Ids:
        return Ids(self.folder)

    def row_of(self, identity: str) -> int | None:
        """Return the row of an item; None where there is no item of that id.

        An id in another form of Unicode is found too, more slowly: file names of a Mac are decomposed.
        """
        try:
            identity.encode()
        except UnicodeEncodeError:  # half a character, or bytes of a command line that are no UTF-8
            return None
        column = self.items["id"]
        for record in (identity, identity.rpartition("#")[0]):  # a part of a record is called RECORD#START
            for rows in self.ids.rows(record):
                at = int(pc.index(column.slice(rows.start, len(rows)), identity).as_py())
                if at >= 0:
                    return rows.start + at
        if identity.isascii():
            return None
        at = int(pc.index(pc.utf8_normalize(column, "NFC"), normalize("NFC", identity)).as_py())
        return at if at >= 0 else None

    def rows_of(self, identity: str) -> range:
        """Return the rows of an item: of a record of several items all of them; empty for none of that id."""
        if self.records is not None:
            for rows in self.ids.rows(identity):
                first = self.read([rows.start], ["id", "start"])
                if record_of(first["id"][0], first["start"][0]) == identity:
                    return rows
        row = self.row_of(identity)
        return range(0) if row is None else range(row, row + 1)

    @cached_property
    def records(self) -> Records | None:
        """The rows of each record, where records may have several items; None where each item is one."""
        return records_in(self.folder, self.manifest.recipe.encoder, self.manifest.count)

    @property
    def answers(self) -> int:
        """How many hits there can be: records where these may have several items, else items."""
        return self.manifest.count if self.records is None else len(self.records.starts)

    @property
    def held(self) -> str:
        """How many items there are, in words; of records of several items both numbers."""
        row, count = UNITS[self.manifest.unit], self.manifest.count
        found = f"{self.answers:,} {row.plural}"
        return found if self.answers == count else f"{found}, {count:,} {row.part or row.unit}s"

    @property
    def vectors(self) -> Vectors:
        """The vectors that are compared, (n, d) float32 or float16, memory-mapped; raw unless centred.

        Those of a build that was fetched from a server are read from there into memory.
        """
        self.check()
        return self._vectors

    @cached_property
    def _vectors(self) -> Vectors:
        if self._is_fetched:
            return self.take(np.arange(self.manifest.count))
        vectors: Vectors = load_array(self.folder / VECTORS, mapped=True)
        return vectors

    @cached_property
    def centring(self) -> Centring | None:
        """What is done to vectors of the model before they are compared; None for nothing."""
        return None if self.manifest.centring is None else Centring.load(self.folder / CENTRING)

    def placed(self, vectors: Vectors) -> Vectors:
        """Return vectors of the model as they are compared with those of the items: (n, D) -> (n, d)."""
        return vectors if self.centring is None else self.centring.apply(vectors)

    @property
    def take(self) -> Take:
        """Gives these vectors of rows: (m,) -> (m, d) float32."""
        self.check()
        return self._take

    @cached_property
    def _take(self) -> Take:
        if self._is_fetched:
            return lambda rows: cast(Elsewhere, self.backend).take(rows)
        return taking(self._vectors)

    @cached_property
    def unknown(self) -> npt.NDArray[np.float16]:
        """The share (0 to 1) of each item's text that the model does not know, (n,)."""
        if UNKNOWN in self.manifest.files:
            shares: npt.NDArray[np.float16] = load_array(self.folder / UNKNOWN)
            return shares
        return np.broadcast_to(np.float16(0), self.manifest.count)

    @property
    def source_state(self) -> SourceState:
        """What is known of the entries that it was made from."""
        return SourceState.load(self.folder / SOURCE_STATE)

    @property
    def backend(self) -> Backend:
        """The index over the vectors."""
        self.check()
        return self._backend

    @cached_property
    def _backend(self) -> Backend:
        manifest = self.manifest
        kind = backend_class(manifest.backend)
        return kind.locate(self.folder / INDEX, self.take, manifest.metric, manifest.index)

    @cached_property
    def scale(self) -> Scale | None:
        """What its distances are like; None of a build that was made without."""
        facts, unit = self.manifest.artifacts.scale, UNITS[self.manifest.unit]
        if facts is None:
            return None
        of = facts.pairs_of
        scale = Scale.load(self.folder / SCALE, facts.pairs, of, general=bool(of))
        return replace(scale, unjudged=unit.unjudged)

    def rejected(self) -> list[dict[str, Any]]:
        """Return what was rejected: `id`, `reason`, and `entry`, the record's place in the source state."""
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


def open_current(indexes: Path, name: str, make: Callable[[Path], T]) -> T:
    """Return what `make` makes of the folder of the current build of the index `name`.

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


def manifests(indexes: Path) -> dict[str, Manifest | str]:
    """Return the manifest of each index in a folder, or the sentence that says why it can't be read."""
    found: dict[str, Manifest | str] = {}
    for name in list_names(indexes):
        try:
            found[name] = Manifest.load(current_build(indexes / name))
        except IndexDamagedError as error:
            found[name] = str(error)
    return found


def open_build(indexes: Path, name: str) -> Build:
    """Open the current build of the index `name`.

    Raises:
        RecipeError, IndexNotFoundError, IndexDamagedError: as `open_current`.
    """
    return open_current(indexes, name, Build)
