"""Tar archives that hold a data set in parts: which there are, and the files in one."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from itertools import product
from math import prod
from os.path import commonpath
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from embedsearch.errors import ItemError, SourceError
from embedsearch.sources.addresses import Place, is_address, local_file
from embedsearch.sources.paths import not_found, walk

TAR = ".tar"
UNPACK = "unpack it to a plain .tar first, as gunzip does"
BLOCK = 512  # bytes of a tar archive's header; two empty ones end it
MOST_SHARDS = 100_000
_TAR = re.compile(r"\.(tar|(tar\.(gz|bz2|xz|zst)|tgz|tbz2|txz))$", re.IGNORECASE)  # the second group: packed
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_WILD = re.compile(r"[*?\[]")


class Shard(NamedTuple):
    """One archive.

    Attributes:
        name: its path relative to the folder that holds them all.
        location: its path or address.
    """

    name: str
    location: str


@dataclass(frozen=True, slots=True)
class TarMember:
    """A file in a tar archive, unchanged as long as the archive is; see `embedsearch.records.Deferred`."""

    archive: str
    name: str
    size: int
    _path: Path = field(repr=False, compare=False)
    _offset: int = field(repr=False, compare=False)
    _modified: int = field(repr=False, compare=False)  # nanoseconds, of the archive

    def stat(self) -> tuple[int, int]:
        """Return the size, and when the archive changed."""
        return self.size, self._modified

    def read(self) -> bytes:
        """Return the bytes."""
        with self._path.open("rb") as file:
            if self._path.stat().st_mtime_ns != self._modified:
                raise OSError(f"the archive {self.archive} changed while it was read")
            file.seek(self._offset)
            data = file.read(self.size)
        if not data:
            raise ItemError("the file is empty")
        return data


def is_tar(name: str) -> bool:
    """Whether a name is that of a tar archive, plain or packed."""
    return bool(_TAR.search(name))


def is_pattern(location: str) -> bool:
    """Whether a location names several files: `part-{000..099}.tar`, `{train,test}.tar`, `*.tar`."""
    name = location.partition("://")[2] if is_address(location) else location
    return bool(_BRACES.search(name) or _WILD.search(name)) and not Path(name).exists()


def shards_at(location: str) -> list[Shard]:
    """Return the tar archives that a location names, sorted: a file, or those in a folder or of a pattern.

    One that a pattern names and that is not there is among them, to be rejected.

    Raises:
        SourceNotFoundError: there is nothing.
        SourceError: there is no tar archive, or the pattern can't be one.
        MissingExtraError: what reads such an address is not installed.
    """
    if is_pattern(location):
        found = [each for name in _expanded(location) for each in _matching(name)]
    elif is_address(location):
        place = Place.at(location)
        if place.is_file():
            return [Shard(PurePosixPath(place.path).name, location)]
        root = location.rstrip("/")
        found = [f"{root}/{name}" for name in place.listing() if is_tar(name)]
    else:
        path = Path(location)
        if not path.exists():
            raise not_found(path)
        if path.is_file():
            return [Shard(path.name, location)]
        tars = walk(path, lambda entry: is_tar(entry.name))
        found = [str(path / name) for name, _ in tars]
    if not found:
        raise SourceError(f"{location} names no tar archive ({TAR}). Check the path.")
    found = sorted(dict.fromkeys(found))
    scheme, mark, _ = found[0].partition("://")
    paths = [each.partition("://")[2] if mark else each for each in found]
    common = commonpath([str(PurePosixPath(path).parent) for path in paths])
    return [
        Shard(PurePosixPath(path).relative_to(common).as_posix(), f"{scheme}{mark}{path}" if mark else path)
        for path in paths
    ]


def _expanded(pattern: str) -> Iterator[str]:
    """Yield the names that the braces of a pattern stand for, as a shell does."""
    parts = _BRACES.split(pattern)  # texts, and between them what stands in braces
    choices = [_choices(part) if at % 2 else [part] for at, part in enumerate(parts)]
    count = prod(map(len, choices))
    if count > MOST_SHARDS:
        raise SourceError(f"{pattern} names {count:,} archives; at most {MOST_SHARDS:,} can be read.")
    yield from map("".join, product(*choices))


def _choices(braces: str) -> list[str]:
    found = _RANGE.fullmatch(braces)
    if not found:
        return braces.split(",")
    first, last = int(found[1]), int(found[2])
    if abs(last - first) >= MOST_SHARDS:
        raise SourceError(f"{{{braces}}} names too many archives; at most {MOST_SHARDS:,} can be read.")
    width = len(found[1]) if found[1].startswith("0") else 0
    return [str(number).zfill(width) for number in range(min(first, last), max(first, last) + 1)]


def _matching(name: str) -> list[str]:
    """Return the files that a name with * or ? stands for, and a name without as it is."""
    folder, _, last = name.rpartition("/")
    if not _WILD.search(name.partition("://")[2] if is_address(name) else name):
        return [name]
    if is_address(name):
        if _WILD.search(folder.partition("://")[2]):
            raise SourceError(f"{name}: at an address * and ? may stand in the last part only.")
        listing = Place.at(folder + "/").listing()
        return [f"{folder}/{each}" for each in listing if "/" not in each and fnmatch(each, last)]
    return [str(path) for path in Path("/").glob(name.lstrip("/"))]


class Tar:
    """The files in one tar archive, in their order.

    Attributes:
        problem: why the rest could not be read, once the last file was yielded; empty for nothing.
    """

    def __init__(self, shard: Shard) -> None:
        """Find the archive.

        Raises:
            SourceNotFoundError, SourceError, MissingExtraError: it is packed, or can't be found or copied.
        """
        if (found := _TAR.search(shard.name)) and found[2]:
            raise SourceError(
                f"it is packed ({found[0]}), and files are read straight from the archive: {UNPACK}"
            )
        self._shard = shard
        self._path = local_file(shard.location, "a tar archive")
        self.problem = ""

    def __iter__(self) -> Iterator[tuple[tarfile.TarInfo, TarMember]]:
        """Yield what is no folder: its entry, and the file; at damage the rest is left out."""
        self.problem = ""
        count = 0
        try:
            status = self._path.stat()
            with tarfile.open(self._path, "r:") as archive:
                for entry in archive:
                    if entry.offset_data + entry.size > status.st_size and entry.isreg():
                        self.problem = f"it is cut off after {count:,} files, within {entry.name}"
                        return
                    count += 1
                    archive.members = []  # type: ignore[attr-defined]  # tarfile keeps all that it met
                    if not entry.isdir():
                        yield entry, self._member(entry, status.st_mtime_ns)
                end = archive.offset
            with self._path.open("rb") as file:
                file.seek(end)
                if file.read(BLOCK) != bytes(BLOCK):
                    self.problem = f"it is cut off or damaged after {count:,} files"
        except (tarfile.TarError, EOFError, OSError, ValueError) as error:
            packed = "" if count else f". If it is packed, {UNPACK}"
            self.problem = f"it can't be read as a tar archive after {count:,} files: {error}{packed}"

    def _member(self, entry: tarfile.TarInfo, modified: int) -> TarMember:
        return TarMember(
            self._shard.location, entry.name, entry.size, self._path, entry.offset_data, modified
        )
