"""How large an item's content is, for what is kept of duplicates: the greater, compared number by number."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from embedsearch.encoders.vision.decode import pixels_of

Size = tuple[int, ...]


def pixels(content: str | Path | bytes) -> Size:
    """Return the pixels and the bytes of an image; 0 for what can't be read."""
    assert not isinstance(content, str)
    with suppress(OSError, ValueError):
        return pixels_of(content), len(content) if isinstance(content, bytes) else content.stat().st_size
    return 0, 0


def characters(content: str | Path | bytes) -> Size:
    """Return the characters of a text."""
    assert isinstance(content, str)
    return (len(content),)


def none(content: str | Path | bytes) -> Size:  # noqa: ARG001
    """Return no number: no item is larger than another."""
    return ()
