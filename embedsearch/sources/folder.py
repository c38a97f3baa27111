"""Folders of pictures and folders of texts: one file, one record, its path the id."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from embedsearch.errors import SourceError
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Entries, Entry, Modality, Record, Rejected, Scalar
from embedsearch.sources.lines import check_encoding, encoding_of, problem_of
from embedsearch.sources.paths import existing_folder, printable, refuse_columns, walk

PICTURE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".avif", ".ppm")
)
HEIF_SUFFIXES = frozenset((".heic", ".heif"))
TEXT_SUFFIXES = frozenset((".txt", ".md", ".rst", ".text"))
CAPTION_LIMIT = 64 * 2**10  # bytes; a longer .txt is no caption, and only its beginning is kept
TEXT_LIMIT = 64 * 2**20
# A translated caption of a Tux Paint stamp: `pt_BR.utf8=Um pardal.`
_TRANSLATION = re.compile(r"[a-z]{2,3}(_[A-Za-z]{2})?(\.[\w-]+)?(@\w+)?(\.[\w-]+)?=")


def picture_suffixes() -> frozenset[str]:
    """Return the suffixes of the pictures that can be opened here, in lower case."""
    return PICTURE_SUFFIXES | (HEIF_SUFFIXES if find_spec("pillow_heif") else frozenset())


class ImageFolder:
    """The pictures in a folder and the folders in it.

    The id is the path relative to the folder. Fields: `label`, the sub-folder; `caption`, the text of
    the `.txt` file of the same name; `file`, the file's name.
    """

    def __init__(self, recipe: SourceRecipe) -> None:
        refuse_columns(recipe, "a folder of pictures")
        self._root = existing_folder(recipe.location, "a folder of pictures")
        self._encoding = recipe.encoding
        check_encoding(recipe.encoding)
        self._suffixes = picture_suffixes()
        _check_not_empty(self._root, self._suffixes, "pictures")

    def modality(self) -> Modality:
        """Pictures."""
        return Modality.IMAGE

    def count(self) -> int | None:
        """The number of files; they are listed, not opened."""
        return sum(1 for _ in _files(self._root, self._suffixes))

    def __iter__(self) -> Entries:
        """Yield the pictures, sorted by path; a file of no bytes is rejected."""
        for name, entry in _files(self._root, self._suffixes):
            unusable = _check(name, entry)
            path = self._root / name
            yield unusable or Record(
                name, Modality.IMAGE, path, {**_place(name), "caption": _caption(path, self._encoding)}
            )


class TextFolder:
    """The text files in a folder and the folders in it, each file one text.

    The id is the path relative to the folder. Fields: `label`, the sub-folder; `file`, the file's name.
    """

    def __init__(self, recipe: SourceRecipe) -> None:
        refuse_columns(recipe, "a folder of texts")
        self._root = existing_folder(recipe.location, "a folder of texts")
        self._encoding = recipe.encoding
        check_encoding(recipe.encoding)
        _check_not_empty(self._root, TEXT_SUFFIXES, "texts")

    def modality(self) -> Modality:
        """Texts."""
        return Modality.TEXT

    def count(self) -> int | None:
        """The number of files; they are listed, not opened."""
        return sum(1 for _ in _files(self._root, TEXT_SUFFIXES))

    def __iter__(self) -> Entries:
        """Yield the texts, sorted by path; a file that is empty or can't be decoded is rejected."""
        for name, entry in _files(self._root, TEXT_SUFFIXES):
            yield _check(name, entry) or self._read(name)

    def _read(self, name: str) -> Entry:
        path = self._root / name
        try:
            if path.stat().st_size > TEXT_LIMIT:
                return Rejected(name, f"the file is over {TEXT_LIMIT:,} bytes: split it into several texts")
            encoding = encoding_of(path, self._encoding)
            text = path.read_text(encoding, errors="embedsearch.mark")
        except OSError as error:
            return Rejected(name, f"the file can't be read: {error.strerror}")
        if problem := problem_of(text, encoding):
            return Rejected(name, f"the file {problem}")
        if not text.strip():
            return Rejected(name, "the file is empty")
        return Record(name, Modality.TEXT, text, _place(name))


def _files(root: Path, suffixes: frozenset[str]) -> Iterator[tuple[str, os.DirEntry[str] | OSError]]:
    return walk(root, lambda name: PurePosixPath(name).suffix.lower() in suffixes)


def _check_not_empty(root: Path, suffixes: frozenset[str], what: str) -> None:
    if next(_files(root, suffixes), None) is None:
        lacks_heif = suffixes >= PICTURE_SUFFIXES and not suffixes >= HEIF_SUFFIXES
        heif = " (.heic and .heif too, after pip install 'embedsearch[heif]')" if lacks_heif else ""
        raise SourceError(
            f"{root} holds no {what}; expected files that end in {', '.join(sorted(suffixes))}{heif}."
        )


def _check(name: str, entry: os.DirEntry[str] | OSError) -> Rejected | None:
    """What speaks against a file without opening it."""
    if isinstance(entry, OSError):
        return Rejected(printable(name), f"it can't be read: {entry.strerror}")
    if printable(name) != name:
        return Rejected(printable(name), "its name is not UTF-8: rename it")
    try:
        return None if entry.stat().st_size else Rejected(name, "the file is empty")
    except OSError as error:
        return Rejected(name, f"it can't be read: {error.strerror}")


def _place(name: str) -> dict[str, Scalar]:
    """The fields that a file's relative path tells."""
    path = PurePosixPath(name)
    folder = path.parent.as_posix()
    return {"label": None if folder == "." else folder, "file": path.name}


def _caption(picture: Path, encoding: str) -> str | None:
    """The text of the `.txt` file beside a picture; of a Tux Paint stamp the English line alone."""
    path = picture.with_suffix(".txt")
    if not path.is_file():  # also a pipe, whose reader would wait for ever
        return None
    try:
        encoding = encoding_of(path, encoding)
        with path.open(encoding=encoding, errors="replace") as file:
            text = file.read(CAPTION_LIMIT).strip()
    except OSError:
        return None
    first, *later = text.splitlines() or [""]
    translations = [line for line in later if line.strip()]
    if translations and sum(bool(_TRANSLATION.match(line)) for line in translations) * 2 > len(translations):
        text = first.strip()
    return text or None
