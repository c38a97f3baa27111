"""What the common feature extractors of transformers make of samples, by NumPy alone. Loads no torch.

Each class is named after what it does, and its fields are those settings of an extractor
(`preprocessor_config.json`) that it depends on. `alone` compares one with the extractor before it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from embedsearch.encoders.audio.mel import Scale, mel_filters
from embedsearch.splitters.sound import Samples

Inputs = Mapping[str, npt.NDArray[Any]]
Levels = npt.NDArray[np.float64]

# How far inputs may be from an extractor's, whose spectra torch may compute in float32: those of levels are a
# few units apart, and those of samples have a deviation of 1.
NEAR = 1e-3


class Features(Protocol):
    """What a model reads of samples, (n,) float32 at its rate: its inputs without the batch axis."""

    def __call__(self, samples: Samples) -> Inputs:
        """Return the inputs by their names."""


@dataclass(frozen=True, slots=True)
class Waveform:
    """The samples, as Wav2Vec2 and its kind read them."""

    do_normalize: bool

    def __call__(self, samples: Samples) -> Inputs:
        """Return `input_values`, (n,) float32."""
        if self.do_normalize:
            samples = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
        return {"input_values": samples}


@dataclass(frozen=True, slots=True)
class KaldiLevels:
    """The log-mel filter bank of Kaldi, in frames of 25 ms every 10 ms, as AST reads it."""

    sampling_rate: int
    num_mel_bins: int
    max_length: int
    do_normalize: bool
    mean: float
    std: float

    def __call__(self, samples: Samples) -> Inputs:
        """Return `input_values`, (T, bands) float32."""
        edges = 20, self.sampling_rate // 2
        filters = _filters(512, self.num_mel_bins, edges, self.sampling_rate, Scale.KALDI)
        frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), 400)[::160]
        frames = frames - frames.mean(1, keepdims=True)
        before = np.concatenate([frames[:, :1], frames[:, :-1]], 1)
        power = _power((frames - 0.97 * before) * np.hanning(400), 512) @ filters
        levels = np.log(np.maximum(power, 2.0**-23)).astype(np.float32)[: self.max_length]
        levels = np.pad(levels, ((0, self.max_length - len(levels)), (0, 0)))
        if self.do_normalize:
            levels = (levels - np.float32(self.mean)) / np.float32(2 * self.std)
        return {"input_values": levels}


@dataclass(frozen=True, slots=True)
class WhisperLevels:
    """The log-mel spectrogram of Whisper, padded to its full length."""

    sampling_rate: int
    feature_size: int
    hop_length: int
    n_fft: int
    n_samples: int

    def __call__(self, samples: Samples) -> Inputs:
        """Return `input_features`, (bands, T) float32."""
        samples = samples[: self.n_samples]
        samples = np.pad(samples, (0, self.n_samples - len(samples)))
        edges, rate = (0.0, 8000.0), self.sampling_rate
        filters = _filters(self.n_fft, self.feature_size, edges, rate, Scale.SLANEY, equal_areas=True)
        power = _centred(samples, self.n_fft, self.hop_length)[:-1] @ filters
        levels = np.log10(np.maximum(power, 1e-10))
        levels = (np.maximum(levels, levels.max() - 8) + 4) / 4
        return {"input_features": np.ascontiguousarray(levels.T, np.float32)}  # (T, bands) -> (bands, T)


@dataclass(frozen=True, slots=True)
class ClapLevels:
    """The mel spectrogram of CLAP in dB; a short sound is repeated or padded. What is too long is refused."""

    sampling_rate: int
    feature_size: int
    fft_window_size: int
    hop_length: int
    nb_max_samples: int
    frequency_min: float
    frequency_max: float
    truncation: str
    padding: str

    def __call__(self, samples: Samples) -> Inputs:
        """Return `input_features`, (1 or 4, T, bands) float32, and `is_longer`, (1,)."""
        most, fuses = self.nb_max_samples, self.truncation == "fusion"
        if self.padding == "repeat":
            samples = np.tile(samples, most // len(samples) + 1)[:most]
        elif self.padding == "repeatpad":
            samples = np.tile(samples, most // len(samples))
        samples = np.pad(samples, (0, most - len(samples)))
        scale = Scale.HTK if fuses else Scale.SLANEY
        edges = self.frequency_min, self.frequency_max
        size, bands, rate = self.fft_window_size, self.feature_size, self.sampling_rate
        filters = _filters(size, bands, edges, rate, scale, equal_areas=not fuses)
        power = _centred(samples, size, self.hop_length) @ filters
        levels = (10 * np.log10(np.maximum(power, 1e-10))).astype(np.float32)  # (T, bands)
        return {"input_features": np.stack([levels] * (4 if fuses else 1)), "is_longer": np.array([fuses])}


# by the class of the extractor
FEATURES: dict[str, type[Features]] = {
    "Wav2Vec2FeatureExtractor": Waveform,
    "ASTFeatureExtractor": KaldiLevels,
    "WhisperFeatureExtractor": WhisperLevels,
    "ClapFeatureExtractor": ClapLevels,
}


def alone(extractor: Any, theirs: Features, sounds: Sequence[Samples]) -> dict[str, Any] | None:
    """Return what `features_of` reads, where it does what a feature extractor does; None where nothing does.

    Args:
        extractor: of transformers.
        theirs: what it makes of samples.
        sounds: samples on which both are compared.
    """
    kind: Any = FEATURES.get(name := type(extractor).__name__)
    if kind is None:
        return None
    try:
        ours = kind(**{each.name: getattr(extractor, each.name) for each in fields(kind)})
    except AttributeError:  # another version of transformers
        return None
    same = all(_near(ours(samples), theirs(samples)) for samples in sounds)
    return {"extractor": name, "settings": asdict(ours)} if same else None


def features_of(facts: Mapping[str, Any]) -> Features:
    """Return what `alone` describes.

    Raises:
        KeyError, TypeError: the facts are of another version.
    """
    kind: Callable[..., Features] = FEATURES[facts["extractor"]]
    return kind(**facts["settings"])


def _near(ours: Inputs, theirs: Inputs) -> bool:
    return ours.keys() == theirs.keys() and all(
        ours[name].shape == theirs[name].shape
        and np.abs(ours[name].astype(np.float64) - theirs[name]).max() <= NEAR
        for name in ours
    )


_filters = lru_cache(maxsize=8)(mel_filters)


def _power(frames: Levels, size: int) -> Levels:
    """Return the power at each frequency: (T, n) -> (T, size / 2 + 1); frames are filled up with zeros."""
    return np.asarray(np.abs(np.fft.rfft(frames, size, axis=1)) ** 2)


def _centred(samples: Samples, size: int, step: int) -> Levels:
    """Return the power in frames under a Hann window, each around its own time: (n,) -> (T, size / 2 + 1)."""
    padded = np.pad(samples.astype(np.float64), size // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::step]  # (T, size)
    return _power(frames * np.hanning(size + 1)[:-1], size)
