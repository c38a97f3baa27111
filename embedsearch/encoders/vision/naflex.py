"""Models that read an image of any shape as a sequence of patches (NaFlex; SigLIP 2, Tschannen et al. 2025).

An image is resized, near its own shape, to as many patches as the model takes. The patches of a batch are
padded; a mask and the shapes go to the model with them. Loads no torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from embedsearch.encoders.engines import Inputs
from embedsearch.encoders.vision.resize import same_pixels

NARROW = 1e-5  # between two scales that are held for one
MORE_INPUTS = {"pixel_attention_mask", "spatial_shapes"}
Pixels = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class NaFlexResizing:
    """Resizes an image near its own shape, as the processor of SigLIP 2 does.

    Attributes:
        patch_size: the side of a patch in pixels; both sides are multiples of it.
        max_num_patches: patches of an image, at most.
        resample: the filter.
    """

    patch_size: int
    max_num_patches: int
    resample: Image.Resampling

    def __call__(self, image: Image.Image) -> Pixels:
        """Take an RGB image to (3, H, W) uint8."""
        low, high = NARROW / 10, 100.0
        while high - low >= NARROW:
            middle = (low + high) / 2
            columns, rows = self._patches(image, middle)
            low, high = (middle, high) if columns * rows <= self.max_num_patches else (low, middle)
        columns, rows = self._patches(image, low)
        size = columns * self.patch_size, rows * self.patch_size
        resized = np.asarray(image.resize(size, self.resample))
        return np.ascontiguousarray(resized.transpose(2, 0, 1))  # (H, W, 3) -> (3, H, W)

    def _patches(self, image: Image.Image, scale: float) -> tuple[int, int]:
        """Return how many patches lie across and down an image that is scaled."""
        across, down = (max(1, math.ceil(side * scale / self.patch_size)) for side in image.size)
        return across, down


def alone(processor: Any, theirs: Callable[[Image.Image], Pixels]) -> NaFlexResizing | None:
    """Return what resizes as a processor does, without it; None where nothing does.

    Args:
        processor: of transformers.
        theirs: what it makes of an RGB image, (3, H, W).
    """
    resample = Image.Resampling(int(processor.resample))
    ours = NaFlexResizing(int(processor.patch_size), int(processor.max_num_patches), resample)
    return ours if same_pixels(ours, theirs) else None


def resizing(processor: Any) -> Callable[[Image.Image], Pixels]:
    """Return a function from an RGB image to its pixels as the processor resizes them, (3, H, W)."""
    side = int(processor.patch_size)

    def pixels(image: Image.Image) -> Pixels:
        # The axis is named, or an image 3 pixels high would be read as channels first.
        out = processor(
            images=[image],
            return_tensors="np",
            input_data_format="channels_last",
            do_rescale=False,
            do_normalize=False,
        )
        rows, columns = out["spatial_shapes"][0].tolist()
        patches = out["pixel_values"][0][: rows * columns]  # without padding
        # (N, P * P * 3) -> (rows, columns, P, P, 3) -> (3, rows, P, columns, P) -> (3, H, W)
        image_rows = patches.reshape(rows, columns, side, side, 3).transpose(4, 0, 2, 1, 3)
        return np.ascontiguousarray(image_rows.reshape(3, rows * side, columns * side))

    return pixels


def padded_patches(images: Sequence[Pixels], side: int, least: int) -> Inputs:
    """Cut images into patches of P = `side` pixels: n x (3, H, W) -> (B, N, P * P * 3), mask and shapes.

    N is as many patches as the longest image has, and `least` at least.
    """
    shapes = [(image.shape[1] // side, image.shape[2] // side) for image in images]
    longest = max(least, *(rows * columns for rows, columns in shapes))
    values = np.zeros((len(images), longest, side * side * 3), images[0].dtype)
    mask = np.zeros((len(images), longest), np.int64)
    for at, (image, (rows, columns)) in enumerate(zip(images, shapes, strict=True)):
        # (3, H, W) -> (3, rows, P, columns, P) -> (rows, columns, P, P, 3) -> (N, P * P * 3)
        patches = image.reshape(3, rows, side, columns, side).transpose(1, 3, 2, 4, 0)
        values[at, : rows * columns] = patches.reshape(rows * columns, -1)
        mask[at, : rows * columns] = 1
    return {
        "pixel_values": values,
        "pixel_attention_mask": mask,
        "spatial_shapes": np.array(shapes, np.int64),
    }
