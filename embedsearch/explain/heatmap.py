"""An image with its heat drawn over it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from embedsearch.encoders.hidden_states import Box
from embedsearch.encoders.vision.decode import ImageSource, open_rgb

SIDE = 900  # longest side of what is drawn, in pixels
DIM, UNSEEN = 0.65, 0.3  # share of the brightness: under the heat, and where the model does not see
# From no heat to the most: share, red, green, blue, and how much of the colour covers the image.
RAMP = (
    (0.00, 30, 40, 90, 0.62),
    (0.25, 90, 30, 150, 0.55),
    (0.50, 225, 40, 110, 0.50),
    (0.75, 255, 130, 30, 0.52),
    (1.00, 255, 235, 60, 0.58),
)


def overlay(source: ImageSource, heat: npt.NDArray[np.floating], box: Box) -> Image.Image:
    """Draw heat over an image in dim grey; what the model does not see is darker.

    Colours go from dark blue, where `heat` is 0 or less, to yellow, where it is greatest.

    Args:
        source: a path, the bytes of an image file, or an open image.
        heat: (H, W), larger is hotter.
        box: left, top, right and bottom of `heat` as shares of the upright image's sides.

    Returns:
        An RGB image, its longer side at most 900 pixels.

    Raises:
        ItemError: the image can't be read.
    """
    image = open_rgb(source)
    image.thumbnail((SIDE, SIDE))
    width, height = image.size
    grey = np.asarray(image.convert("L"), np.float32)[:, :, None].repeat(3, axis=2)  # (h, w) -> (h, w, 3)
    grey = 0.65 * grey + 0.35 * np.asarray(image, np.float32)
    dim = DIM * grey  # so that dark blue is dark on a white ground too
    # where each pixel lies in the box, as a share of it; outside it is below 0 or above 1
    left, top, right, bottom = box
    across = ((np.arange(width) + 0.5) / width - left) / (right - left)
    down = ((np.arange(height) + 0.5) / height - top) / (bottom - top)
    inside = ((down >= 0) & (down <= 1))[:, None] & ((across >= 0) & (across <= 1))[None, :]
    share = _shares(heat)
    at = _between(_between(share, down).T, across).T  # (H, W) -> (h, W) -> (h, w)
    ramp = np.asarray(RAMP, np.float32)
    colours = np.stack([np.interp(at, ramp[:, 0], ramp[:, band]) for band in (1, 2, 3)], 2)  # (h, w, 3)
    cover = np.interp(at, ramp[:, 0], ramp[:, 4])[:, :, None]
    shown = np.where(inside[:, :, None], dim * (1 - cover) + colours * cover, grey * UNSEEN)
    return Image.fromarray(shown.clip(0, 255).astype(np.uint8))


def _shares(heat: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Scale heat to [0, 1]: what is not above 0 has none."""
    most = float(heat.max(initial=0))
    return np.asarray(np.clip(heat, 0, None) / most if most > 0 else np.zeros_like(heat), np.float32)


def _between(values: npt.NDArray[np.floating], places: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Interpolate rows linearly: (H, W) at (h,) places, shares of the height -> (h, W)."""
    count = len(values)
    at = np.clip(places * count - 0.5, 0, count - 1)
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, count - 1)
    part = (at - low)[:, None]
    return np.asarray(values[low] * (1 - part) + values[high] * part, np.float32)
