"""Parts of a source, which are read one after the other, or by other processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

# A part yields what its source makes entries of. It can be pickled, and raises nothing: where it can't be
# read on, its last piece is a `str` or a `Rejected`, which says why.
Part = Callable[[], Iterator[Any]]
ReadParts = Callable[[Iterable[Part]], Iterator[Iterable[Any]]]


def in_turn(parts: Iterable[Part]) -> Iterator[Iterable[Any]]:
    """Read parts here, each when it is wanted."""
    return (part() for part in parts)
