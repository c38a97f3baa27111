"""Where a source lies: checks that say what is missing, and a walk through a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from embedsearch.errors import SourceError, SourceNotFoundError, nearest
from embedsearch.recipe import SourceRecipe


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

    Hidden files and folders are passed over, and so are links back to a folder that the walk is in.

    Yields:
        The path relative to `root`, with forward slashes; and the entry, or the error that kept a
        folder, or a link, from being read. A broken link is yielded as an entry.
    """
    yield from _walk(root, "", wanted, frozenset())


def _walk(
    folder: Path, prefix: str, wanted: Callable[[str], bool], inside: frozenset[tuple[int, int]]
) -> Iterator[tuple[str, os.DirEntry[str] | OSError]]:
    try:
        status = folder.stat()
        if (status.st_dev, status.st_ino) in inside:
            return
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        yield prefix.rstrip("/") or ".", error
        return
    inside |= {(status.st_dev, status.st_ino)}
    for entry in entries:
        if entry.name.startswith("."):
            continue
        try:
            if entry.is_dir():
                yield from _walk(folder / entry.name, f"{prefix}{entry.name}/", wanted, inside)
            elif wanted(entry.name) and (entry.is_file() or entry.is_symlink()):
                yield prefix + entry.name, entry
        except OSError as error:  # a link to itself
            if wanted(entry.name):
                yield prefix + entry.name, error
