"""Whether two videos are copies, checked by their frames: the second check of near copies among videos.

A copy that was made smaller, or by another codec, has the same length, and the same frame at every time.
Frames at equal shares of the length are compared cell by cell. A part that was cut out of a video is no copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np

from embedsearch.analysis.second_check import Contents
from embedsearch.backends import Mask, Rows
from embedsearch.errors import ItemError
from embedsearch.progress import Progress
from embedsearch.splitters.video import Cells, fields_of, frame_at

PLACES = (0.1, 0.3, 0.5, 0.7, 0.9)  # shares of the length
LENGTH = 0.01, 0.5  # by which two lengths may differ: a share, and seconds
CELLS, NEAR = 8, 24  # cells a side; levels of 255 by which their mean colours may differ
KEPT = 2000  # videos whose frames are kept in memory, a kilobyte each


class VideoCheck:
    """See `Check`."""

    version: ClassVar[int] = 0

    def __init__(self, contents: Contents, count: int) -> None:  # noqa: ARG002
        """Take the index's items."""
        self._contents = contents
        self._look = lru_cache(KEPT)(self._read)

    @staticmethod
    def lacks() -> str:
        """Nothing: what built the index is there."""
        return ""

    def candidates(self, rows: Rows, progress: Progress) -> tuple[Rows, Rows]:
        """Return no pairs but those whose vectors are near."""
        progress.advance(len(rows))
        return np.empty(0, np.int64), np.empty(0, np.int64)

    def same(self, first: Rows, second: Rows, progress: Progress) -> Mask:
        """Return which pairs of rows are copies, (p,)."""
        found = []
        for one, other in zip(first.tolist(), second.tolist(), strict=True):
            found.append(_are_copies(self._look(one), self._look(other)))
            progress.advance(1)
        return np.array(found, np.bool_)

    def _read(self, row: int) -> tuple[float, Sequence[Cells]]:
        """Return a video's seconds, and the cells of its frames; no frames where it can't be read."""
        source = self._contents(np.array([row]))[0]
        assert isinstance(source, Path | bytes)
        seconds = fields_of(source).get("duration")
        if not isinstance(seconds, float):
            return 0.0, ()
        try:
            return seconds, [frame_at(source, round(1000 * seconds * share)).cells(CELLS) for share in PLACES]
        except ItemError:
            return seconds, ()


def _are_copies(one: tuple[float, Sequence[Cells]], other: tuple[float, Sequence[Cells]]) -> bool:
    (length, frames), (other_length, other_frames) = one, other
    share, seconds = LENGTH
    if abs(length - other_length) > max(share * length, seconds) or not frames or not other_frames:
        return False
    return all(int(np.abs(a - b).max()) <= NEAR for a, b in zip(frames, other_frames, strict=True))
