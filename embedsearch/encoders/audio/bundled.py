"""The bundled encoder of sounds: the image model over a spectrogram, joined with statistics of its levels.

The vector has three parts of unit length. The first is the mean over the positions of the last hidden state,
less that of an average sound. The second are means and deviations over time of the log-mel levels, the third
those of their cepstrum (MFCC), both standardised. It tells what kind of sound something is, and not what is
said in it: tests.benchmarks.sounds has the figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from embedsearch.encoders import Prepared
from embedsearch.encoders.audio.base import SoundEncoder, apart, samples_of
from embedsearch.encoders.audio.spectrogram import RATE, grey_image, log_mel, statistics
from embedsearch.encoders.engines.exported import Kept, open_exported
from embedsearch.encoders.hidden_states import HiddenStates, View
from embedsearch.encoders.vision.lite import SIDE
from embedsearch.models.files import ModelFiles
from embedsearch.models.spec import EncoderSpec, Role
from embedsearch.recipe import EncoderRecipe
from embedsearch.splitters.sound import Samples

if TYPE_CHECKING:
    from embedsearch.encoders.pooling_heads import PoolingHead

NAMES = ("[average sound]", "[levels and cepstrum over time]")


class SpectrogramEncoder(SoundEncoder):
    """One vector per clip, without a model that was trained on sounds."""

    def __init__(self, recipe: EncoderRecipe, spec: EncoderSpec, files: ModelFiles) -> None:
        super().__init__(recipe, spec, open_exported(recipe, spec) or _head(spec, files), RATE)

    def kept(self, head: PoolingHead) -> Kept:
        """Sounds are prepared by NumPy and Pillow alone; see `ModelEncoder.kept`."""
        return Kept(head.is_transformer, {}, {})

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


def _head(spec: EncoderSpec, files: ModelFiles) -> PoolingHead:
    """Load the image model, and what reads a spectrogram with it."""
    from embedsearch.encoders.audio.spectrogram_head import SpectrogramPoolingHead
    from embedsearch.encoders.efficientnet_lite import EfficientNetLite

    return SpectrogramPoolingHead(EfficientNetLite(files.weights[0]), spec)
