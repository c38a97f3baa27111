"""What all tables share: from a row, a dictionary of column to value, to a record.

The columns asked for become the record's content and its key; every other column becomes a field.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from os.path import relpath
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from embedsearch.disk.file_urls import is_file_url, path_in
from embedsearch.disk.hash_index import HashIndex
from embedsearch.errors import MissingExtraError, SourceError, nearest
from embedsearch.recipe import SourceRecipe
from embedsearch.records import LABEL, Labels, Modality, Record, Rejected, Value, content_hash
from embedsearch.sources.addresses import NamedFile, NamedFiles, is_address
from embedsearch.sources.spans import labels_of
from embedsearch.sources.text_cells import DATES, CellType
from embedsearch.sources.typed_cells import as_field, as_scalar, clean

# Names that make a column the text when none is asked for and it is the only one of them.
TEXT_NAMES = frozenset(
    ("text", "body", "content", "sentence", "question", "document", "title", "caption", "abstract")
)
# and those that make one the vector, where there is neither a text nor an image
VECTOR_NAMES = frozenset(("embedding", "embeddings", "vector", "vectors"))
SHOWN_COLUMNS = 30
MOST_COLUMNS = 20_000
MOST_KEYS = 100  # of a nested object, which become fields of their own
DEEPEST = 8
_WINDOWS_DRIVE = re.compile(r"/?[A-Za-z]:[\\/]")  # with a slash before it in a `file:` address


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

    def take_each(self, keys: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Reserve keys; return which of them, (m,), were free: of equal ones the first."""
        digests = [hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8) for key in keys]
        return self._taken.take_each(np.frombuffer(b"".join([each.digest() for each in digests]), "<u8"))

    def counted(self, name: str) -> str:
        """Return `name`, or `name-2`, `name-3`, ... if it was given before."""
        return name if self.take(name) else self._numbered(name)

    def _numbered(self, name: str) -> str:
        number = self._last.get(name, 1) + 1
        while not self.take(f"{name}-{number}"):
            number += 1
        self._last[name] = number
        return f"{name}-{number}"

    def of_content(self, content: str | bytes) -> str:
        """Return the first 16 hex digits of the content's hash, counted."""
        return self.counted(content_hash(content)[:16])

    def of_digests(self, digests: Sequence[bytes]) -> list[str]:
        """Return the same of each SHA-256 of a content; a reading takes all its ids so, or none."""
        joined = b"".join(digests)
        digits = joined.hex()  # (m,) -> 64 m digits
        ids = [digits[at : at + 16] for at in range(0, len(digits), 64)]
        for at in np.flatnonzero(~self._taken.take_each(np.frombuffer(joined, "<u8")[::4])).tolist():
            ids[at] = self._numbered(ids[at])
        return ids


