"""Small copies of images, so that a page of results is not a page of originals."""

from __future__ import annotations

import io
from pathlib import Path

import streamlit as st

from embedsearch.encoders.vision.decode import open_rgb
from embedsearch.errors import ItemError
from embedsearch.results import Hit

SIDE, LARGE = 400, 1460  # pixels of the longer side of a thumbnail, and of what Streamlit shows at most


def of_hit(hit: Hit) -> bytes | None:
    """Return a thumbnail of a hit's image as JPEG, or None where it is gone or unreadable."""
    return of_bytes(hit.image) if hit.image else of_file(hit.path or "")


def large(hit: Hit) -> bytes | None:
    """Return a hit's image as JPEG, at most `LARGE` pixels wide and high, or None as `of_hit`."""
    return _small(hit.image or Path(hit.path or ""), LARGE)


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


def _small(content: Path | bytes, side: int = SIDE) -> bytes | None:
    try:
        image = open_rgb(content, 2 * side)
    except (ItemError, OSError):
        return None
    image.thumbnail((side, side))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
