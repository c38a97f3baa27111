"""What the torch encoders share: a model on a device, batches under a budget, `encode`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from embedsearch.encoders import EncoderSpec, Prepared, Role
from embedsearch.encoders.pooling import layer_mean
from embedsearch.encoders.runtime import PRECISIONS, pick_device, pick_precision
from embedsearch.errors import ItemError, ModelError
from embedsearch.metrics import Vectors
from embedsearch.recipe import EncoderRecipe


class TorchEncoder:
    """A torch model and the recipe that takes vectors out of it.

    A family adds `prepare`, `forward`, `dimension` and `batch_budget`.
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
        self._dtype = PRECISIONS[self.precision]
        self._model = model.to(device=device, dtype=self._dtype).eval().requires_grad_(False)
        self._check_layers()

    def prepare(self, items: Sequence[Any], role: Role = "passage") -> list[Prepared | ItemError]:
        """See `Encoder.prepare`."""
        raise NotImplementedError

    def forward(self, batch: Sequence[Prepared]) -> Vectors:
        """See `Encoder.forward`."""
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

    def encode(self, items: Sequence[Any], role: Role = "passage") -> Vectors:
        """See `Encoder.encode`."""
        prepared = self.prepare(items, role)
        for item in prepared:
            if isinstance(item, ItemError):
                raise item
        ready: list[Prepared] = prepared  # type: ignore[assignment]
        counts = [1 if item.units is None else len(item.units) for item in ready]
        ends = np.cumsum(counts)
        out = np.empty((int(ends[-1]) if counts else 0, self.dimension), np.float32)
        for group in self.batches(ready):
            vectors = self.forward([ready[position] for position in group])
            taken = 0
            for position in group:
                count = counts[position]
                out[ends[position] - count : ends[position]] = vectors[taken : taken + count]
                taken += count
        return out

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
        tensor = torch.from_numpy(array).to(self.device)
        return tensor.to(self._dtype) if tensor.is_floating_point() else tensor
