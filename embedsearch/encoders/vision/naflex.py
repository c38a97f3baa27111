"""Models that read an image of any shape as a sequence of patches (NaFlex; SigLIP 2, Tschannen et al. 2025).

An image is resized, near its own shape, to as many patches as the model takes. The patches of a batch are
padded; a mask and the shapes go to the model with them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from embedsearch.encoders.engines import Inputs
from embedsearch.encoders.pooling import masked_mean
from embedsearch.encoders.pooling_heads import ImagePoolingHead, Unpooled, evenly
from embedsearch.modalities import PROJECTION

MORE_INPUTS = {"pixel_attention_mask", "spatial_shapes"}
Pixels = np.ndarray[Any, np.dtype[Any]]


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


def padded_patches(images: Sequence[Pixels], side: int) -> Inputs:
    """Cut images into patches of P = `side` pixels: n x (3, H, W) -> (B, N, P * P * 3), mask and shapes."""
    shapes = [(image.shape[1] // side, image.shape[2] // side) for image in images]
    longest = max(rows * columns for rows, columns in shapes)
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


class NaFlexPoolingHead(ImagePoolingHead):
    """One vector per image of any shape."""

    traceable = False  # it resizes its positions to each image's shape, in Python

    def forward(  # type: ignore[override]
        self, pixel_values: Tensor, pixel_attention_mask: Tensor, spatial_shapes: Tensor
    ) -> Tensor:
        """Scale patches here, and pool the hidden states.

        Args:
            pixel_values: (B, N, P * P * 3) uint8 or float32.
            pixel_attention_mask: (B, N) int64, 0 for padding.
            spatial_shapes: (B, 2) int64, rows and columns of patches.
        """
        inputs = self._inputs(pixel_values, pixel_attention_mask, spatial_shapes)
        if self.spec.pooling == PROJECTION:
            return self.projected("image", **inputs)
        return masked_mean(self.hidden(**inputs), pixel_attention_mask)

    def unpooled(  # type: ignore[override]
        self, pixel_values: Tensor, pixel_attention_mask: Tensor, spatial_shapes: Tensor
    ) -> Unpooled:
        """See `PoolingHead.unpooled`. Of one image there is no padding."""
        inputs = self._inputs(pixel_values, pixel_attention_mask, spatial_shapes)
        if self.spec.pooling != PROJECTION:
            rows = self.hidden(**inputs)[0].float()  # (1, N, D) -> (N, D)
            return Unpooled(rows=rows, weights=evenly(len(rows)), vector=rows.mean(0), exact=True)
        tower: Any = self.model.vision_model
        hidden = tower(**inputs).last_hidden_state[0]  # (1, N, D) -> (N, D)
        rows = tower.head(hidden[:, None]).float()  # of one token attention gathers that: (N, 1, D) -> (N, d)
        vector = self.projected("image", **inputs)[0]
        return Unpooled(rows=rows, weights=evenly(len(rows)), vector=vector, exact=False)

    def _inputs(self, pixel_values: Tensor, mask: Tensor, shapes: Tensor) -> dict[str, Tensor]:
        # a patch's numbers are its pixels', the channel last: (B, N, P * P * 3) -> (B, N, P * P, 3) and back
        channels = pixel_values.float().reshape(*pixel_values.shape[:2], -1, 3)
        pixels = channels * self.scale.flatten() + self.shift.flatten()
        values = pixels.flatten(2).to(next(self.model.parameters()).dtype)
        return {"pixel_values": values, "pixel_attention_mask": mask, "spatial_shapes": shapes}
