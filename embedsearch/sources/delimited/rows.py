"""Rows out of the lines of a delimited file: what is broken costs one line, and short rows are filled."""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from embedsearch.sources.lines import Line

CELL_LIMIT = 8 * 2**20
ROW_LIMIT = 64 * 2**20
# What may be read again after quotes left open. A file that needs more is so broken that rows are from
# then on held to `FEW_LINES`, which keeps the whole reading linear.
REREAD_LIMIT = 128 * 2**20
FEW_LINES = 25
LINE_COST = 100  # reading a line costs about as much as reading so many characters more


@dataclass(frozen=True, slots=True)
class Row:
    """A row and the line it starts on, or the problem with that line, as the end of a sentence."""

    line: int
    cells: list[str]
    problem: str = ""


def is_blank(line: Line) -> bool:
    """Whether a line holds nothing."""
    return not line.problem and not line.text.strip(" \r\n")


def parse(lines: Iterator[Line], delimiter: str, *, escapes: bool, width: int = 0) -> Iterator[Row]:
    """Yield every row that is not a blank line.

    A row that is broken costs one physical line: reading resumes on the next, so a quote that is
    never closed does not swallow the rest of the file. A row that ends early is filled with empty cells; one
    that has too many is broken, unless these are empty.

    Args:
        lines: of the file, without what stands before its rows.
        delimiter: what separates cells.
        escapes: whether a backslash stands before quotes inside quotes.
        width: the number of cells of a row; 0 takes it from the first one.
    """
    if csv.field_size_limit() < CELL_LIMIT:
        # The limit is the process's own. It is only ever raised: another thread may be reading.
        csv.field_size_limit(CELL_LIMIT)
    feed = _Feed(lines, delimiter, escapes)
    while (line := feed.first()) is not None:
        if is_blank(line):
            continue
        row = feed.row(line, width)
        width = width or len(row.cells)
        yield row


class _Feed:
    """Physical lines for `csv.reader`, of which a broken row gives all but its first back."""

    def __init__(self, lines: Iterator[Line], delimiter: str, escapes: bool) -> None:
        self._lines = lines
        self._delimiter = delimiter
        self._escape = "\\" if escapes else None
        # an unquoted \N, of which an escaped N would be all that is left
        edge = re.escape(delimiter)
        self._null = re.compile(rf"(?:(?<={edge})|(?<![^\r\n]))\\N(?={edge}|[\r\n]|$)")
        self._returned: deque[Line] = deque()
        self._taken: list[Line] = []
        self._size = 0
        self._reread = 0

    def first(self) -> Line | None:
        """Return the line that the next row starts on, None at the end of the file."""
        self._taken, self._size = [], 0
        return self._next()

    def row(self, line: Line, width: int) -> Row:
        """Return the row that starts on `line`, of `width` cells unless that is 0."""
        try:
            # Strict, because only then is `"abc` + newline + `"x"` known to be a quote left open.
            cells = self._cells(self._from(line), strict=True)
        except csv.Error as error:
            return self._broken(line, width, f"can't be read: {error}")
        if problem := next((taken.problem for taken in self._taken if taken.problem), ""):
            return Row(line.number, cells, problem)
        fitted = _fitted(cells, width, line.text if len(self._taken) == 1 else "")
        if fitted is None:
            return self._broken(line, width, _misfit(width, cells))
        cells = fitted
        if not any(cell.strip() for cell in cells):
            return Row(line.number, cells, "is empty: none of its cells is filled")
        return Row(line.number, cells)

    def _next(self) -> Line | None:
        return self._returned.popleft() if self._returned else next(self._lines, None)

    def _from(self, first: Line) -> Iterator[str]:
        """The text of `first` and of the lines after it, as long as `csv.reader` asks for more."""
        line: Line | None = first
        while line is not None:
            self._taken.append(line)
            self._size += len(line.text)
            if self._size > ROW_LIMIT or (self._reread > REREAD_LIMIT and len(self._taken) > FEW_LINES):
                raise csv.Error("the row is too long")
            if not line.text:  # a line over the limit of `read_lines`
                raise csv.Error(f"line {line.number} {line.problem}")
            yield line.text
            line = self._next()
        raise csv.Error("unexpected end of file")  # asked for more: a quote is open

    def _cells(self, lines: Iterator[str], *, strict: bool) -> list[str]:
        if self._escape:
            lines = (self._null.sub(r"\\\\N", text) for text in lines)
        return next(csv.reader(lines, delimiter=self._delimiter, escapechar=self._escape, strict=strict))

    def _broken(self, line: Line, width: int, reason: str) -> Row:
        """Give back all lines but the first; take that one as a row if it is good by itself."""
        self._returned.extendleft(reversed(self._taken[1:]))
        if len(self._taken) > 1:
            self._reread += self._size + LINE_COST * len(self._taken)
            reason += "; a quote seems to be left open"
        if line.problem:
            return Row(line.number, [], line.problem)
        try:
            # Not strict: `"Foo" Bar` is one cell to most programs.
            cells = self._cells(_alone(line.text), strict=False)
        except csv.Error:
            return Row(line.number, [], reason)
        fitted = _fitted(cells, width, line.text)
        return Row(line.number, [], _misfit(width, cells)) if fitted is None else Row(line.number, fitted)


def _alone(text: str) -> Iterator[str]:
    yield text
    raise csv.Error("a quote is left open")


def _fitted(cells: list[str], width: int, text: str) -> list[str] | None:
    """Return a row of `width` cells, unless that is 0; None where the cells are none.

    Args:
        cells: of the row.
        width: how many there must be.
        text: of the row's only line; empty where it has several. With a quote left open, or over several
            lines, a row that ends early has rather swallowed others.
    """
    if not width or len(cells) == width:
        return cells
    if len(cells) > width:
        return cells[:width] if not any(cell.strip() for cell in cells[width:]) else None
    return cells + [""] * (width - len(cells)) if text and text.count('"') % 2 == 0 else None


def _misfit(width: int, cells: list[str]) -> str:
    columns = "column" if width == 1 else "columns"
    return f"does not fit the header: expected {width} {columns}, found {len(cells)}"
