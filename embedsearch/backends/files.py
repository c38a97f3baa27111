"""FAISS indexes on disk, memory-mapped when they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss

from embedsearch.errors import IndexDamagedError


def read_index(path: Path, *, mapped: bool = True) -> Any:
    """Read a FAISS index.

    Args:
        path: the file.
        mapped: leave its arrays in the file, where the system may take their pages back; not to be changed.

    Raises:
        IndexDamagedError: the file can't be read as one.
    """
    try:
        return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC if mapped else 0)
    except RuntimeError as error:
        raise IndexDamagedError(f"{path} can't be read as a FAISS index: {error}") from None


def write_index(index: Any, path: Path) -> None:
    """Write a FAISS index.

    Raises:
        OSError: it can't be written: the disk is full, perhaps.
    """
    try:
        faiss.write_index(index, str(path))
    except RuntimeError as error:  # so FAISS says that the disk is full
        raise OSError(f"{path} can't be written: {str(error).splitlines()[0]}") from None
