"""Small videos, made by PyAV when a test asks for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

av = pytest.importorskip("av")

SIZE = (96, 64)  # width, height
CODECS = {".webm": "libvpx", ".avi": "mpeg4"}
RED, BLUE, GREEN = (200, 30, 30), (30, 30, 200), (30, 160, 30)


def scene(colour: tuple[int, int, int]) -> Image.Image:
    """Return an image of a colour with a white block; a frame of one colour is no scene."""
    image = Image.new("RGB", SIZE, colour)
    image.paste("white", (0, 0, SIZE[0] // 4, SIZE[1] // 4))
    return image


def film(
    path: Path,
    scenes: Iterable[tuple[Image.Image | tuple[int, int, int], float]],
    fps: int = 10,
    *,
    codec: str = "",
    rotation: int = 0,
    shape: Fraction | None = None,
    **metadata: str,
) -> Path:
    """Write a video of scenes: an image or a colour, and seconds. The default is H.264, of WebM VP8."""
    return written(path, _frames(scenes, fps), fps, codec, rotation, shape, **metadata)


def _frames(scenes: Iterable[tuple[Any, float]], fps: int) -> Iterator[np.ndarray]:
    for shown, seconds in scenes:
        image = np.asarray(shown if isinstance(shown, Image.Image) else scene(shown))
        for _ in range(round(seconds * fps)):
            yield image


def written(
    path: Path,
    frames: Iterable[np.ndarray],
    fps: int,
    codec: str = "",
    rotation: int = 0,
    shape: Fraction | None = None,
    **metadata: str,
) -> Path:
    """Write a video of frames, (H, W, 3) uint8 each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(path, "w") as container:
        container.metadata.update(metadata)
        stream = container.add_stream(codec or CODECS.get(path.suffix, "libx264"), rate=fps)
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 2_000_000
        if shape:
            stream.sample_aspect_ratio = shape
        if rotation:
            stream.set_display_rotation(rotation)
        for at, pixels in enumerate(frames):
            if not at:
                stream.height, stream.width = pixels.shape[:2]
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = at
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def sound(path: Path, seconds: float = 1.0) -> Path:
    """Write a file that has a sound stream alone."""
    with av.open(path, "w") as container:
        stream = container.add_stream("aac", rate=16000)
        silence = np.zeros((1, round(16000 * seconds)), np.float32)
        frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
