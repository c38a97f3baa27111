"""Any audio encoder of transformers: the mean over the frames of its last hidden state; or CLAP's projection.

AST, Wav2Vec2, HuBERT, WavLM, Whisper's encoder and the audio tower of CLAP are tested. Frames that were
padded are left out, and so are the [CLS] and distillation positions of AST.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from embedsearch.encoders import Prepared
from embedsearch.encoders.audio.base import SoundEncoder, apart, samples_of
from embedsearch.encoders.engines.devices import load_transformer
from embedsearch.encoders.hidden_states import HiddenStates, View
from embedsearch.encoders.pooling_heads import PoolingHead, Unpooled
from embedsearch.errors import ModelError
from embedsearch.modalities import PROJECTION
from embedsearch.models.files import ModelFiles
from embedsearch.models.spec import EncoderSpec, Role
from embedsearch.recipe import EncoderRecipe
from embedsearch.splitters.sound import Samples

PREFIX = 2  # positions of AST that stand for no part of the sound: [CLS] and distillation
# Wav2Vec2 and its kind read one frame of 25 ms at least
SHORTEST = 0.1  # seconds; what is shorter is padded with silence
Weights = npt.NDArray[np.float32]


class AudioPoolingHead(PoolingHead):
    """One vector per clip."""

    traceable = False  # what the encoders compute depends on the length of the clip

    def forward(self, weights: Tensor, **inputs: Tensor) -> Tensor:
        """Pool the hidden states, (B, T, D) or (B, D, F, T) -> (B, D).

        Args:
            weights: (B, T) float32, 1 for the positions that count; (B, 0) where all do.
            inputs: what the model's feature extractor gives.
        """
        if self.spec.pooling == PROJECTION:
            return self.projected("audio", **inputs)
        return self._pooled(self._hidden_of(**inputs), weights)

    def _hidden_of(self, **inputs: Tensor) -> Tensor:
        kind = next(self.model.parameters()).dtype
        return self.hidden(
            **{name: each.to(kind) if each.is_floating_point() else each for name, each in inputs.items()}
        )

    @staticmethod
    def _pooled(hidden: Tensor, weights: Tensor) -> Tensor:
        rows = _rows_of(hidden)  # (B, T, D)
        if not weights.shape[1]:
            return rows.mean(1)
        return (rows * weights[:, :, None]).sum(1) / weights.sum(1, keepdim=True)

    def unpooled(self, weights: Tensor, **inputs: Tensor) -> Unpooled:  # type: ignore[override]
        """See `PoolingHead.unpooled`; the rows are those that count, frequency after frequency."""
        model: Any = self.model
        projects = self.spec.pooling == PROJECTION
        hidden = model.audio_model(**inputs).last_hidden_state if projects else self._hidden_of(**inputs)
        rows = _rows_of(hidden)[0]  # (1, T, D) -> (T, D)
        if weights.shape[1]:
            rows = rows[weights[0] > 0]
        vector = self(weights, **inputs)[0]
        if projects:  # each position as if it were the whole sound
            rows = model.audio_projection(rows)
        # CLAP's map has low frequencies first
        shape = (int(hidden.shape[2]), int(hidden.shape[3])) if hidden.ndim == 4 else None
        return Unpooled(rows, torch.full((len(rows),), 1 / len(rows)), vector, exact=not projects, map=shape)


def _rows_of(hidden: Tensor) -> Tensor:
    """Return hidden states as rows: (B, T, D) as it is, (B, D, F, T) -> (B, F * T, D)."""
    return (hidden.flatten(2).mT if hidden.ndim == 4 else hidden).float()


class TransformerEncoder(SoundEncoder):
    """One vector per clip, by a model that was trained on sounds."""

    def __init__(self, recipe: EncoderRecipe, spec: EncoderSpec, files: ModelFiles) -> None:
        self._extractor = _extractor(files)
        self._config, model = _load(spec, files)
        self._input = str(getattr(model, "main_input_name", "input_values"))
        if spec.pooling == PROJECTION:
            self._input = "input_features"
        super().__init__(recipe, spec, AudioPoolingHead(model, spec), int(self._extractor.sampling_rate))

    def ready(self, samples: Samples) -> Prepared:
        """Return what the model's own feature extractor makes of samples, and which positions count."""
        longest = int(getattr(self._extractor, "nb_max_samples", 0) or 0)  # then CLAP takes a random part
        cut = bool(longest) and len(samples) > longest
        samples = samples[:longest] if cut else samples
        samples = np.pad(samples, (0, max(0, round(SHORTEST * self.rate) - len(samples))))
        made = self._extractor(samples, sampling_rate=self.rate, return_tensors="np")
        kept = {name: np.asarray(made[name])[0] for name in (self._input, "is_longer") if name in made}
        inputs = {**kept, "weights": self._weights(len(samples))}
        return Prepared(inputs, cost=1, truncated=cut)

    def _weights(self, count: int) -> Weights:
        """Return which positions stand for some of `count` samples, (T,); (0,) where all do.

        AST pads its spectrogram, and has the patches of each frequency in turn; Whisper pads to 30 seconds.
        """
        config, step = self._config, getattr(self._extractor, "hop_length", 0)
        if hasattr(config, "time_stride"):
            shape = _patches(config)
            # frames of 25 ms every 10 ms, as the extractor of AST (Kaldi's filter bank) has them
            frames = 1 + max(0, count - self.rate * 25 // 1000) // (self.rate // 100)
            kept = min(shape[1], max(1, math.ceil(frames / config.time_stride)))
            grid = np.zeros(shape, np.float32)
            grid[:, :kept] = 1
            return np.concatenate([np.zeros(PREFIX, np.float32), grid.ravel()])
        if hasattr(config, "max_source_positions") and step:
            positions = int(config.max_source_positions)
            kept = min(positions, math.ceil(math.ceil(count / step) / 2))
            return (np.arange(positions) < kept).astype(np.float32)
        return np.empty(0, np.float32)

    def unpool(self, item: Any, role: Role, head: PoolingHead) -> HiddenStates:  # noqa: ARG002
        """Take a clip apart into frames, or patches of its spectrogram; see `Encoder.hidden_states`."""
        unpooled = self.unpooled_states(self.ready(samples_of([item], self.rate)[0]), head)
        count = len(unpooled.rows)
        rows = unpooled.map[0] if unpooled.map else 1
        if hasattr(self._config, "time_stride"):
            rows = _patches(self._config)[0]
        # low frequencies come first, and stand at the bottom of the image
        order = torch.arange(count).reshape(rows, -1).flip(0).flatten()
        return apart(unpooled._replace(rows=unpooled.rows[order]), View((rows, count // rows)))


def _patches(config: Any) -> tuple[int, int]:
    """Return how many patches AST has of the frequencies, and of the time."""
    across = (config.num_mel_bins - config.patch_size) // config.frequency_stride + 1
    return across, (config.max_length - config.patch_size) // config.time_stride + 1


def _extractor(files: ModelFiles) -> Any:
    from transformers import AutoFeatureExtractor

    try:
        extractor = AutoFeatureExtractor.from_pretrained(files.folder, local_files_only=True)
    except (OSError, ValueError, KeyError, ImportError) as error:
        first = str(error).strip().splitlines()[0]
        raise ModelError(f"{files.folder} has no feature extractor that can be loaded: {first}") from error
    if not hasattr(extractor, "sampling_rate"):
        raise ModelError(f"{files.folder} holds no model that reads sounds.")
    return extractor


def _load(spec: EncoderSpec, files: ModelFiles) -> tuple[Any, nn.Module]:
    """Return the configuration of an audio encoder, and the encoder."""
    whole: Any = load_transformer(files.folder, whole=spec.pooling == PROJECTION)
    if spec.pooling == PROJECTION:
        whole.text_model = nn.Identity()  # texts are another encoder's
        return whole.config.audio_config, whole
    tower = getattr(whole, "audio_model", whole)
    if whole.config.is_encoder_decoder:
        tower = whole.get_encoder()
    return tower.config, tower
