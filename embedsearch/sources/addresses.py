"""Files at addresses, such as s3://bucket/images, gs://..., https://... : read by fsspec.

What names the version of a file (an ETag, a time of change, a checksum) is its source state: a file of a
version that was read is not read again. A table or an archive is copied into the cache of this machine, once
for each version.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from embedsearch.disk.cache import cache_folder
from embedsearch.errors import ItemError, MissingExtraError, SourceError, SourceNotFoundError
from embedsearch.records import stamp
from embedsearch.sources.paths import existing_file

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
# What file systems call the version of a file: S3, Google, Azure, HTTP, local, memory, and others.
_VERSIONS = (
    "ETag", "etag", "LastModified", "Last-Modified", "last_modified", "mtime", "updated", "generation",
    "md5Hash", "crc32c", "Content-MD5", "content_md5", "created", "sha256", "blob_id",
)  # fmt: skip
_COPIED = 2**20  # bytes that are copied at once
FOLDER = "remote"  # of the cache
AT_ONCE = 16  # files that are asked for their version at a time
MOST_BYTES = 512 * 2**20  # of a file in an archive or at an address, which is read as a whole
Info = Mapping[str, Any]


def is_address(location: str) -> bool:
    """Whether a location is an address, as in `s3://bucket/images`, not a path."""
    return bool(_ADDRESS.match(location))


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file at an address; see `embedsearch.records.Deferred`."""

    address: str
    _info: Info = field(repr=False, compare=False)
    _files: Any = field(repr=False, compare=False)  # the fsspec file system

    def stat(self) -> tuple[int, int]:
        """Return the size, 0 for an unknown one, and a stamp of the file's version."""
        return _size(self._info), _version(self._info)

    def read(self) -> bytes:
        """Return the bytes."""
        with _as_os_error(self.address):
            if _size(self._info):
                data: bytes = self._files.cat_file(self._info["name"])
            else:  # an answer of unknown length may have no end
                with self._files.open(self._info["name"], "rb") as file:
                    data = _first_bytes(file, MOST_BYTES + 1)
        if not _size(self._info) and len(data) > MOST_BYTES:
            raise ItemError(f"{self.address} is over {MOST_BYTES:,} bytes")
        if not data:
            raise ItemError("the file is empty")
        return data


@dataclass(slots=True)
class NamedFile:
    """A file that is known by its address alone; see `embedsearch.records.Deferred`.

    Attributes:
        address: of the file.
    """

    address: str
    _place: Place = field(repr=False, compare=False)
    _beside: list[NamedFile] = field(repr=False, compare=False)  # to be asked for their version with it
    _info: Info | None = field(default=None, repr=False, compare=False)

    def stat(self) -> tuple[int, int]:
        """Return the size and a stamp of the version, 0 for unknown; it is asked for with those beside it."""
        if self._info is None:
            with ThreadPoolExecutor(AT_ONCE) as threads:
                list(threads.map(NamedFile._look_up, self._beside))
            self._beside.clear()
        info = self._info or {}
        return _size(info), _version(info)

    def read(self) -> bytes:
        """Return the bytes."""
        size, _ = self.stat()
        if size > MOST_BYTES:
            raise ItemError(f"{self.address} is over {MOST_BYTES:,} bytes")
        return self._place.file({**(self._info or {}), "name": self._place.path}).read()

    def _look_up(self) -> None:
        try:
            self._info = self._place.info()
        except (SourceNotFoundError, SourceError):  # `read` says why, and it is tried again in the next build
            self._info = {}


class NamedFiles:
    """Files that a table names by their addresses."""

    def __init__(self) -> None:
        self._waiting: list[NamedFile] = []

    def at(self, address: str) -> NamedFile:
        """Return the file at an address; nothing is asked for yet.

        Raises:
            MissingExtraError, SourceError: as `Place.at`.
        """
        file = NamedFile(address, Place.at(address), self._waiting)
        self._waiting.append(file)
        return file


