"""Documents: the text of PDF, Word, PowerPoint, HTML, EPUB and e-mail files, of Markdown and of plain text.

A form feed ends a page in the text, and headings are those of Markdown: see `embedsearch.records.Outline`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import yaml

from embedsearch.errors import ItemError
from embedsearch.records import Deferred, Document, Scalar, headings_in, stat_of, unbroken
from embedsearch.sources.lines import open_text, problem_of
from embedsearch.splitters.passages import unwrapped

EXTRA = "pip install 'embedsearch[documents]'"
DOCUMENT_LIMIT, FILE_LIMIT = 256 * 2**20, 64 * 2**20  # bytes of a document, and of a file of plain text
TEXT_LIMIT = 64 * 2**20  # characters of its text
SECONDS = 300  # that reading one file may take
DAMAGED = "it is damaged, or no {}: open it and save it again"
PAGE_END = "\n\f\n"
MARKDOWN = frozenset((".md", ".markdown"))
TEXT_SUFFIXES = frozenset((".txt", ".md", ".rst", ".text"))
AHEAD = 5  # headings of which the next one may be: some are not on a line of their own
# what a page says of itself, before its text; a long one is text
_FRONT = re.compile(r"\A(---|\+\+\+)[ \t]*\n(.{0,20000}?)^\1[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"!?\[([^\]\n]*)\]\([^()\s]*(?: \"[^\"\n]*\")?\)")  # with or without a title
# Names such as __init__ and powers such as 2**3 stay.
_STRONG = re.compile(r"(?<![\w*])(\*{1,2})(?=[^\s*])(.+?)(?<=[^\s*])\1(?![\w*])")
# The first one stands before the first page; of the private use area, so that no text holds it.
_MARKS = "\n\n\ue000{page_num}\ue001\n\n"
_MARK = re.compile("\\s*\ue000\\d+\ue001\\s*")


class _Format(NamedTuple):
    """How files of a suffix are read.

    Attributes:
        name: what people call them.
        mime: their type.
        output: in which form the library gives their text.
        has_pages: whether the library gives the text of each page beside the whole.
    """

    name: str
    mime: str
    output: str = "markdown"
    has_pages: bool = False


_OFFICE = "application/vnd.openxmlformats-officedocument"
FORMATS = {
    ".pdf": _Format("PDF", "application/pdf", has_pages=True),
    ".docx": _Format("Word file", f"{_OFFICE}.wordprocessingml.document"),
    ".pptx": _Format("PowerPoint file", f"{_OFFICE}.presentationml.presentation"),
    ".odt": _Format("OpenDocument text", "application/vnd.oasis.opendocument.text"),
    ".rtf": _Format("RTF file", "application/rtf"),
    # as Markdown a page's title, author and date would be mixed with its text
    ".html": _Format("HTML page", "text/html", "djot"),
    ".htm": _Format("HTML page", "text/html", "djot"),
    ".xhtml": _Format("HTML page", "text/html", "djot"),
    ".epub": _Format("EPUB book", "application/epub+zip"),
    ".eml": _Format("e-mail", "message/rfc822"),
    ".msg": _Format("Outlook message", "application/vnd.ms-outlook"),
}
DOCUMENT_SUFFIXES = frozenset(FORMATS)
READ_SUFFIXES = DOCUMENT_SUFFIXES | TEXT_SUFFIXES | MARKDOWN


@dataclass(frozen=True, slots=True)
class DocumentFile:
    """A document in a file; see `embedsearch.records.Deferred`.

    Attributes:
        content: the file.
        suffix: of its name, in lower case.
        ocr: whether pages without text are read by optical character recognition.
    """

    content: Path | Deferred
    suffix: str
    ocr: bool

    def stat(self) -> tuple[int, int]:
        """See `Deferred.stat`."""
        return stat_of(self.content)

    def read(self) -> Document:
        """See `Deferred.read`."""
        if importlib.util.find_spec("kreuzberg") is None:  # with the extra it is tried again
            raise OSError(0, f"the extra `documents` is not installed: {EXTRA}")
        data = self.content.read_bytes() if isinstance(self.content, Path) else self.content.read()
        assert isinstance(data, bytes)
        if not data:
            raise ItemError("the file is empty")
        try:
            return _document(data, self.suffix, ocr=self.ocr)
        except _StoppedError:
            return _read_apart(data, self.suffix, ocr=self.ocr)


@dataclass(frozen=True, slots=True)
class TextFile:
    """A text in a file of its own; see `embedsearch.records.Deferred`."""

    path: Path | Deferred
    encoding: str

    def stat(self) -> tuple[int, int]:
        """See `Deferred.stat`."""
        return stat_of(self.path)

    def read(self) -> str:
        """See `Deferred.read`."""
        with open_text(self.path, self.encoding, "embedsearch.mark") as (file, encoding):
            text = file.read()
        if problem := problem_of(text, encoding):
            raise ItemError(f"the file {problem}")
        if not text.strip():
            raise ItemError("the file is empty")
        return text


@dataclass(frozen=True, slots=True)
class MarkdownFile:
    """A Markdown file, whose headings count; see `embedsearch.records.Deferred`."""

    file: TextFile

    def stat(self) -> tuple[int, int]:
        """See `Deferred.stat`."""
        return self.file.stat()

    def read(self) -> Document:
        """See `Deferred.read`."""
        return markdown(self.file.read())


def file_of(name: str, content: Path | Deferred, encoding: str, *, ocr: bool) -> Deferred:
    """Return what reads a file as a document or as a plain text.

    Args:
        name: of the file; it ends in one of `READ_SUFFIXES`.
        content: the file.
        encoding: of texts.
        ocr: see `DocumentFile`.
    """
    suffix = suffix_of(name)
    if suffix in DOCUMENT_SUFFIXES:
        return DocumentFile(content, suffix, ocr)
    text = TextFile(content, encoding)
    return MarkdownFile(text) if suffix in MARKDOWN else text


def limit_of(name: str) -> int:
    """Return how many bytes a file of this name may have."""
    return DOCUMENT_LIMIT if suffix_of(name) in DOCUMENT_SUFFIXES else FILE_LIMIT


def markdown(text: str) -> Document:
    """Return the text of a Markdown file as a document, with what its front matter says of it.

    Without a title there, the first heading of the first level is the title.
    """
    text, said = _front_matter(text)
    title = next((each.text for each in headings_in(text) if each.level == 1), None)
    fields: dict[str, Scalar] = {} if title is None else {"title": title}
    return Document(text, fields | _facts(said))


def _front_matter(text: str) -> tuple[str, dict[str, Any]]:
    """Return a text without its front matter, and what that says; it is YAML or, between `+++`, TOML."""
    match = _FRONT.match(text)
    if match is None:
        return text, {}
    mark, held = match.groups()
    try:
        said = tomllib.loads(held) if mark == "+++" else yaml.safe_load(held)
    except (tomllib.TOMLDecodeError, yaml.YAMLError, ValueError, RecursionError):  # of a date that is none
        return text, {}
    if not isinstance(said, dict):  # two lines across a page, with text between them
        return text, {}
    found = {str(name).casefold(): value for name, value in said.items()}
    authors = found.get("authors", found.get("author"))
    return text[match.end() :], {
        "title": found.get("title"),
        "authors": [_name(each) for each in (authors if isinstance(authors, list) else [authors]) if each],
        "modified_at": found.get("date"),
    }


def _name(author: Any) -> Any:
    """Return the name of an author, who may be given with more, such as an address."""
    return author.get("name", "") if isinstance(author, dict) else author


class _StoppedError(Exception):
    """An earlier file broke the library, which reads no PDF any more in this process."""


def _document(data: bytes, suffix: str, *, ocr: bool) -> Document:
    """Return what a file holds.

    Raises:
        ItemError: it holds nothing that can be used.
        OSError: the extra `ocr` is not installed.
        _StoppedError: a process of its own has to read it.
    """
    made = _extracted(data, FORMATS[suffix])
    text = _pages_of(made, data, ocr=ocr) if made.pages else _cleaned(made.content)
    text = unbroken(text).replace("\0", "")
    if not text.strip():
        raise ItemError("it holds no text")
    if len(text) > TEXT_LIMIT:
        raise ItemError(f"its text is over {TEXT_LIMIT:,} characters: split it into several files")
    return Document(text, _facts(made.metadata))


def _read_apart(data: bytes, suffix: str, *, ocr: bool) -> Document:
    """Read a file as `_document`, by a process of its own.

    Raises:
        ItemError: it holds nothing that can be used.
        OSError: the extra `ocr` is not installed.
    """
    if ocr:
        _require_ocr()
    code = f"from {__name__} import answer; answer({suffix!r}, ocr={ocr})"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    asked = subprocess.run(
        [sys.executable, "-c", code], input=data, capture_output=True, check=False, env=environment
    )
    if asked.returncode:
        raise ItemError(DAMAGED.format(FORMATS[suffix].name))
    found = json.loads(asked.stdout)
    if "reason" in found:
        raise ItemError(found["reason"])
    day = {name: date.fromisoformat(value) for name, value in found["fields"].items() if name == "date"}
    return Document(found["text"], found["fields"] | day)


def answer(suffix: str, *, ocr: bool) -> None:
    """Write the document in the file on standard input, or why there is none, as JSON; `_read_apart`."""
    try:
        found = asdict(_document(sys.stdin.buffer.read(), suffix, ocr=ocr))
    except ItemError as error:
        found = {"reason": str(error)}
    json.dump(found, sys.stdout, default=str)  # a date is written as in ISO 8601


def suffix_of(name: str) -> str:
    """Return the suffix of a file's name, in lower case."""
    return PurePosixPath(name).suffix.lower()


