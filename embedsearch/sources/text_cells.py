"""The type of a column of text cells, found by looking at all of them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime

from embedsearch.records import Scalar

LONGEST = 40  # no number, truth value or time that is looked for is longer
_INT = re.compile(r"0|-?[1-9][0-9]{0,18}")
# Neither a leading zero (a postal code) nor a plus sign (a phone number) makes a number.
_FLOAT = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]*)?([eE][+-]?[0-9]+)?|-?\.[0-9]+|[nN][aA][nN]")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATETIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(?P<zone>Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_BOOLS = {"true": True, "false": False}


def _int(cell: str) -> int:
    if not _INT.fullmatch(cell) or not -(2**63) <= int(cell) < 2**63:
        raise ValueError(cell)
    return int(cell)


def _float(cell: str) -> float | None:
    if not _FLOAT.fullmatch(cell) or (cell.lstrip("-").isdigit() and abs(int(cell)) >= 2**63):
        raise ValueError(cell)  # more digits than a number holds: a key, not an amount
    value = float(cell)
    return None if math.isnan(value) else value


def _bool(cell: str) -> bool:
    if cell.lower() not in _BOOLS:
        raise ValueError(cell)
    return _BOOLS[cell.lower()]


def _date(cell: str) -> date:
    if not _DATE.fullmatch(cell):
        raise ValueError(cell)
    return date.fromisoformat(cell)


def _naive(cell: str) -> datetime:
    match = _DATETIME.fullmatch(cell)
    if not match or match["zone"]:
        raise ValueError(cell)
    return datetime.fromisoformat(cell)


def _aware(cell: str) -> datetime:
    match = _DATETIME.fullmatch(cell)
    if not match or not match["zone"]:
        raise ValueError(cell)
    try:
        return datetime.fromisoformat(cell).astimezone(UTC)
    except OverflowError:  # the year 1 or 9999, pushed over the edge by its zone
        raise ValueError(cell) from None


# The narrower first: what is a whole number is a float too, and a date is a time.
_PARSERS: tuple[Callable[[str], Scalar], ...] = (_int, _float, _bool, _date, _naive, _aware)


class CellType:
    """The narrowest type that holds every cell of a column; text if none of the others does.

    Example:
        >>> column = CellType()
        >>> for cell in ("3", "", "4.5"):
        ...     column.see(cell)
        >>> column.value("3"), column.value("")
        (3.0, None)
    """

    def __init__(self) -> None:
        self._fitting = _PARSERS
        self._seen = False

    def see(self, cell: str) -> None:
        """Take `cell` into account; an empty one fits every type."""
        if not self._fitting:
            return
        cell = cell.strip()
        if cell:
            self._seen = True
            self._fitting = tuple(parser for parser in self._fitting if _fits(parser, cell))

    def value(self, cell: str) -> Scalar:
        """Return `cell` as the type of the column, None if it is blank.

        Raises:
            ValueError: the cell is none of those that were seen.
        """
        stripped = cell.strip()
        if not stripped:
            return None
        return self._fitting[0](stripped) if self._seen and self._fitting else cell


def _fits(parser: Callable[[str], Scalar], cell: str) -> bool:
    try:
        parser(cell)
    except ValueError:
        return False
    return len(cell) <= LONGEST
