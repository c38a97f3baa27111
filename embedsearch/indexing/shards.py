"""A build in the context: shards on disk, found again by the next run of the same recipe.

Each shard is four files; the last one written, `N.json`, makes it count. A killed run leaves whole
shards, and perhaps one without its `.json`, which the next run overwrites.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from embedsearch.disk.checksums import sha256_of
from embedsearch.disk.npy import load_array
from embedsearch.distances.metric import Vectors
from embedsearch.encoders import probes
from embedsearch.errors import RecipeError
from embedsearch.indexing.batch import Chunk
from embedsearch.indexing.dedupe import Seen
from embedsearch.records import Entry, Rejected
from embedsearch.store import items as tables
from embedsearch.store import source_state
from embedsearch.store.items import Item
from embedsearch.store.manifest import ITEMS, PROBES, REJECTED, SOURCE_STATE, VECTORS

SHARD_VECTORS = 8192
SHARD_SECONDS = 60.0
STORAGE: dict[str, npt.DTypeLike] = {"fp32": np.float32, "fp16": np.float16}


@dataclass(slots=True)
class Totals:
    """Sums over the shards of a build, in entries, records, vectors, texts, words and seconds."""

    entries: int = 0
    records: int = 0
    items: int = 0
    reused: int = 0
    rejected: int = 0
    truncated: int = 0
    lost_words: int = 0
    waited: float = 0.0
    computed: float = 0.0

    def add(self, other: Totals) -> None:
        """Add another's numbers to these."""
        for name, value in asdict(other).items():
            setattr(self, name, getattr(self, name) + value)