@dataclass(slots=True)
class Reading:
    """What is known of a source when it was read to its end.

    Attributes:
        cells: by field, the types of what are cells of text until the whole column is known.
        notes: what a person should know of how it was read; sentences.
    """

    cells: dict[str, CellType] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class NothingToReport:
    """What a source says whose reading finds nothing to report, or that reads no folder; see `Source`."""

    def reading(self) -> Reading:
        """Nothing."""
        return Reading()

    def passed_over(self) -> Mapping[str, int]:
        """Nothing: only a folder holds what is not read."""
        return {}


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a table are what.

    Attributes:
        text: the columns joined as the text; empty for a table of something else.
        image: the column with the image; empty for a table of something else.
        sound: the column with the sound; empty for a table of something else.
        id: the column with the key; empty for the hash of the content.
        vector: the column with a vector made elsewhere; empty for a table of something else.
        spans: the column with the labelled spans of the text; empty for none.
        beside: whether the table holds nothing but fields, and perhaps keys, of vectors in another file.
        rows: the columns that count where rows are embedded as they are; empty for a table of something else.
        document: the column with the path of a document; empty for a table of something else.
        ocr: whether pages of documents without text are read by optical character recognition.
    """

    text: tuple[str, ...]
    image: str
    id: str
    vector: str = ""
    spans: str = ""
    beside: bool = False
    rows: tuple[str, ...] = ()
    sound: str = ""
    document: str = ""
    ocr: bool = False

    @property
    def modality(self) -> Modality:
        """What the records are."""
        if self.vector or self.beside:
            return Modality.VECTOR
        if self.rows:
            return Modality.ROW
        if self.sound:
            return Modality.SOUND
        return Modality.IMAGE if self.image else Modality.TEXT

    @property
    def file(self) -> str:
        """The column whose values are files, as paths or as bytes; empty for none."""
        return self.image or self.sound or self.document

    @property
    def used(self) -> frozenset[str]:
        """The columns that do not become fields; those of rows do."""
        return frozenset((*self.text, self.file, self.id, self.vector, self.spans)) - {""}


def choose_columns(
    recipe: SourceRecipe,
    columns: Sequence[str],
    where: str,
    images: Sequence[str] = (),
    objects: Sequence[str] = (),
    sounds: Sequence[str] = (),
) -> Columns:
    """Return the columns that `recipe` asks for; without any, the one that can be meant.

    That is the only column beside the key; else the only one called text, body, content, sentence,
    question, document, title, caption or abstract (in any case). A column that the file itself marks
    as images is taken if it is the only one and no column has such a name. Where there is no text and no
    image, it is the only column called embedding, embeddings, vector or vectors.

    Args:
        recipe: its `text`, `image` and `id` are looked at.
        columns: the columns that there are.
        where: the name of the table, for messages.
        images: those among `columns` whose type says that they hold images.
        objects: columns of nested objects, which can be asked for as JSON text.
        sounds: those among `columns` whose type says that they hold sounds.

    Raises:
        SourceError: there is no such column, both a text and an image were asked for, or it can't
            be told which column is meant.
    """
    check_width(len(columns), where)
    if recipe.fields and (recipe.text or recipe.image or recipe.spans):
        raise SourceError(f"{where} holds the fields of vectors: leave out --text, --image and --spans.")
    others = (recipe.image, recipe.sound, recipe.document, recipe.vector, recipe.spans, recipe.id)
    asked = [*recipe.text, *recipe.columns, *filter(None, others)]
    known = {*columns, *objects}
    for name in asked:
        if name not in known:
            raise SourceError(
                f"{where} has no column {name!r}; it has {_listing(columns)}.{nearest(name, columns)}"
            )
    given = [name for name in ("text", "image", "sound", "document", "vector") if getattr(recipe, name)]
    if len(given) > 1:
        raise SourceError(
            f"{where}: a record is one of text, image, sound, document and vector, but "
            f"--{' and --'.join(given)} were given. Give one; the other columns are kept as fields."
        )
    if recipe.spans and given not in ([], ["text"]):
        raise SourceError(f"{where}: labelled spans are of a text: give --text COLUMN with --spans.")
    if recipe.fields:
        return Columns((), "", recipe.id, beside=True)
    if recipe.rows or recipe.columns:
        return _of_rows(recipe, columns, where, [*given, *["spans"] * bool(recipe.spans)])
    if given:
        return Columns(
            recipe.text,
            recipe.image,
            recipe.id,
            recipe.vector,
            recipe.spans,
            sound=recipe.sound,
            document=recipe.document,
            ocr=recipe.ocr,
        )
    free = [name for name in columns if name not in (recipe.id, recipe.spans)]
    vectors = [name for name in free if name.casefold() in VECTOR_NAMES]
    candidates = (
        free if len(free) == 1 and not vectors else [name for name in free if name.casefold() in TEXT_NAMES]
    )
    texts = [name for name in candidates if name not in (*images, *sounds)]
    if len(texts) == 1 and not images and not sounds:
        return Columns((texts[0],), "", recipe.id, spans=recipe.spans)
    if not texts and not images and len(sounds) == 1 and not recipe.spans:
        return Columns((), "", recipe.id, sound=sounds[0])
    if not texts and len(images) == 1 and not sounds and not recipe.spans:
        return Columns((), images[0], recipe.id)
    if not texts and not images and not sounds and len(vectors) == 1 and not recipe.spans:
        return Columns((), "", recipe.id, vectors[0])
    raise SourceError(
        f"{where} has {'the columns ' if columns else ''}{_listing(columns)}: say which one to embed with "
        "--text COLUMN (several are joined), for images --image COLUMN, for sounds --sound COLUMN, for "
        "documents --document COLUMN or, for vectors, --vectors COLUMN."
    )


def _of_rows(recipe: SourceRecipe, columns: Sequence[str], where: str, given: Sequence[str]) -> Columns:
    """Return the columns by which rows are compared; arguments and errors as `choose_columns`.

    `given` are the other options that say what to embed.
    """
    if not recipe.rows:
        raise SourceError("--columns names the columns that count in rows: give --rows too.")
    if given:
        raise SourceError(
            f"{where}: --rows takes columns as they are, and --{given[0]} was given, too. Leave one out."
        )
    rows = recipe.columns or tuple(name for name in columns if name != recipe.id)
    if not rows:
        raise SourceError(
            f"{where} has {_listing(columns)}, and none of these columns can be used to compare rows."
        )
    return Columns((), "", recipe.id, rows=rows)


def _listing(columns: Sequence[str]) -> str:
    names = [repr(name) for name in columns[:SHOWN_COLUMNS]]
    more = len(columns) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "") if names else "no columns"


class Table(NothingToReport):
    """What the sources that are tables share.

    Attributes:
        _columns: which columns are what.
        _reading: what the last reading found.
    """

    _columns: Columns
    _reading: Reading

    def modality(self) -> Modality:
        """Images or vectors if a column of them was asked for, else texts."""
        return self._columns.modality

    def reading(self) -> Reading:
        """What the last reading found, when it is at its end."""
        return self._reading


def problem_of_vector(numbers: npt.NDArray[np.float32]) -> str:
    """Return why a vector (d,) can't be used, without a full stop; empty where it can."""
    if not np.isfinite(numbers).all():
        return "the vector holds a number that is not finite in float32"
    return "" if numbers.any() else "the vector is all zeros: it has no direction"


