"""The cache folder of this machine, and arrays that are kept there."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from embedsearch.disk.npy import load_array

Vectors = npt.NDArray[np.float32]
# what NumPy raises for a damaged file
DAMAGED = (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile)


def cache_folder() -> Path:
    """Return the cache folder: `embedsearch` in $XDG_CACHE_HOME or ~/.cache.

    Raises:
        RuntimeError: there is no home folder.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "embedsearch"


def clear_cache() -> int:
    """Delete what is kept for this machine, and return how many bytes that was.

    Raises:
        OSError: a file can't be deleted.
        RuntimeError: there is no home folder.
    """
    folder, freed = cache_folder(), 0
    for path in sorted(folder.rglob("*"), reverse=True):  # what is in a folder comes before it
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            freed += path.lstat().st_size
            path.unlink()
    return freed


def kept_vectors(
    items: Sequence[Any], fingerprint: str, made_by: Sequence[str], make: Callable[[], Vectors]
) -> Vectors:
    """Return the vectors of `items`, which are computed once per machine.

    Args:
        items: the items; their `repr` is part of the key.
        fingerprint: of the encoder.
        made_by: what else the vectors depend on, such as the role.
        make: computes them, (n, d) float32, one for each item; called where they are not in the cache.

    Returns:
        (n, d) float32.
    """
    key = repr([fingerprint, *made_by, *items])
    vectors = kept("texts", key)
    if vectors is not None and vectors.shape[:1] == (len(items),) and vectors.ndim == 2:
        known: Vectors = vectors
        if np.isfinite(known).all():
            return known
    made = make()
    keep("texts", key, made)
    return made


def kept(kind: str, key: str) -> Any:
    """Return the array that `keep` wrote for a key; None where there is none that can be read."""
    with contextlib.suppress(RuntimeError, *DAMAGED):  # there is no home folder, or it may not be read
        return load_array(_file(kind, key))
    return None


def keep(kind: str, key: str, array: npt.NDArray[Any]) -> None:
    """Keep an array for a key; what can't be kept is computed again next time.

    Args:
        kind: of the array: the folder.
        key: names what it was computed from.
        array: of numbers.
    """
    with contextlib.suppress(OSError, RuntimeError):
        _write(array, _file(kind, key))


def _file(kind: str, key: str) -> Path:
    name = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    return cache_folder() / kind / f"{name}.npy"


def _write(array: npt.NDArray[Any], known: Path) -> None:
    """Write an array to a file in one step, also where another process writes it."""
    known.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=known.parent, suffix=".npy", delete=False) as aside:
        try:
            np.save(aside, array)
            aside.close()
            Path(aside.name).replace(known)
        except OSError:
            Path(aside.name).unlink(missing_ok=True)
            raise
