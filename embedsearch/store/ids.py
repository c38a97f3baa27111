"""From an id to the rows of its record.

A build keeps the hashes of its records' ids, sorted. They are memory-mapped and searched by halving, so that
a look-up reads a few pages.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from embedsearch.disk.npy import load_array
from embedsearch.store.manifest import SOURCE_STATE
from embedsearch.store.source_state import Entries, hash_of

IDS = "ids.npy"
Table = npt.NDArray[np.uint64]


def sorted_ids(entries: Entries) -> Table:
    """Sort the records that have rows by the hashes of their ids.

    Args:
        entries: (m,) of `embedsearch.store.source_state.ENTRY`, in the order of the source.

    Returns:
        (3, n) uint64: the hash of a record's id, ascending; its first row; its number of rows.
    """
    counts = np.asarray(entries["rows"], np.int64)
    firsts = np.cumsum(counts) - counts
    order = np.argsort(entries["key"], kind="stable")
    order = order[counts[order] > 0]
    return np.stack([part[order].astype(np.uint64) for part in (entries["key"], firsts, counts)])


def save_ids(folder: Path) -> None:
    """Write the sorted ids of the build in `folder`, whose source state is written."""
    np.save(folder / IDS, sorted_ids(load_array(folder / SOURCE_STATE, mapped=True)))


class Ids:
    """The ids of a build's records, looked up by their hashes."""

    def __init__(self, folder: Path) -> None:
        """Open the sorted ids of the build in `folder`, memory-mapped.

        A build of 0.6 has none: they are sorted at the first look-up, and take 24 bytes of memory a record.
        """
        self._sorted = (folder / IDS).is_file()
        self._array = load_array(folder / (IDS if self._sorted else SOURCE_STATE), mapped=True)

    @cached_property
    def _table(self) -> Table:
        # no longer a `numpy.memmap`, whose parts take longer to make
        return np.asarray(self._array) if self._sorted else sorted_ids(self._array)

    @cached_property
    def starts(self) -> npt.NDArray[np.int64]:
        """The first row of each record that has rows, ascending, (m,)."""
        return np.sort(self._table[1]).astype(np.int64)

    def rows(self, record: str) -> list[range]:
        """Return the rows of each record whose id has the hash of this one: almost always one or none."""
        key = np.uint64(hash_of(record))
        hashes, firsts, counts = self._table
        start, end = (int(np.searchsorted(hashes, key, side)) for side in ("left", "right"))
        return [range(int(firsts[at]), int(firsts[at]) + int(counts[at])) for at in range(start, end)]
