"""What flows from a source to an encoder: records, and the items that could not be read."""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, overload

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Scalar = str | int | float | bool | date | datetime | None
Value = Scalar | list[Scalar]  # of a field
Content = str | Path | bytes
Span = tuple[int, int]
LABEL = "label"  # the field of words and spans that have one
OUTSIDE = "O"  # the label of a word in no labelled span
PAGE, HEADING_PATH = "page", "heading"  # the fields of a document's passages
# A heading of Markdown, or the line at which a block of code begins or ends.
_HEADING = re.compile(r"^(?:(#{1,6})[ \t]+(\S.*)|[ ]{0,3}(`{3,}|~{3,})(.*))$", re.MULTILINE)
MOST_UNKNOWN = 1 / 3  # share of a text that the model may not know, for its vector to be judged


class Modality(StrEnum):
    """What a record's content is; `embedsearch.modalities` has a row for each."""

    TEXT = "text"
    IMAGE = "image"
    VIDEO = "video"
    SOUND = "sound"
    VECTOR = "vector"
    ROW = "row"


class Unit(StrEnum):
    """What gets a vector of its own; `embedsearch.modalities` has a row for each."""

    IMAGE = "image"
    TEXT = "text"
    WORD = "word"
    TOKEN = "token"
    SPAN = "span"
    FRAME = "frame"
    SOUND = "sound"
    VECTOR = "vector"
    ROW = "row"


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence and the words in it that get a vector each.

    Attributes:
        text: the sentence.
        spans: `[start, end)` in characters, one per word; None for every sub-token of the model.
    """

    text: str
    spans: tuple[Span, ...] | None = None


@dataclass(frozen=True, slots=True)
class Clip:
    """A stretch of time of a sound or a video.

    Attributes:
        source: the file, or its bytes.
        span: `[start, end)` in milliseconds.
    """

    source: Path | bytes
    span: Span


@dataclass(frozen=True, slots=True)
class Passages:
    """A text of which each passage gets a vector, where it is longer than the splitter's rule allows."""

    text: str


class Heading(NamedTuple):
    """A heading in a text: the character at which it starts, its level from 1 to 6, and its words."""

    start: int
    level: int
    text: str


def headings_in(text: str) -> Iterator[Heading]:
    """Yield the headings of a text, as Markdown writes them; in blocks of code there are none."""
    fence = ""
    for match in _HEADING.finditer(text):
        level, title, mark, behind = match.groups()
        if mark is None:
            if not fence:
                yield Heading(match.start(), len(level), title.strip())
        elif not fence:
            fence = mark
        elif mark.startswith(fence) and not behind.strip():
            fence = ""


@dataclass(frozen=True, slots=True)
class Outline:
    """Where in a text its pages and its sections start.

    Attributes:
        pages: the character at which each page starts, ascending; empty of a text without pages.
        headings: the character at which each heading starts, ascending, and the headings above it and itself.
    """

    pages: tuple[int, ...] = ()
    headings: tuple[tuple[int, tuple[str, ...]], ...] = ()

    @classmethod
    def of(cls, text: str) -> Outline:
        """Read the outline of a text: a form feed ends a page, and headings are those of Markdown."""
        pages = [0, *(match.end() for match in re.finditer("\f", text))] if "\f" in text else []
        headings: list[tuple[int, tuple[str, ...]]] = []
        above: list[tuple[int, str]] = []  # level and text
        for start, level, title in headings_in(text):
            above = [*(each for each in above if each[0] < level), (level, title)]
            headings.append((start, tuple(each[1] for each in above)))
        return cls(tuple(pages), tuple(headings))

    def fields(self, start: int) -> dict[str, Scalar]:
        """Return the page, from 1, and the path of headings of what starts at a character; what there is."""
        found: dict[str, Scalar] = {}
        if self.pages:
            found[PAGE] = bisect_right(self.pages, start)
        at = bisect_right(self.headings, start, key=lambda heading: heading[0])
        if at:
            found[HEADING_PATH] = " > ".join(self.headings[at - 1][1])
        return found


@dataclass(frozen=True, slots=True)
class Document:
    """What a file of a document holds.

    Attributes:
        text: all of it, in the order of reading.
        fields: what the file says of itself, such as its title.
    """

    text: str
    fields: Mapping[str, Scalar] = field(default_factory=dict)


class Deferred(Protocol):
    """A content that is read when it is needed: a text in a file, or a file in an archive or at an address.

    Its `repr` says where it lies, and not when it changed.
    """

    def stat(self) -> tuple[int, int]:
        """Return its size in bytes, and when it changed: nanoseconds, or a `stamp`; 0 for unknown.

        Raises:
            OSError: it can't be looked up.
        """

    def read(self) -> str | bytes | Document:
        """Return the text, the document, or the bytes of the file.

        Raises:
            ItemError: it holds nothing that can be used.
            OSError: it can't be read; it is tried again in the next build.
        """


class LabelledSpan(NamedTuple):
    """A stretch `[start, end)` of a text, in characters, and what it is."""

    start: int
    end: int
    label: str


@dataclass(frozen=True, slots=True)
class Labels:
    """What a source says of the words of a text.

    Attributes:
        spans: in their order; no two share a character.
        words: the text's words as the source splits them; None where it does not.
        rejected: of each span that can't be used, why; one sentence without its full stop.
    """

    spans: tuple[LabelledSpan, ...]
    words: tuple[Span, ...] | None = None
    rejected: tuple[str, ...] = ()

    def span_of(self, start: int, end: int) -> LabelledSpan | None:
        """Return the first span that shares a character with `[start, end)`; None where none does."""
        at = bisect_right(self.spans, start, key=lambda span: span.end)
        return self.spans[at] if at < len(self.spans) and self.spans[at].start < end else None

    def of(self, start: int, end: int) -> str:
        """Return the label of that span, or `OUTSIDE`."""
        span = self.span_of(start, end)
        return OUTSIDE if span is None else span.label

    @property
    def boundaries(self) -> str:
        """What of it decides the vectors of the text's words, and what is rejected; not the labels."""
        return repr(([span[:2] for span in self.spans], self.words, self.rejected))


