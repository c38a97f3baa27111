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
        """Return the image of a frame, or of a query."""
        return super()._open(image_file(item) if isinstance(item, Clip) else item)


def image_file(frame: Clip) -> bytes:
    """Return a frame as a JPEG file; one that is not stored is decoded from its video.

    Raises:
        ItemError: the video can't be read.
    """
    if isinstance(frame, StoredFrame):
        return frame.read()
    return frame_at(frame.source, frame.span[0]).jpeg()
