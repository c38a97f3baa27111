"""CSV and TSV files, read twice: once for the types of the columns, once for the records."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from embedsearch.errors import SourceError
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Entries, Modality, Rejected, Scalar
from embedsearch.sources.lines import Line, check_encoding, read_lines
from embedsearch.sources.paths import existing_file, printable
from embedsearch.sources.table import RowReader, choose_columns
from embedsearch.sources.text_cells import CellType

CELL_LIMIT = 8 * 2**20
ROW_LIMIT = 64 * 2**20
DELIMITERS = ",;|\t"
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


class DelimitedFile:
    """A file of values separated by commas, semicolons, bars or tabs, with a header.

    The separator is a tab in `.tsv` and `.tab` files; else it is told from the header. A column is of
    whole numbers, floats, truth values, dates or times if all its filled cells are, else of text.
    """

    def __init__(self, recipe: SourceRecipe) -> None:
        self._path = existing_file(recipe.location, "a CSV or TSV file")
        self._encoding = recipe.encoding
        check_encoding(recipe.encoding)
        self._delimiter, cells = _header(self._path, recipe.encoding)
        self._names = _unique(cells)
        self._columns = choose_columns(recipe, self._names, self._path.name)

    def modality(self) -> Modality:
        """Images if a column of them was asked for, else texts."""
        return self._columns.modality

    def count(self) -> int | None:
        """Known exactly after one pass over the file, which the types of the columns need anyway."""
        return self._first_pass[0]

    def passed_over(self) -> Mapping[str, int]:
        """Nothing: only a folder holds what is not read."""
        return {}

    def __iter__(self) -> Entries:
        """Yield the rows, in order."""
        types = dict(zip(self._names, self._first_pass[1], strict=True))
        reader = RowReader(self._columns, self._path.parent)

        def convert(name: str, cell: str) -> Scalar:
            return types[name].value(cell)

        for row in self._rows():
            place = f"{printable(self._path.name)}:{row.line}"
            if row.problem:
                yield Rejected(place, f"the row {row.problem}")
                continue
            try:
                yield reader.entry(dict(zip(self._names, row.cells, strict=True)), place, convert)
            except ValueError:
                yield Rejected(place, "the row was changed while the file was read: build again")

    @cached_property
    def _first_pass(self) -> tuple[int, list[CellType]]:
        """The number of rows, and the type of each column over all of them."""
        types = [CellType() for _ in self._names]
        count = 0
        for row in self._rows():
            count += 1
            if not row.problem:
                for kind, cell in zip(types, row.cells, strict=True):
                    kind.see(cell)
        return count, types

    def _rows(self) -> Iterator[Row]:
        rows = _parse(self._path, self._encoding, self._delimiter, len(self._names))
        next(rows)  # the header
        return rows


def read_table(path: Path, encoding: str) -> Iterator[Row]:
    """Yield the header of a CSV or TSV file, then every row; see `DelimitedFile`.

    Raises:
        SourceError: the file is empty, or its header can't be read.
    """
    return _parse(path, encoding, _header(path, encoding)[0], 0)


def _header(path: Path, encoding: str) -> tuple[str, list[str]]:
    """The delimiter, and the cells of the first row."""
    lines = read_lines(path, encoding)
    first = next((line for line in lines if not _is_blank(line)), None)
    if first is None:
        raise SourceError(f"{path} is empty; expected a header with the columns' names.")
    if first.problem:
        raise SourceError(f"{path}: the header, line {first.number}, {first.problem}.")
    delimiter = _delimiter(path, first.text)
    header = next(_parse(path, encoding, delimiter, 0))
    if header.problem:
        raise SourceError(f"{path}: the header, line {header.line}, {header.problem}.")
    return delimiter, header.cells


def _delimiter(path: Path, header: str) -> str:
    if path.suffix.lower() in (".tsv", ".tab"):
        return "\t"
    try:
        found = csv.Sniffer().sniff(header[:10_000], delimiters=DELIMITERS).delimiter
    except csv.Error:  # a single column
        return ","
    return found if found and found in DELIMITERS else ","


def _unique(cells: list[str]) -> list[str]:
    """Names for the columns: an empty one becomes `column_3`, a second `name` becomes `name_2`."""
    given = {cell.strip() for cell in cells}
    names: dict[str, None] = {}
    for position, cell in enumerate(cells, start=1):
        stem = cell.strip() or f"column_{position}"
        name, number = stem, 1
        while name in names or (name != cell.strip() and name in given):
            number += 1
            name = f"{stem}_{number}"
        names[name] = None
    return list(names)


def _is_blank(line: Line) -> bool:
    return not line.problem and not line.text.strip(" \r\n")


def _parse(path: Path, encoding: str, delimiter: str, width: int) -> Iterator[Row]:
    """Yield the header, then every row that is not a blank line.

    A row that is broken costs one physical line: reading resumes on the next, so a quote that is
    never closed does not swallow the rest of the file.

    Args:
        path: the file.
        encoding: its encoding, unless it has a byte order mark.
        delimiter: what separates cells.
        width: the number of cells that a row must have; 0 takes it from the header.
    """
    if csv.field_size_limit() < CELL_LIMIT:
        # The limit is the process's own. It is only ever raised: another thread may be reading.
        csv.field_size_limit(CELL_LIMIT)
    feed = _Feed(read_lines(path, encoding))
    header_seen = False
    while (line := feed.first()) is not None:
        if _is_blank(line):
            continue
        row = feed.row(line, delimiter, width if header_seen else 0)
        header_seen, width = True, width or len(row.cells)
        yield row


class _Feed:
    """Physical lines for `csv.reader`, of which a broken row gives all but its first back."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self._returned: deque[Line] = deque()
        self._taken: list[Line] = []
        self._size = 0
        self._reread = 0

    def first(self) -> Line | None:
        """Return the line that the next row starts on, None at the end of the file."""
        self._taken, self._size = [], 0
        return self._next()

    def row(self, line: Line, delimiter: str, width: int) -> Row:
        """Return the row that starts on `line`, of `width` cells unless that is 0."""
        try:
            # Strict, because only then is `"abc` + newline + `"x"` known to be a quote left open.
            cells = next(csv.reader(self._from(line), delimiter=delimiter, strict=True))
        except csv.Error as error:
            return self._broken(line, delimiter, width, f"can't be read: {error}")
        if problem := next((taken.problem for taken in self._taken if taken.problem), ""):
            return Row(line.number, cells, problem)
        if width and len(cells) != width:
            return self._broken(line, delimiter, width, _misfit(width, cells))
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

    def _broken(self, line: Line, delimiter: str, width: int, reason: str) -> Row:
        """Give back all lines but the first; take that one as a row if it is good by itself."""
        self._returned.extendleft(reversed(self._taken[1:]))
        if len(self._taken) > 1:
            self._reread += self._size + LINE_COST * len(self._taken)
            reason += "; a quote seems to be left open"
        if line.problem:
            return Row(line.number, [], line.problem)
        try:
            # Not strict: `"Foo" Bar` is one cell to most programs.
            cells = next(csv.reader(_alone(line.text), delimiter=delimiter))
        except csv.Error:
            return Row(line.number, [], reason)
        good = len(cells) == (width or len(cells))
        return Row(line.number, cells) if good else Row(line.number, [], _misfit(width, cells))


def _alone(text: str) -> Iterator[str]:
    yield text
    raise csv.Error("a quote is left open")


def _misfit(width: int, cells: list[str]) -> str:
    columns = "column" if width == 1 else "columns"
    return f"does not fit the header: expected {width} {columns}, found {len(cells)}"
