"""JSON Lines: one object a line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import islice
from typing import Any

from embedsearch.errors import SourceError
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Entries, Modality, Rejected
from embedsearch.sources.lines import check_encoding, read_lines
from embedsearch.sources.paths import existing_file, printable
from embedsearch.sources.table import RowReader, choose_columns

LINES_LOOKED_AT = 1000


class JsonLinesFile:
    """A file with one JSON object a line; its columns are the keys of the first 1000 lines."""

    def __init__(self, recipe: SourceRecipe) -> None:
        self._path = existing_file(recipe.location, "a JSON Lines file")
        self._encoding = recipe.encoding
        check_encoding(recipe.encoding)
        columns: dict[str, None] = {}
        for line in islice(read_lines(self._path, self._encoding), LINES_LOOKED_AT):
            row = _object(line.text)
            if not line.problem and not isinstance(row, str):
                columns.update(dict.fromkeys(row))
        if not columns:
            raise SourceError(
                f"{self._path} has no JSON object in its first {LINES_LOOKED_AT} lines;"
                ' expected one a line, as in {"text": "..."}.'
            )
        self._columns = choose_columns(recipe, list(columns), self._path.name)

    def modality(self) -> Modality:
        """Images if a column of them was asked for, else texts."""
        return self._columns.modality

    def count(self) -> int | None:
        """Not known without reading the file."""
        return None

    def passed_over(self) -> Mapping[str, int]:
        """Nothing: only a folder holds what is not read."""
        return {}

    def __iter__(self) -> Entries:
        """Yield the lines that are not blank, in order."""
        reader = RowReader(self._columns, self._path.parent)
        for line in read_lines(self._path, self._encoding):
            place = f"{printable(self._path.name)}:{line.number}"
            if line.problem:
                yield Rejected(place, f"the line {line.problem}")
            elif line.text.strip():
                row = _object(line.text)
                yield Rejected(place, row) if isinstance(row, str) else reader.entry(row, place)


def _object(text: str) -> dict[str, Any] | str:
    """The JSON object that `text` holds, or the reason why it holds none."""
    try:
        value = json.loads(text)
    except RecursionError:
        return "the line is nested too deeply to be read"
    except ValueError as error:  # a JSONDecodeError, or a number of thousands of digits
        return f"the line is not JSON: {error}"
    if isinstance(value, dict):
        return value
    return f'the line is a JSON {_json_type(value)}; expected an object, as in {{"text": "..."}}'


def _json_type(value: Any) -> str:
    if isinstance(value, list):
        return "array"
    if isinstance(value, str):
        return "string"
    if value is None:
        return "null"
    return "truth value" if isinstance(value, bool) else "number"
