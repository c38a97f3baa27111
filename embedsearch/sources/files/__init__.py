"""Where the files of a source lie, each of them a record: in a folder, in a zip archive, at an address.

To add a place: a file here with a class of the `Files` shape, and its line in `open_files`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Protocol, cast

from embedsearch.errors import SourceError
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Deferred, Rejected
from embedsearch.sources.addresses import is_address
from embedsearch.sources.paths import THUMBNAILS, IsUsed, PassedOver, Wanted, listed

ZIP = ".zip"


class Kind(NamedTuple):
    """Which files are wanted.

    Attributes:
        what: what they are, with what is expected, as in "images; expected .png".
        wanted: whether a file of a folder is one.
        suffixes: how the names of those elsewhere end, in lower case.
        tables: names of files that say more of the others.
        is_used: see `PassedOver`.
    """

    what: str
    wanted: Wanted
    suffixes: frozenset[str]
    tables: frozenset[str] = frozenset()
    is_used: IsUsed = lambda _name, _beside: False


class File(NamedTuple):
    """A file that can be read.

    Attributes:
        name: its path relative to where the source lies, with forward slashes.
        content: the file.
        size: in bytes.
    """

    name: str
    content: Path | Deferred
    size: int


class Files(Protocol):
    """The wanted files of one place, listed once when it is opened.

    Attributes:
        count: how many there are.
        tables: the names of those that say more of the others.
        passed_over: the others, counted by kind.
    """

    count: int
    tables: list[str]
    passed_over: Mapping[str, int]

    def __init__(self, recipe: SourceRecipe, kind: Kind) -> None:
        """List them.

        Raises:
            SourceNotFoundError: there is no such place.
            SourceError: it can't be read, or none of its files is wanted.
        """

    def __iter__(self) -> Iterator[File | Rejected]:
        """Yield the wanted files sorted by the parts of their path, or why one can't be used."""

    def beside(self, name: str) -> Path | Deferred | None:
        """Return another file by its name; None where there is none."""


def open_files(recipe: SourceRecipe, kind: Kind) -> Files:
    """Return the files of a source.

    Raises:
        SourceNotFoundError, SourceError, MissingExtraError: as `Files.__init__`.
    """
    if recipe.location.lower().endswith(ZIP) and (
        is_address(recipe.location) or Path(recipe.location).is_file()
    ):
        where = "embedsearch.sources.files.zipped:ZippedFiles"
    elif is_address(recipe.location):
        where = "embedsearch.sources.files.remote:RemoteFiles"
    else:
        where = "embedsearch.sources.files.local:LocalFiles"
    module, name = where.split(":")
    return cast(type[Files], getattr(import_module(module), name))(recipe, kind)


def none_found(location: object, kind: Kind, passed_over: Mapping[str, int]) -> SourceError:
    """Return the error for a place none of whose files is wanted."""
    others = f" It holds {listed(passed_over)}." if passed_over else ""
    return SourceError(f"{location} holds no {kind.what}.{others}")


def chosen(names: Iterable[str], kind: Kind, passed_over: PassedOver) -> tuple[list[str], list[str]]:
    """Return which names of an archive or an address are wanted, and which are tables; the rest is counted.

    As in a folder, what is hidden, folders of thumbnails and what is excluded is passed over.

    Args:
        names: relative paths, each once.
        kind: what is wanted.
        passed_over: says what is excluded, and counts the others.
    """
    paths = sorted(map(PurePosixPath, names), key=lambda path: path.parts)
    folders: dict[PurePosixPath, list[PurePosixPath]] = {}
    for path in paths:
        folders.setdefault(path.parent, []).append(path)
    wanted: list[str] = []
    tables: list[str] = []
    for path in paths:
        if thumbnails := THUMBNAILS.intersection(path.parts[:-1]):
            passed_over.kinds[f"{min(thumbnails)}/"] += 1
        elif any(part.startswith(".") for part in path.parts) or any(
            passed_over.leaves_out(str(each)) for each in (path, *path.parents[:-1])
        ):
            continue
        elif path.name in kind.tables:
            tables.append(str(path))
        elif path.suffix.lower() in kind.suffixes:
            wanted.append(str(path))
        else:
            passed_over.add(path.name, folders[path.parent])
    return wanted, tables


def leads_out(name: str) -> bool:
    """Whether a name in an archive is an absolute path, or leads out of the archive's folder."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return ".." in parts or name.startswith(("/", "\\")) or name[1:3] in (":\\", ":/")