def _extracted(data: bytes, of: _Format) -> Any:
    """Return what the library makes of a file.

    Raises:
        ItemError: it is damaged, is protected by a password, or takes too long.
        _StoppedError: an earlier file broke the library.
    """
    import kreuzberg

    pages = kreuzberg.PageConfig(
        extract_pages=of.has_pages, insert_page_markers=not of.has_pages, marker_format=_MARKS
    )
    config = kreuzberg.ExtractionConfig(
        output_format=of.output, pages=pages, use_cache=False, extraction_timeout_secs=SECONDS
    )
    with _refusing(of):
        return kreuzberg.extract_bytes_sync(data, of.mime, config=config)


@contextmanager
def _refusing(of: _Format) -> Iterator[None]:
    """Raise what the library can't do with a file as an `ItemError`, or as a `_StoppedError`."""
    import kreuzberg

    try:
        yield
    except kreuzberg.ExtractionTimeoutError:
        raise ItemError(f"reading it takes over {SECONDS} seconds: split it into several files") from None
    except (kreuzberg.KreuzbergError, RuntimeError, OSError) as error:  # the last two of some damaged files
        if "poisoned" in str(error):
            raise _StoppedError from None
        if re.search(r"password|encrypt", str(error), re.IGNORECASE):
            raise ItemError("it is protected by a password: save a copy without one") from None
        raise ItemError(DAMAGED.format(of.name)) from None


