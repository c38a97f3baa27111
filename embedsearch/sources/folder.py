"""Folders of images, of videos, of sounds and of texts: one file, one record, its path the id."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping
from functools import partial
from pathlib import Path, PurePosixPath

from embedsearch.errors import EmbedsearchError
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Deferred, Entries, Modality, Record, Rejected, Scalar
from embedsearch.sources.documents import (
    FILE_LIMIT,
    READ_SUFFIXES,
    TEXT_SUFFIXES,
    TextFile,
    file_of,
    limit_of,
)
from embedsearch.sources.files import Files, Kind, open_files
from embedsearch.sources.image_files import USUAL, image_suffixes, image_test
from embedsearch.sources.lines import check_encoding, open_text
from embedsearch.sources.metadata import METADATA, Metadata
from embedsearch.sources.paths import Beside, Wanted, existing_folder, refuse_columns
from embedsearch.sources.table import NothingToReport, Reading
from embedsearch.splitters.sound import check_installed
from embedsearch.splitters.video import require_av

SOUND_SUFFIXES = frozenset(
    (
        ".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".aac", ".aif", ".aiff", ".aifc", ".au",
        ".caf", ".wma", ".mka", ".w64", ".amr",
    )
)  # fmt: skip
VIDEO_SUFFIXES = frozenset(
    (
        ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ogv", ".3gp", ".flv", ".wmv",
        ".mts", ".m2ts",
    )
)  # fmt: skip
# Files that are not opened to see whether they hold an image.
NOT_IMAGES = TEXT_SUFFIXES | VIDEO_SUFFIXES | SOUND_SUFFIXES | {
    ".csv", ".tsv", ".json", ".jsonl", ".parquet", ".xlsx", ".html", ".xml", ".svg", ".pdf", ".eps", ".py",
    ".zip", ".gz",
}  # fmt: skip
CAPTION_LIMIT = 64 * 2**10  # bytes; a longer .txt is no caption, and only its beginning is kept
# A translated caption of a Tux Paint stamp: `pt_BR.utf8=Um pardal.`
_TRANSLATION = re.compile(r"[a-z]{2,3}(_[A-Za-z]{2})?(\.[\w-]+)?(@\w+)?(\.[\w-]+)?=")


class CaptionedFolder(NothingToReport):
    """The files of one modality in a folder and the folders in it, in a zip archive or at an address.

    They are listed when it is opened. The id is the path relative to the folder. Fields: `label`, the
    sub-folder; `caption`, the text of the `.txt` file of the same name; `file`, the file's name; and the
    columns of `metadata.csv` or `metadata.jsonl`, see `embedsearch.sources.metadata`.
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
            suffixes: of files that may have a caption beside them, in lower case; those elsewhere than in a
                folder are of it where their names end so.
            expected: names some suffixes, for a message.
        """
        refuse_columns(recipe, f"a folder of {modality}s")
        check_encoding(recipe.encoding)
        self._modality = modality
        self._recipe = recipe
        is_used = partial(_is_caption, suffixes=suffixes)
        kind = Kind(f"{modality}s; expected {expected}", wanted, suffixes, frozenset(METADATA), is_used)
        self._files = open_files(recipe, kind)
        self._notes = _others(self._files, modality)

    def modality(self) -> Modality:
        """What the files hold."""
        return self._modality

    def count(self) -> int | None:
        """The number of files."""
        return self._files.count

    def reading(self) -> Reading:
        """Which other media the folder holds."""
        return Reading(notes=list(self._notes))

    def passed_over(self) -> Mapping[str, int]:
        """The files that are not read, by suffix; the folders of thumbnails; and what is excluded."""
        return self._files.passed_over

    def __iter__(self) -> Entries:
        """Yield the files, sorted by path; a file of no bytes is rejected.

        Where there is metadata, a file without a row is rejected, and so is a row without a file.
        """
        metadata = Metadata.read(self._files, self._recipe)
        for file in self._files:
            row = metadata.take(file.id if isinstance(file, Rejected) else file.name)
            if isinstance(file, Rejected):
                yield file
            elif isinstance(row, Rejected):
                yield row
            else:
                fields = {**_place(file.name), "caption": self._caption(file.name), **row}
                yield Record(file.name, self._modality, file.content, fields)
        yield from metadata.left()

    def _caption(self, name: str) -> str | None:
        """The text of the `.txt` file beside a file; of a Tux Paint stamp the English line alone."""
        try:
            held = self._files.beside(str(PurePosixPath(name).with_suffix(".txt")))
            if held is None:
                return None
            with open_text(held, self._recipe.encoding, "replace") as (file, _):
                text = file.read(CAPTION_LIMIT).strip()
        except (EmbedsearchError, OSError):
            return None
        first, *later = text.splitlines() or [""]
        translations = [line for line in later if line.strip()]
        if sum(bool(_TRANSLATION.match(line)) for line in translations) * 2 > len(translations):
            text = first.strip()
        return text or None


def _others(files: Files, modality: Modality) -> list[str]:
    """Return a sentence on each other kind of media that is passed over, and the option that takes it."""
    kinds = {
        Modality.IMAGE: image_suffixes(),
        Modality.SOUND: SOUND_SUFFIXES,
        Modality.VIDEO: VIDEO_SUFFIXES,
    }
    counts = {
        other: sum(files.passed_over.get(suffix, 0) for suffix in suffixes)
        for other, suffixes in kinds.items()
        if other is not modality
    }
    return [
        f"The {modality}s are taken ({files.count:,}), the {other}s are passed over ({count:,}): for these, "
        f"build another index with --kind {other}s."
        for other, count in counts.items()
        if count
    ]


class ImageFolder(CaptionedFolder):
    """The images in a folder: by their suffixes, or else by their first bytes."""

    def __init__(self, recipe: SourceRecipe) -> None:
        expected = f"{', '.join(USUAL)} or what else Pillow reads"
        super().__init__(recipe, Modality.IMAGE, image_test(NOT_IMAGES), image_suffixes(), expected)


class VideoFolder(CaptionedFolder):
    """The videos in a folder, by their suffixes."""

    def __init__(self, recipe: SourceRecipe) -> None:
        require_av()
        existing_folder(recipe.location, "a folder of videos")  # of an archive nothing could be played
        expected = "files that end in .mp4, .mov, .mkv, .webm, .avi or another suffix of videos"
        super().__init__(recipe, Modality.VIDEO, has_suffix(VIDEO_SUFFIXES), VIDEO_SUFFIXES, expected)


class SoundFolder(CaptionedFolder):
    """The sounds in a folder, by their suffixes."""

    def __init__(self, recipe: SourceRecipe) -> None:
        check_installed()
        expected = "files that end in .wav, .flac, .ogg, .mp3, .m4a, .opus or another suffix of sounds"
        super().__init__(recipe, Modality.SOUND, has_suffix(SOUND_SUFFIXES), SOUND_SUFFIXES, expected)


class TextFolder(NothingToReport):
    """The text files in a folder and the folders in it, in a zip archive or at an address.

    Each file is one text. They are listed when it is opened, and a file is read when its text is asked for.
    The id is the path relative to the folder. Fields: `label`, the sub-folder; `file`, the file's name.
    """

    def __init__(self, recipe: SourceRecipe) -> None:
        self._open(recipe, "texts", TEXT_SUFFIXES)

    def _open(self, recipe: SourceRecipe, name: str, suffixes: frozenset[str]) -> None:
        """List the files whose names end in one of `suffixes`."""
        refuse_columns(recipe, f"a folder of {name}")
        self._encoding = recipe.encoding
        check_encoding(recipe.encoding)
        what = f"{name}; expected files that end in {', '.join(sorted(suffixes))}"
        self._files = open_files(recipe, Kind(what, has_suffix(suffixes), suffixes))

    def modality(self) -> Modality:
        """Texts."""
        return Modality.TEXT

    def count(self) -> int | None:
        """The number of files."""
        return self._files.count

    def passed_over(self) -> Mapping[str, int]:
        """The files that are not read, by suffix; the folders of thumbnails; and what is excluded."""
        return self._files.passed_over

    def __iter__(self) -> Entries:
        """Yield the texts, sorted by path; an empty file, and one that is too large, is rejected."""
        for file in self._files:
            if isinstance(file, Rejected):
                yield file
                continue
            name, content, size = file
            limit = self._limit(name)
            if size > limit:
                yield Rejected(name, f"the file is over {limit:,} bytes: split it into several texts")
            else:
                path = content if isinstance(content, Path) else None
                yield Record(name, Modality.TEXT, self._file(name, content), _place(name), path=path)

    def _limit(self, name: str) -> int:  # noqa: ARG002
        """Return how many bytes a file may have."""
        return FILE_LIMIT

    def _file(self, name: str, content: Path | Deferred) -> Deferred:  # noqa: ARG002
        """Return what reads a file."""
        return TextFile(content, self._encoding)


class DocumentFolder(TextFolder):
    """The documents and text files in a folder, as `TextFolder`; see `embedsearch.sources.documents`.

    Fields beside those of `TextFolder`: `title`, `author` and `date` where the document says them, and of
    each passage `page` and `heading`.
    """

    def __init__(self, recipe: SourceRecipe) -> None:
        self._ocr = recipe.ocr
        self._open(recipe, "documents", READ_SUFFIXES)

    def _limit(self, name: str) -> int:
        return limit_of(name)

    def _file(self, name: str, content: Path | Deferred) -> Deferred:
        return file_of(name, content, self._encoding, ocr=self._ocr)


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
