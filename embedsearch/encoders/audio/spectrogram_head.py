"""What computes the vector of a sound from its spectrogram and its statistics; see `bundled`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from embedsearch.encoders.audio.spectrogram import BANDS
from embedsearch.encoders.pooling_heads import ImagePoolingHead, Unpooled
from embedsearch.encoders.vision.lite import LITE2
from embedsearch.models.spec import EncoderSpec

# The average of the clips of Debian's sonic-pi-samples and sound-theme-freedesktop, as
# `python -m tests.benchmarks.sounds --reference` writes it: `centre` (1280,), `mean` (s,), `deviation` (s,).
REFERENCE = Path(__file__).with_name("reference.npz")


class SpectrogramPoolingHead(ImagePoolingHead):
    """The image model's vector of a spectrogram, beside its statistics."""

    centre: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, model: nn.Module, spec: EncoderSpec) -> None:
        super().__init__(model, spec, LITE2.scale, LITE2.shift)
        with np.load(REFERENCE) as reference:
            for name in ("centre", "mean", "deviation"):
                self.register_buffer(name, torch.tensor(reference[name]))

    def forward(self, pixel_values: Tensor, statistics: Tensor) -> Tensor:  # type: ignore[override]
        """Join the three parts, (B, D + s).

        Args:
            pixel_values: (B, 3, H, W) uint8.
            statistics: (B, s) float32.
        """
        pooled = self._pooled(self._hidden_of(pixel_values), pixel_values)  # (B, D)
        standard = (statistics - self.mean) / self.deviation
        parts = (pooled - self.centre, standard[:, : 2 * BANDS], standard[:, 2 * BANDS :])
        return torch.cat([nn.functional.normalize(part) for part in parts], 1)

    @property
    def tells_rows(self) -> bool:
        """See `PoolingHead.tells_rows`: the vector also holds the statistics."""
        return False

    def unpooled(self, pixel_values: Tensor, statistics: Tensor) -> Unpooled:  # type: ignore[override]
        """See `PoolingHead.unpooled`: first the average sound and the statistics, then the positions."""
        image = super().unpooled(pixel_values)
        vector = self(pixel_values, statistics)[0]  # (1, D + s) -> (D + s,)
        count, size = image.rows.shape
        length = (image.vector - self.centre).norm()
        rows = torch.zeros(2 + count, len(vector), device=vector.device)
        rows[0, :size] = -self.centre / length
        rows[1, size:] = vector[size:]
        rows[2:, :size] = image.rows / length
        weights = torch.cat([torch.ones(2), image.weights.cpu()])
        return Unpooled(rows, weights, vector, exact=True, map=image.map)