def free_name(name: str, taken: Collection[str]) -> str:
    """Return `name`, or the first of `name_2`, `name_3`, ... that is not taken."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free


def unique_names(cells: Sequence[str], where: str) -> list[str]:
    """Return names for columns: an empty one becomes `column_3`, a second `name` becomes `name_2`.

    Args:
        cells: the names as they stand in the table.
        where: the name of the table, for messages.

    Raises:
        SourceError: the table has more columns than can be read.
    """
    check_width(len(cells), where)
    given = [cell.strip() for cell in cells]
    taken: set[str] = set(given) - {""}
    numbers: dict[str, int] = {}
    names: dict[str, None] = {}
    for position, cell in enumerate(given, start=1):
        stem = cell or f"column_{position}"
        name, number = stem, numbers.get(stem, 1)
        while name in names or (name != cell and name in taken):
            number += 1
            name = f"{stem}_{number}"
        numbers[stem] = number
        names[name] = None
    return list(names)


def check_width(columns: int, where: str) -> None:
    """Refuse a table of more columns than can be read.

    Raises:
        SourceError: it has more.
    """
    if columns > MOST_COLUMNS:
        raise SourceError(
            f"{where} has {columns:,} columns; at most {MOST_COLUMNS:,} can be read. Leave out those that "
            "you don't need, or join them into one list."
        )


class Nested:
    """Makes columns of nested objects: `{"a": {"b": 1}}` becomes `{"a.b": 1}`.

    An object of very many keys is a table of its own: what comes after the first 100 keys stays JSON text.
    """

    def __init__(self, kept: Collection[str] = ()) -> None:
        """Begin a reading.

        Args:
            kept: columns that are taken as they are.
        """
        self._kept = kept
        self._keys: dict[str, set[str]] = {}

    def flat(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a row whose values are no objects."""
        if dict not in map(type, row.values()):
            return row
        flat: dict[str, Any] = {}
        for name, value in row.items():
            self._put(flat, name, value, 1)
        return flat

    def _put(self, flat: dict[str, Any], name: str, value: Any, depth: int) -> None:
        if not self._is_object(name, value) or depth > DEEPEST:
            flat[free_name(name, flat)] = value
            return
        keys = self._keys.setdefault(name, set())
        rest = {}
        for key, inner in value.items():
            if key in keys or len(keys) < MOST_KEYS or f"{name}.{key}" in self._kept:
                keys.add(key)
                self._put(flat, f"{name}.{key}", inner, depth + 1)
            else:
                rest[key] = inner
        if rest:
            flat[free_name(name, flat)] = rest

    def _is_object(self, name: str, value: Any) -> bool:
        """Whether a value is an object to be taken apart: not an image as data sets keep it."""
        return isinstance(value, Mapping) and name not in self._kept and value.keys() != {"bytes", "path"}


