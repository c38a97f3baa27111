"""Which positions of an audio encoder's last hidden state stand for a part of a sound. Loads no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Weights = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Positions:
    """The positions of a model that reads sounds padded to one length.

    Attributes:
        prefix: positions in front that stand for no part of the sound.
        rows: of frequencies; the positions of each follow one another.
        columns: of times.
        frame: samples of a frame of the spectrogram.
        step: samples from one frame to the next.
        stride: frames from one position to the next.
    """

    prefix: int
    rows: int
    columns: int
    frame: int
    step: int
    stride: int

    def weights(self, count: int) -> Weights:
        """Return 1 for the positions that stand for some of `count` samples: (prefix + rows * columns,)."""
        frames = 1 + max(0, count - self.frame) // self.step
        grid = np.zeros((self.rows, self.columns), np.float32)
        grid[:, : math.ceil(frames / self.stride)] = 1
        return np.concatenate([np.zeros(self.prefix, np.float32), grid.ravel()])
