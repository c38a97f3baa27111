"""Where a source lies: checks that say what is missing, and a walk through a folder."""

from __future__ import annotations

import errno
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from embedsearch.errors import SourceError, SourceNotFoundError, nearest
from embedsearch.recipe import SourceRecipe
from embedsearch.sources.image_files import HEIF_HINT, HEIF_SUFFIXES

# Links on the way to a folder: nine folders that link to each other have a million ways through them all.
MOST_LINKS = 2
# Folders of thumbnails that other programs make: Synology, desktops, QNAP.
THUMBNAILS = frozenset(("@eaDir", ".thumbnails", ".@__thumb"))
MOST_KINDS = 30
_SUFFIX = re.compile(r"\.[\w+-]{1,12}")
Identity = tuple[int, int]
Beside = Sequence[os.DirEntry[str]] | Sequence[PurePosixPath]
IsUsed = Callable[[str, Beside], bool]
Wanted = Callable[[os.DirEntry[str]], bool]


def not_found(path: Path) -> SourceNotFoundError:
    """Return the error for a missing `path`, with the likeliest sibling as a suggestion."""
    try:
        siblings = [entry.name for entry in os.scandir(path.parent)]
    except OSError:
        return SourceNotFoundError(f"{path} does not exist, nor does its folder. Check the path.")
    return SourceNotFoundError(f"{path} does not exist.{nearest(path.name, siblings) or ' Check the path.'}")


def existing_file(location: str, what: str) -> Path:
    """Return the file at `location` as an absolute path.

    Args:
        location: the path as the recipe has it.
        what: what was expected there, as in "a Parquet file".

    Raises:
        SourceNotFoundError: there is nothing.
        SourceError: there is something else than a file.
    """
    path = Path(location).resolve()
    if not path.exists():
        raise not_found(path)
    if not path.is_file():
        raise SourceError(f"{path} is a folder; expected {what}. Name one file in it.")
    return path


def existing_folder(location: str, what: str) -> Path:
    """Return the folder at `location` as an absolute path; arguments and errors as `existing_file`."""
    path = Path(location).resolve()
    if not path.exists():
        raise not_found(path)
    if not path.is_dir():
        raise SourceError(f"{path} is a file; expected {what}. Name the folder that it is in.")
    return path


def refuse_columns(recipe: SourceRecipe, what: str) -> None:
    """Refuse a recipe that names columns for a source that has none.

    Raises:
        SourceError: it does.
    """
    asked = {
        "--text": recipe.text,
        "--image": recipe.image,
        "--sound": recipe.sound,
        "--document": recipe.document,
        "--spans": recipe.spans,
        "--id": recipe.id,
    }
    given = [option for option, value in asked.items() if value]
    if given:
        raise SourceError(f"{recipe.location} is {what}, which has no columns: leave out {', '.join(given)}.")


