"""What runs a model: torch on any device, or OpenVINO on a CPU. One engine a file; `choose` picks one.

Queries on a CPU go through a model that was exported once per machine (`export`), so that the process that
asks (`exported`) loads no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from embedsearch.distances.metric import Vectors

Inputs = Mapping[str, np.ndarray[Any, np.dtype[Any]]]

ENGINES = ("torch", "openvino")
# The engine of queries in a recipe: the exported model by OpenVINO, or torch where that can't be had.
QUERY = "query"


class OutOfDeviceMemoryError(Exception):
    """The memory of a device does not hold a batch."""


class Engine(Protocol):
    """Runs a pooling head on batches.

    Attributes:
        name: as in `ENGINES`.
        device: where it runs.
        precision: `fp32`, `bf16` or `fp16`.
        ahead: batches to start before the oldest one's vectors are waited for.
        batch_tokens: padded tokens in a batch of texts that it computes fastest.
        batch_images: images in a batch, likewise.
        length_step: texts are padded to a multiple of so many tokens.
    """

    name: str
    device: str
    precision: str
    ahead: int
    batch_tokens: int
    batch_images: int
    length_step: int

    def start(self, inputs: Inputs) -> Callable[[], Vectors]:
        """Start computing a batch; the call returned waits for its vectors, (n, d) float32."""
