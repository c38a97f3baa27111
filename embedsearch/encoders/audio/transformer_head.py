"""What torch and transformers do of an audio encoder: its model, its feature extractor and its pooling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from embedsearch.encoders.audio.features import Features, Inputs
from embedsearch.encoders.audio.positions import Positions
from embedsearch.encoders.engines.devices import load_transformer
from embedsearch.encoders.pooling_heads import PoolingHead, Unpooled
from embedsearch.errors import ModelError
from embedsearch.modalities import PROJECTION
from embedsearch.models.files import ModelFiles
from embedsearch.models.spec import EncoderSpec
from embedsearch.splitters.sound import Samples

PREFIX = 2  # positions of AST that stand for no part of the sound: [CLS] and distillation


class AudioPoolingHead(PoolingHead):
    """One vector per clip.

    Attributes:
        positions: where sounds are padded to one length; None where each is read at its own.
    """

    def __init__(self, model: nn.Module, spec: EncoderSpec, config: Any, extractor: Any) -> None:
        super().__init__(model, spec)
        self.positions = _positions(config, extractor)
        # of waveforms, clips of any length
        self.any_shape = self.positions is None and not hasattr(extractor, "nb_max_samples")

    def forward(
        self,
        weights: Tensor,
        input_values: Tensor | None = None,
        input_features: Tensor | None = None,
        is_longer: Tensor | None = None,
    ) -> Tensor:
        """Pool the hidden states, (B, T, D) or (B, D, F, T) -> (B, D).

        Args:
            weights: (B, T) float32, 1 for the positions that count; (B, 0) where all do.
            input_values: what the model's feature extractor gives, or
            input_features: under this name.
            is_longer: of CLAP, (B, 1).
        """
        inputs = _given(input_values, input_features, is_longer)
        if self.spec.pooling == PROJECTION:
            return self.projected("audio", **inputs)
        return self._pooled(self._hidden_of(inputs), weights)

    def _hidden_of(self, inputs: Mapping[str, Tensor]) -> Tensor:
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

    def unpooled(  # type: ignore[override]
        self,
        weights: Tensor,
        input_values: Tensor | None = None,
        input_features: Tensor | None = None,
        is_longer: Tensor | None = None,
    ) -> Unpooled:
        """See `PoolingHead.unpooled`; the rows are those that count, frequency after frequency."""
        model: Any = self.model
        inputs = _given(input_values, input_features, is_longer)
        projects = self.spec.pooling == PROJECTION
        hidden = model.audio_model(**inputs).last_hidden_state if projects else self._hidden_of(inputs)
        rows = _rows_of(hidden)[0]  # (1, T, D) -> (T, D)
        if weights.shape[1]:
            rows = rows[weights[0] > 0]
        vector = self(weights, **inputs)[0]
        if projects:  # each position as if it were the whole sound
            rows = model.audio_projection(rows)
        # CLAP's map has low frequencies first
        shape = (int(hidden.shape[2]), int(hidden.shape[3])) if hidden.ndim == 4 else None
        return Unpooled(rows, torch.full((len(rows),), 1 / len(rows)), vector, exact=not projects, map=shape)


def _given(
    input_values: Tensor | None, input_features: Tensor | None, is_longer: Tensor | None
) -> dict[str, Tensor]:
    """Return the arguments that are there, by name."""
    named = {"input_values": input_values, "input_features": input_features, "is_longer": is_longer}
    return {name: value for name, value in named.items() if value is not None}


def _rows_of(hidden: Tensor) -> Tensor:
    """Return hidden states as rows: (B, T, D) as it is, (B, D, F, T) -> (B, F * T, D)."""
    return (hidden.flatten(2).mT if hidden.ndim == 4 else hidden).float()


def _positions(config: Any, extractor: Any) -> Positions | None:
    """Return the positions of AST, whose patches overlap, or of Whisper; None of other models."""
    if hasattr(config, "time_stride"):
        rate = int(extractor.sampling_rate)
        return Positions(
            PREFIX,
            (config.num_mel_bins - config.patch_size) // config.frequency_stride + 1,
            (config.max_length - config.patch_size) // config.time_stride + 1,
            # frames of 25 ms every 10 ms, as the extractor of AST (Kaldi's filter bank) has them
            rate * 25 // 1000,
            rate // 100,
            config.time_stride,
        )
    if hasattr(config, "max_source_positions") and (step := getattr(extractor, "hop_length", 0)):
        return Positions(0, 1, int(config.max_source_positions), 1, step, 2)
    return None


def load(spec: EncoderSpec, files: ModelFiles) -> tuple[AudioPoolingHead, Any, Features]:
    """Load an audio encoder: its pooling head, its feature extractor, and what that makes of samples.

    Raises:
        ModelError: one of them can't be loaded.
    """
    extractor = _extractor(files)
    whole: Any = load_transformer(files.folder, whole=spec.pooling == PROJECTION)
    if spec.pooling == PROJECTION:
        whole.text_model = nn.Identity()  # texts are another encoder's
        tower, config, name = whole, whole.config.audio_config, "input_features"
    else:
        tower = getattr(whole, "audio_model", whole)
        if whole.config.is_encoder_decoder:
            tower = whole.get_encoder()
        config, name = tower.config, str(getattr(tower, "main_input_name", "input_values"))

    def features(samples: Samples) -> Inputs:
        made = extractor(samples, sampling_rate=int(extractor.sampling_rate), return_tensors="np")
        return {key: np.asarray(made[key])[0] for key in (name, "is_longer") if key in made}

    return AudioPoolingHead(tower, spec, config, extractor), extractor, features


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
