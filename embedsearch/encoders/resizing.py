"""The resizing of the common image processors, by Pillow alone.

A processor of transformers spends most of its time in Python, which the threads that decode pictures can't
share. Most do one of two things, written here; `same_pixels` proves that a model's does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

Resize = Callable[[Image.Image], np.ndarray[Any, np.dtype[Any]]]

# Wide, tall, smaller than any model's input, and of odd sides, where rounding shows.
_PROBES = ((301, 203), (203, 301), (47, 61), (640, 639))


def pillow_resizing(processor: Any) -> Resize | None:
    """Return what resizes and crops as `processor` declares, or None where its settings are others.

    The result takes an RGB picture and gives (3, H, W) uint8.
    """
    size = dict(processor.size or {}) if processor.do_resize else {}
    crop = dict(processor.crop_size or {}) if getattr(processor, "do_center_crop", False) else {}
    resample = Image.Resampling(int(processor.resample)) if processor.resample is not None else None
    if resample is None or set(size) not in ({"height", "width"}, {"shortest_edge"}):
        return None

    def resize(image: Image.Image) -> np.ndarray[Any, np.dtype[np.uint8]]:
        if "height" in size:
            width, height = size["width"], size["height"]
        else:
            edge, (width, height) = size["shortest_edge"], image.size
            short, long = min(width, height), max(width, height)
            width, height = (
                (edge, int(edge * long / short)) if width <= height else (int(edge * long / short), edge)
            )
        image = image.resize((width, height), resample)
        if crop:
            left, top = (width - crop["width"]) // 2, (height - crop["height"]) // 2
            image = image.crop((left, top, left + crop["width"], top + crop["height"]))
        return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))  # (H, W, 3) -> (3, H, W)

    return resize


def same_pixels(ours: Resize, theirs: Resize) -> bool:
    """Whether both give the very same pixels of noise pictures of several shapes."""
    draw = np.random.default_rng(0)
    for width, height in _PROBES:
        noise = Image.fromarray(draw.integers(0, 256, (height, width, 3), dtype=np.uint8))
        if not np.array_equal(ours(noise), theirs(noise)):
            return False
    return True
