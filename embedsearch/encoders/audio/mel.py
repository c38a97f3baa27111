"""Mel scales, and the filters that sum a spectrum up in bands of one. Loads no torch."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# Of Slaney's scale: mels at 1,000 Hz, and the logarithm of a mel above.
BEND, STEP = 15.0, np.log(6.4) / 27


class Scale(StrEnum):
    """A mel scale.

    SLANEY: linear up to 1,000 Hz, logarithmic above (Slaney 1998, "Auditory Toolbox").
    HTK: 2595 log10(1 + f / 700), as the toolkit HTK has it.
    KALDI: the same in natural logarithms; filters are triangles over mels, and not over Hz.
    """

    SLANEY = "slaney"
    HTK = "htk"
    KALDI = "kaldi"


def mel_filters(
    size: int, bands: int, edges: tuple[float, float], rate: int, scale: Scale, *, equal_areas: bool = False
) -> Array:
    """Return mel filters, (size / 2 + 1, bands): triangles over the frequencies of a Fourier transform.

    Args:
        size: samples of the transform.
        bands: of mel frequencies.
        edges: the lowest and the highest frequency in Hz.
        rate: samples a second.
        scale: the bands are as wide as each other on it.
        equal_areas: whether each triangle has the area of the others; else each has the height 1.
    """
    to_mel, to_hertz = _SCALES[scale]
    lowest, highest = to_mel(np.array(edges, np.float64)).tolist()
    mels: Array = np.linspace(lowest, highest, bands + 2)
    if scale is Scale.KALDI:
        bins = np.arange(size // 2 + 1, dtype=np.float64)
        at, corners = to_mel(bins * (rate / (2 * (size // 2)))), mels
    else:
        at, corners = np.linspace(0, rate // 2, size // 2 + 1), to_hertz(mels)
    away = corners - at[:, None]  # (size / 2 + 1, bands + 2)
    widths = np.diff(corners)
    filters = np.maximum(0, np.minimum(-away[:, :-2] / widths[:-1], away[:, 2:] / widths[1:]))
    return np.asarray(filters * (2 / (corners[2:] - corners[:-2])) if equal_areas else filters)


def _slaney(hertz: Array) -> Array:
    above = BEND + np.log(np.maximum(hertz, 1000) / 1000) / STEP
    return np.where(hertz < 1000, 3 * hertz / 200, above)


def _hertz_of_slaney(mels: Array) -> Array:
    return np.where(mels < BEND, 200 * mels / 3, 1000 * np.exp(STEP * (mels - BEND)))


_SCALES: dict[Scale, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    Scale.SLANEY: (_slaney, _hertz_of_slaney),
    Scale.HTK: (lambda hz: 2595 * np.log10(1 + hz / 700), lambda mels: 700 * (10 ** (mels / 2595) - 1)),
    Scale.KALDI: (lambda hz: 1127 * np.log(1 + hz / 700), lambda mels: 700 * (np.exp(mels / 1127) - 1)),
}
