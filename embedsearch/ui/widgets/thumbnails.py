"""Small copies of images, so that a page of results is not a page of originals."""

from __future__ import annotations

import io
from pathlib import Path

import streamlit as st
from PIL import Image

from embedsearch.encoders.vision.decode import open_rgb
from embedsearch.errors import ItemError

SIDE = 400


def of_file(path: str) -> bytes | None:
    """Return a thumbnail of the image at `path` as JPEG, or None where it is gone or unreadable."""
    try:
        facts = Path(path).stat()
    except (OSError, ValueError):
        return None
    return _of_file(path, facts.st_mtime_ns, facts.st_size)


@st.cache_data(max_entries=3000, show_spinner=False)
def _of_file(path: str, changed: int, size: int) -> bytes | None:  # noqa: ARG001  they make the cache's key
    return _small(Path(path))


@st.cache_data(max_entries=500, show_spinner=False)
def of_bytes(content: bytes) -> bytes | None:
    """Return a thumbnail of an image file's bytes as JPEG, or None where they are unreadable."""
    return _small(content)


def _small(content: Path | bytes) -> bytes | None:
    try:
        image = open_rgb(_drafted(content))
    except ItemError:
        return None
    image.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def _drafted(content: Path | bytes) -> Path | bytes | Image.Image:
    """Open a large JPEG at a fraction of its size, which decodes many times faster."""
    try:
        image = Image.open(io.BytesIO(content) if isinstance(content, bytes) else content)
        image.draft("RGB", (2 * SIDE, 2 * SIDE))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return content  # open_rgb says what it is
    return image