class Staging:
    """The folder of unfinished work of one index."""

    def __init__(self, folder: Path, key: str) -> None:
        """Open `folder`, and clear it unless its work was made under the same `key`.

        Args:
            folder: where shards are kept.
            key: a hash of all that decides the vectors: recipe, fingerprint and precision.
        """
        self._folder = folder
        stamp = folder / "key"
        if not stamp.is_file() or stamp.read_text(encoding="utf-8", errors="replace") != key:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            stamp.write_text(key, encoding="utf-8")
        self.totals = Totals()
        self.seen = Seen()
        self._shards = 0
        self._ends: list[int] = []  # of the shards, in rows
        self._start_shard()

    def find_again(self, entries: Iterator[Entry]) -> int:
        """Take up the shards of an earlier run whose entries are still what the source yields.

        Args:
            entries: the source from its start; read only as far as shards are found.

        Returns:
            How many entries need not be embedded again. From the first changed one on, all are.
        """
        while shard := self._read_shard(self._shards):
            if any(_digest(entries, count) != known for count, known in shard["read"]):
                break
            self.seen.add(load_array(self._folder / f"{self._shards}.ledger.npy"), self.totals.items)
            self._count(Totals(**shard["totals"]))
        for later in self._folder.glob("[0-9]*.json"):
            if int(later.stem) >= self._shards:
                later.unlink()  # else it would seem to follow on the shards made now
        return self.totals.entries

    def _read_shard(self, number: int) -> dict[str, Any] | None:
        """Return what a shard's last file says, None where there is none, or its files are not whole."""
        try:
            checksum, text = (self._folder / f"{number}.json").read_text(encoding="utf-8").split("\n", 1)
            if hashlib.sha256(text.encode()).hexdigest() != checksum:
                return None
            shard: dict[str, Any] = json.loads(text)
            files = shard["files"].items()
            return shard if all(sha256_of(self._folder / name) == known for name, known in files) else None
        except (OSError, ValueError):  # a disk that was full, or a power cut
            return None

    def _start_shard(self) -> None:
        self._items: list[Item] = []
        self._vectors: list[Vectors] = []
        self._ledger: list[source_state.Entries] = []
        self._rejected: list[tuple[Rejected, int | None]] = []
        self._read: list[tuple[int, str]] = []
        self._open = Totals()
        self._since = time.monotonic()

    def add(self, chunk: Chunk) -> None:
        """Take in a chunk, and close the shard when it is large or old enough."""
        if chunk.probes and not (self._folder / PROBES).is_file():
            probes.save(self._folder / PROBES, chunk.probes)
        self.seen.add(chunk.source_state, self.totals.items + self._open.items)
        self._items += chunk.items
        self._vectors.append(chunk.vectors)
        self._ledger.append(chunk.source_state)
        self._rejected += [
            (each, entry if entry is None else entry + self._open.records) for each, entry in chunk.rejected
        ]
        self._read.append((chunk.entries, chunk.digest))
        self._open.add(
            Totals(
                entries=chunk.entries,
                records=len(chunk.source_state),
                items=len(chunk.items),
                reused=chunk.reused,
                rejected=len(chunk.rejected),
                truncated=int(chunk.source_state["truncated"].sum()),
                lost_words=int(chunk.source_state["lost"].sum()),
                waited=chunk.waited,
                computed=chunk.computed,
            )
        )
        if self._open.items >= SHARD_VECTORS or time.monotonic() - self._since > SHARD_SECONDS:
            self.close_shard()

    def close_shard(self) -> None:
        """Write the open shard to disk."""
        if self._open.entries:
            stem = str(self._shards)
            np.save(self._folder / f"{stem}.npy", np.concatenate(self._vectors))  # chunks -> (n, d)
            np.save(self._folder / f"{stem}.ledger.npy", np.concatenate(self._ledger))
            pq.write_table(tables.to_table(self._items), self._folder / f"{stem}.parquet")
            shard = {
                "totals": asdict(self._open),
                "read": self._read,
                "rejected": [{**asdict(each), "entry": entry} for each, entry in self._rejected],
                "files": {
                    name: sha256_of(self._folder / name)
                    for name in (f"{stem}.npy", f"{stem}.ledger.npy", f"{stem}.parquet")
                },
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
        self._ends.append(self.totals.items)

    def vectors(self, rows: Sequence[int]) -> Vectors:
        """Return vectors that were added, (m, d) float32, by their rows (m,) in this build."""
        wanted = np.asarray(rows, np.int64)
        shards = np.searchsorted(self._ends, wanted, side="right")
        starts = [0, *self._ends]
        found: Vectors | None = None
        for shard in np.unique(shards).tolist():
            own = shards == shard
            closed = shard < self._shards
            held = (
                load_array(self._folder / f"{shard}.npy", mapped=True)
                if closed
                else np.concatenate(self._vectors)
            )
            if found is None:
                found = np.empty((len(wanted), held.shape[1]), np.float32)
            found[own] = held[wanted[own] - starts[shard]]
        assert found is not None  # rows are never none
        return found

    def rejected(self) -> Iterator[dict[str, Any]]:
        """Yield everything that was quarantined, in order; see `Build.rejected`."""
        records = 0
        for shard in range(self._shards):
            text = (self._folder / f"{shard}.json").read_text(encoding="utf-8")
            held = json.loads(text.split("\n", 1)[1])
            for each in held["rejected"]:
                entry = each["entry"]
                yield {**each, "entry": entry if entry is None else entry + records}
            records += held["totals"]["records"]

    def write(self, folder: Path, dimension: int, storage: str) -> pa.Schema:
        """Join the shards into the items, vectors, source_state, probes and quarantine files of a build.

        Args:
            folder: where they go.
            dimension: of the vectors.
            storage: `fp32` or `fp16`, what the vectors are kept in.

        Returns:
            The schema of the items.

        Raises:
            RecipeError: a vector has a component that fp16 can't hold.
        """
        self.seen = Seen()  # it takes memory that making the index needs
        schema = tables.merge(
            [self._folder / f"{shard}.parquet" for shard in range(self._shards)], folder / ITEMS
        )
        self._join(folder / VECTORS, "{}.npy", STORAGE[storage], (self.totals.items, dimension))
        self._join(folder / SOURCE_STATE, "{}.ledger.npy", source_state.ENTRY, (self.totals.records,))
        if (self._folder / PROBES).is_file():  # work begun by an earlier version has none
            shutil.copyfile(self._folder / PROBES, folder / PROBES)
        with (folder / REJECTED).open("w", encoding="utf-8") as file:
            for each in self.rejected():
                file.write(json.dumps(each, ensure_ascii=False) + "\n")
        return schema

    def _join(self, target: Path, name: str, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> None:
        """Write the shards' arrays of one kind behind each other, one in memory at a time."""
        with target.open("wb") as file:
            header = {
                "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
                "fortran_order": False,
                "shape": shape,
            }
            np.lib.format.write_array_header_2_0(file, header)
            for shard in range(self._shards):
                rows = load_array(self._folder / name.format(shard))
                with np.errstate(over="ignore"):
                    kept = rows.astype(dtype)
                if kept.dtype == np.float16 and not np.isfinite(kept).all():
                    raise RecipeError(
                        f"A vector has the component {np.abs(rows).max():,.0f}, and fp16 ends at 65,504. "
                        "Keep the vectors with --storage fp32."
                    )
                file.write(kept.tobytes())

    def clear(self) -> None:
        """Delete the shards."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _digest(entries: Iterator[Entry], count: int) -> str:
    return source_state.digest(source_state.describe(entry) for entry in islice(entries, count))
