"""What all tables share: from a row, a dictionary of column to value, to a record.

The columns asked for become the record's content and its key; every other column becomes a field.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os.path import relpath
from pathlib import Path
from typing import Any

import numpy as np

from embedsearch.disk.hash_index import HashIndex
from embedsearch.errors import SourceError, nearest
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Modality, Record, Rejected, Scalar, content_hash
from embedsearch.sources.typed_cells import as_scalar, clean

# Names that make a column the text when none is asked for and it is the only one of them.
TEXT_NAMES = frozenset(
    ("text", "body", "content", "sentence", "question", "document", "title", "caption", "abstract")
)
SHOWN_COLUMNS = 30


class Ids:
    """Ids that are unique within one reading of a source.

    It holds 64 bits of a hash of each, in 12 to 24 bytes: a set of texts takes 110, a gigabyte for ten
    million rows. Two of five million ids share a hash in one reading of a million; the later of them is
    then taken for one that was there before.
    """

    def __init__(self) -> None:
        self._taken = HashIndex()
        self._last: dict[str, int] = {}  # only ids that came more than once

    def take(self, key: str) -> bool:
        """Reserve `key`; return whether it was free."""
        digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return self._taken.take(int.from_bytes(digest, "little"))

    def counted(self, name: str) -> str:
        """Return `name`, or `name-2`, `name-3`, ... if it was given before."""
        if self.take(name):
            return name
        number = self._last.get(name, 1) + 1
        while not self.take(f"{name}-{number}"):
            number += 1
        self._last[name] = number
        return f"{name}-{number}"

    def of_content(self, content: str | bytes) -> str:
        """Return the first 16 hex digits of the content's hash, counted."""
        return self.counted(content_hash(content)[:16])


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a table are what.

    Attributes:
        text: the columns joined as the text; empty for a table of something else.
        image: the column with the image; empty for a table of something else.
        id: the column with the key; empty for the hash of the content.
        vector: the column with a vector made elsewhere; empty for a table of something else.
    """

    text: tuple[str, ...]
    image: str
    id: str
    vector: str = ""

    @property
    def modality(self) -> Modality:
        """What the records are."""
        if self.vector:
            return Modality.VECTOR
        return Modality.IMAGE if self.image else Modality.TEXT

    @property
    def used(self) -> frozenset[str]:
        """The columns that do not become fields."""
        return frozenset((*self.text, self.image, self.id, self.vector)) - {""}


def choose_columns(
    recipe: SourceRecipe, columns: Sequence[str], where: str, images: Sequence[str] = ()
) -> Columns:
    """Return the columns that `recipe` asks for; without any, the one that can be meant.

    That is the only column beside the key; else the only one called text, body, content, sentence,
    question, document, title, caption or abstract (in any case). A column that the file itself marks
    as images is taken if it is the only one and no column has such a name.

    Args:
        recipe: its `text`, `image` and `id` are looked at.
        columns: the columns that there are.
        where: the name of the table, for messages.
        images: those among `columns` whose type says that they hold images.

    Raises:
        SourceError: there is no such column, both a text and an image were asked for, or it can't
            be told which column is meant.
    """
    asked = [*recipe.text, *(name for name in (recipe.image, recipe.vector, recipe.id) if name)]
    for name in asked:
        if name not in columns:
            raise SourceError(
                f"{where} has no column {name!r}; it has {_listing(columns)}.{nearest(name, columns)}"
            )
    given = [name for name in ("text", "image", "vector") if getattr(recipe, name)]
    if len(given) > 1:
        raise SourceError(
            f"{where}: a record is a text, an image or a vector, and --{' and --'.join(given)} were given. "
            "Give one; the other columns are kept as fields."
        )
    if given:
        return Columns(recipe.text, recipe.image, recipe.id, recipe.vector)
    free = [name for name in columns if name != recipe.id]
    candidates = free if len(free) == 1 else [name for name in free if name.casefold() in TEXT_NAMES]
    texts = [name for name in candidates if name not in images]
    if len(texts) == 1 and not images:
        return Columns((texts[0],), "", recipe.id)
    if not texts and len(images) == 1:
        return Columns((), images[0], recipe.id)
    raise SourceError(
        f"{where} has {'the columns ' if columns else ''}{_listing(columns)}: say which one to embed with "
        "--text COLUMN (several are joined) or, for images, --image COLUMN."
    )


def _listing(columns: Sequence[str]) -> str:
    names = [repr(name) for name in columns[:SHOWN_COLUMNS]]
    more = len(columns) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "") if names else "no columns"


class RowReader:
    """Turns the rows of one table, read once from start to end, into records."""

    def __init__(self, columns: Columns, folder: Path) -> None:
        """Begin a reading.

        Args:
            columns: which columns are what.
            folder: what paths of images are relative to.
        """
        self._columns = columns
        self._used = columns.used
        self._folder = folder
        self._ids = Ids()
        self._dimension = 0  # of the first vector

    def entry(
        self, row: Mapping[str, Any], place: str, convert: Callable[[str, Any], Scalar] | None = None
    ) -> Record | Rejected:
        """Return the record that `row` holds, or why it holds none.

        Args:
            row: the values by column.
            place: the row as `file:line`, for `Rejected.id`.
            convert: makes a field of a column's name and value, `as_scalar` of the value without it.
        """
        columns = self._columns
        content: str | Path | bytes | _Problem
        if columns.vector:
            content = self._vector(row.get(columns.vector))
        else:
            content = self._image(row.get(columns.image)) if columns.image else self._text(row)
        if isinstance(content, _Problem):
            return Rejected(place, content.reason)
        key = ""
        if columns.id:
            key = _text_of(row.get(columns.id)).strip()
            if not key:
                return Rejected(place, f"the key column {columns.id!r} is empty")
            if not self._ids.take(key):
                return Rejected(place, f"the key {key!r} was used by an earlier row")
        elif isinstance(content, Path):
            key = self._ids.counted(self._relative(content))
        else:
            key = self._ids.of_content(content)
        fields = {
            clean(name): convert(name, value) if convert else as_scalar(value)
            for name, value in row.items()
            if name not in self._used
        }
        return Record(key, columns.modality, content, fields)

    def _text(self, row: Mapping[str, Any]) -> str | _Problem:
        parts = [_text_of(row.get(name)) for name in self._columns.text]
        text = "\n".join(part for part in parts if part.strip())
        if text:
            return text
        names = " and ".join(repr(name) for name in self._columns.text)
        return _Problem(f"the text column {names} is empty")

    def _vector(self, value: Any) -> bytes | _Problem:
        """Return a list of numbers, or the bytes of one in float32, as such bytes."""
        column = f"the vector column {self._columns.vector!r}"
        if value is None:
            return _Problem(f"{column} is empty")
        try:
            held = isinstance(value, bytes | bytearray | memoryview)
            numbers = np.frombuffer(value, "<f4") if held else np.asarray(value, "<f4")
        except (TypeError, ValueError, OverflowError):
            return _Problem(f"{column} holds something that is no list of numbers")
        if numbers.ndim != 1 or not numbers.size:
            return _Problem(f"{column} holds something that is no list of numbers")
        if not np.isfinite(numbers).all():
            return _Problem(f"{column} holds a number that is not finite in float32")
        self._dimension = self._dimension or numbers.size
        if numbers.size != self._dimension:
            return _Problem(f"{column} holds {numbers.size} numbers; the first row has {self._dimension}")
        return numbers.tobytes()

    def _image(self, value: Any) -> Path | bytes | _Problem:
        column = f"the image column {self._columns.image!r}"
        if isinstance(value, Mapping) and (value.keys() & {"bytes", "path"}):
            value = value.get("bytes") or value.get("path")
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return _Problem(f"{column} is empty")
        if isinstance(value, bytes | bytearray | memoryview):
            return bytes(value) or _Problem(f"{column} is empty")
        if not isinstance(value, str):
            return _Problem(
                f"{column} holds a value of type {type(value).__name__}; expected a path, the bytes "
                'of an image file, or {"bytes": ..., "path": ...}'
            )
        if not value.strip():
            return _Problem(f"{column} is empty")
        return self._file(value.strip())

    def _file(self, name: str) -> Path | _Problem:
        name = clean(name)
        if "://" in name:
            return _Problem(f"{name} is a web address; download the image and give its path")
        path = self._folder / name
        try:
            size = path.stat().st_size if path.is_file() else -1
        except (OSError, ValueError) as error:  # a name too long, or with a NUL byte
            return _Problem(f"{name[:200]!r} can't be an image's path: {error}")
        if size < 0:
            return _Problem(f"there is no file {path}")
        return path if size else _Problem(f"the file {path} is empty")

    def _relative(self, path: Path) -> str:
        """The path seen from the table; `./a.png` and `a.png` are one."""
        return Path(relpath(path, self._folder)).as_posix()


@dataclass(frozen=True, slots=True)
class _Problem:
    reason: str


def _text_of(value: Any) -> str:
    """A cell as text: bytes are read as UTF-8, what is nested as JSON."""
    if isinstance(value, str):
        return clean(value)
    value = as_scalar(value)
    return "" if value is None else str(value)
