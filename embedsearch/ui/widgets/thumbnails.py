"""Small copies of images and frames, so that a page of results is not a page of originals."""

from __future__ import annotations

import io
from pathlib import Path

import streamlit as st

from embedsearch.encoders.vision.decode import open_rgb
from embedsearch.errors import ItemError
from embedsearch.modalities import MODALITIES, Card
from embedsearch.results import Hit
from embedsearch.splitters.video import frame_at

SIDE, LARGE = 400, 1460  # pixels of the longer side of a thumbnail, and of what Streamlit shows at most


def of_hit(hit: Hit) -> bytes | None:
    """Return a thumbnail of a hit's image or frame as JPEG, or None where it is gone or unreadable."""
    if hit.image:
        return of_bytes(hit.image)
    return of_file(hit.path or "", _start(hit))


def large(hit: Hit) -> bytes | None:
    """Return a hit's image or frame as JPEG, at most `LARGE` pixels wide and high, or None as `of_hit`."""
    return _small(hit.image or Path(hit.path or ""), LARGE, _start(hit))


def _start(hit: Hit) -> int | None:
    """Return the millisecond of a hit's frame; None for an image."""
    if hit.moment is None or MODALITIES[hit.modality].card is not Card.VIDEO:
        return None
    return round(1000 * hit.moment[0])


def of_file(path: str, milliseconds: int | None = None) -> bytes | None:
    """Return a thumbnail of an image file as JPEG, or None where it is gone or unreadable.

    Args:
        path: the file.
        milliseconds: where the file is a video, the time of its frame.
    """
    try:
        facts = Path(path).stat()
    except (OSError, ValueError):
        return None
    return _of_file(path, facts.st_mtime_ns, facts.st_size, milliseconds)


@st.cache_data(max_entries=3000, show_spinner=False)
def _of_file(path: str, changed: int, size: int, milliseconds: int | None) -> bytes | None:  # noqa: ARG001  they make the cache's key
    return _small(Path(path), milliseconds=milliseconds)


@st.cache_data(max_entries=500, show_spinner=False)
def of_bytes(content: bytes) -> bytes | None:
    """Return a thumbnail of an image file's bytes as JPEG, or None where they are unreadable."""
    return _small(content)


def _small(content: Path | bytes, side: int = SIDE, milliseconds: int | None = None) -> bytes | None:
    try:
        whole = content if milliseconds is None else frame_at(content, milliseconds).jpeg()
        image = open_rgb(whole, 2 * side)
    except (ItemError, OSError):
        return None
    image.thumbnail((side, side))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
