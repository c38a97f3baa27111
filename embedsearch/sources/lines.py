"""Text files read line by line, with what can't be decoded marked; and a source of one text a line."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TextIO

from embedsearch.errors import SourceError, nearest
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Entries, Modality, Record, Rejected
from embedsearch.sources.paths import existing_file, printable, refuse_columns
from embedsearch.sources.table import Ids

# A longer line is passed over, so that a file without line ends is never held in memory whole.
LINE_LIMIT = 64 * 2**20
_BOMS = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_COMMON = ("utf-8", "utf-16", "latin-1", "cp1252", "shift_jis", "gb18030", "euc_kr", "koi8-r", "big5")
# No decoder yields this lone surrogate by itself, and it works for the encodings, UTF-16 among them,
# that the standard `surrogateescape` does not serve.
_MARK = "\udcff"


def _mark(error: UnicodeError) -> tuple[str, int]:
    if isinstance(error, UnicodeDecodeError):
        return _MARK, error.end
    raise error


codecs.register_error("embedsearch.mark", _mark)


class Line(NamedTuple):
    """One physical line.

    Attributes:
        number: counted from 1.
        text: the line with its line end; empty if it is over `LINE_LIMIT`.
        problem: why it can't be used, as the end of a sentence that begins with "the line"; or "".
    """

    number: int
    text: str
    problem: str


def check_encoding(encoding: str) -> None:
    """Check that Python knows a text encoding of this name.

    Raises:
        SourceError: it does not.
    """
    try:
        io.TextIOWrapper(io.BytesIO(), encoding=encoding).read()
    except (LookupError, ValueError):
        hint = nearest(encoding.lower(), _COMMON) or f" Common ones are {', '.join(_COMMON)}."
        raise SourceError(f"--encoding {encoding!r} is not a known text encoding.{hint}") from None


@contextmanager
def open_text(
    path: Path, encoding: str, errors: str, newline: str | None = None
) -> Iterator[tuple[TextIO, str]]:
    """Open a text file, once; a byte order mark at its start decides the encoding.

    Args:
        path: the file.
        encoding: of a file without such a mark.
        errors: as in `open`.
        newline: as in `open`.

    Yields:
        The file, and the encoding that it is read in.
    """
    with path.open("rb") as file:
        start = file.peek(4)
        found = next((name for bom, name in _BOMS if start.startswith(bom)), encoding)
        with io.TextIOWrapper(file, found, errors, newline) as text:
            yield text, found


def undecodable(encoding: str) -> str:
    """Return the end of a sentence on bytes that are not text in `encoding`, with what to do."""
    return f"is not {encoding} text: name the file's encoding, as in --encoding cp1252"


def problem_of(text: str, encoding: str) -> str:
    """Return why `text`, decoded by `read_lines` or with its error handler, can't be used; or ""."""
    if _MARK in text:
        return undecodable(encoding)
    if "\0" in text:
        return "holds a NUL byte: if the file is UTF-16, say so with --encoding utf-16"
    return ""


def read_lines(path: Path, encoding: str) -> Iterator[Line]:
    r"""Yield the lines of `path`, ended by ``\n``, ``\r\n`` or ``\r``, in bounded memory."""
    with open_text(path, encoding, "embedsearch.mark", "") as (file, found):
        number = 0
        while text := file.readline(LINE_LIMIT):
            number += 1
            if len(text) < LINE_LIMIT or text[-1] in "\r\n":
                yield Line(number, text, problem_of(text, found))
                continue
            while text and text[-1] not in "\r\n":
                text = file.readline(LINE_LIMIT)
            yield Line(number, "", f"is longer than {LINE_LIMIT:,} characters")


class TextLines:
    """A text file in which each line that is not blank is a text; the field `line` counts from 1."""

    def __init__(self, recipe: SourceRecipe) -> None:
        refuse_columns(recipe, "a text file")
        self._path = existing_file(recipe.location, "a text file")
        self._encoding = recipe.encoding
        check_encoding(recipe.encoding)
        if not self._path.stat().st_size:
            raise SourceError(f"{self._path} is empty; expected one text a line.")

    def modality(self) -> Modality:
        """Lines are texts."""
        return Modality.TEXT

    def count(self) -> int | None:
        """Not known without reading the file."""
        return None

    def passed_over(self) -> Mapping[str, int]:
        """Nothing: only a folder holds what is not read."""
        return {}

    def __iter__(self) -> Entries:
        """Yield the lines, in order."""
        ids = Ids()
        for line in read_lines(self._path, self._encoding):
            text = line.text.strip()
            if line.problem:
                yield Rejected(f"{printable(self._path.name)}:{line.number}", f"the line {line.problem}")
            elif text:
                yield Record(ids.of_content(text), Modality.TEXT, text, {"line": line.number})
