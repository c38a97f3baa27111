"""What a build knows of the records that it was made from, so that the next one embeds only what is new.

One row of 64 bytes for each record of the source, in its order: its identity, its content, and how many
vectors it has. Identities and contents are hashes: to compare two sources, no text and no file is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from embedsearch.disk.hash_index import HashIndex
from embedsearch.disk.npy import load_array
from embedsearch.records import Block, Entry, Record, Value, stat_of

ENTRY = np.dtype(
    [
        ("key", "<u8"),  # hash of the record's id
        ("facts", "<u8"),  # hash of its id, fields, and text or path
        ("high", "<u8"),  # the content hash, 128 bits
        ("low", "<u8"),
        ("size", "<i8"),  # of its file in bytes; -1 for what is no file
        ("modified", "<i8"),  # of its file in nanoseconds, or a stamp; 0 where that can't be trusted
        ("rows", "<i4"),  # how many vectors it has
        ("truncated", "<i4"),  # how many of its texts the model's limit cut
        ("lost", "<i4"),  # words beyond the limit
        ("bad", "<i4"),  # how many of its parts were rejected
    ]
)
Entries = npt.NDArray[np.void]
Halves = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]
RACY = 2 * 10**9  # nanoseconds; a file changed again so soon may show the same time


def describe(entries: Sequence[Entry]) -> Entries:
    """Return the `key`, `facts`, `size` and `modified` of entries, (m,) of `ENTRY`; the rest is zero.

    No file is read, only looked up.
    """
    described = np.zeros(len(entries), ENTRY)
    if isinstance(entries, Block):
        modality, digits = repr(entries.modality), b"".join(entries.digests).hex()  # (m,) -> 64 m digits
        hashes = [digits[at : at + 64] for at in range(0, len(digits), 64)]
        columns = zip(entries.ids, hashes, entries.fields, strict=True)
        written = [_written(identity, modality, digest, fields) for identity, digest, fields in columns]
        described["key"], described["facts"] = _hashes(entries.ids), _hashes(written)
        described["size"] = -1
        return described
    for name, values in zip(_DESCRIBED, zip(*map(_described, entries), strict=True), strict=False):
        described[name] = values
    return described


_DESCRIBED = ("key", "facts", "size", "modified")


def _described(entry: Entry) -> tuple[int, int, int, int]:
    size, modified = -1, 0
    if isinstance(entry, Record) and isinstance(entry.content, bytes):
        # the repr of an image would be four times as long as the image
        digest = hashlib.sha256(entry.content).hexdigest()
        written = _written(entry.id, repr(entry.modality), digest, entry.fields)
    else:
        written = repr(entry)
        if isinstance(entry, Record) and entry.labels is not None:
            written += repr(entry.labels)
    if isinstance(entry, Record) and not isinstance(entry.content, str | bytes):
        with contextlib.suppress(OSError):
            size, modified = stat_of(entry.content)
    return hash_of(entry.id), hash_of(written), size, modified


def _written(identity: str, modality: str, digest: str, fields: Mapping[str, Value]) -> str:
    """Return what stands for a record of bytes: as the `repr` of a tuple, with the hash of its content."""
    return f"({identity!r}, {modality}, '{digest}', {fields!r})"


def _hashes(texts: Sequence[str]) -> Halves:
    """Return `hash_of` of each text, (m,)."""
    sha256 = hashlib.sha256
    digests = [sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts]
    return np.frombuffer(b"".join(digests), "<u8")[::4]  # (4 m,) -> (m,)


def hash_of(text: str) -> int:
    """Return 64 bits of the SHA-256 of a text."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "little")


def digest(described: Entries) -> str:
    """Return 64 hex digits that change when one of the described entries does."""
    return hashlib.sha256(described[list(_DESCRIBED)].tobytes()).hexdigest()


def trusted(modified: Places) -> Places:
    """Return times of change, (m,) nanoseconds, with 0 for those that are too recent to be trusted."""
    return np.where(time.time_ns() - modified > RACY, modified, 0)


def halves(hashes: Sequence[str]) -> tuple[Halves, Halves]:
    """Return content hashes, 32 hex digits each, as two numbers: (m,) high, (m,) low."""
    both = np.frombuffer(bytes.fromhex("".join(hashes)), ">u8").astype(np.uint64)  # (2 m,)
    return both[::2], both[1::2]


def halves_of_digests(digests: Sequence[bytes]) -> tuple[Halves, Halves]:
    """Return the content hashes that SHA-256 digests begin with as two numbers: (m,) high, (m,) low."""
    quarters = np.frombuffer(b"".join(digests), ">u8").astype(np.uint64)  # (4 m,)
    return quarters[::4], quarters[1::4]


class SourceState:
    """The rows of one build, looked up by key or by content.

    Attributes:
        entries: (n,) of `ENTRY`.
        starts: (n + 1,) the row of each record's first vector, and behind them the number of all vectors.
    """

    def __init__(self, entries: Entries) -> None:
        """Index the keys, and at the first use the contents: 18 to 36 bytes of memory a record each.

        Args:
            entries: (n,) of `ENTRY`, in the order of the source.
        """
        self.entries = entries
        self.starts = np.concatenate([[0], np.cumsum(entries["rows"], dtype=np.int64)])  # (n,) -> (n + 1,)
        self._keys = HashIndex(np.uint32)
        self._keys.add(entries["key"], np.arange(len(entries)))

    @cached_property
    def _contents(self) -> HashIndex:
        """Contents by the first half of their hash; those that were rejected are not among them."""
        index, good = HashIndex(np.uint32), np.flatnonzero(self.entries["bad"] == 0)
        index.add(self.entries["high"][good], good)
        return index

    def __len__(self) -> int:
        return len(self.entries)

    @classmethod
    def load(cls, path: Path) -> SourceState:
        """Read what `save` wrote, memory-mapped."""
        return cls(cast(Entries, load_array(path, mapped=True)))

    def find(self, keys: Halves) -> Places:
        """Return where the records of these keys stand, (m,); -1 for those that are not here."""
        return self._keys.find(keys)

    def untouched(self, described: Entries, found: Places) -> npt.NDArray[np.bool_]:
        """Return which records are as they were, (m,): a text by its hash, a file by its size and time.

        Args:
            described: (m,) see `describe`.
            found: (m,) where they stand here, -1 for nowhere.
        """
        if not len(self):
            return np.zeros(len(found), np.bool_)
        then = self.entries[np.maximum(found, 0)]
        same = (found >= 0) & (described["facts"] == then["facts"]) & (described["size"] == then["size"])
        in_time = (described["modified"] == then["modified"]) & (then["modified"] != 0)
        return np.asarray(same & ((described["size"] < 0) | in_time))

    def same(self, rows: Entries, found: Places) -> npt.NDArray[np.bool_]:
        """Return which records have the same content and fields as here, (m,).

        Args:
            rows: (m,) of the records.
            found: (m,) where they stand here, -1 for nowhere.
        """
        if not len(self):
            return np.zeros(len(found), np.bool_)
        then = self.entries[np.maximum(found, 0)]
        equal = [rows[name] == then[name] for name in ("facts", "high", "low")]
        return np.asarray((found >= 0) & equal[0] & equal[1] & equal[2])

    def find_content(self, highs: Halves, lows: Halves) -> Places:
        """Return where contents of these hashes stand, (m,); -1 for those that are not here.

        What was rejected for its content is found by its key alone.
        """
        found = self._contents.find(highs)
        if len(self):
            found[self.entries["low"][found] != lows] = -1
        return found
