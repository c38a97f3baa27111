"""The bundled encoder of sounds: the image model over a spectrogram, joined with statistics of its levels.

The vector has three parts of unit length. The first is the mean over the positions of the last hidden state,
less that of an average sound. The second are means and deviations over time of the log-mel levels, the third
those of their cepstrum (MFCC), both standardised. It tells what kind of sound something is, and not what is
said in it: tests.benchmarks.sounds has the figures.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from embedsearch.encoders import Prepared
from embedsearch.encoders.audio.base import SoundEncoder, apart, samples_of
from embedsearch.encoders.audio.spectrogram import BANDS, RATE, grey_image, log_mel, statistics
from embedsearch.encoders.efficientnet_lite import EfficientNetLite
from embedsearch.encoders.hidden_states import HiddenStates, View
from embedsearch.encoders.pooling_heads import ImagePoolingHead, PoolingHead, Unpooled
from embedsearch.encoders.vision.lite import LITE2, SIDE
from embedsearch.models.files import ModelFiles
from embedsearch.models.spec import EncoderSpec, Role
from embedsearch.recipe import EncoderRecipe
from embedsearch.splitters.sound import Samples

# The average of the clips of Debian's sonic-pi-samples and sound-theme-freedesktop, as
# `python -m tests.benchmarks.sounds --reference` writes it: `centre` (1280,), `mean` (s,), `deviation` (s,).
REFERENCE = Path(__file__).with_name("reference.npz")
NAMES = ("[average sound]", "[levels and cepstrum over time]")


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


class SpectrogramEncoder(SoundEncoder):
    """One vector per clip, without a model that was trained on sounds."""

    def __init__(self, recipe: EncoderRecipe, spec: EncoderSpec, files: ModelFiles) -> None:
        head = SpectrogramPoolingHead(EfficientNetLite(files.weights[0]), spec)
        super().__init__(recipe, spec, head, RATE)

    def ready(self, samples: Samples) -> Prepared:
        """Return the image of the spectrogram (3, SIDE, SIDE), and its statistics (s,)."""
        levels = log_mel(samples)
        image = grey_image(levels).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        pixels = np.broadcast_to(np.asarray(image), (3, SIDE, SIDE))
        return Prepared({"pixel_values": pixels, "statistics": statistics(levels)}, cost=1)

    def unpool(self, item: Any, role: Role, head: PoolingHead) -> HiddenStates:  # noqa: ARG002
        """Take a clip apart into the patches of its spectrogram; see `Encoder.hidden_states`."""
        unpooled = self.unpooled_states(self.ready(samples_of([item], self.rate)[0]), head)
        assert unpooled.map is not None  # of a CNN
        return apart(unpooled, View(unpooled.map), NAMES)
