"""Folders of images and of texts: one file, one record, its path the id."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from embedsearch.errors import ItemError, SourceError
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Entries, Modality, Record, Rejected, Scalar
from embedsearch.sources.image_files import USUAL, image_suffixes, image_test
from embedsearch.sources.lines import check_encoding, open_text, problem_of
from embedsearch.sources.paths import (
    Beside,
    PassedOver,
    Wanted,
    existing_folder,
    listed,
    printable,
    refuse_columns,
    walk,
)
from embedsearch.sources.table import Reading

TEXT_SUFFIXES = frozenset((".txt", ".md", ".rst", ".text"))
# Files that are not opened to see whether they hold an image.
NOT_IMAGES = TEXT_SUFFIXES | {
    ".csv", ".tsv", ".json", ".jsonl", ".parquet", ".xlsx", ".html", ".xml", ".svg", ".pdf", ".eps", ".py",
    ".mp3", ".ogg", ".wav", ".mp4", ".mov", ".avi", ".mkv", ".zip", ".gz",
}  # fmt: skip
CAPTION_LIMIT = 64 * 2**10  # bytes; a longer .txt is no caption, and only its beginning is kept
TEXT_LIMIT = 64 * 2**20
NAMES_A_BLOCK = 1024
# A translated caption of a Tux Paint stamp: `pt_BR.utf8=Um pardal.`
_TRANSLATION = re.compile(r"[a-z]{2,3}(_[A-Za-z]{2})?(\.[\w-]+)?(@\w+)?(\.[\w-]+)?=")


class _Files:
    """The files in a folder and the folders in it that are wanted, listed once."""

    def __init__(self, root: Path, wanted: Wanted, what: str, passed_over: PassedOver) -> None:
        """List them.

        Args:
            root: the folder.
            wanted: tells which they are.
            what: what they are, with what is expected, as in "images; expected .png".
            passed_over: counts the others.

        Raises:
            SourceError: there is none.
        """
        self._root = root
        self._blocks: list[str] = []  # names, many in one text, take a third of the memory
        self._errors: dict[str, str] = {}
        names: list[str] = []
        self.count = 0
        self.passed_over = passed_over.kinds
        for name, entry in walk(root, wanted, passed_over):
            self.count += 1
            names.append(name)
            if isinstance(entry, OSError):
                self._errors[name] = f"it can't be read: {entry.strerror}"
            if len(names) == NAMES_A_BLOCK:
                self._blocks.append("\0".join(names))
                names = []
        self._blocks += ["\0".join(names)] if names else []
        if not self.count:
            others = f" It holds {listed(self.passed_over)}." if self.passed_over else ""
            raise SourceError(f"{root} holds no {what}.{others}")

    def __iter__(self) -> Iterator[tuple[str, Path, int] | Rejected]:
        """Yield each file's relative path, its path and its size in bytes; or why it can't be used."""
        for name in (name for block in self._blocks for name in block.split("\0")):
            if name in self._errors:
                yield Rejected(printable(name), self._errors[name])
            elif printable(name) != name:
                yield Rejected(printable(name), "its name is not UTF-8: rename it")
            else:
                path = self._root / name
                try:
                    size = path.stat().st_size
                except OSError as error:
                    yield Rejected(name, f"it can't be read: {error.strerror}")
                else:
                    yield (name, path, size) if size else Rejected(name, "the file is empty")


class CaptionedFolder:
    """The files of one modality in a folder and the folders in it, listed when the folder is opened.

    The id is the path relative to the folder. Fields: `label`, the sub-folder; `caption`, the text of
    the `.txt` file of the same name; `file`, the file's name.
    """

    def __init__(
        self,
        recipe: SourceRecipe,
        modality: Modality,
        wanted: Wanted,
        suffixes: frozenset[str],
        expected: str,
    ) -> None:
        """List the files.

        Args:
            recipe: names the folder.
            modality: of the files.
            wanted: tells which files are of it.
            suffixes: of files that may have a caption beside them, in lower case.
            expected: names some suffixes, for a message.
        """
        what = f"a folder of {modality}s"
        refuse_columns(recipe, what)
        root = existing_folder(recipe.location, what)
        self._modality = modality
        self._encoding = recipe.encoding
        check_encoding(recipe.encoding)
        passed_over = PassedOver(recipe.exclude, partial(_is_caption, suffixes=suffixes))
        self._files = _Files(root, wanted, f"{modality}s; expected {expected}", passed_over)

    def modality(self) -> Modality:
        """What the files hold."""
        return self._modality

    def count(self) -> int | None:
        """The number of files."""
        return self._files.count

    def reading(self) -> Reading:
        """Nothing: files are not read before they are embedded."""
        return Reading()

    def passed_over(self) -> Mapping[str, int]:
        """The files that are not read, by suffix; the folders of thumbnails; and what is excluded."""
        return self._files.passed_over

    def __iter__(self) -> Entries:
        """Yield the files, sorted by path; a file of no bytes is rejected."""
        for file in self._files:
            if isinstance(file, Rejected):
                yield file
            else:
                name, path, _ = file
                fields = {**_place(name), "caption": _caption(path, self._encoding)}
                yield Record(name, self._modality, path, fields)


class ImageFolder(CaptionedFolder):
    """The images in a folder: by their suffixes, or else by their first bytes."""

    def __init__(self, recipe: SourceRecipe) -> None:
        expected = f"{', '.join(USUAL)} or what else Pillow reads"
        super().__init__(recipe, Modality.IMAGE, image_test(NOT_IMAGES), image_suffixes(), expected)


@dataclass(frozen=True, slots=True)
class TextFile:
    """A text in a file of its own; see `embedsearch.records.Deferred`."""

    path: Path
    encoding: str

    def read(self) -> str:
        """See `Deferred.read`."""
        with open_text(self.path, self.encoding, "embedsearch.mark") as (file, encoding):
            text = file.read()
        if problem := problem_of(text, encoding):
            raise ItemError(f"the file {problem}")
        if not text.strip():
            raise ItemError("the file is empty")
        return text


class TextFolder:
    """The text files in a folder and the folders in it, each file one text, listed when the folder is opened.

    A file is read when its text is asked for. The id is the path relative to the folder. Fields: `label`, the
    sub-folder; `file`, the file's name.
    """

    def __init__(self, recipe: SourceRecipe) -> None:
        refuse_columns(recipe, "a folder of texts")
        root = existing_folder(recipe.location, "a folder of texts")
        self._encoding = recipe.encoding
        check_encoding(recipe.encoding)
        what = f"texts; expected files that end in {', '.join(sorted(TEXT_SUFFIXES))}"
        self._files = _Files(root, has_suffix(TEXT_SUFFIXES), what, PassedOver(recipe.exclude))

    def modality(self) -> Modality:
        """Texts."""
        return Modality.TEXT

    def count(self) -> int | None:
        """The number of files."""
        return self._files.count

    def reading(self) -> Reading:
        """Nothing: files are not read before they are embedded."""
        return Reading()

    def passed_over(self) -> Mapping[str, int]:
        """The files that are not read, by suffix; the folders of thumbnails; and what is excluded."""
        return self._files.passed_over

    def __iter__(self) -> Entries:
        """Yield the texts, sorted by path; an empty file, and one that is too large, is rejected."""
        for file in self._files:
            if isinstance(file, Rejected):
                yield file
                continue
            name, path, size = file
            if size > TEXT_LIMIT:
                yield Rejected(name, f"the file is over {TEXT_LIMIT:,} bytes: split it into several texts")
            else:
                yield Record(name, Modality.TEXT, TextFile(path, self._encoding), _place(name))


def _place(name: str) -> dict[str, Scalar]:
    """The fields that a file's relative path tells."""
    path = PurePosixPath(name)
    folder = path.parent.as_posix()
    return {"label": None if folder == "." else folder, "file": path.name}


