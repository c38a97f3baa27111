"""Frames of videos: each is an image; a query is a frame or an image."""

from __future__ import annotations

from typing import Any

from PIL import Image

from embedsearch.encoders.images import ImageEncoder
from embedsearch.records import Clip
from embedsearch.splitters.frames import StoredFrame
from embedsearch.splitters.video import frame_at


class FrameEncoder(ImageEncoder):
    """One vector per frame."""

    def _open(self, item: Any) -> tuple[Image.Image, tuple[str, ...]]:
        """Return the image of a frame; one that is not stored is decoded from its video."""
        if isinstance(item, StoredFrame):
            item = item.read()
        elif isinstance(item, Clip):
            item = frame_at(item.source, item.span[0]).jpeg()
        return super()._open(item)
