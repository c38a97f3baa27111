"""Paths as people write them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def expanded(path: str | Path) -> Path:
    """Return a path with `~` as the home folder; as it is where nobody has the name behind `~`."""
    with suppress(RuntimeError):
        return Path(path).expanduser()
    return Path(path)
