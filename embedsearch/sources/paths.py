"""Where a source lies: checks that say what is missing, and a walk through a folder."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from embedsearch.errors import SourceError, SourceNotFoundError, nearest
from embedsearch.recipe import SourceRecipe

# Links on the way to a folder: nine folders that link to each other have a million ways through them all.
MOST_LINKS = 2
Identity = tuple[int, int]


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
    asked = {"--text": recipe.text, "--image": recipe.image, "--id": recipe.id}
    given = [option for option, value in asked.items() if value]
    if given:
        raise SourceError(f"{recipe.location} is {what}, which has no columns: leave out {', '.join(given)}.")


def printable(name: str) -> str:
    r"""Return a file name that UTF-8 can hold: bytes that are no UTF-8 are shown as ``\xff``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def walk(root: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, os.DirEntry[str] | OSError]]:
    """Yield the files under `root` whose name is `wanted`, sorted by the parts of their path.

    Hidden files and folders are passed over, and so are links back to a folder that the walk is in, and
    links to folders within linked folders within linked folders.

    Yields:
        The path relative to `root`, with forward slashes; and the entry, or the error that kept a
        folder, a link, or what is no file from being read. A broken link is yielded as an entry.
    """
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
        if entry.name.startswith("."):
            continue
        name = level.prefix + entry.name
        try:
            if entry.is_dir():
                links = level.links + entry.is_symlink()
                if links > MOST_LINKS:
                    continue
                found = _Level.open(level.folder / entry.name, f"{name}/", level.inside, links)
                if isinstance(found, OSError):
                    yield name, found
                elif found:
                    levels.append(found)
            elif wanted(entry.name):
                regular = entry.is_file() or entry.is_symlink()
                yield name, entry if regular else OSError(errno.EINVAL, "it is neither a file nor a folder")
        except OSError as error:  # a link to itself
            if wanted(entry.name):
                yield name, error


@dataclass(slots=True)
class _Level:
    """A folder that the walk is in.

    Attributes:
        folder: the folder.
        prefix: its path relative to the root, a slash behind it.
        entries: what is still to be looked at.
        inside: the folders that it lies in, and itself.
        links: how many links led here.
    """

    folder: Path
    prefix: str
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
        return cls(folder, prefix, iter(entries), inside | {identity}, links)
