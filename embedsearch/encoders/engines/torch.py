"""torch, on any device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch import Tensor, nn

from embedsearch.distances.metric import Vectors
from embedsearch.encoders.engines import Inputs, OutOfDeviceMemoryError
from embedsearch.encoders.engines.devices import PRECISIONS
from embedsearch.encoders.pooling_heads import PoolingHead

# The models that this process holds, for as long as an encoder uses them.
_LOADED: WeakValueDictionary[tuple[object, ...], nn.Module] = WeakValueDictionary()


class TorchEngine:
    """torch, on any device."""

    name = "torch"
    length_step = 1

    def __init__(self, head: PoolingHead, device: torch.device, precision: str) -> None:
        """Move `head` to the device; it stays there, and shares its model with other encoders."""
        self.head = head.to(device)
        head.model.to(PRECISIONS[precision])
        head.model = _shared(head, str(device), precision)
        self.device, self.precision = str(device), precision
        self._on_gpu = device.type == "cuda"
        self.ahead = 2 if self._on_gpu else 0
        # Measured: on two cores more than 3,000 tokens leave the cache, and the allocator gives them back.
        self.batch_tokens = 65536 if self._on_gpu else 512 * torch.get_num_threads()
        # At 16 images the bundled model runs at a quarter of the rate on a CPU.
        self.batch_images = 256 if self._on_gpu else 2

    def start(self, inputs: Inputs) -> Callable[[], Vectors]:
        """See `Engine.start`."""
        mask = inputs.get("attention_mask")
        if mask is not None and mask.all():  # without padding, attention runs unmasked, which is faster
            inputs = {name: array for name, array in inputs.items() if name != "attention_mask"}
        try:
            with torch.inference_mode():
                vectors = self.head(**{name: self._put(array) for name, array in inputs.items()})
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise OutOfDeviceMemoryError from error
        if not self._on_gpu:
            return lambda: vectors.cpu().numpy()
        host = torch.empty(vectors.shape, dtype=vectors.dtype, pin_memory=True)
        host.copy_(vectors, non_blocking=True)
        done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        done.record()

        def wait() -> Vectors:
            done.synchronize()
            return host.numpy()

        return wait

    def _put(self, array: np.ndarray[Any, Any]) -> Tensor:
        """Copy an array to the device; on a GPU beside what it computes, from pinned memory."""
        tensor = torch.from_numpy(array)
        if self._on_gpu:
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)


def _shared(head: PoolingHead, device: str, precision: str) -> nn.Module:
    """Return the model that other encoders run with the same weights, else that of `head`.

    An index of texts and one of words hold the weights of their model once. What a family takes out of a
    model (a tower, a layer) shows in its type and the names of its tensors.
    """
    files = head.spec.files
    if "weights" not in files:
        return head.model
    made_of = files["weights"], files.get("config"), type(head.model), tuple(head.model.state_dict())
    return _LOADED.setdefault((*made_of, device, precision), head.model)
