"""What torch computes of images of any shape; see `naflex`."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from embedsearch.encoders.pooling import masked_mean
from embedsearch.encoders.pooling_heads import ImagePoolingHead, Unpooled, evenly
from embedsearch.modalities import PROJECTION


class NaFlexPoolingHead(ImagePoolingHead):
    """One vector per image of any shape."""

    @property
    def tells_rows(self) -> bool:
        """See `PoolingHead.tells_rows`: the patches of a batch are padded."""
        return False

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