@dataclass(frozen=True, slots=True)
class Place:
    """What is at an address.

    Attributes:
        location: the address.
        path: the same, as its file system writes it.
    """

    location: str
    path: str
    _files: Any = field(repr=False)  # the fsspec file system

    @classmethod
    def at(cls, location: str) -> Place:
        """Open the file system of an address.

        Raises:
            MissingExtraError: fsspec, or what it needs for such an address, is not installed.
            SourceError: the address can't be one, holds a password, or its file system can't be opened.
        """
        if find_spec("fsspec") is None:
            raise MissingExtraError(f"Reading {location} needs fsspec: pip install 'embedsearch[remote]'")
        import fsspec

        with _as_source_error(location):
            password = urlsplit(location).password
        if password:
            raise SourceError(
                "The address holds a password, which the recipe of the index would show. Give it without: "
                "credentials come from the environment or the settings of the service."
            )
        try:
            files, path = fsspec.url_to_fs(location)
        except ImportError as error:
            raise MissingExtraError(
                f"Reading {location} needs more: {error}. For s3, gs and http: "
                "pip install 'embedsearch[remote]'"
            ) from None
        except ValueError as error:
            raise SourceError(
                f"{location} can't be read: {error}. Expected an address such as s3://bucket/folder, "
                "gs://bucket/folder or https://host/folder/."
            ) from None
        except Exception as error:  # each file system has errors of its own
            raise SourceError(f"{location} can't be read: {type(error).__name__}: {error}.") from error
        with _as_source_error(location):
            files.invalidate_cache()  # listings of an earlier reading
        return cls(location, path.rstrip("/"), files)

    def info(self) -> Info:
        """Return what the file system knows of it.

        Raises:
            SourceNotFoundError: there is nothing.
            SourceError: it can't be asked.
        """
        with _as_source_error(self.location):
            return {"name": self.path, **self._files.info(self.path)}

    def is_file(self) -> bool:
        """Whether it is a file, not a folder; errors as `info`."""
        return bool(self.info().get("type") == "file") and not self.location.endswith("/")

    def listing(self) -> dict[str, Info]:
        """Return the files in a folder and the folders in it, by their path relative to it.

        Raises:
            SourceNotFoundError, SourceError: as `info`; or there is no file.
        """
        root = self.path + "/"
        with _as_source_error(self.location):
            # over HTTP a folder is its page of links, and the last slash says so
            is_http = self.path.startswith("http")
            found = self._files.find(root if is_http else self.path, detail=True)
        listing = {
            (unquote(path[len(root) :]) if is_http else path[len(root) :]): info
            for path, info in found.items()
            if path.startswith(root) and path != root
        }
        if not listing:
            raise SourceNotFoundError(f"There is no file at {self.location}. Check the address.")
        return listing

    def versioned(self, info: Info) -> Info:
        """Return what the file system knows of a listed file, asked again where the listing says too little.

        Raises:
            OSError: it can't be asked.
        """
        if _version(info):
            return info
        with _as_os_error(str(info["name"])):
            return {**info, **self._files.info(info["name"])}

    def file(self, info: Info) -> RemoteFile:
        """Return a listed file."""
        return RemoteFile(self._files.unstrip_protocol(info["name"]), info, self._files)

    def copy(self, info: Info) -> Path:
        """Return a copy of a file in the cache; it is read again only where its version is new, or unknown.

        Raises:
            SourceError: it can't be read, or there is no room for it.
        """
        address = self._files.unstrip_protocol(info["name"])
        name = PurePosixPath(unquote(urlsplit(address).path)).name or "file"
        try:
            folder = cache_folder() / FOLDER / hashlib.sha256(address.encode()).hexdigest()[:32]
            version = folder / f"{_version(info):x}-{_size(info)}"
            path = version / name
            if _version(info) and path.is_file():
                return path
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder) as aside:
                held = Path(aside) / name
                with (
                    _as_source_error(address),
                    self._files.open(info["name"], "rb") as source,
                    held.open("wb") as target,
                ):
                    shutil.copyfileobj(source, target, _COPIED)
                for old in folder.iterdir():
                    if old.name != Path(aside).name:
                        shutil.rmtree(old, ignore_errors=True)
                version.mkdir(exist_ok=True)
                held.replace(path)
        except (OSError, RuntimeError) as error:  # no home folder, a full disk
            raise SourceError(f"{address} can't be copied into the cache of this machine: {error}.") from None
        return path


def local_file(location: str, what: str) -> Path:
    """Return the file at a path, or a copy of the one at an address; arguments and errors as `existing_file`.

    Raises:
        MissingExtraError: what reads such an address is not installed.
    """
    if not is_address(location):
        return existing_file(location, what)
    place = Place.at(location)
    if not place.is_file():
        raise SourceError(f"{location} is a folder; expected {what}. Name one file in it.")
    return place.copy(place.info())


def _first_bytes(file: IO[bytes], most: int) -> bytes:
    """Return at most so many bytes of a file; a stream gives fewer at once than it is asked for."""
    held = bytearray()
    while len(held) < most and (block := file.read(min(_COPIED, most - len(held)))):
        held += block
    return bytes(held)


def _size(info: Info) -> int:
    return int(info.get("size") or 0)


def _version(info: Info) -> int:
    """Return a stamp of what names the version of a file; 0 where nothing does."""
    known = [str(info[name]) for name in _VERSIONS if info.get(name)]
    return stamp(*known, info.get("size")) if known else 0


@contextlib.contextmanager
def _as_source_error(location: str) -> Iterator[None]:
    """Raise what a file system raises as one of our errors."""
    try:
        yield
    except FileNotFoundError:
        raise SourceNotFoundError(f"There is nothing at {location}. Check the address.") from None
    except Exception as error:  # each client has errors of its own
        raise SourceError(f"{location} can't be read: {type(error).__name__}: {error}. Try again.") from error


@contextlib.contextmanager
def _as_os_error(location: str) -> Iterator[None]:
    """Raise what a file system raises as an OSError, so that the file is tried again in the next build."""
    try:
        yield
    except Exception as error:  # each client has errors of its own
        raise OSError(f"{location}: {type(error).__name__}: {error}") from error
