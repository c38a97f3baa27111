"""Workbooks of Excel and LibreOffice: one sheet of .xlsx, .xlsm, .xls or .ods."""

from __future__ import annotations

from datetime import date, datetime
from importlib.util import find_spec
from itertools import islice
from typing import Any

from embedsearch.errors import MissingExtraError, SourceError, nearest
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Entries
from embedsearch.sources.header import ROWS, has_header, no_header
from embedsearch.sources.paths import existing_file, printable
from embedsearch.sources.table import Reading, RowReader, Table, choose_columns, unique_names
from embedsearch.sources.text_cells import MISSING


class Workbook(Table):
    """A sheet, its first one if none is asked for; numbers, truth values and dates stay what they are.

    Such a file is read whole: a sheet of Excel has at most 1,048,576 rows.
    """

    def __init__(self, recipe: SourceRecipe) -> None:
        if find_spec("python_calamine") is None:
            raise MissingExtraError(
                f"Reading the workbook {recipe.location} needs the package python-calamine: "
                "pip install 'embedsearch[excel]'"
            )
        self._path = existing_file(recipe.location, "a workbook")
        self._missing = frozenset[str]() if recipe.keep_na else MISSING
        self._notes: list[str] = []
        rows = [
            (number, row)
            for number, row in enumerate(self._open(recipe.split), 1)
            if any(map(_is_filled, row))
        ]
        if not rows:
            raise SourceError(f"{self._path} is empty; expected a header with the columns' names.")
        head = [_text(cell) for cell in rows[0][1]]
        sample = [[_text(cell) for cell in row] for _, row in islice(rows, 1, ROWS)]
        self._first = int(has_header(recipe, head, sample))
        self._rows = rows
        if not self._first and not recipe.header:
            self._notes.append(no_header(len(head)))
        names = head if self._first else [""] * len(head)
        self._names = unique_names(names, self._path.name)
        self._columns = choose_columns(recipe, self._names, self._path.name)
        self._reading = Reading()

    def count(self) -> int | None:
        """The number of rows."""
        return len(self._rows) - self._first

    def __iter__(self) -> Entries:
        """Yield the rows, in order."""
        self._reading = Reading(notes=list(self._notes))
        reader = RowReader(self._columns, self._path.parent, self._reading.cells)
        for number, row in self._rows[self._first :]:
            values = dict(zip(self._names, map(self._value, row), strict=True))
            yield reader.entry(values, f"{printable(self._path.name)}:{number}")

    def _open(self, asked: str) -> list[list[Any]]:
        """Return the cells of the sheet that is asked for; rows begin at the first that is filled."""
        from python_calamine import CalamineError, CalamineWorkbook

        try:
            workbook = CalamineWorkbook.from_path(str(self._path))
            sheets = workbook.sheet_names
            if asked and asked not in sheets:
                raise SourceError(
                    f"{self._path} has no sheet {asked!r}; it has {', '.join(sheets)}."
                    + nearest(asked, sheets)
                )
            if len(sheets) > 1 and not asked:
                others = ", ".join(sheets[1:])
                self._notes.append(f"The sheet {sheets[0]!r} is read. For {others}, give --split SHEET.")
            return workbook.get_sheet_by_name(asked or sheets[0]).to_python(skip_empty_area=False)
        except CalamineError as error:
            raise SourceError(
                f"{self._path} can't be read as a workbook: {error}. Save it again as .xlsx, or as CSV."
            ) from None

    def _value(self, cell: Any) -> Any:
        if isinstance(cell, str):
            return None if not cell.strip() or cell.strip() in self._missing else cell
        return int(cell) if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53 else cell


def _is_filled(cell: Any) -> bool:
    return bool(cell.strip()) if isinstance(cell, str) else cell is not None


def _text(cell: Any) -> str:
    """Return a cell as a CSV file would have it."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return cell.isoformat() if isinstance(cell, date | datetime) else str(cell)
