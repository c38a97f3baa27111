"""Memory-mapped files: which files are mapped, and whether they are still as long as they were.

Reading a page of a mapping beyond the end of its file kills the process (SIGBUS). So small files are read
instead, and the sizes of the others are looked up before each use.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping
from pathlib import Path

from embedsearch.errors import IndexDamagedError

SMALL = 2**20  # bytes; to read as much takes a millisecond


def is_small(path: Path) -> bool:
    """Whether a file is so small that it is read instead of mapped.

    Raises:
        OSError: it is missing.
    """
    return path.stat().st_size <= SMALL


class MappedFiles:
    """The large files of a folder, kept open so that their sizes can be looked up, also once deleted."""

    def __init__(self, folder: Path, sizes: Mapping[str, int], mend: str) -> None:
        """Open the files that are not small.

        Args:
            folder: that holds them.
            sizes: bytes of each, by name.
            mend: what to do about damage, a sentence.

        Raises:
            IndexDamagedError: one is missing.
        """
        self._folder, self._mend = folder, mend
        self._open: list[tuple[int, int, str]] = []
        for name, size in sizes.items():
            if size > SMALL:
                try:
                    handle = os.open(folder / name, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
                except OSError as error:
                    raise IndexDamagedError(
                        f"{folder / name} is missing ({error.strerror}). {mend}"
                    ) from None
                weakref.finalize(self, os.close, handle)
                self._open.append((handle, size, name))

    def check(self) -> None:
        """Compare each file's size with what was written.

        Raises:
            IndexDamagedError: one was truncated.
        """
        for handle, size, name in self._open:
            if (found := os.lseek(handle, 0, os.SEEK_END)) < size:  # a third of the time of fstat
                raise IndexDamagedError(
                    f"{self._folder / name} has {found:,} bytes where {size:,} were written. {self._mend}"
                )
