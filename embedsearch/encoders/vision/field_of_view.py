"""Which part of an image a model sees, for any processor, and where its tokens lie in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from embedsearch.encoders.hidden_states import WHOLE, Box

# At most this many tokens may precede the patches (CLS, registers), if a model doesn't tell its patch size.
MOST_PREFIX = 9


def seen_box(pixels: Callable[[Image.Image], np.ndarray[Any, Any]], size: tuple[int, int]) -> Box:
    """Return the part of an image that a preprocessing shows the model.

    A gradient from black to white tells, for each pixel after the preprocessing, where it came from.

    Args:
        pixels: takes an RGB image to (3, h, w), each channel scaled and shifted by constants.
        size: width and height of the image.

    Returns:
        Left, top, right and bottom as shares of its width and height; beyond [0, 1] where it is padded.
    """
    black = _grey(pixels, Image.new("RGB", size, "black"))
    white = _grey(pixels, Image.new("RGB", size, "white"))
    real = np.abs(white - black) > 1e-6  # padding has one colour in both
    if not real.any():
        return WHOLE
    ends = []
    for axis in (1, 0):  # across, then down
        slope = _grey(pixels, Image.fromarray(_slope(size, axis)))
        share = (slope - black) / np.where(real, white - black, 1)
        lines = np.flatnonzero(real.any(1 - axis))
        margin = len(lines) // 8  # filters bend the slope at its ends
        lines = lines[margin : len(lines) - margin]
        places = [share.take(line, axis)[real.take(line, axis)].mean() for line in lines]
        count = share.shape[axis]
        if size[1 - axis] < 2 or len(lines) < 2:
            ends.append((0.0, 1.0))
            continue
        rise, start = np.polyfit(lines + 0.5, places, 1)
        ends.append((float(start), float(start + rise * count)))
    (left, right), (top, bottom) = ends
    return left, top, right, bottom


def _grey(pixels: Callable[[Image.Image], np.ndarray[Any, Any]], image: Image.Image) -> np.ndarray[Any, Any]:
    return np.asarray(np.mean(pixels(image), 0, dtype=np.float64))  # (3, h, w) -> (h, w)


def _slope(size: tuple[int, int], axis: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return an image whose grey is the share of its width (axis 1) or height (axis 0): (h, w, 3) uint8.

    256 greys are too few for a wide image, so the lines across round at different places.
    """
    width, height = size
    along, across = (width, height) if axis else (height, width)
    grey = 255 * (np.arange(along) + 0.5) / along
    rounding = (np.arange(across) * 0.618034) % 1
    lines = np.floor(grey[None, :] + rounding[:, None]).astype(np.uint8)  # (across, along)
    return np.repeat((lines if axis else lines.T)[:, :, None], 3, axis=2)


def grid_of(tokens: int, patch: int | None, height: int, width: int) -> tuple[int, int] | None:
    """Return rows and columns of the patches among a transformer's tokens.

    Args:
        tokens: how many the model gives, CLS and registers (which come first) among them.
        patch: its patch's side in pixels, where it tells; models that merge patches give fewer tokens.
        height: of the model's input.
        width: likewise.

    Returns:
        Rows and columns, or None where no grid of the image's shape fits.
    """
    if patch and tokens >= (rows := height // patch) * (columns := width // patch):
        return rows, columns
    for prefix in range(min(MOST_PREFIX, tokens)):
        count = tokens - prefix
        for rows in range(1, count + 1):
            columns = count // rows
            if rows * columns == count and abs(rows - columns * height / width) < 1:
                return rows, columns
    return None
