"""The unfinished work of a build: shards on disk, found again by the next run of the same recipe, and joined.

Each shard is five files, and a stretch of the one file of vectors. The last one written, `N.json`, makes it
count. A killed run leaves whole shards, and perhaps one without its `.json`, which the next run overwrites.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from embedsearch.disk.checksums import FileFacts, flushed, sha256_of
from embedsearch.disk.links import link_or_copy
from embedsearch.disk.npy import load_array
from embedsearch.distances.centring import Centring
from embedsearch.distances.metric import Vectors
from embedsearch.encoders import probes
from embedsearch.errors import RecipeError
from embedsearch.indexing.batch import Batch
from embedsearch.indexing.origins import COPY, NEW, Spans, lay_down
from embedsearch.indexing.plan import Plan
from embedsearch.indexing.read import Walked
from embedsearch.indexing.staged_vectors import StagedVectors
from embedsearch.records import MOST_UNKNOWN, Rejected
from embedsearch.sources.text_cells import CellType
from embedsearch.store import items as tables
from embedsearch.store.ids import save_ids
from embedsearch.store.items import ItemColumns
from embedsearch.store.manifest import ITEMS, PROBES, REJECTED, SOURCE_STATE, UNKNOWN, VECTORS
from embedsearch.store.previous import PreviousBuild
from embedsearch.store.source_state import ENTRY, Entries, Places

SHARD_VECTORS = 8192
SHARD_BYTES = 2**28  # of vectors, which may have 65,536 numbers each
SHARD_SECONDS = 60.0
# Of what waits in memory until something is embedded: records, and characters or bytes of their contents.
MOST_WAITING, MOST_WAITING_SIZE = 131_072, 64 * 2**20
STORAGE: dict[str, npt.DTypeLike] = {"fp32": np.float32, "fp16": np.float16}


@dataclass(slots=True)
class Totals:
    """Sums over the shards of a build, in entries, records, vectors, texts, words and seconds.

    Attributes:
        prepared: what was done to show what items hold, and to how many; see `Outcome.notes`.
    """

    entries: int = 0
    records: int = 0
    items: int = 0
    reused: int = 0
    rejected: int = 0
    truncated: int = 0
    lost_words: int = 0
    unknown: int = 0
    waited: float = 0.0
    computed: float = 0.0
    prepared: dict[str, int] = field(default_factory=dict)

    def add(self, other: Totals) -> None:
        """Add another's numbers to these."""
        for name, value in asdict(other).items():
            if name != "prepared":
                setattr(self, name, getattr(self, name) + value)
        for note, count in other.prepared.items():
            self.prepared[note] = self.prepared.get(note, 0) + count


