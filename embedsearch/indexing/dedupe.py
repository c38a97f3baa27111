"""Which contents a pass has embedded already, so that a copy far behind takes the first one's vector."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from embedsearch.store.source_state import Entries

PLACE = np.dtype([("high", "<u8"), ("low", "<u8"), ("row", "<i8")])  # the content hash, and 2 row + truncated
Places = npt.NDArray[np.void]


class Seen:
    """Content hashes and the rows of their vectors, 24 bytes each: sorted runs, merged as they grow.

    One thread adds while another one looks up.
    """

    def __init__(self) -> None:
        self._runs: list[Places] = []

    def add(self, entries: Entries, first_row: int) -> None:
        """Take in records of one vector each; of records without one nothing is known.

        Args:
            entries: (m,) of `source_state.ENTRY`, in the source's order.
            first_row: the row of the first vector among theirs.
        """
        starts = first_row + np.cumsum(entries["rows"], dtype=np.int64) - entries["rows"]
        whole = (entries["rows"] == 1) & (entries["bad"] == 0)
        added = np.empty(int(whole.sum()), PLACE)
        added["high"], added["low"] = entries["high"][whole], entries["low"][whole]
        added["row"] = 2 * starts[whole] + (entries["truncated"][whole] > 0)
        runs = [*self._runs, _sorted(added)]
        while len(runs) > 1 and len(runs[-2]) <= 2 * len(runs[-1]):
            runs[-2:] = [_sorted(np.concatenate(runs[-2:]))]
        self._runs = runs

    def find(self, hashes: Sequence[str]) -> list[tuple[int, bool] | None]:
        """Return for each content hash (32 hex digits) its row, and whether it was cut; None if unseen."""
        highs = np.array([int(each[:16], 16) for each in hashes], np.uint64)
        lows = np.array([int(each[16:], 16) for each in hashes], np.uint64)
        found = np.full(len(hashes), -1, np.int64)
        for run in reversed(self._runs):  # the first row that has it comes last
            if len(run):
                at = np.minimum(np.searchsorted(run["high"], highs), len(run) - 1)
                same = (run["high"][at] == highs) & (run["low"][at] == lows)
                found[same] = run["row"][at[same]]
        return [None if each < 0 else (each // 2, bool(each % 2)) for each in found.tolist()]


def _sorted(places: Places) -> Places:
    """Return places by their hash, each once, the first row that has it."""
    places = places[np.lexsort((places["row"], places["low"], places["high"]))]
    return (
        places[np.concatenate([[True], places["high"][1:] != places["high"][:-1]])] if len(places) else places
    )
