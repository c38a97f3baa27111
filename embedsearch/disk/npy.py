"""Reads NumPy's files.

NumPy parses a header by `ast.literal_eval`. In CPython 3.11 that sometimes fails with a SystemError when two
threads do it at once (python/cpython#106905); then the file is read again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from embedsearch.disk.mapped import is_small

TRIES = 10
T = TypeVar("T")


def load_array(path: Path, *, mapped: bool = False) -> Any:
    """Return the array of an .npy file.

    Args:
        path: the file.
        mapped: memory-map it, read-only, unless it is small.

    Raises:
        OSError, ValueError: the file is missing, or is no .npy file.
    """
    mode: Literal["r"] | None = "r" if mapped and not is_small(path) else None
    return _again(lambda: np.load(path, mmap_mode=mode, allow_pickle=False))


def load_arrays(path: Path) -> dict[str, Any]:
    """Return the arrays of an .npz file by name.

    Raises:
        OSError, ValueError, zipfile.BadZipFile: the file is missing, or is no .npz file.
    """

    def load() -> dict[str, Any]:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}

    return _again(load)


def _again(load: Callable[[], T]) -> T:
    for _ in range(TRIES - 1):
        try:
            return load()
        except SystemError:
            continue
    return load()
