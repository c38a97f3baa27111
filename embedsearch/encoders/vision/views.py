"""The second view of an image: the whole of it, beside the middle that a model's own preprocessing takes.

Most preprocessing cuts the middle square out. A convolutional network reads images of any shape, so it sees
the whole at its own shape, in as many pixels as the middle has. Other models see the whole on a grey square.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from embedsearch.encoders.hidden_states import Box
from embedsearch.encoders.vision.field_of_view import seen_box

WIDE = 1.3  # longer side to shorter, from which on `auto` takes both views
MOST = 16.0  # longer side to shorter that the whole keeps; what is longer is squeezed
STEP = 32  # pixels; sides are multiples of it, so that images of like shapes are batched
GREY = (124, 116, 104)  # the mean colour of ImageNet

Pixels = np.ndarray[Any, np.dtype[Any]]


def is_wide(image: Image.Image) -> bool:
    """Whether an image is so wide or tall that its middle says too little of it."""
    return max(image.size) > WIDE * min(image.size)


def sees_all(box: Box) -> bool:
    """Whether a preprocessing that shows a model this part of an image shows it all but a hundredth."""
    left, top, right, bottom = box
    return max(left, top, 1 - right, 1 - bottom) < 0.01


def whole_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return width and height, near an image's shape, of about as many pixels as a square of `side` has."""
    width, height = size
    shape = min(max(width / height, 1 / MOST), MOST) ** 0.5  # the root of width to height
    across, down = (max(STEP, STEP * round(each / STEP)) for each in (side * shape, side / shape))
    return across, down


def at_own_shape(image: Image.Image, side: int) -> Pixels:
    """Return the whole of an RGB image near its own shape, with about `side`^2 pixels: (3, H, W) uint8."""
    size = whole_size(image.size, side)
    resized = image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
    return np.ascontiguousarray(np.asarray(resized).transpose(2, 0, 1))  # (H, W, 3) -> (3, H, W)


def on_square(image: Image.Image, pixels: Callable[[Image.Image], Pixels], side: int, share: float) -> Pixels:
    """Return what a preprocessing makes of an RGB image that is laid on a grey square, (3, H, W).

    Args:
        image: the image.
        pixels: the preprocessing.
        side: of the square that it takes out, in pixels.
        share: of a square's side that it shows the model.
    """
    small = image.copy()
    small.thumbnail((side, side), Image.Resampling.BICUBIC)
    edge = round(max(small.size) / share)
    square = Image.new("RGB", (edge, edge), GREY)
    square.paste(small, ((edge - small.width) // 2, (edge - small.height) // 2))
    return pixels(square)


def second_view(
    pixels: Callable[[Image.Image], Pixels], *, convolutional: bool
) -> tuple[Callable[[Image.Image], Pixels] | None, bool]:
    """Return what shows a model the whole of an image, beside its own preprocessing.

    Args:
        pixels: the model's own preprocessing, from an RGB image to (3, H, W).
        convolutional: whether the model reads images of any shape.

    Returns:
        A function like `pixels`, None where `pixels` shows the whole already; and whether what it returns
        has several shapes.
    """
    if sees_all(seen_box(pixels, (400, 300))):
        return None, False
    square = (512, 512)
    middle = pixels(Image.new("RGB", square))  # (3, H, W)
    side = middle.shape[1]
    if convolutional and middle.dtype == np.uint8:  # else the processor scales, too
        return partial(at_own_shape, side=side), True
    left, _, right, _ = seen_box(pixels, square)
    return partial(on_square, pixels=pixels, side=side, share=right - left), False
