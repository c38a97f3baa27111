"""The files in a folder at an address: each is read when it is needed, and only where its version is new."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from embedsearch.recipe import SourceRecipe
from embedsearch.records import Rejected
from embedsearch.sources.addresses import AT_ONCE, MOST_BYTES, Info, Place
from embedsearch.sources.files import File, Kind, chosen, none_found
from embedsearch.sources.paths import PassedOver

BLOCK = 256  # files that are asked for ahead


class RemoteFiles:
    """See `embedsearch.sources.files.Files`."""

    def __init__(self, recipe: SourceRecipe, kind: Kind) -> None:
        self._place = Place.at(recipe.location)
        self._listing = self._place.listing()
        passed_over = PassedOver(recipe.exclude, kind.is_used)
        self._names, self.tables = chosen(self._listing, kind, passed_over)
        self.passed_over = passed_over.kinds
        self.count = len(self._names)
        if not self.count:
            raise none_found(recipe.location, kind, self.passed_over)

    def __iter__(self) -> Iterator[File | Rejected]:
        """Yield the files; an empty one, and one that can't be asked for its version, is rejected."""
        with ThreadPoolExecutor(AT_ONCE) as threads:
            for start in range(0, self.count, BLOCK):
                names = self._names[start : start + BLOCK]
                for name, info in zip(names, threads.map(self._info, names), strict=True):
                    yield self._file(name, info)

    def beside(self, name: str) -> Path | None:
        """Return a copy of another file; None where there is none."""
        if name not in self._listing:
            return None
        return self._place.copy(self._place.versioned(self._listing[name]))

    def _info(self, name: str) -> Info | OSError:
        try:
            return self._place.versioned(self._listing[name])
        except OSError as error:
            return error

    def _file(self, name: str, info: Info | OSError) -> File | Rejected:
        if isinstance(info, OSError):
            return Rejected(name, f"it can't be read: {info}")
        size = info.get("size")
        if size == 0:
            return Rejected(name, "the file is empty")
        if size is not None and size > MOST_BYTES:
            return Rejected(name, f"the file is over {MOST_BYTES:,} bytes")
        return File(name, self._place.file(info), size or 0)
