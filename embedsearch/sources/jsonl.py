"""JSON: one object a line, or an array of objects."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from embedsearch.errors import SourceError
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Entries, Rejected
from embedsearch.sources.lines import check_encoding, check_text, open_text, problem_of, read_lines
from embedsearch.sources.paths import existing_file, printable
from embedsearch.sources.table import Nested, Reading, RowReader, Table, choose_columns

ROWS_LOOKED_AT = 1000
PIECE = 2**16  # characters that are read at once
LONGEST_OBJECT = 64 * 2**20
_SPACE = " \t\r\n"


class Row(NamedTuple):
    """An object, or why it can't be used.

    Attributes:
        number: of its line, or of the element of the array; from 1.
        value: the object.
        problem: a sentence, without its full stop; or "".
    """

    number: int
    value: Mapping[str, Any]
    problem: str = ""


class JsonFile(Table):
    """A file with one JSON object a line, or an array of objects; its columns are those of the first 1000.

    Nested objects become columns: `{"meta": {"author": "x"}}` has the column `meta.author`. A column whose
    texts are all dates or all times in ISO's form is of such.
    """

    def __init__(self, recipe: SourceRecipe) -> None:
        self._path = existing_file(
            recipe.location, "a JSON Lines file, or a JSON file with an array of objects"
        )
        self._encoding = recipe.encoding
        check_encoding(recipe.encoding)
        check_text(self._path, "a JSON Lines file")
        with open_text(self._path, recipe.encoding, "replace") as (file, _):
            self._is_array = _first_sign(file) == "["
        columns: dict[str, None] = {}
        objects: dict[str, None] = {}
        nested = Nested()
        for row in islice(self._rows(), ROWS_LOOKED_AT):
            columns.update(dict.fromkeys(nested.flat(row.value)))
            objects.update(dict.fromkeys(name for name in row.value if name not in columns))
        if not columns:
            what = "elements" if self._is_array else "lines"
            raise SourceError(
                f"{self._path} has no JSON object in its first {ROWS_LOOKED_AT} {what}; expected one a line, "
                'as in {"text": "..."}, or an array of them.'
            )
        self._columns = choose_columns(recipe, list(columns), self._path.name, objects=list(objects))
        self._reading = Reading()

    def count(self) -> int | None:
        """Not known without reading the file."""
        return None

    def __iter__(self) -> Entries:
        """Yield the objects, in order."""
        self._reading = Reading()
        reader = RowReader(self._columns, self._path.parent, self._reading.cells)
        for row in self._rows():
            place = f"{printable(self._path.name)}:{row.number}"
            yield Rejected(place, row.problem) if row.problem else reader.entry(row.value, place)

    def _rows(self) -> Iterator[Row]:
        if not self._is_array:
            return _of_lines(self._path, self._encoding)
        return _of_array(self._path, self._encoding)


def _first_sign(file: TextIO) -> str:
    """Return the first character of a text that is no space, "" where there is none among the first."""
    return file.read(PIECE).lstrip(_SPACE)[:1]


def _of_lines(path: Path, encoding: str) -> Iterator[Row]:
    for line in read_lines(path, encoding):
        if line.problem:
            yield Row(line.number, {}, f"the line {line.problem}")
        elif line.text.strip():
            try:
                yield _row(line.number, json.loads(line.text), "line")
            except RecursionError:
                yield Row(line.number, {}, "the line is nested too deeply to be read")
            except ValueError as error:  # a JSONDecodeError, or a number of thousands of digits
                yield Row(line.number, {}, f"the line is not JSON: {error}")


def _of_array(path: Path, encoding: str) -> Iterator[Row]:
    """Yield the elements of an array; where one can't be read, nothing after it can."""
    decoder = json.JSONDecoder()
    with open_text(path, encoding, "embedsearch.mark") as (file, found):
        held = file.read(PIECE).lstrip(_SPACE)[1:]
        number = 0
        while True:
            held = held.lstrip(_SPACE + "," if number else _SPACE)
            if not held and (more := file.read(PIECE)):
                held = more
                continue
            if not held or held[0] == "]":
                if not held:
                    yield Row(number + 1, {}, "the array has no end: the file is cut off")
                return
            number += 1
            piece = PIECE
            while True:
                try:
                    value, end = decoder.raw_decode(held)
                    if end < len(held) or not isinstance(value, int | float):  # a number may go on
                        break
                    problem = "the array has no end: the file is cut off"
                except RecursionError:
                    yield Row(number, {}, "the element, and all after it, is nested too deeply to be read")
                    return
                except ValueError as error:
                    problem = f"the element, and all after it, is not JSON: {error}"
                more = file.read(piece) if len(held) < LONGEST_OBJECT else ""
                if not more:
                    yield Row(number, {}, problem)
                    return
                held += more
                piece *= 2  # a long element is not read again and again
            if broken := problem_of(held[:end], found):
                yield Row(number, {}, f"the element {broken}")
            else:
                yield _row(number, value, "element")
            held = held[end:]


def _row(number: int, value: Any, what: str) -> Row:
    if isinstance(value, dict):
        return Row(number, value)
    return Row(
        number, {}, f'the {what} is a JSON {_json_type(value)}; expected an object, as in {{"text": "..."}}'
    )


def _json_type(value: Any) -> str:
    if isinstance(value, list):
        return "array"
    if isinstance(value, str):
        return "string"
    if value is None:
        return "null"
    return "truth value" if isinstance(value, bool) else "number"
