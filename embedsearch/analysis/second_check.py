"""The contract of a second check, which tells near copies from what only resembles them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from embedsearch.backends import Mask, Rows
from embedsearch.progress import Progress

Contents = Callable[[Rows], list[str | Path | bytes]]


class Check(Protocol):
    """Checks pairs of items of an index. Threads may share it."""

    def __init__(self, contents: Contents, count: int) -> None:
        """Take the index's items.

        Args:
            contents: reads the contents of some rows, (m,), in their order.
            count: the number of rows.
        """

    @staticmethod
    def lacks() -> str:
        """Return how to install what the check needs; empty where it is there."""

    def same(self, first: Rows, second: Rows, progress: Progress) -> Mask:
        """Return which pairs of rows are copies, (p,); advances the progress by each pair."""
