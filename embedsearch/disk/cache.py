"""The folder of what is kept for this machine, and vectors that are asked for again and again."""

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
# what numpy raises of files that are not what it wrote
DAMAGED = (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile)


def cache_folder() -> Path:
    """Return the folder for what is kept of this machine: $XDG_CACHE_HOME or ~/.cache.

    Raises:
        RuntimeError: there is no home folder.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "embedsearch"


def kept_vectors(
    items: Sequence[Any], fingerprint: str, made_by: Sequence[str], make: Callable[[], Vectors]
) -> Vectors:
    """Return the vectors of `items`, made once per machine.

    Args:
        items: what has the vectors; their `repr` tells them apart.
        fingerprint: of the encoder.
        made_by: what else decides the vectors, such as the role.
        make: makes them, (n, d) float32, one for each item; called where they are not kept.

    Returns:
        (n, d) float32.
    """
    told = repr([fingerprint, *made_by, *items])
    asked = hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()
    known = None
    with contextlib.suppress(OSError, RuntimeError):  # no home folder, or none that may be entered
        known = cache_folder() / "texts" / f"{asked}.npy"
    if known is not None:
        with contextlib.suppress(*DAMAGED):
            vectors: Vectors = load_array(known)
            if vectors.ndim == 2 and len(vectors) == len(items) and np.isfinite(vectors).all():
                return vectors
    vectors = make()
    with contextlib.suppress(OSError):  # without a place to keep them, they are made again next time
        if known is not None:
            _keep(vectors, known)
    return vectors


def _keep(vectors: Vectors, known: Path) -> None:
    """Write vectors to a file in one step, whoever else writes it."""
    known.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=known.parent, suffix=".npy", delete=False) as aside:
        try:
            np.save(aside, vectors)
            aside.close()
            Path(aside.name).replace(known)
        except OSError:
            Path(aside.name).unlink(missing_ok=True)
            raise
