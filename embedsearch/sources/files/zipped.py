"""The files in a zip archive, which is not unpacked: its directory says what it holds, and what changed."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from embedsearch.errors import ItemError, SourceError
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Rejected, stamp
from embedsearch.sources.addresses import MOST_BYTES, local_file
from embedsearch.sources.files import File, Kind, chosen, leads_out, none_found
from embedsearch.sources.paths import PassedOver
from embedsearch.sources.table import Ids

_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError)


@dataclass(frozen=True, slots=True)
class ZipMember:
    """A file in a zip archive; see `embedsearch.records.Deferred`."""

    archive: str
    name: str
    _zip: zipfile.ZipFile = field(repr=False, compare=False)
    _info: zipfile.ZipInfo = field(repr=False, compare=False)

    def stat(self) -> tuple[int, int]:
        """Return the size, and a stamp of the checksum in the archive's directory."""
        return self._info.file_size, stamp(self._info.CRC)

    def read(self) -> bytes:
        """Return the bytes, whose checksum is compared."""
        try:
            return self._zip.read(self._info)
        except _DAMAGED as error:
            raise ItemError(f"it can't be read out of the archive: {error}") from None


class ZippedFiles:
    """See `embedsearch.sources.files.Files`; nothing is written to the disk, whatever the names are."""

    def __init__(self, recipe: SourceRecipe, kind: Kind) -> None:
        self._location = recipe.location
        self._zip = _opened(recipe.location)
        self._members: dict[str, zipfile.ZipInfo] = {}
        self._refused: list[Rejected] = []
        ids = Ids()
        for info in self._zip.infolist():
            name = str(PurePosixPath(info.filename))
            if info.is_dir():
                continue
            if leads_out(info.filename):
                self._refused.append(Rejected(ids.counted(name), "its name leads out of the archive"))
            elif ids.take(name):
                self._members[name] = info
            else:
                self._refused.append(Rejected(ids.counted(name), f"an earlier file is named {name}, too"))
        passed_over = PassedOver(recipe.exclude, kind.is_used)
        self._names, self.tables = chosen(self._members, kind, passed_over)
        self.passed_over = passed_over.kinds
        self.count = len(self._names) + len(self._refused)
        if not self.count:
            raise none_found(recipe.location, kind, self.passed_over)

    def __iter__(self) -> Iterator[File | Rejected]:
        """Yield the files; an empty one, one that is encrypted and one whose name leads out are rejected."""
        for name in self._names:
            info = self._members[name]
            if info.flag_bits & 1:
                yield Rejected(name, "it is encrypted: unpack the archive, and give the folder")
            elif not info.file_size:
                yield Rejected(name, "the file is empty")
            elif info.file_size > MOST_BYTES:
                yield Rejected(name, f"the file is over {MOST_BYTES:,} bytes")
            else:
                yield File(name, self._member(name), info.file_size)
        yield from self._refused

    def beside(self, name: str) -> ZipMember | None:
        """Return another file; None where there is none."""
        return self._member(name) if name in self._members else None

    def _member(self, name: str) -> ZipMember:
        return ZipMember(self._location, name, self._zip, self._members[name])


def zip_names(location: str) -> list[str]:
    """Return the names of what is in a zip archive; errors as `Files.__init__`."""
    with _opened(location) as archive:
        return archive.namelist()


def _opened(location: str) -> zipfile.ZipFile:
    path = local_file(location, "a zip archive")
    try:
        return zipfile.ZipFile(path)
    except (OSError, *_DAMAGED) as error:
        raise SourceError(
            f"{location} can't be read as a zip archive: {error}. It may be cut off: copy it again."
        ) from None
