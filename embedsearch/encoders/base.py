"""What the torch encoders share: a model on a device, batches under a budget, `run` and `encode`."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from embedsearch.encoders import EncoderSpec, Prepared, Role, gather
from embedsearch.encoders.pooling import layer_mean
from embedsearch.encoders.runtime import PRECISIONS, pick_device, pick_precision
from embedsearch.errors import DeviceError, ItemError, ModelError
from embedsearch.metrics import Vectors
from embedsearch.recipe import EncoderRecipe

# Batches launched on a GPU before the oldest one's vectors are waited for, so that it never idles.
AHEAD = 2

log = logging.getLogger("embedsearch")


class TorchEncoder:
    """A torch model and the recipe that takes vectors out of it.

    A family adds `prepare`, `_vectors`, `dimension` and `batch_budget`.
    """

    engine = "torch"
    dimension: int
    batch_budget: int

    def __init__(self, recipe: EncoderRecipe, spec: EncoderSpec, model: nn.Module) -> None:
        self.spec = spec
        device = pick_device(recipe.device)
        transformer = hasattr(getattr(model, "config", None), "num_attention_heads")
        self.precision = pick_precision(recipe.precision, device, transformer=transformer)
        self.device = str(device)
        self._on_gpu = device.type == "cuda"
        self._dtype = PRECISIONS[self.precision]
        self._model = model.to(device=device, dtype=self._dtype).eval().requires_grad_(False)
        self._check_layers()

    def prepare(self, items: Sequence[Any], role: Role = "passage") -> list[Prepared | ItemError]:
        """See `Encoder.prepare`."""
        raise NotImplementedError

    def _vectors(self, batch: Sequence[Prepared]) -> Tensor:
        """Run the model on one batch: (n, d) float32 on the device, a row per item or span in turn."""
        raise NotImplementedError

    def batches(self, prepared: Sequence[Prepared]) -> list[list[int]]:
        """Group positions by cost, longest first, so that little padding is computed.

        A batch's padded cost (its longest item times its size) stays under the budget; an item that is
        dearer than the budget goes alone.
        """
        order = sorted(range(len(prepared)), key=lambda position: -prepared[position].cost)
        groups: list[list[int]] = []
        longest = 0
        for position in order:
            if groups and longest * (len(groups[-1]) + 1) <= self.batch_budget:
                groups[-1].append(position)
            else:
                groups.append([position])
                longest = prepared[position].cost
        return groups

    def run(self, prepared: Sequence[Prepared]) -> Iterator[tuple[int, Vectors]]:
        """See `Encoder.run`."""
        waiting: deque[tuple[list[int], Callable[[], Vectors]]] = deque()
        groups = deque(self.batches(prepared))
        while groups or waiting:
            if groups:
                group = groups.popleft()
                try:
                    fetch = self._fetch(self._vectors([prepared[position] for position in group]))
                except torch.OutOfMemoryError:
                    groups.extendleft(reversed(self._halved(group)))
                    continue
                waiting.append((group, fetch))
            if not groups or not self._on_gpu or len(waiting) > AHEAD:
                group, fetch = waiting.popleft()
                rows, taken = fetch(), 0
                for position in group:
                    count = prepared[position].rows
                    yield position, rows[taken : taken + count]
                    taken += count

    def _halved(self, group: list[int]) -> list[list[int]]:
        """Halve a batch that did not fit, and the budget of those to come."""
        if len(group) == 1:
            raise DeviceError(
                f"The memory of {self.device} does not hold {self.spec.model} and one item. "
                "Use a smaller model, or --device cpu."
            )
        torch.cuda.empty_cache()
        self.batch_budget = max(1, self.batch_budget // 2)
        log.warning("%s is out of memory; batches are halved to %s", self.device, f"{self.batch_budget:,}")
        middle = len(group) // 2
        return [group[:middle], group[middle:]]

    def _fetch(self, vectors: Tensor) -> Callable[[], Vectors]:
        """Start copying a batch's vectors to the host; the call returned waits for them."""
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

    def encode(self, items: Sequence[Any], role: Role = "passage") -> Vectors:
        """See `Encoder.encode`."""
        ready: list[Prepared] = []
        for item in self.prepare(items, role):
            if isinstance(item, ItemError):
                raise item
            ready.append(item)
        return gather(ready, self.run(ready), self.dimension)

    def _hidden(self, inputs: dict[str, Tensor]) -> Tensor:
        """Run the model: (B, T, D), or (B, D, H, W) for CNNs, the chosen layers averaged."""
        several = self.spec.layers != (-1,)
        with torch.inference_mode():
            output = self._model(**inputs, **({"output_hidden_states": True} if several else {}))
            if getattr(output, "last_hidden_state", None) is None:
                raise ModelError(f"{self.spec.model} gives no last_hidden_state; take an encoder model.")
            return layer_mean(
                output.last_hidden_state, output.hidden_states if several else None, self.spec.layers
            )

    def _check_layers(self) -> None:
        count = getattr(getattr(self._model, "config", None), "num_hidden_layers", None)
        for layer in self.spec.layers:
            if layer != -1 and (count is None or not -count - 1 <= layer <= count):
                has = f"has the layers 0 to {count} (or -1 to {-count - 1})" if count else "offers only -1"
                raise ModelError(f"{self.spec.model} has no hidden layer {layer}: it {has}.")

    def _put(self, array: np.ndarray[Any, Any]) -> Tensor:
        """Copy an array to the device; on a GPU beside what it computes, from pinned memory."""
        tensor = torch.from_numpy(array)
        if self._on_gpu:
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)
