"""FAISS indexes on disk, memory-mapped when they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss

from embedsearch.disk.mapped import is_small
from embedsearch.errors import IndexDamagedError


def read_index(path: Path, *, mapped: bool = True) -> Any:
    """Read a FAISS index.

    Args:
        path: the file.
        mapped: memory-map its arrays, unless the file is small, so that the system can free their pages; the
            index is read-only then.

    Raises:
        IndexDamagedError: the file can't be read as a FAISS index.
    """
    try:
        return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC if mapped and not is_small(path) else 0)
    except (OSError, RuntimeError) as error:
        raise IndexDamagedError(f"{path} can't be read as a FAISS index: {error}") from None


def write_index(index: Any, path: Path) -> None:
    """Write a FAISS index.

    Raises:
        OSError: it can't be written, for example because the disk is full.
    """
    try:
        faiss.write_index(index, str(path))
    except RuntimeError as error:  # FAISS's error for a full disk
        raise OSError(f"{path} can't be written: {str(error).splitlines()[0]}") from None
