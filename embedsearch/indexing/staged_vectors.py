"""The vectors of a build under way, in one file that grows with its shards and that the build takes over."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import numpy as np

from embedsearch.distances.metric import Vectors
from embedsearch.indexing.origins import NEW
from embedsearch.store.source_state import Places

HEAD = 128  # bytes before the numbers of a .npy file of two dimensions
BLOCK = 2**22  # bytes that are read at a time


class StagedVectors:
    """A `.npy` file of float32 that holds new vectors at the rows that they have in the build.

    The rows of kept vectors and of copies are left free. The file has no header before `finish`.
    """

    def __init__(self, path: Path) -> None:
        """Open the file that an earlier run left at `path`, or begin one."""
        self._path = path
        if path.is_file() and path.stat().st_nlink > 1:  # a build holds the same file, and must not change
            own = path.with_name(f".{path.name}")
            shutil.copyfile(path, own)
            own.replace(path)

    def write(self, first: int, origins: Places, vectors: Vectors, checksum: int) -> int:
        """Write the new vectors of some rows.

        Args:
            first: the first of the rows.
            origins: (m,) where the vector of each row comes from.
            vectors: (n, d) float32, the new ones.
            checksum: of the vectors of the shard so far.

        Returns:
            The checksum of these and those before.
        """
        if not len(vectors):
            return checksum
        vectors = np.ascontiguousarray(vectors, "<f4")
        self._path.touch()
        taken = 0
        with self._path.open("rb+") as file:
            for start, end in _runs(origins):
                run = vectors[taken : taken + end - start]
                file.seek(HEAD + (first + start) * vectors[0].nbytes)
                file.write(run.data)
                checksum = crc32(run.data, checksum)
                taken += end - start
        return checksum

    def checksum(self, first: int, origins: Places, dimension: int) -> int:
        """Return the checksum of the new vectors of some rows, as the file has them; see `write`.

        Raises:
            OSError: the file can't be read.
        """
        found, size = 0, 4 * dimension
        if not (origins == NEW).any():
            return found
        with self._path.open("rb") as file:
            for start, end in _runs(origins):
                file.seek(HEAD + (first + start) * size)
                left = (end - start) * size
                while left and (part := file.read(min(BLOCK, left))):
                    found = crc32(part, found)
                    left -= len(part)
        return found

    def finish(self, count: int, dimension: int) -> Path:
        """Write the header of an array (count, dimension), and return the file."""
        head = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            head, {"descr": "<f4", "fortran_order": False, "shape": (count, dimension)}
        )
        assert len(head.getvalue()) == HEAD  # NumPy leaves room for a longer first dimension
        self._path.touch()
        with self._path.open("rb+") as file:
            file.write(head.getvalue())
            file.truncate(HEAD + 4 * count * dimension)
        return self._path


def _runs(origins: Places) -> Iterator[tuple[int, int]]:
    """Yield `[start, end)` of each run of new vectors."""
    edges = np.flatnonzero(np.diff(origins == NEW, prepend=False, append=False))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