class RowReader:
    """Turns the rows of one table, read once from start to end, into records."""

    def __init__(self, columns: Columns, folder: Path, dates: dict[str, CellType] | None = None) -> None:
        """Begin a reading.

        Args:
            columns: which columns are what.
            folder: what paths of files are relative to.
            dates: takes the fields whose texts may all be dates; None where dates have a type of their own.
        """
        self._columns = columns
        self._used = columns.used
        self._folder = folder
        self._dates = dates
        self._ids = Ids()
        self._nested = Nested(columns.used)
        self._names: dict[str, str] = {}  # of columns, as UTF-8 can hold them
        self._taken: set[str] = {LABEL} if columns.spans else set()
        self._listings: dict[Path, dict[str, str]] = {}
        self._named = NamedFiles()

    def entry(self, row: Mapping[str, Any], place: str) -> Record | Rejected:
        """Return the record that `row` holds, or why it holds none.

        Args:
            row: the values by column.
            place: the row as `file:line`, for `Rejected.id`.
        """
        columns = self._columns
        row = self._nested.flat(row)
        content = self._content(row)
        if isinstance(content, _Problem):
            return Rejected(place, content.reason)
        if columns.document and isinstance(content, bytes):
            return Rejected(place, f"the document column {columns.document!r} holds bytes; expected a path")
        labels: Labels | str | None = None
        if columns.spans and isinstance(content, str):
            labels = labels_of(row.get(columns.spans), content)
        if isinstance(labels, str):
            return Rejected(place, f"the spans column {columns.spans!r} {labels}")
        key = ""
        if columns.id:
            held = _text_of(row.get(columns.id))
            if held is None:
                return Rejected(place, f"the key column {columns.id!r} holds bytes that are not UTF-8 text")
            key = held.strip()
            if not key:
                return Rejected(place, f"the key column {columns.id!r} is empty")
            if not self._ids.take(key):
                return Rejected(place, f"the key {key!r} was used by an earlier row")
        elif not columns.beside:
            key = self._key(content)
        used, names, field = self._used, self._names, self._field
        fields = {
            (shown := names.get(name) or self.name(name)): field(shown, value)
            for name, value in row.items()
            if name not in used
        }
        if columns.document and isinstance(content, Path | NamedFile):
            return self._document(key, content, fields, place)
        return Record(key, columns.modality, content, fields, labels)

    def _document(
        self, key: str, content: Path | NamedFile, fields: Mapping[str, Value], place: str
    ) -> Record | Rejected:
        """Return the record of a document, which is read when its text is needed."""
        from embedsearch.sources import documents  # which reads files by lines, as tables do

        path = content if isinstance(content, Path) else None
        name = content.name if isinstance(content, Path) else urlsplit(content.address).path
        if documents.suffix_of(name) not in documents.READ_SUFFIXES:
            read = ", ".join(sorted(documents.READ_SUFFIXES))
            return Rejected(place, f"the file {name} is no document that can be read: {read}")
        limit, size = documents.limit_of(name), 0
        with suppress(OSError):  # it is rejected when it is read
            size = 0 if path is None else path.stat().st_size
        if size > limit:
            return Rejected(place, f"the file {path} is over {limit:,} bytes: split it into several")
        file = documents.file_of(name, content, "utf-8", ocr=self._columns.ocr)
        return Record(key, Modality.TEXT, file, fields, path=path)

    def _key(self, content: str | Path | bytes | NamedFile) -> str:
        """Return an id for a row that has none: where its content lies, or the hash of it."""
        if isinstance(content, Path):
            return self._ids.counted(self._relative(content))
        if isinstance(content, NamedFile):
            return self._ids.counted(content.address)
        return self._ids.of_content(content)

    def name(self, column: str) -> str:
        """Return a column's name without halves of surrogate pairs, apart from all others.

        Raises:
            SourceError: rows have brought more columns than can be read.
        """
        if column not in self._names:
            check_width(len(self._names) + 1, "The table")
            self._names[column] = free_name(clean(column), self._taken)
            self._taken.add(self._names[column])
        return self._names[column]

    def _field(self, name: str, value: Any) -> Value:
        if value is None:
            return None
        made = as_field(value)
        if self._dates is not None and made is not None:
            cells = self._dates.get(name) or self._dates.setdefault(name, CellType(DATES, frozenset()))
            if isinstance(made, str):
                cells.see(made)
            else:
                cells.give_up()
        return made

    def _content(self, row: Mapping[str, Any]) -> str | Path | bytes | NamedFile | _Problem:
        columns = self._columns
        if columns.beside:
            return b""
        if columns.vector:
            return self._vector(row.get(columns.vector))
        if columns.rows:
            return self._row(row)
        return self._held(row.get(columns.file)) if columns.file else self._text(row)

    def _row(self, row: Mapping[str, Any]) -> bytes | _Problem:
        """Return the columns that count as a JSON object, without those that hold nothing."""
        held = {self.name(name): as_field(row.get(name)) for name in self._columns.rows}
        filled = {name: value for name, value in held.items() if value is not None and value != ""}
        if not filled:
            return _Problem("all of its columns are empty")
        return json.dumps(filled, ensure_ascii=False, sort_keys=True, default=str).encode()

    def _text(self, row: Mapping[str, Any]) -> str | _Problem:
        parts = [_text_of(row.get(name)) for name in self._columns.text]
        text = "\n".join(part for part in parts if part and part.strip())
        if text:
            return text
        names = " and ".join(repr(name) for name in self._columns.text)
        if None in parts:
            return _Problem(f"the text column {names} holds bytes that are not UTF-8 text")
        return _Problem(f"the text column {names} is empty")

    def _vector(self, value: Any) -> bytes | _Problem:
        """Return a list of numbers, one in JSON, or the bytes of one in float32, as such bytes."""
        column = f"the vector column {self._columns.vector!r}"
        if value is None:
            return _Problem(f"{column} is empty")
        try:
            if isinstance(value, str):  # as tables of text write lists
                value = json.loads(value)
            held = isinstance(value, bytes | bytearray | memoryview)
            with np.errstate(over="ignore"):  # what float32 can't hold is not finite
                numbers = np.frombuffer(value, "<f4") if held else np.asarray(value, "<f4")
        except (TypeError, ValueError, OverflowError, RecursionError):
            return _Problem(f"{column} holds something that is no list of numbers")
        if numbers.ndim != 1 or not numbers.size:
            return _Problem(f"{column} holds something that is no list of numbers")
        problem = problem_of_vector(numbers)
        return _Problem(f"{column}: {problem}") if problem else numbers.tobytes()

    def _held(self, value: Any) -> Path | bytes | NamedFile | _Problem:
        """Return the image, the sound or the document that a cell holds, or names."""
        what = "document" if self._columns.document else str(self._columns.modality)
        column = f"the {what} column {self._columns.file!r}"
        if isinstance(value, Mapping) and (value.keys() & {"bytes", "path"}):
            value = value.get("bytes") or value.get("path")
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return _Problem(f"{column} is empty")
        if isinstance(value, bytes | bytearray | memoryview):
            return bytes(value) or _Problem(f"{column} is empty")
        if not isinstance(value, str):
            return _Problem(
                f"{column} holds a value of type {type(value).__name__}; expected a path, the bytes "
                f'of {"an" if what == "image" else "a"} {what} file, or {{"bytes": ..., "path": ...}}'
            )
        if not value.strip():
            return _Problem(f"{column} is empty")
        return self._file(value.strip())

    def _file(self, name: str) -> Path | NamedFile | _Problem:
        name = clean(name)
        if is_file_url(name):
            local = path_in(name)
            if local is None:
                return _Problem(f"{name} is a file on another machine; copy it and give its path")
            name = local
        elif is_address(name):
            try:
                return self._named.at(name)
            except (MissingExtraError, SourceError) as error:
                return _Problem(str(error).removesuffix("."))
        path = self._folder / name
        try:
            if "\\" in name and not path.is_file():  # a path as Windows writes it
                path = self._folder / name.replace("\\", "/")
            size = path.stat().st_size if path.is_file() else -1
            is_folder = size < 0 and path.is_dir()
        except (OSError, ValueError) as error:  # a name too long, or with a NUL byte
            return _Problem(f"{name[:200]!r} can't be the path of a file: {error}")
        if is_folder:
            return _Problem(f"{path} is a folder; a file was expected")
        if size < 0:
            return _Problem(f"there is no file {path}{self._why_missing(name, path)}")
        return path if size else _Problem(f"the file {path} is empty")

    def _why_missing(self, name: str, path: Path) -> str:
        """Return what may be wrong with a path, as the end of a sentence; or ""."""
        if _WINDOWS_DRIVE.match(name):
            return ", which is a path of a Windows machine: give paths relative to the table"
        found = Path(path.anchor)
        for part in path.parts[1:]:
            known = part if (found / part).exists() else self._listing(found).get(part.casefold())
            if known is None:
                return ""
            found /= known
        return f"; {found} differs in upper and lower case" if found != path else ""

    def _listing(self, folder: Path) -> dict[str, str]:
        """Return the names in a folder by their lower-case form."""
        if folder not in self._listings:
            try:
                self._listings[folder] = {each.name.casefold(): each.name for each in folder.iterdir()}
            except OSError:
                self._listings[folder] = {}
        return self._listings[folder]

    def _relative(self, path: Path) -> str:
        """The path seen from the table; `./a.png` and `a.png` are one."""
        return Path(relpath(path, self._folder)).as_posix()


@dataclass(frozen=True, slots=True)
class _Problem:
    reason: str


def _text_of(value: Any) -> str | None:
    """Return a cell as text: bytes are read as UTF-8, what is nested as JSON; None for other bytes."""
    if isinstance(value, str):
        return clean(value)
    held = as_scalar(value)
    if held is None:
        return None if isinstance(value, bytes) else ""
    return str(held)
