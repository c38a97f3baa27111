"""Text files read line by line, with what can't be decoded marked; and a source of one text a line."""

from __future__ import annotations

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TextIO, cast

from embedsearch.errors import SourceError, nearest
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Deferred, Entries, Modality, Record, Rejected
from embedsearch.sources.paths import existing_file, printable, refuse_columns
from embedsearch.sources.table import Ids, NothingToReport

# A longer line is passed over, so that a file without line ends is never held in memory whole.
LINE_LIMIT = 64 * 2**20
_BOMS = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
GZIP = b"\x1f\x8b"
SAMPLE, SAMPLE_GUESSED = 2**20, 2**14  # bytes that are looked at to tell an encoding
_OTHER_FILES = (  # how other files begin, what they are, and what to do
    (b"PK\x03\x04", "a zip archive, as Excel workbooks are", "Name a workbook .xlsx; unpack an archive."),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", "Name it .xls."),
    (b"PAR1", "a Parquet file", "Name it .parquet."),
    (b"ARROW1", "an Arrow file", "Name it .arrow."),
    (b"BZh", "packed by bzip2", "Unpack it, or pack it with gzip."),
    (b"\xfd7zXZ", "packed by xz", "Unpack it, or pack it with gzip."),
    (b"\x28\xb5\x2f\xfd", "packed by zstd", "Unpack it, or pack it with gzip."),
    (b"\x93NUMPY", "an array of NumPy", "Name it .npy."),
    (b"%PDF", "a PDF", "Export the table as CSV."),
    (b"\x89PNG", "an image", "Give the folder that it is in."),
    (b"\xff\xd8\xff", "an image", "Give the folder that it is in."),
    (b"SQLite f", "an SQLite database", "Export the table as CSV."),
)
# beyond letters, what texts in western encodings hold
_USUAL = frozenset("€‚„…†‡‰‹‘’“”•–—™› ¡¢£¥§©«®°±²³´µ·¹º»¼½¾¿×÷ªº\xad")
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
    path: Path | Deferred, encoding: str, errors: str, newline: str | None = None
) -> Iterator[tuple[TextIO, str]]:
    """Open a text file, once; a byte order mark at its start decides the encoding.

    Args:
        path: the file, or what reads its bytes.
        encoding: of a file without such a mark.
        errors: as in `open`.
        newline: as in `open`.

    Yields:
        The file, and the encoding that it is read in.
    """
    with path.open("rb") if isinstance(path, Path) else _held(path) as raw:
        packed = raw.peek(2).startswith(GZIP)
        file = gzip.GzipFile(fileobj=raw) if packed else raw
        start = file.peek(4)
        found = next((name for bom, name in _BOMS if start.startswith(bom)), encoding)
        with io.TextIOWrapper(file, found, errors, newline) as text:
            yield text, found


def _held(content: Deferred) -> io.BufferedReader:
    """Return the bytes of what is read when it is needed as an open file."""
    data = content.read()
    assert isinstance(data, bytes)
    return io.BufferedReader(cast(io.RawIOBase, io.BytesIO(data)))


def check_text(path: Path, what: str) -> None:
    """Check that a file is not of another kind than text; one packed by gzip is unpacked as it is read.

    Args:
        path: the file.
        what: what was expected, as in "a CSV or TSV file".

    Raises:
        SourceError: it begins as an archive, a workbook, an image, ... does.
    """
    try:
        with open_text(path, "latin-1", "strict") as (file, _):
            start = file.buffer.read(8)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise SourceError(f"{path} is a damaged gzip file: {error}. Pack it again.") from None
    for magic, kind, advice in _OTHER_FILES:
        if start.startswith(magic):
            raise SourceError(f"{path} is {kind}; expected {what}. {advice}")


def likely_encoding(path: Path) -> str:
    """Return the encoding that a file's bytes beyond ASCII seem to be in, "" where that can't be told."""
    with open_text(path, "latin-1", "strict", "") as (file, _):
        sample = file.buffer.read(SAMPLE)
    lines = [line for line in sample.split(b"\n") if not line.isascii()]
    if not lines:
        return ""
    try:
        text = b"\n".join(lines).decode("cp1252")
    except UnicodeDecodeError:
        text = ""
    strange = sum(not (sign.isalpha() or sign in _USUAL) for sign in text if not sign.isascii())
    if text and not strange and _is_western(text):
        return "cp1252"
    from charset_normalizer import from_bytes

    best = from_bytes(b"\n".join(lines)[:SAMPLE_GUESSED]).best()
    return "" if best is None or best.encoding in ("utf_8", "ascii") else best.encoding


def _is_western(text: str) -> bool:
    """Whether letters beyond ASCII stand alone among others, as in German or French, not in rows."""
    return re.search("[^\\W\\d_a-zA-Z]{3}", text) is None


def undecodable(encoding: str, likely: str = "") -> str:
    """Return the end of a sentence on bytes that are not text in `encoding`, with what to do.

    Args:
        encoding: what the file was read as.
        likely: what it seems to be; empty where that can't be told.
    """
    if likely:
        return f"is not {encoding} text; the file seems to be {likely}: give --encoding {likely}"
    return f"is not {encoding} text: name the file's encoding, as in --encoding cp1252"


def problem_of(text: str, encoding: str, likely: str = "") -> str:
    """Return why `text`, decoded by `read_lines` or with its error handler, can't be used; or ""."""
    if _MARK in text:
        return undecodable(encoding, likely)
    if "\0" in text:
        return "holds a NUL byte: if the file is UTF-16, say so with --encoding utf-16"
    return ""


def read_lines(path: Path, encoding: str) -> Iterator[Line]:
    r"""Yield the lines of `path`, ended by ``\n``, ``\r\n`` or ``\r``, in bounded memory.

    A file packed by gzip is unpacked. Where it is damaged, the last line says so.
    """
    number, likely = 0, None
    try:
        with open_text(path, encoding, "embedsearch.mark", "") as (file, found):
            while text := file.readline(LINE_LIMIT):
                number += 1
                if len(text) < LINE_LIMIT or text[-1] in "\r\n":
                    if likely is None and _MARK in text:
                        likely = likely_encoding(path)
                    yield Line(number, text, problem_of(text, found, likely or ""))
                    continue
                while text and text[-1] not in "\r\n":
                    text = file.readline(LINE_LIMIT)
                yield Line(number, "", f"is longer than {LINE_LIMIT:,} characters")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        yield Line(number + 1, "", f"and all after it can't be unpacked: {error}")


class TextLines(NothingToReport):
    """A text file in which each line that is not blank is a text; the field `line` counts from 1."""

    def __init__(self, recipe: SourceRecipe) -> None:
        refuse_columns(recipe, "a text file")
        self._path = existing_file(recipe.location, "a text file")
        check_text(self._path, "a text file")
        self._encoding = recipe.encoding
        check_encoding(recipe.encoding)
        if not self._path.stat().st_size:
            raise SourceError(f"{self._path} is empty; expected one text on each line.")

    def modality(self) -> Modality:
        """Lines are texts."""
        return Modality.TEXT

    def count(self) -> int | None:
        """Not known without reading the file."""
        return None

    def __iter__(self) -> Entries:
        """Yield the lines, in order."""
        ids = Ids()
        for line in read_lines(self._path, self._encoding):
            text = line.text.strip()
            if line.problem:
                yield Rejected(f"{printable(self._path.name)}:{line.number}", f"the line {line.problem}")
            elif text:
                yield Record(ids.of_content(text), Modality.TEXT, text, {"line": line.number})