def _cleaned(text: str) -> str:
    """Return the text of a document without front matter, addresses of links, and marks of bold print."""
    text = _FRONT.sub("", text.replace("\r\n", "\n"))
    text = _STRONG.sub(r"\2", _LINK.sub(r"\1", text))
    pages = _MARK.split(text)
    return PAGE_END.join(pages if pages[0].strip() else pages[1:])


def _pages_of(made: Any, data: bytes, *, ocr: bool) -> str:
    """Return the text of a PDF: its pages, with the headings that the library finds by their print.

    Raises:
        ItemError: no page has a text.
    """
    pages = [_lines_of(page["content"]) for page in made.pages or ()]
    blank = [at for at, page in enumerate(pages) if not any(sign.isalnum() for sign in page)]
    if ocr and blank:
        for at, text in zip(blank, _recognised(data, blank), strict=True):
            pages[at] = text
    elif len(blank) == len(pages):
        raise ItemError("it is a scan, whose pages hold images and no text: --ocr reads it")
    headings = [(each.level, each.text) for each in headings_in(made.content)]
    return PAGE_END.join(_with_headings(pages, headings))


def _lines_of(page: str) -> str:
    """Return the text of a page of a PDF; U+0002 stands for a hyphen at the end of a line."""
    return page.replace("\r\n", "\n").replace("\r", "").replace("\x02", "").replace("\f", "\n").strip()


def _with_headings(pages: Sequence[str], headings: Sequence[tuple[int, str]]) -> Iterator[str]:
    """Yield pages in which the lines that are the next headings are marked as such."""
    at = 0
    for page in pages:
        lines = []
        for line in page.split("\n"):
            ahead = headings[at : at + AHEAD]
            found = next((place for place, each in enumerate(ahead) if each[1] == line.strip()), None)
            if found is None:
                lines.append(line)
                continue
            lines += ["", f"{'#' * ahead[found][0]} {line.strip()}", ""]
            at += found + 1
        yield unwrapped("\n".join(lines).strip())


def _recognised(data: bytes, pages: Sequence[int]) -> list[str]:
    """Return the texts of pages of a PDF by optical character recognition.

    Raises:
        OSError: the extra `ocr` is not installed; it is tried again in the next build.
    """
    _require_ocr()
    from tempfile import NamedTemporaryFile

    import kreuzberg

    read = _recogniser()
    with NamedTemporaryFile(suffix=".pdf") as file:
        file.write(data)
        file.flush()
        with _refusing(FORMATS[".pdf"]):
            images = (kreuzberg.render_pdf_page(file.name, page, dpi=200) for page in pages)  # one at a time
            return ["\n".join(line[1] for line in read(image)[0] or ()) for image in images]


def _require_ocr() -> None:
    if importlib.util.find_spec("rapidocr_onnxruntime") is None:
        raise OSError(0, "the extra `ocr` is not installed: pip install 'embedsearch[ocr]'")


_loaded: list[Callable[[bytes], Any]] = []


def _recogniser() -> Callable[[bytes], Any]:
    """Return what reads the text of an image, loaded once."""
    if not _loaded:
        from rapidocr_onnxruntime import RapidOCR

        _loaded.append(RapidOCR())
    return _loaded[0]


def _facts(metadata: Any) -> dict[str, Scalar]:
    """Return the title, the author and the date that a document says of itself."""
    authors = metadata.get("authors") or [metadata.get("from_email") or ""]
    found: dict[str, Scalar] = {
        "title": _line(metadata.get("title") or metadata.get("subject")),
        "author": _line(", ".join(str(each) for each in authors)),
        "date": _date(str(metadata.get("modified_at") or metadata.get("created_at") or "")),
    }
    return {name: value for name, value in found.items() if value is not None}


def _line(value: Any) -> str | None:
    """Return a text in one line; None for an empty one, and for what programs write in its place."""
    text = " ".join(unbroken(str(value or "")).split())
    return None if text.lower() in ("", "untitled", "(unspecified)", "(anonymous)") else text


def _date(text: str) -> date | None:
    """Return the day of a time as documents or e-mails write it; None for anything else."""
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            return read(text).date()
        except (ValueError, TypeError):
            continue
    return None