class Staging:
    """The folder of unfinished work of one index."""

    def __init__(self, folder: Path, key: str) -> None:
        """Open the folder of the work that is done under `key`.

        Args:
            folder: of all unfinished work.
            key: a hash of all that decides the vectors: recipe, fingerprint, precision, and the build before.
        """
        self._root, self._folder = folder, folder / key
        self._folder.mkdir(parents=True, exist_ok=True)
        self._vectors = StagedVectors(self._folder / VECTORS)
        self.totals = Totals()
        self._shards = 0
        self._failed: dict[int, str] = {}  # records that have no vector, and why
        self._split: dict[int, Spans] = {}  # records that were split, and their passages
        self._waiting: list[tuple[Batch, PreviousBuild | None]] = []
        self._waits = True  # until something is embedded
        self._waiting_records = self._waiting_size = 0
        self._start_shard()

    @property
    def entries(self) -> int:
        """How many entries of the source are done."""
        return self.totals.entries + self._open.entries + sum(batch.entries for batch, _ in self._waiting)

    def resume(self, walked: Iterator[Walked], plan: Plan) -> Iterator[Walked]:
        """Take up the shards of an interrupted run whose entries are still what the source yields.

        Args:
            walked: the source from its start.
            plan: is told of what is taken up.

        Returns:
            What is left of `walked`. From the first changed entry on, all is embedded again.
        """
        held: list[Walked] = []
        while shard := self._read_shard(self._shards):
            held = list(islice(walked, len(shard["batches"])))
            if [each.digest for each in held] != [digest for _, digest in shard["batches"]]:
                break
            rows = load_array(self._folder / f"{self._shards}.state.npy")
            unread = [
                Rejected(each["id"], each["reason"]) for each in shard["rejected"] if each["entry"] is None
            ]
            at = 0
            for each, (records, _) in zip(held, shard["batches"], strict=True):
                plan.resume(each, rows[at : at + records], unread if not at else ())
                at += records
            self._count(Totals(**shard["totals"]))
            held = []
        for later in self._folder.glob("[0-9]*.json"):
            if int(later.stem) >= self._shards:
                later.unlink()  # else it would seem to follow on the shards made now
        return chain(held, walked)

    def _read_shard(self, number: int) -> dict[str, Any] | None:
        """Return what a shard's last file says, None where there is none, or its files are not whole."""
        try:
            checksum, text = (self._folder / f"{number}.json").read_text(encoding="utf-8").split("\n", 1)
            if hashlib.sha256(text.encode()).hexdigest() != checksum:
                return None
            shard: dict[str, Any] = json.loads(text)
            if any(sha256_of(self._folder / name) != known for name, known in shard["files"].items()):
                return None
            origins = load_array(self._folder / f"{number}.origins.npy")
            held = shard["vectors"]
            found = self._vectors.checksum(self.totals.items, origins, held["dimension"])
            return shard if found == held["checksum"] else None
        except (OSError, ValueError):  # a disk that was full, or a power cut
            return None

    def _start_shard(self) -> None:
        self._items: list[ItemColumns] = []
        self._origins: list[Places] = []
        self._unknown: list[npt.NDArray[np.float16]] = []
        self._dimension = self._checksum = self._bytes = 0  # of the vectors
        self._rows: list[Entries] = []
        self._rejected: list[tuple[Rejected, int | None]] = []
        self._batches: list[tuple[int, str]] = []
        self._open = Totals()
        self._since = time.monotonic()

    def add(self, batch: Batch, previous: PreviousBuild | None) -> None:
        """Take in an embedded batch, and close the shard when it is large or old enough.

        The first batches wait in memory as long as nothing was embedded: where nothing changed, nothing is
        written.

        Args:
            batch: with its vectors.
            previous: the build that kept vectors are of.
        """
        self._waiting.append((batch, previous))
        if self._waits:
            self._waiting_records += len(batch.records)
            self._waiting_size += batch.size
            fits = self._waiting_records <= MOST_WAITING and self._waiting_size <= MOST_WAITING_SIZE
            self._waits = fits and not batch.parts and not len(batch.whole)
        if not self._waits:
            self._lay_waiting()

    def _lay_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for batch, previous in waiting:
            self._lay(batch, previous)

    def _lay(self, batch: Batch, previous: PreviousBuild | None) -> None:
        if batch.embedded.probes and not (self._folder / PROBES).is_file():
            probes.save(self._folder / PROBES, batch.embedded.probes)
        base = self._open.records
        laid = lay_down(batch, previous, self._failed, self._split, self.totals.records + base)
        self._items.append(laid.items)
        self._origins.append(laid.origins)
        self._unknown.append(laid.unknown)
        if len(laid.vectors):
            self._dimension = laid.vectors.shape[1]
            self._bytes += laid.vectors.nbytes
            self._checksum = self._vectors.write(
                self.totals.items + self._open.items, laid.origins, laid.vectors, self._checksum
            )
        self._rows.append(batch.rows)
        self._rejected += [(each, at if at is None else at + base) for each, at in laid.rejected]
        self._batches.append((len(batch.rows), batch.digest))
        self._open.add(
            Totals(
                entries=batch.entries,
                records=len(batch.rows),
                items=len(laid.origins),
                reused=int(np.count_nonzero(laid.origins >= 0)),
                rejected=len(laid.rejected),
                waited=batch.embedded.waited,
                computed=batch.embedded.computed,
                prepared=dict(Counter(note for each in batch.embedded.outcomes for note in each.notes)),
            )
        )
        is_large = self._open.items >= SHARD_VECTORS or self._bytes >= SHARD_BYTES
        if is_large or time.monotonic() - self._since > SHARD_SECONDS:
            self.close_shard()

    def close_shard(self) -> None:
        """Write the open shard to disk, with what waits."""
        self._lay_waiting()
        if self._open.entries:
            stem = str(self._shards)
            arrays: dict[str, npt.NDArray[Any]] = {
                f"{stem}.origins.npy": np.concatenate(self._origins),
                f"{stem}.unknown.npy": np.concatenate(self._unknown),
                f"{stem}.state.npy": np.concatenate(self._rows),
            }
            for name, array in arrays.items():
                np.save(self._folder / name, array)
            columns = zip(*self._items, strict=True)  # a few batches of each column
            items = ItemColumns(*(list(chain.from_iterable(parts)) for parts in columns))
            tables.write_table(tables.to_table(items), self._folder / f"{stem}.arrow")
            shard = {
                "totals": asdict(self._open),
                "batches": self._batches,
                "rejected": [{**asdict(each), "entry": entry} for each, entry in self._rejected],
                "vectors": {"dimension": self._dimension, "checksum": self._checksum},
                "files": {name: sha256_of(self._folder / name) for name in (*arrays, f"{stem}.arrow")},
            }
            text = json.dumps(shard, ensure_ascii=False)
            aside = self._folder / f".{stem}.json"
            checksum = hashlib.sha256(text.encode()).hexdigest()
            aside.write_text(f"{checksum}\n{text}", encoding="utf-8")
            aside.replace(self._folder / f"{stem}.json")
            self._count(self._open)
        self._start_shard()

    def _count(self, shard: Totals) -> None:
        self.totals.add(shard)
        self._shards += 1

    def source_states(self) -> Iterator[Entries]:
        """Yield what is known of the records of each shard, in order; see `SourceState`."""
        for shard in range(self._shards):
            yield load_array(self._folder / f"{shard}.state.npy")

    def rejected(self) -> Iterator[dict[str, Any]]:
        """Yield everything that was rejected, in order; see `Build.rejected`."""
        records = 0
        for shard in range(self._shards):
            text = (self._folder / f"{shard}.json").read_text(encoding="utf-8")
            held = json.loads(text.split("\n", 1)[1])
            for each in held["rejected"]:
                entry = each["entry"]
                yield {**each, "entry": entry if entry is None else entry + records}
            records += held["totals"]["records"]

    def join(
        self,
        folder: Path,
        previous: PreviousBuild | None,
        dimension: int,
        storage: str,
        centring: Centring | None = None,
    ) -> Places | None:
        """Join the shards into the vectors, source state, probes and rejections of a build.

        Vectors are new, kept of the build before, or copies of others in this build.

        Args:
            folder: where they go.
            previous: the build that kept vectors are of.
            dimension: of the vectors as the model gives them.
            storage: `fp32` or `fp16`, what the vectors are stored in.
            centring: that of `previous`, by which new vectors are centred as the kept ones are; None to join
                the vectors as the model gives them.

        Returns:
            Which row of the build before holds the same vector, (n,); -1 for none. None without one.

        Raises:
            RecipeError: a vector has a component that fp16 can't hold.
        """
        stems = [self._folder / str(shard) for shard in range(self._shards)]
        rows = np.lib.format.open_memmap(folder / SOURCE_STATE, "w+", ENTRY, (self.totals.records,))
        at = 0
        for part in self.source_states():
            rows[at : at + len(part)] = part
            at += len(part)
        starts = np.concatenate([[0], np.cumsum(rows["rows"], dtype=np.int64)])  # (m,) -> (m + 1,)
        before = None if previous is None or centring is not None else previous.build.centring
        staged = self._vectors.finish(self.totals.items, dimension)
        made = None
        if centring is None and storage == "fp32":  # the staged vectors are those of the build
            link_or_copy(staged, folder / VECTORS)
            vectors = np.lib.format.open_memmap(folder / VECTORS, "r+")
        else:
            made = load_array(staged, mapped=True)
            shape = (self.totals.items, dimension if centring is None else centring.dimension)
            vectors = np.lib.format.open_memmap(folder / VECTORS, "w+", STORAGE[storage], shape)
        kept = None if previous is None else np.empty(self.totals.items, np.int64)
        unknown = np.zeros(self.totals.items, np.float16)
        at = 0
        for stem in stems:
            origins = load_array(stem.with_suffix(".origins.npy"))
            part, shares = vectors[at : at + len(origins)], unknown[at : at + len(origins)]
            if kept is not None:
                kept[at : at + len(origins)] = np.maximum(origins, NEW)
            new = origins == NEW
            if made is not None and new.any():
                raw = made[at : at + len(origins)][new]
                part[new] = as_stored(raw if centring is None else centring.apply(raw), vectors.dtype)
            shares[:] = load_array(stem.with_suffix(".unknown.npy"))
            if (origins >= 0).any() and previous is not None:
                old = previous.build.vectors[origins[origins >= 0]]
                part[origins >= 0] = old if before is None else before.restore(old)
                shares[origins >= 0] = previous.build.unknown[origins[origins >= 0]]
            copies = np.flatnonzero(origins <= COPY)
            originals = COPY - origins[copies]
            owners = np.searchsorted(starts, at + copies, side="right") - 1
            same = starts[originals] + at + copies - starts[owners]  # of a record of several, each its own
            part[copies], shares[copies] = vectors[same], unknown[same]
            rows["truncated"][owners] = rows["truncated"][originals]
            at += len(origins)
        self.totals.truncated = int(rows["truncated"].sum())
        self.totals.lost_words = int(rows["lost"].sum())
        self.totals.unknown = int((unknown > MOST_UNKNOWN).sum())
        if unknown.any():
            np.save(folder / UNKNOWN, unknown)
        if (self._folder / PROBES).is_file():
            shutil.copyfile(self._folder / PROBES, folder / PROBES)
        with (folder / REJECTED).open("w", encoding="utf-8") as file:
            for each in self.rejected():
                file.write(json.dumps(each, ensure_ascii=False) + "\n")
        return None if kept is None else _each_once(kept)

    def join_items(
        self, folder: Path, cells: Mapping[str, CellType]
    ) -> tuple[pa.Schema, dict[str, FileFacts]]:
        """Join the shards into the items of a build; flush these and the vectors; sort the ids.

        What `join` writes is there already. It runs beside the making of the index: neither needs the other.

        Args:
            folder: where they go.
            cells: by field, the type of cells of text.

        Returns:
            The schema of the items, and the facts of both files by name.
        """
        shards = [self._folder / f"{shard}.arrow" for shard in range(self._shards)]
        schema = tables.merge(shards, folder / ITEMS, cells)
        save_ids(folder)
        return schema, {name: flushed(folder / name) for name in (ITEMS, VECTORS)}

    def clear(self) -> None:
        """Delete all unfinished work."""
        shutil.rmtree(self._root, ignore_errors=True)


def as_stored(vectors: Vectors, dtype: npt.DTypeLike) -> Vectors:
    """Return vectors as they are stored.

    Raises:
        RecipeError: one has a component that fp16 can't hold.
    """
    with np.errstate(over="ignore"):
        stored = vectors.astype(dtype, copy=False)
    if stored.dtype == np.float16 and not np.isfinite(stored).all():
        raise RecipeError(
            f"A vector has a component of {np.abs(vectors).max():,.0f}, and the largest of fp16 is 65,504. "
            "Store the vectors with --storage fp32."
        )
    return stored


def _each_once(kept: Places) -> Places:
    """Return rows of the build before, (n,), those that are named again replaced by -1."""
    _, first = np.unique(kept, return_index=True)
    again = np.ones(len(kept), np.bool_)
    again[first] = False
    kept[again] = NEW
    return kept
