"""Which contents a build has met already, so that each distinct content is embedded once."""

from __future__ import annotations

import numpy as np

from embedsearch.disk.hash_index import HashIndex
from embedsearch.store.source_state import Halves, Places

# A number holds 31 bits of the hash's second half above 32 bits of the record: with the first half, 95 bits
# tell contents apart.
_CHECK, _RECORD = 2**31 - 1, 2**32 - 1


class Originals:
    """Content hashes, and the first record of this build that has each: 24 to 48 bytes a content."""

    def __init__(self) -> None:
        self._index = HashIndex(np.int64)

    def first(self, highs: Halves, lows: Halves, records: Places) -> Places:
        """Take in contents, and return the first record that has each, (m,); its own where it is new.

        Args:
            highs: (m,) first halves of the hashes.
            lows: (m,) second halves.
            records: (m,) numbers of the records in this build, ascending.
        """
        checks = (lows & np.uint64(_CHECK)).astype(np.int64)
        if self._index.add(highs, checks << 32 | records):
            return records
        found = self._index.find(highs)
        return np.where(found >> 32 == checks, found & _RECORD, records)
