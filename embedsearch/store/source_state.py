"""What a build knows of the entries that it was made from, so that the next one embeds only what is new.

One row of 64 bytes for each record of the source, in its order: who it is, what it held, and which vectors
it was given. Identities and contents are hashes: a comparison of two sources reads no text and no file.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from embedsearch.disk.hash_index import HashIndex
from embedsearch.disk.npy import load_array
from embedsearch.records import Entry, Record

ENTRY = np.dtype(
    [
        ("key", "<u8"),  # hash of the record's id
        ("facts", "<u8"),  # hash of its id, fields, and text or path
        ("high", "<u8"),  # the content hash, 128 bits
        ("low", "<u8"),
        ("size", "<i8"),  # of its file in bytes; -1 for what is no file
        ("modified", "<i8"),  # of its file in nanoseconds; 0 where that can't be trusted
        ("rows", "<i4"),  # how many vectors it has
        ("truncated", "<i4"),  # how many of its texts the model's limit cut
        ("lost", "<i4"),  # words beyond the limit
        ("bad", "<i4"),  # how much of it was quarantined
    ]
)
Entries = npt.NDArray[np.void]
Halves = npt.NDArray[np.uint64]
Described = tuple[int, int, int, int]
RACY = 2 * 10**9  # nanoseconds; a file changed again so soon may show the same time


def describe(entry: Entry) -> Described:
    """Return an entry's `key`, `facts`, `size` and `modified`; no file is read, only looked up."""
    size, modified, content = -1, 0, ""
    told = repr(entry)
    if isinstance(entry, Record):
        if isinstance(entry.content, bytes):  # repr() of a picture would be four times as long
            content = hashlib.sha256(entry.content).hexdigest()
            told = repr((entry.id, entry.modality, content, entry.fields))
        elif isinstance(entry.content, Path):
            try:
                stat = entry.content.stat()
            except OSError:
                pass
            else:
                size, modified = stat.st_size, stat.st_mtime_ns
    return hash_of(entry.id), hash_of(told), size, modified


def hash_of(text: str) -> int:
    """Return 64 bits of the SHA-256 of a text."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "little")


def digest(described: Iterable[Described]) -> str:
    """Return 64 hex digits that change when one of the described entries does."""
    described = list(described)
    return hashlib.sha256(repr(described).encode()).hexdigest()


def row(described: Described, content_hash: str, before: Any = None) -> tuple[int, ...]:
    """Return the row of a record that was just read; how many vectors it has is added later.

    Args:
        described: see `describe`.
        content_hash: 32 hex digits.
        before: the row of a build that holds its vectors already.
    """
    key, facts, size, modified = described
    trusted = modified if time.time_ns() - modified > RACY else 0
    counts = (0, 0, 0) if before is None else (before["truncated"], before["lost"], 0)
    return (key, facts, int(content_hash[:16], 16), int(content_hash[16:], 16), size, trusted, 0, *counts)


class Row(NamedTuple):
    """What the source_state says of one record; see `ENTRY`."""

    facts: int
    hash: str
    size: int
    modified: int
    bad: int

    def untouched(self, described: Described) -> bool:
        """Whether a record is still this one: a text by its hash, a file by its size and time."""
        _, facts, size, modified = described
        if (facts, size) != (self.facts, self.size):
            return False
        return size < 0 or (modified == self.modified and modified != 0)


class SourceState:
    """The rows of one build, looked up by identity or by content."""

    def __init__(self, entries: Entries) -> None:
        """Index the identities, and at the first use the contents: 18 to 36 bytes of memory an entry each.

        Args:
            entries: (n,) of `ENTRY`, in the order of the source.
        """
        self.entries = entries
        self.starts = np.concatenate([[0], np.cumsum(entries["rows"], dtype=np.int64)])  # (n,) -> (n + 1,)
        self._keys = HashIndex(np.uint32)
        self._keys.add(entries["key"], np.arange(len(entries)))

    @cached_property
    def _contents(self) -> HashIndex:
        """What was rejected for its content is left out: it is found by its identity alone."""
        index, good = HashIndex(np.uint32), np.flatnonzero(self.entries["bad"] == 0)
        index.add(self.entries["high"][good], good)
        return index

    def __len__(self) -> int:
        return len(self.entries)

    @classmethod
    def load(cls, path: Path) -> SourceState:
        """Read what `save` wrote, memory-mapped."""
        return cls(cast(Entries, load_array(path, mapped=True)))

    def rows(self, found: npt.NDArray[np.int64]) -> list[Row | None]:
        """Return the rows at these places, None for -1."""
        if not len(self):
            return [None] * len(found)
        names = ("facts", "high", "low", "size", "modified", "bad")
        values = self.entries[np.maximum(found, 0)][list(names)].tolist()
        return [
            Row(facts, f"{high:016x}{low:016x}", size, modified, bad) if at >= 0 else None
            for at, (facts, high, low, size, modified, bad) in zip(found.tolist(), values, strict=True)
        ]

    def find(self, keys: Sequence[int] | Halves) -> npt.NDArray[np.int64]:
        """Return where the identities of these hashes stand, (m,); -1 for those that are not here."""
        return self._keys.find(keys)

    def find_content(self, hashes: Sequence[str]) -> npt.NDArray[np.int64]:
        """Return where contents of these hashes (32 hex digits) stand, (m,); -1 for those not here.

        What was rejected for its content is found by its identity alone.
        """
        highs = np.array([int(each[:16], 16) for each in hashes], np.uint64)
        lows = np.array([int(each[16:], 16) for each in hashes], np.uint64)
        return self.find_halves(highs, lows)

    def find_halves(self, highs: Halves, lows: Halves) -> npt.NDArray[np.int64]:
        """Return the same of hashes as two numbers each, (m,) uint64."""
        found = self._contents.find(highs)
        if len(self):
            found[self.entries["low"][found] != lows] = -1
        return found
