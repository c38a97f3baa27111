"""How a delimited file is written, by its beginning: its separator, its header, what comes before."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from embedsearch.errors import SourceError
from embedsearch.recipe import SourceRecipe
from embedsearch.sources.delimited.rows import Row, is_blank, parse
from embedsearch.sources.header import has_header, has_usual_name, no_header
from embedsearch.sources.lines import Line, read_lines
from embedsearch.sources.table import check_width, unique_names

SAMPLE_LINES = 2000
SAMPLE_CHARACTERS = 2**20
DELIMITERS = ",;|\t"
_SEPARATOR = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
_COMMENTS = ("#", "//")


@dataclass(frozen=True, slots=True)
class Dialect:
    r"""How a file is written.

    Attributes:
        delimiter: what separates cells.
        escapes: whether a backslash stands before quotes inside quotes, and `\N` for no value.
        skipped: lines before the first row: Excel's `sep=;`, and comments.
        header: whether the first row holds names.
        names: of the columns.
        notes: what a person should know of it.
        rows: how many records there seem to be.
    """

    delimiter: str
    escapes: bool
    skipped: int
    header: bool
    names: tuple[str, ...]
    notes: tuple[str, ...]
    rows: int


def find_dialect(path: Path, recipe: SourceRecipe) -> Dialect:
    """Return how the file at `path` is written.

    Raises:
        SourceError: it is empty, or its first row can't be read, or has too many cells.
    """
    lines, is_whole = _sample(path, recipe.encoding)
    skipped, delimiter, notes = _preamble(lines)
    lines = lines[skipped:]
    first = next((line for line in lines if not is_blank(line)), None)
    if first is None:
        raise SourceError(f"{path} is empty; expected a header with the columns' names.")
    if first.problem:
        raise SourceError(f"{path}: the header, line {first.number}, {first.problem}.")
    delimiter = delimiter or _delimiter(path, first.text)
    check_width(first.text.count(delimiter) + 1, path.name)
    escapes, rows = _rows(lines, delimiter)
    if not is_whole and len(rows) > 1:
        del rows[-1]  # the sample may end within it
    head = rows[0]
    if head.problem:
        raise SourceError(f"{path}: the header, line {head.line}, {head.problem}.")
    good = [row.cells for row in rows[1:] if not row.problem]
    header = has_header(recipe, head.cells, good)
    cells = head.cells
    if (
        header
        and len(rows) > 1
        and not good
        and _are_wider(lines, delimiter, len(cells) + 1, escapes=escapes)
    ):
        cells = ["", *cells]
        notes.append(
            "The header has one name less than the rows have cells, as R writes it: the first column, of row "
            "names, is called column_1."
        )
    elif not header:
        cells = [""] * len(cells)
        if not recipe.header:
            notes.append(no_header(len(cells)))
    elif len(cells) > 1 and good and not any(row[-1].strip() for row in (cells, *good)):
        cells = cells[:-1]  # a delimiter ends every row
    if escapes:
        notes.append("Backslashes before quotes are read as escapes.")
    names = tuple(unique_names(cells, path.name))
    count = len(rows) - header if is_whole else _estimate(path, lines, len(rows))
    return Dialect(delimiter, escapes, skipped, header, names, tuple(notes), count)


def _sample(path: Path, encoding: str) -> tuple[list[Line], bool]:
    """Return the first lines, and whether these are all."""
    lines: list[Line] = []
    size = 0
    for line in islice(read_lines(path, encoding), SAMPLE_LINES + 1):
        if len(lines) == SAMPLE_LINES or (size > SAMPLE_CHARACTERS and lines):
            return lines, False
        lines.append(line)
        size += len(line.text)
    return lines, True


def _preamble(lines: Sequence[Line]) -> tuple[int, str, list[str]]:
    """Return how many lines stand before the rows, the delimiter that one of them names, and notes."""
    skipped, delimiter, comments = 0, "", 0
    for at, line in enumerate(lines):
        text = line.text.strip(" \r\n")
        if line.problem:
            break
        if found := _SEPARATOR.fullmatch(text):
            skipped, delimiter = at + 1, found[1]
        elif text.startswith(_COMMENTS) and _is_comment(text, lines[at + 1 :], delimiter):
            skipped, comments = at + 1, comments + 1
        elif text:
            break
    lines_of = "1 comment line" if comments == 1 else f"{comments} comment lines"
    return skipped, delimiter, [f"{lines_of} before the header: passed over."] if comments else []


def _is_comment(text: str, after: Sequence[Line], delimiter: str) -> bool:
    """Whether a line is no header whose first name begins with the sign of a comment, as in `#id,text`."""
    signs = delimiter or DELIMITERS
    below = next(
        (line.text for line in after if not is_blank(line) and not line.text.startswith(_COMMENTS)), ""
    )
    cells, under = ([line.count(sign) for sign in signs] for line in (text, below))
    if cells != under or has_usual_name(re.split(r"[,;|\t]", below)):
        return True
    return not any(cells) and (" " in text or text in _COMMENTS)


def _delimiter(path: Path, header: str) -> str:
    if Path(path.name.lower().removesuffix(".gz")).suffix in (".tsv", ".tab"):
        return "\t"
    try:
        found = csv.Sniffer().sniff(header[:10_000], delimiters=DELIMITERS).delimiter
    except csv.Error:  # a single column
        return ","
    return found if found and found in DELIMITERS else ","


def _rows(lines: Sequence[Line], delimiter: str) -> tuple[bool, list[Row]]:
    """Return whether quotes are escaped by backslashes, and the rows of the sample read so."""
    rows = list(parse(iter(lines), delimiter, escapes=False))
    if not any('\\"' in line.text for line in lines):
        return False, rows
    escaped = list(parse(iter(lines), delimiter, escapes=True))
    return (True, escaped) if _broken(escaped) < _broken(rows) else (False, rows)


def _are_wider(lines: Sequence[Line], delimiter: str, width: int, *, escapes: bool) -> bool:
    """Whether all rows below the header have `width` cells, of which the first is filled."""
    start = next(at for at, line in enumerate(lines) if not is_blank(line)) + 1
    rows = list(parse(iter(lines[start:]), delimiter, escapes=escapes, width=0))
    return (
        bool(rows) and len(rows[0].cells) == width and not _broken(rows) and all(row.cells[0] for row in rows)
    )


def _broken(rows: Sequence[Row]) -> int:
    return sum(bool(row.problem) for row in rows)


def _estimate(path: Path, lines: Sequence[Line], rows: int) -> int:
    """Return about how many rows a file has, from the number of those in its first lines."""
    read = sum(len(line.text.encode("utf-8", "surrogatepass")) for line in lines)
    return int(path.stat().st_size / read * rows)


def rows_of(path: Path, encoding: str, dialect: Dialect) -> Iterator[Row]:
    """Yield the records of a file, without its header; see `parse`."""
    lines = islice(read_lines(path, encoding), dialect.skipped, None)
    rows = parse(lines, dialect.delimiter, escapes=dialect.escapes, width=len(dialect.names))
    return islice(rows, int(dialect.header), None)