def has_suffix(suffixes: frozenset[str]) -> Wanted:
    """Return a function that tells whether a file's name ends so, in lower or upper case."""
    return lambda entry: PurePosixPath(entry.name).suffix.lower() in suffixes


def _is_caption(name: str, beside: Beside, suffixes: frozenset[str]) -> bool:
    """Whether a file is the caption of a file beside it that ends in one of `suffixes`."""
    stem, dot, suffix = name.rpartition(".")
    if suffix != "txt":
        return False
    at = bisect_left(beside, f"{stem}{dot}", key=lambda entry: entry.name)
    while at < len(beside) and beside[at].name.startswith(f"{stem}{dot}"):
        other = PurePosixPath(beside[at].name)
        if other.stem == stem and other.suffix.lower() in suffixes:
            return True
        at += 1
    return False


def _caption(file: Path, encoding: str) -> str | None:
    """The text of the `.txt` file beside a file; of a Tux Paint stamp the English line alone."""
    path = file.with_suffix(".txt")
    if not path.is_file():  # also a pipe, whose reader would wait for ever
        return None
    try:
        with open_text(path, encoding, "replace") as (opened, _):
            text = opened.read(CAPTION_LIMIT).strip()
    except OSError:
        return None
    first, *later = text.splitlines() or [""]
    translations = [line for line in later if line.strip()]
    if translations and sum(bool(_TRANSLATION.match(line)) for line in translations) * 2 > len(translations):
        text = first.strip()
    return text or None