def printable(name: str) -> str:
    r"""Return a file name that UTF-8 can hold: bytes that are no UTF-8 are shown as ``\xff``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


@dataclass(slots=True)
class PassedOver:
    """What a walk passes over, counted by kind.

    Attributes:
        exclude: patterns, as of a shell, of paths and of names that are passed over.
        is_used: whether a file that is not wanted is used all the same, as a caption is: called with its name
            and what lies beside it, sorted by name.
        kinds: how many of each kind: a suffix such as ".pdf", "without a suffix", a folder of thumbnails such
            as "@eaDir/", or a pattern; what comes after `MOST_KINDS` is "of other kinds".
    """

    exclude: Sequence[str] = ()
    is_used: IsUsed = lambda _name, _beside: False
    kinds: Counter[str] = field(default_factory=Counter)

    def leaves_out(self, name: str) -> bool:
        """Whether a pattern leaves out the file or folder of this relative path; it is counted then."""
        for pattern in self.exclude:
            if fnmatch(name, pattern.rstrip("/")) or fnmatch(PurePosixPath(name).name, pattern.rstrip("/")):
                self.kinds[f"--exclude {pattern}"] += 1
                return True
        return False

    def add(self, name: str, beside: Beside) -> None:
        """Count a file that is not wanted."""
        if self.is_used(name, beside):
            return
        suffix = PurePosixPath(name).suffix.lower()
        kind = suffix if _SUFFIX.fullmatch(suffix) else "of other kinds" if suffix else "without a suffix"
        if kind not in self.kinds and len(self.kinds) >= MOST_KINDS:
            kind = "of other kinds"
        self.kinds[kind] += 1


def listed(kinds: Mapping[str, int]) -> str:
    """Return what was passed over, most first, as in "12 .pdf, 3 .html"; see `PassedOver.kinds`."""
    most = sorted(kinds.items(), key=lambda kind: -kind[1])
    return ", ".join(f"{count:,} {kind}{f' ({HEIF_HINT})' * (kind in HEIF_SUFFIXES)}" for kind, count in most)


def walk(
    root: Path, wanted: Wanted, passed_over: PassedOver | None = None
) -> Iterator[tuple[str, os.DirEntry[str] | OSError]]:
    """Yield the files under `root` that are `wanted`, sorted by the parts of their path.

    Hidden files and folders are passed over, and so are folders of thumbnails, links back to a folder that
    the walk is in, and links to folders within linked folders within linked folders.

    Args:
        root: the folder.
        wanted: whether a file is yielded.
        passed_over: says what else is passed over, and counts all of it but what is hidden.

    Yields:
        The path relative to `root`, with forward slashes; and the entry, or the error that kept a
        folder, a link, or what is no file from being read. A link that leads nowhere is such an error, and so
        is one to an empty folder: what it leads to may be a disk that is not mounted.
    """
    passed_over = passed_over or PassedOver()
    first = _Level.open(root, "", frozenset(), 0)
    if isinstance(first, OSError):
        yield ".", first
        return
    levels = [first] if first else []
    while levels:  # no recursion: a path may have two thousand parts
        level = levels[-1]
        entry = next(level.entries, None)
        if entry is None:
            levels.pop()
            continue
        name = level.prefix + entry.name
        try:
            if entry.name in THUMBNAILS and entry.is_dir():
                passed_over.kinds[f"{entry.name}/"] += 1
            elif entry.name.startswith(".") or passed_over.leaves_out(name):
                continue
            elif entry.is_dir():
                inner = _folder(entry, level)
                if isinstance(inner, OSError):
                    yield name, inner
                elif inner:
                    levels.append(inner)
            elif (found := _file(entry, wanted)) is not None:
                yield name, found
            else:
                passed_over.add(entry.name, level.beside)
        except OSError as error:  # a link to itself
            yield name, error


def _folder(entry: os.DirEntry[str], level: _Level) -> _Level | OSError | None:
    """Open a folder in `level`; None where it is passed over, and the error where it can't be read."""
    links = level.links + entry.is_symlink()
    if links > MOST_LINKS:
        return None
    found = _Level.open(level.folder / entry.name, f"{level.prefix}{entry.name}/", level.inside, links)
    if isinstance(found, _Level) and entry.is_symlink() and not found.beside:
        return OSError(errno.ENOENT, f"it links to {_target(entry)}, which is empty")
    return found


def _file(entry: os.DirEntry[str], wanted: Wanted) -> os.DirEntry[str] | OSError | None:
    """Return what is no folder, or why it can't be read; None where it is passed over."""
    if entry.is_symlink() and not Path(entry).exists():
        return OSError(errno.ENOENT, f"it links to {_target(entry)}, which is not there")
    if not wanted(entry):
        return None
    return entry if entry.is_file() else OSError(errno.EINVAL, "it is neither a file nor a folder")


def _target(link: os.DirEntry[str]) -> str:
    return printable(str(Path(link).readlink()))


@dataclass(slots=True)
class _Level:
    """A folder that the walk is in.

    Attributes:
        folder: the folder.
        prefix: its path relative to the root, a slash behind it.
        beside: what is in it, sorted by name.
        entries: what of it is still to be looked at.
        inside: the folders that it lies in, and itself.
        links: how many links led here.
    """

    folder: Path
    prefix: str
    beside: Beside
    entries: Iterator[os.DirEntry[str]]
    inside: frozenset[Identity]
    links: int

    @classmethod
    def open(
        cls, folder: Path, prefix: str, inside: frozenset[Identity], links: int
    ) -> _Level | OSError | None:
        """Open a folder; None where the walk is in it already, and the error where it can't be read."""
        try:
            status = folder.stat()
            identity = (status.st_dev, status.st_ino)
            if identity in inside:
                return None
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            return error
        return cls(folder, prefix, entries, iter(entries), inside | {identity}, links)
