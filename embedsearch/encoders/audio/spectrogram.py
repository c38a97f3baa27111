"""Samples to a log-mel spectrogram, to an image of it, and to its statistics. Loads no torch."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image

from embedsearch.encoders.audio.mel import Scale, mel_filters
from embedsearch.splitters.sound import Samples

RATE = 32_000  # samples a second
SIZE, STEP = 1024, 320  # samples of a frame, 32 ms, and from one to the next, 10 ms
BANDS = 128  # of mel frequencies, from `LOWEST` to half the rate
LOWEST = 20.0  # Hz
FLOOR = 1e-10  # of a band's power
DEPTH = 80.0  # dB below the loudest band that an image shows
COEFFICIENTS = 20  # of the cepstrum
# share of the brightness, red, green, blue
COLOURS = (
    (0.0, 12, 14, 38), (0.35, 58, 32, 116), (0.6, 160, 52, 120), (0.8, 238, 116, 70), (1.0, 252, 228, 150),
)  # fmt: skip
Levels = npt.NDArray[np.float32]


@lru_cache(maxsize=1)
def _bank() -> Levels:
    """Return the mel filters, (SIZE / 2 + 1, BANDS): triangles, each of the area of the others."""
    filters = mel_filters(SIZE, BANDS, (LOWEST, RATE / 2), RATE, Scale.SLANEY, equal_areas=True)
    return filters.astype(np.float32)


def log_mel(samples: Samples) -> Levels:
    """Return the level of each mel band in each frame, in dB: (n,) samples at `RATE` -> (T, BANDS)."""
    padded = np.pad(samples, (0, max(0, SIZE - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, SIZE)[::STEP]  # (T, SIZE)
    window = np.hanning(SIZE).astype(np.float32)
    power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2  # (T, SIZE / 2 + 1)
    return np.asarray(10 * np.log10(np.maximum(power @ _bank(), FLOOR)), np.float32)


def grey_image(levels: Levels) -> Image.Image:
    """Return a grey image of levels (T, BANDS): time to the right, frequency upwards, loud is bright."""
    shares = np.clip((levels - levels.max()) / DEPTH + 1, 0, 1)
    return Image.fromarray((255 * shares.T[::-1]).round().astype(np.uint8))  # (T, BANDS) -> (BANDS, T)


def coloured(levels: Levels) -> Image.Image:
    """Return `grey_image` in colours: from dark blue over violet and orange to yellow where it is loud."""
    grey = np.asarray(grey_image(levels), np.float32) / 255  # (BANDS, T)
    at, *bands = np.array(COLOURS, np.float32).T
    pixels = np.stack([np.interp(grey, at, band) for band in bands], 2)  # (BANDS, T) -> (BANDS, T, 3)
    return Image.fromarray(pixels.astype(np.uint8))


def statistics(levels: Levels) -> Levels:
    """Return the mean and the deviation, over time, of levels and of their cepstrum: (T, BANDS) -> (s,)."""
    at = np.arange(BANDS)
    angles = np.pi / BANDS * (at[:, None] + 0.5) * at[:COEFFICIENTS]  # (BANDS, COEFFICIENTS)
    basis = np.sqrt(2 / BANDS) * np.cos(angles) * np.where(at[:COEFFICIENTS], 1, np.sqrt(0.5))  # DCT-II
    parts = [levels, levels @ basis.astype(np.float32)]
    return np.concatenate([each for part in parts for each in (part.mean(0), part.std(0))])
