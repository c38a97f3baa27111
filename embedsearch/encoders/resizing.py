"""The resizing of the common image processors, by Pillow alone.

A processor of transformers spends most of its time in Python, which the threads that decode pictures can't
share. Most do one of two things, written here; `same_pixels` proves that a model's does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from embedsearch.encoders.shrinking import Resize, by_pillow

Pixels = np.ndarray[Any, np.dtype[np.uint8]] | np.ndarray[Any, np.dtype[np.float32]]

# Wide, tall, smaller than any model's input, and of odd sides, where rounding shows.
_PROBES = ((301, 203), (203, 301), (47, 61), (640, 639))


@dataclass(frozen=True, slots=True)
class PillowResizing:
    """Resizes a picture whole to a size, or by its shorter edge, then crops its centre.

    Attributes:
        size: height and width; None where `edge` says.
        edge: length of the shorter side.
        crop: height and width of the centre, or None.
        resample: the filter.
    """

    size: tuple[int, int] | None
    edge: int
    crop: tuple[int, int] | None
    resample: Image.Resampling

    @property
    def side(self) -> int:
        """The longest side that a picture's shorter side is resized to."""
        return max(self.size) if self.size else self.edge

    def __call__(self, image: Image.Image, resize: Resize = by_pillow) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Take an RGB picture to (3, H, W) uint8."""
        if self.size:
            height, width = self.size
        else:
            width, height = image.size
            long = int(self.edge * max(width, height) / min(width, height))
            width, height = (self.edge, long) if width <= height else (long, self.edge)
        image = resize(image, (width, height), self.resample, None)
        if self.crop:
            left, top = (width - self.crop[1]) // 2, (height - self.crop[0]) // 2
            image = image.crop((left, top, left + self.crop[1], top + self.crop[0]))
        return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))  # (H, W, 3) -> (3, H, W)


def pillow_resizing(processor: Any) -> PillowResizing | None:
    """Return what resizes and crops as `processor` declares, or None where its settings are others."""
    size = dict(processor.size or {}) if processor.do_resize else {}
    crop = dict(processor.crop_size or {}) if getattr(processor, "do_center_crop", False) else {}
    if processor.resample is None or set(size) not in ({"height", "width"}, {"shortest_edge"}):
        return None
    return PillowResizing(
        size=(size["height"], size["width"]) if "height" in size else None,
        edge=size.get("shortest_edge", 0),
        crop=(crop["height"], crop["width"]) if crop else None,
        resample=Image.Resampling(int(processor.resample)),
    )


def same_pixels(ours: Callable[[Image.Image], Pixels], theirs: Callable[[Image.Image], Pixels]) -> bool:
    """Whether both give the very same pixels of noise pictures of several shapes."""
    draw = np.random.default_rng(0)
    for width, height in _PROBES:
        noise = Image.fromarray(draw.integers(0, 256, (height, width, 3), dtype=np.uint8))
        if not np.array_equal(ours(noise), theirs(noise)):
            return False
    return True
