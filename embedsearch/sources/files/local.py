"""The files in a folder and the folders in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from embedsearch.recipe import SourceRecipe
from embedsearch.records import Rejected
from embedsearch.sources.files import File, Kind, none_found
from embedsearch.sources.paths import PassedOver, existing_folder, printable, walk

NAMES_A_BLOCK = 1024


class LocalFiles:
    """See `embedsearch.sources.files.Files`."""

    def __init__(self, recipe: SourceRecipe, kind: Kind) -> None:
        self._root = existing_folder(recipe.location, f"a folder of {kind.what.partition(';')[0]}")
        self._blocks: list[str] = []  # names, many in one text, take a third of the memory
        self._errors: dict[str, str] = {}
        self.tables: list[str] = []
        self.count = 0
        passed_over = PassedOver(recipe.exclude, kind.is_used)
        self.passed_over = passed_over.kinds
        names: list[str] = []
        for name, entry in walk(
            self._root, lambda entry: entry.name in kind.tables or kind.wanted(entry), passed_over
        ):
            if PurePosixPath(name).name in kind.tables and not isinstance(entry, OSError):
                self.tables.append(name)
                continue
            self.count += 1
            names.append(name)
            if isinstance(entry, OSError):
                self._errors[name] = f"it can't be read: {entry.strerror}"
            if len(names) == NAMES_A_BLOCK:
                self._blocks.append("\0".join(names))
                names = []
        self._blocks += ["\0".join(names)] if names else []
        if not self.count:
            raise none_found(self._root, kind, self.passed_over)

    def __iter__(self) -> Iterator[File | Rejected]:
        """Yield the files; one of no bytes, or whose name is not UTF-8, is rejected."""
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
                    yield File(name, path, size) if size else Rejected(name, "the file is empty")

    def beside(self, name: str) -> Path | None:
        """Return another file; None where there is none."""
        path = self._root / name
        return path if path.is_file() else None  # not a pipe, whose reader would wait for ever
