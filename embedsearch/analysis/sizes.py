"""How large an item's content is, for what is kept of duplicates: the greater, compared number by number."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from embedsearch.encoders.vision.decode import pixels_of
from embedsearch.splitters.video import fields_of

Size = tuple[int, ...]


def pixels(content: str | Path | bytes) -> Size:
    """Return the pixels and the bytes of an image; 0 for what can't be read."""
    assert not isinstance(content, str)
    with suppress(OSError, ValueError):
        return pixels_of(content), len(content) if isinstance(content, bytes) else content.stat().st_size
    return 0, 0


def frame_pixels(content: str | Path | bytes) -> Size:
    """Return the pixels of a frame of a video; 0 for what can't be read."""
    assert not isinstance(content, str)
    facts = fields_of(content)
    width, height = facts.get("width"), facts.get("height")
    return (width * height if isinstance(width, int) and isinstance(height, int) else 0,)


def characters(content: str | Path | bytes) -> Size:
    """Return the characters of a text."""
    assert isinstance(content, str)
    return (len(content),)


def none(content: str | Path | bytes) -> Size:  # noqa: ARG001
    """Return no number: no item is larger than another."""
    return ()
