"""The type of a column of text cells, found by looking at each of them once."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from embedsearch.records import Scalar

if TYPE_CHECKING:
    import pyarrow as pa

LONGEST = 40  # no number, truth value or time that is looked for is longer
# What programs write for a cell without a value: R, SQL, Python, pandas, MySQL.
MISSING = frozenset(("NA", "N/A", "#N/A", "<NA>", "NULL", "null", "None", "NaN", "nan", "\\N"))
_INT = re.compile(r"0|-?[1-9][0-9]{0,18}")
# Neither a leading zero (a postal code) nor a plus sign (a phone number) makes a number.
_FLOAT = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]*)?([eE][+-]?[0-9]+)?|-?\.[0-9]+|[nN][aA][nN]")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATETIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(?P<zone>Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_COMMA = re.compile(r"-?(0|[1-9][0-9]{0,2}(\.[0-9]{3})+|[1-9][0-9]*)?,[0-9]+")
_COMMA_OR_WHOLE = re.compile(rf"{_COMMA.pattern}|-?[1-9][0-9]{{0,2}}(\.[0-9]{{3}})+")
_INFINITE = ("inf", "infinity")
_BOOLS = {"true": True, "false": False}


def _int(cell: str) -> int:
    if not _INT.fullmatch(cell) or not -(2**63) <= int(cell) < 2**63:
        raise ValueError(cell)
    return int(cell)


def _float(cell: str) -> float | None:
    is_whole = cell.lstrip("-").isdigit()
    if not _FLOAT.fullmatch(cell) or (is_whole and not -(2**63) <= int(cell) < 2**63):
        raise ValueError(cell)  # more digits than a number holds: a key, not an amount
    value = float(cell)
    return None if math.isnan(value) else value


def _float_or_infinite(cell: str) -> float | None:
    return float(cell) if cell.lstrip("-").lower() in _INFINITE else _float(cell)


def _comma(cell: str) -> float | None:
    """Return a number with a decimal comma, and perhaps dots between thousands: 1.234,50."""
    if _COMMA_OR_WHOLE.fullmatch(cell):
        return float(cell.replace(".", "").replace(",", "."))
    if "." in cell:
        raise ValueError(cell)
    return _float(cell)


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


Parser = Callable[[str], Scalar]
DATES: tuple[Parser, ...] = (_date, _naive, _aware)


def parsers(decimal: str, infinite: bool = False) -> tuple[Parser, ...]:
    """Return what a cell is tried as, the narrower first: a whole number is a float too, a date is a time.

    Args:
        decimal: the sign between a number and its fraction, "." or ",".
        infinite: whether "inf" is a number too; with a decimal comma it never is.
    """
    number = _float_or_infinite if infinite else _float
    return (_int, _comma if decimal == "," else number, _bool, *DATES)


class CellType:
    """The narrowest type that holds every cell of a column; text if none of the others does.

    Example:
        >>> column = CellType(parsers("."))
        >>> [column.see(cell) for cell in ("3", "", "NA", "4.5")]
        ['3', None, None, '4.5']
        >>> column.array(pa.array(["3", None, None, "4.5"])).to_pylist()
        [3.0, None, None, 4.5]
    """

    def __init__(self, fitting: tuple[Parser, ...], missing: frozenset[str] = MISSING) -> None:
        """Begin a column.

        Args:
            fitting: what its cells are tried as.
            missing: cells that stand for no value.
        """
        self._fitting = fitting
        self._missing = missing
        self._seen = False
        self._commas = True
        self._settled = False  # whether a cell that the first of `_fitting` takes changes nothing
        self.missing: Counter[str] = Counter()  # what stood for no value, and how often

    def see(self, cell: str) -> str | None:
        """Take a cell into account; return it, or None where it is blank or stands for no value."""
        stripped = cell.strip()
        if not stripped:
            return None
        if stripped in self._missing:
            self.missing[stripped] += 1
            return None
        if self._settled and (not self._fitting or _fits(self._fitting[0], stripped)):
            return cell
        self._seen = True
        self._fitting = tuple(parser for parser in self._fitting if _fits(parser, stripped))
        self._commas = self._commas and _COMMA.fullmatch(stripped) is not None
        # The wider types take what the narrower take, so that the first of them tells for all.
        self._settled = not self._commas
        return cell

    def give_up(self) -> None:
        """Take the column for text, as it holds what is no text cell."""
        self._fitting, self._commas, self._settled = (), False, True

    @property
    def type(self) -> pa.DataType:
        """The Arrow type of the cells seen so far."""
        import pyarrow as pa

        types: dict[Parser, pa.DataType] = {
            _int: pa.int64(),
            _float: pa.float64(),
            _float_or_infinite: pa.float64(),
            _comma: pa.float64(),
            _bool: pa.bool_(),
            _date: pa.date32(),
            _naive: pa.timestamp("us"),
            _aware: pa.timestamp("us", "UTC"),
        }
        return types[self._fitting[0]] if self._seen and self._fitting else pa.string()

    @property
    def is_text(self) -> bool:
        """Whether the cells seen so far are texts."""
        return self._seen and not self._fitting

    @property
    def looks_like_commas(self) -> bool:
        """Whether the cells are texts that would be numbers with a decimal comma."""
        return self._seen and self._commas and not self._fitting

    def array(self, cells: pa.Array | pa.ChunkedArray) -> pa.Array:
        """Return cells that were seen as values of the column's type.

        Raises:
            ValueError: a cell is none of those that were seen.
        """
        import pyarrow as pa

        if not self._seen or not self._fitting:
            return cells
        parse = self._fitting[0]
        values = [None if cell is None else parse(cell.strip()) for cell in cells.to_pylist()]
        return pa.array(values, self.type)


def is_typed(cell: str) -> bool:
    """Whether a cell is a number, a truth value, a date or a time."""
    return any(_fits(parser, cell.strip()) for parser in parsers("."))


def _fits(parser: Parser, cell: str) -> bool:
    try:
        parser(cell)
    except ValueError:
        return False
    return len(cell) <= LONGEST
