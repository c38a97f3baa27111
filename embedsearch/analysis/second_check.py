"""The contract of a second check, which tells near copies from what only resembles them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Protocol

from embedsearch.backends import Mask, Rows
from embedsearch.progress import Progress

Contents = Callable[[Rows], list[str | Path | bytes]]


class Check(Protocol):
    """Checks pairs of items of an index. Threads may share it.

    Attributes:
        version: of the rules, by which the results are kept on disk; 0 where a check takes no time.
    """

    version: ClassVar[int]

    def __init__(self, contents: Contents, count: int) -> None:
        """Take the index's items.

        Args:
            contents: reads the contents of some rows, (m,), in their order.
            count: the number of rows.
        """

    @staticmethod
    def lacks() -> str:
        """Return how to install what the check needs; empty where it is there."""

    def candidates(self, rows: Rows, progress: Progress) -> tuple[Rows, Rows]:
        """Return pairs of `rows` that may be copies though their vectors are far apart, (p,) and (p,).

        Advances the progress by each row.
        """

    def same(self, first: Rows, second: Rows, progress: Progress) -> Mask:
        """Return which pairs of rows are copies, (p,); advances the progress by each pair."""
