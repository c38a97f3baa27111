"""Any audio encoder of transformers: the mean over the frames of its last hidden state; or CLAP's projection.

AST, Wav2Vec2, HuBERT, WavLM, Whisper's encoder and the audio tower of CLAP are tested. Frames that were
padded are left out, and so are the [CLS] and distillation positions of AST.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from embedsearch.encoders import Prepared
from embedsearch.encoders.audio.base import SoundEncoder, apart, probes, samples_of
from embedsearch.encoders.audio.features import Features, alone, features_of
from embedsearch.encoders.audio.positions import Positions
from embedsearch.encoders.engines.exported import Kept, open_exported
from embedsearch.encoders.hidden_states import HiddenStates, View
from embedsearch.models.files import ModelFiles
from embedsearch.models.spec import EncoderSpec, Role
from embedsearch.recipe import EncoderRecipe
from embedsearch.splitters.sound import Samples

if TYPE_CHECKING:
    from embedsearch.encoders.audio.transformer_head import AudioPoolingHead
    from embedsearch.encoders.pooling_heads import PoolingHead

# Wav2Vec2 and its kind read one frame of 25 ms at least
SHORTEST = 0.1  # seconds; what is shorter is padded with silence


class TransformerEncoder(SoundEncoder):
    """One vector per clip, by a model that was trained on sounds."""

    _features: Features
    _positions: Positions | None

    def __init__(self, recipe: EncoderRecipe, spec: EncoderSpec, files: ModelFiles) -> None:
        self._alone: dict[str, Any] | None = None  # what `features_of` reads, where it serves
        exported = open_exported(recipe, spec)
        if exported is not None:
            facts = exported.facts
            self._longest, rate = int(facts["longest"]), int(facts["rate"])
            self._features = features_of(facts["features"])
            self._positions = Positions(**facts["positions"]) if facts["positions"] else None
            super().__init__(recipe, spec, exported, rate)
        else:
            head, rate = self._load(spec, files)
            super().__init__(recipe, spec, head, rate)

    def _load(self, spec: EncoderSpec, files: ModelFiles) -> tuple[AudioPoolingHead, int]:
        """Load the model and its feature extractor; return the pooling head and the rate."""
        from embedsearch.encoders.audio import transformer_head

        head, extractor, self._features = transformer_head.load(spec, files)
        rate = int(extractor.sampling_rate)
        self._longest = int(getattr(extractor, "nb_max_samples", 0) or 0)  # then CLAP takes a random part
        self._positions = head.positions
        self._alone = alone(extractor, self._features, [self._cut(each) for each in probes(rate)])
        if self._alone is not None:
            self._features = features_of(self._alone)
        return head, rate

    def kept(self, head: PoolingHead) -> Kept | None:
        """Return how samples are read, where NumPy does it alone; see `ModelEncoder.kept`."""
        if self._alone is None:
            return None
        positions = None if self._positions is None else asdict(self._positions)
        facts = {"features": self._alone, "longest": self._longest, "rate": self.rate, "positions": positions}
        return Kept(head.is_transformer, facts, {})

    def _cut(self, samples: Samples) -> Samples:
        return samples[: self._longest] if self._longest else samples

    def ready(self, samples: Samples) -> Prepared:
        """Return what the model's own feature extractor makes of samples, and which positions count."""
        whole = len(samples)
        samples = self._cut(samples)
        cut = len(samples) < whole
        samples = np.pad(samples, (0, max(0, round(SHORTEST * self.rate) - len(samples))))
        positions = self._positions
        weights = np.empty(0, np.float32) if positions is None else positions.weights(len(samples))
        return Prepared({**self._features(samples), "weights": weights}, cost=1, truncated=cut)

    def unpool(self, item: Any, role: Role, head: PoolingHead) -> HiddenStates:  # noqa: ARG002
        """Take a clip apart into frames, or patches of its spectrogram; see `Encoder.hidden_states`."""
        unpooled = self.unpooled_states(self.ready(samples_of([item], self.rate)[0]), head)
        count = len(unpooled.rows)
        rows = unpooled.map[0] if unpooled.map else self._positions.rows if self._positions else 1
        # low frequencies come first, and stand at the bottom of the image
        order = np.arange(count).reshape(rows, -1)[::-1].ravel().copy()
        return apart(unpooled._replace(rows=unpooled.rows[order]), View((rows, count // rows)))
