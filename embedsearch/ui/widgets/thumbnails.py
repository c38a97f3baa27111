"""Small copies of images, frames and spectrograms, so that a page of results is not a page of originals."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from embedsearch.artifacts.thumbnails import SIDE
from embedsearch.errors import ItemError
from embedsearch.explain.shown import moment_of, thumbnail
from embedsearch.modalities import MODALITIES, Card
from embedsearch.records import Span
from embedsearch.results import Hit

LARGE = 1460  # pixels of the longer side of an image that is enlarged


def of_hit(hit: Hit) -> bytes | None:
    """Return a thumbnail of what stands for a hit as JPEG, or None where it is gone or unreadable."""
    return small(hit.image or Path(hit.path or ""), MODALITIES[hit.modality].card, moment_of(hit))


def small(source: Path | bytes, card: Card, moment: Span | None = None) -> bytes | None:
    """Return a thumbnail of a file or of its bytes; see `of_file`."""
    if isinstance(source, bytes):
        return of_bytes(source, card, moment)
    return of_file(str(source), card, moment)


def large(source: Path | bytes, card: Card, moment: Span | None = None) -> bytes | None:
    """Return an image as JPEG, at most `LARGE` pixels wide and high, or None as `of_file`."""
    return _small(source, card, moment, LARGE)


def of_file(path: str, card: Card = Card.IMAGE, moment: Span | None = None) -> bytes | None:
    """Return a thumbnail of a file as JPEG, or None where it is gone or unreadable.

    Args:
        path: the file.
        card: how it is shown.
        moment: of a video or a sound, in milliseconds.
    """
    try:
        facts = Path(path).stat()
    except (OSError, ValueError):
        return None
    return _of_file(path, facts.st_mtime_ns, facts.st_size, card, moment)


@st.cache_data(max_entries=3000, show_spinner=False)
def _of_file(path: str, changed: int, size: int, card: Card, moment: Span | None) -> bytes | None:  # noqa: ARG001  they make the cache's key
    return _small(Path(path), card, moment)


@st.cache_data(max_entries=500, show_spinner=False)
def of_bytes(content: bytes, card: Card = Card.IMAGE, moment: Span | None = None) -> bytes | None:
    """Return a thumbnail of a file's bytes as JPEG, or None where they are unreadable; see `of_file`."""
    return _small(content, card, moment)


def _small(content: Path | bytes, card: Card, moment: Span | None, side: int = SIDE) -> bytes | None:
    try:
        return thumbnail(content, card, moment, side)
    except (ItemError, OSError):
        return None