@dataclass(frozen=True, slots=True)
class Record:
    """One thing read from a source.

    Attributes:
        id: stable identity within its source: a path, a key, or a content hash; never a position.
        modality: what `content` is.
        content: the text; the image, as a path or as the bytes of an image file; the vector, as the bytes of
            its float32 numbers, the least significant first; the row of a table, as the bytes of a JSON
            object; or what is read when it is needed.
        fields: what else the source knows, by column name: strings, whole numbers, floats, truth
            values, dates, None, or lists of these. Used by filters and shown with a hit. Cells of a text
            file are strings until the whole column is known.
        labels: of the words of a text; None where there are none.
        path: the file that a text lies in, where that holds no other; else None.
        outline: of a document, once it is read; else None.
    """

    id: str
    modality: Modality
    content: Content | Deferred
    fields: Mapping[str, Value] = field(default_factory=dict)
    labels: Labels | None = field(default=None, repr=False)  # the repr is that of 0.6 where there are none
    path: Path | None = field(default=None, repr=False)
    outline: Outline | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Matrix(Sequence[bytes]):
    """Vectors as one array; the bytes of one, as a record holds them, are made when they are asked for.

    Attributes:
        rows: (m, d) float32, the least significant byte first, C-contiguous.
    """

    rows: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, at: int) -> bytes: ...
    @overload
    def __getitem__(self, at: slice) -> Matrix: ...
    def __getitem__(self, at: int | slice) -> bytes | Matrix:
        return Matrix(self.rows[at]) if isinstance(at, slice) else self.rows[at].tobytes()

    def take(self, places: npt.NDArray[np.int64]) -> Matrix:
        """Return those at some places, (m,) ascending."""
        return self if len(places) == len(self) else Matrix(self.rows[places])


@dataclass(frozen=True, slots=True, eq=False)
class Block(Sequence[Record]):
    """Records that a source has as columns; each is made when it is asked for.

    Attributes:
        ids: of the records, as all.
        modality: of all of them.
        contents: their contents; of vectors of one length a `Matrix`.
        digests: the SHA-256 of each content, 32 bytes.
        fields: their fields.
    """

    ids: Sequence[str]
    modality: Modality
    contents: Sequence[bytes]
    digests: Sequence[bytes]
    fields: Sequence[Mapping[str, Value]]

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, at: int) -> Record: ...
    @overload
    def __getitem__(self, at: slice) -> Block: ...
    def __getitem__(self, at: int | slice) -> Record | Block:
        if isinstance(at, slice):
            return Block(self.ids[at], self.modality, self.contents[at], self.digests[at], self.fields[at])
        return Record(self.ids[at], self.modality, self.contents[at], self.fields[at])


@dataclass(frozen=True, slots=True)
class Rejected:
    """One thing that a source or an encoder could not use.

    Attributes:
        id: where it is: a path, a key, or `file:line`.
        reason: one sentence for a person.
    """

    id: str
    reason: str


Entry = Record | Rejected
Entries = Iterator[Entry]


def as_text(value: Value) -> str:
    """Return a field's value as people read it: a list with commas between its values."""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def described(fields: Mapping[str, Value]) -> str:
    """Return the values of a row in a line, as in "price 20 | colour red"."""
    return " | ".join(f"{name} {as_text(value)}" for name, value in fields.items() if value is not None)


def content_of(record: Record) -> Content:
    """Return what a record holds; it is read, where it lies elsewhere.

    Raises:
        ItemError, OSError: as `Deferred.read`.
    """
    content = record.content
    if isinstance(content, str | Path | bytes):
        return content
    held = content.read()
    return held.text if isinstance(held, Document) else held


def content_hash(content: Content) -> str:
    """Return 32 hex digits (128 bits of SHA-256) of a text (UTF-8), a file's bytes, or bytes.

    Raises:
        OSError: the file can't be read.
    """
    if isinstance(content, Path):
        with content.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:32]
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    return hashlib.sha256(data).hexdigest()[:32]


def clock(moment: tuple[float, float]) -> str:
    """Return a stretch of time in seconds as people read it, as in "1:05 to 1:15"; a short one as "1:05"."""
    shown = []
    for second in map(round, moment):
        hours, rest = divmod(second, 3600)
        shown.append(f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}")
    return " to ".join(dict.fromkeys(shown))


def stat_of(content: Path | Deferred) -> tuple[int, int]:
    """Return the size of a file in bytes, and when it changed; as `Deferred.stat`.

    Raises:
        OSError: it can't be looked up.
    """
    if isinstance(content, Path):
        found = content.stat()
        return found.st_size, found.st_mtime_ns
    return content.stat()


def stamp(*facts: object) -> int:
    """Return a number from 1 to 10^18 that changes with `facts`; it stands for a file's time of change.

    As nanoseconds it is a moment before 2002, so that it is never taken for a change of just now.
    """
    return 1 + int(hashlib.sha256(repr(facts).encode()).hexdigest(), 16) % 10**18


def unbroken(text: str) -> str:
    """Return `text` with halves of surrogate pairs as "?"; names of files that are not UTF-8 hold them."""
    return text.encode("utf-8", "replace").decode("utf-8")
