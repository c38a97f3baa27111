"""CSV and TSV files, as programs write them: read once, from start to end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from embedsearch.errors import SourceError
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Entries, Rejected
from embedsearch.sources.delimited.dialect import find_dialect, rows_of
from embedsearch.sources.delimited.rows import Row
from embedsearch.sources.lines import check_encoding, check_text
from embedsearch.sources.paths import existing_file, printable
from embedsearch.sources.table import Reading, RowReader, Table, choose_columns
from embedsearch.sources.text_cells import MISSING, CellType, parsers

SHOWN_NOTES = 10


class DelimitedFile(Table):
    r"""A file of values separated by commas, semicolons, bars or tabs; packed by gzip or not.

    The separator is a tab in `.tsv` and `.tab` files; else it is found in the header, or named by Excel's
    first line `sep=;`. Comments may stand before the header, and the header may be missing. A cell that is
    blank, or `NA`, `null`, `None`, `nan`, `\N` and the like, holds no value. Cells are given out as texts; a
    column is of whole numbers, floats, truth values, dates or times if all its filled cells are, else texts.
    """

    def __init__(self, recipe: SourceRecipe) -> None:
        self._path = existing_file(recipe.location, "a CSV or TSV file")
        check_encoding(recipe.encoding)
        check_text(self._path, "a CSV or TSV file")
        if recipe.decimal not in (".", ","):
            raise SourceError(f"--decimal is . or , and not {recipe.decimal!r:.20}.")
        self._encoding = recipe.encoding
        self._decimal = recipe.decimal
        self._missing = frozenset[str]() if recipe.keep_na else MISSING
        self._dialect = find_dialect(self._path, recipe)
        self._columns = choose_columns(recipe, self._dialect.names, self._path.name)
        self._reading = Reading()

    def count(self) -> int | None:
        """The number of records; of a large file about that, by its size."""
        return self._dialect.rows

    def __iter__(self) -> Entries:
        """Yield the rows, in order."""
        self._reading = reading = Reading(notes=list(self._dialect.notes))
        names = self._dialect.names
        # in a column that rows are compared by, an infinite number costs its row, not the column's type
        infinite = frozenset(self._columns.rows)
        types = [CellType(parsers(self._decimal, name in infinite), self._missing) for name in names]
        reader = RowReader(self._columns, self._path.parent)
        for row in rows_of(self._path, self._encoding, self._dialect):
            place = f"{printable(self._path.name)}:{row.line}"
            if row.problem:
                yield Rejected(place, f"the row {row.problem}")
                continue
            values = [kind.see(cell) for kind, cell in zip(types, row.cells, strict=True)]
            yield reader.entry(dict(zip(names, values, strict=True)), place)
        used = self._columns.used
        cells = dict(zip(names, types, strict=True))
        reading.cells = {reader.name(name): kind for name, kind in cells.items() if name not in used}
        reading.notes += _notes(cells)


def _notes(cells: dict[str, CellType]) -> Iterator[str]:
    """Yield what was read as missing in columns of text, and which may be numbers."""
    notes = []
    for name, kind in cells.items():
        if kind.missing and kind.is_text:
            held = ", ".join(f"{count:,} x {cell}" for cell, count in kind.missing.most_common())
            notes.append(f"Column {name!r}: {held} read as missing. To read it as text, give --keep-na.")
        if kind.looks_like_commas:
            notes.append(f"Column {name!r} is read as text. If its commas are decimal, give --decimal ,")
    yield from notes[:SHOWN_NOTES]
    if len(notes) > SHOWN_NOTES:
        yield f"The same holds for {len(notes) - SHOWN_NOTES:,} more columns."


def read_table(path: Path, encoding: str) -> Iterator[Row]:
    """Yield the header of a CSV or TSV file, then every row; see `DelimitedFile`.

    Raises:
        SourceError: the file is empty, or its header can't be read.
    """
    dialect = find_dialect(path, SourceRecipe("csv", str(path), encoding=encoding, header="yes"))
    yield Row(1, list(dialect.names))
    yield from rows_of(path, encoding, dialect)
