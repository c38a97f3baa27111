"""Whether the first row of a table holds the names of its columns, or a record like the others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from statistics import median

from embedsearch.recipe import SourceRecipe
from embedsearch.sources.table import TEXT_NAMES
from embedsearch.sources.text_cells import MISSING, is_typed

ROWS = 200  # that are compared with the first one
WORDS = 4  # a name of so many words is rather a sentence
_NAMES = TEXT_NAMES | frozenset(
    (
        "answer", "author", "category", "class", "date", "description", "file", "filename", "id", "image",
        "key", "label", "name", "path", "price", "query", "tag", "tags", "target", "time", "timestamp",
        "topic", "type", "url", "year",
    )
)  # fmt: skip
_NUMBERED = re.compile(r"column_[1-9][0-9]*")


def has_header(recipe: SourceRecipe, first: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether `first` holds the names of the columns.

    It does where a name that is asked for, or a usual one, is among its cells, or where it has words above a
    column of numbers or dates. It doesn't where it has itself numbers or dates above such, or a cell that
    comes again below, or a sentence above sentences of that length. In doubt it does.

    Args:
        recipe: its `header` settles it; else its columns are looked at.
        first: the cells of the first row.
        rows: those of rows after it.
    """
    if recipe.header:
        return recipe.header == "yes"
    cells = [cell.strip() for cell in first]
    asked = {*recipe.text, recipe.image, recipe.vector, recipe.id} - {""}
    if asked & set(cells):
        return True
    if asked and all(map(_NUMBERED.fullmatch, asked)):
        return False
    if not rows or has_usual_name(cells):
        return True
    return _looks_like_names(cells, rows[:ROWS])


def has_usual_name(cells: Sequence[str]) -> bool:
    """Whether a usual name of a column is among cells."""
    return not _NAMES.isdisjoint(cell.strip(' "').casefold() for cell in cells)


def no_header(columns: int) -> str:
    """Return a sentence on a table whose first row was taken for a record."""
    last = f" to column_{columns}" if columns > 1 else ""
    called = f"columns are called column_1{last}" if columns > 1 else "column is called column_1"
    return (
        f"No header was found: the first row is read as a record, and the {called}. If it holds names, give "
        "--header."
    )


def _looks_like_names(cells: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    columns = [
        [cell for row in rows if len(row) > at and (cell := row[at].strip()) and cell not in MISSING]
        for at in range(len(cells))
    ]
    typed = [bool(column) and all(map(is_typed, column)) for column in columns]
    if any(cell and kind and not is_typed(cell) for cell, kind in zip(cells, typed, strict=True)):
        return True
    if any(cell and kind for cell, kind in zip(cells, typed, strict=True)):
        return _are_years(cells)
    if any(cell and cell in column for cell, column in zip(cells, columns, strict=True)):
        return False
    sized = [(len(cell.split()), column) for cell, column in zip(cells, columns, strict=True) if cell]
    return not (any(words >= WORDS for words, _ in sized) and all(_is_like(*each) for each in sized))


def _are_years(cells: Sequence[str]) -> bool:
    """Whether the numbers among the names are years one after the other."""
    years = [int(cell) for cell in cells if cell.isdecimal()]
    others = any(is_typed(cell) and not cell.isdecimal() for cell in cells)
    return len(years) > 1 and not others and years == list(range(years[0], years[0] + len(years)))


def _is_like(words: int, column: Sequence[str]) -> bool:
    """Whether a cell of so many words is about as long as those of its column."""
    return bool(column) and 1 / 3 <= words / median(len(cell.split()) for cell in column) <= 3
