"""What the encoders share: a pooling head on an engine, batches within a budget, `run` and `encode`."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, cast

from embedsearch.distances.metric import Vectors
from embedsearch.encoders import Prepared, encode_all, open_encoder
from embedsearch.encoders.engines import QUERY, Engine, Inputs, OutOfDeviceMemoryError
from embedsearch.encoders.engines.exported import Exported, Kept, open_rows
from embedsearch.encoders.hidden_states import HiddenStates
from embedsearch.errors import DeviceError, ItemError, ModelError
from embedsearch.models.spec import EncoderSpec, Role
from embedsearch.recipe import EncoderRecipe

if TYPE_CHECKING:
    from embedsearch.encoders.engines.openvino import OpenVinoEngine
    from embedsearch.encoders.engines.torch import TorchEngine
    from embedsearch.encoders.pooling_heads import PoolingHead, Unpooled

log = logging.getLogger("embedsearch")


class ModelEncoder:
    """A pooling head on the engine that a recipe asks for.

    A family adds `prepare`, `collate` and `batch_budget`, and `kept` where no torch is needed to prepare.
    """

    batch_budget: int
    decoding = ""  # of images

    def __init__(
        self, recipe: EncoderRecipe, spec: EncoderSpec, head: PoolingHead | Exported, probes: Sequence[Any]
    ) -> None:
        """Settle the engine.

        Args:
            recipe: device, engine and precision.
            spec: what the vectors mean.
            head: what computes them; one that was exported needs no torch.
            probes: three items of different lengths; `prepare` and `collate` have to work already.
        """
        self.spec = spec
        self._recipe = recipe
        self._twin: Self | None = None
        self._twin_lock = threading.Lock()
        if isinstance(head, Exported):
            self._engine: Engine = head.engine
            self.dimension = head.dimension
        else:
            self._settle(head, probes)
        self.device, self.precision = self._engine.device, self._engine.precision
        self.engine = self._engine.name

    def _settle(self, head: PoolingHead, probes: Sequence[Any]) -> None:
        """Choose what runs a pooling head; for queries it is exported where it can be."""
        from embedsearch.encoders.engines.choose import settle

        recipe, spec = self._recipe, self.spec
        ready = [item for item in self.prepare(probes) if not isinstance(item, ItemError)]
        if len(ready) < len(probes):
            raise ModelError(f"The tokenizer of {spec.model} knows no words. Fetch or save the model again.")
        batches = [self.collate(ready[:2]), self.collate(ready[2:])]
        try:
            if recipe.engine == QUERY:
                from embedsearch.encoders.engines.export import export

                exported = export(head, recipe, spec, batches, self.kept(head))
                if exported is not None:
                    self._engine, self.dimension = exported.engine, exported.dimension
                    return
                recipe = replace(recipe, engine="torch")
            self._engine = settle(head, recipe, batches)
            self.dimension = self._engine.start(batches[1])().shape[1]
        except RuntimeError as error:  # of torch: the files contradict each other
            first = str(error).splitlines()[0]
            raise ModelError(f"{spec.model} can't be run: {first} Fetch or save the model again.") from error

    @cached_property
    def exported_rows(self) -> OpenVinoEngine | None:
        """What computes hidden states without torch; None where torch does."""
        return open_rows(self._recipe, self.spec)

    def kept(self, head: PoolingHead) -> Kept | None:  # noqa: ARG002
        """Return what prepares items without torch or transformers; None where they are needed."""
        return None

    def prepare(self, items: Sequence[Any], role: Role = "passage") -> list[Prepared | ItemError]:
        """See `Encoder.prepare`."""
        raise NotImplementedError

    def collate(self, batch: Sequence[Prepared]) -> Inputs:
        """Join the inputs of several items into the arguments of the pooling head."""
        raise NotImplementedError

    def batches(self, prepared: Sequence[Prepared]) -> list[list[int]]:
        """Group positions by cost, longest first, so that little padding is computed.

        The padded cost of a batch (its longest item times its size) stays within the budget; an item that
        costs more than the budget is a batch of its own.
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
                    fetch = self._engine.start(self.collate([prepared[position] for position in group]))
                except OutOfDeviceMemoryError:
                    groups.extendleft(reversed(self._halved(group)))
                    continue
                waiting.append((group, fetch))
            if not groups or len(waiting) > self._engine.ahead:
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
        self.batch_budget = max(1, self.batch_budget // 2)
        log.warning("%s is out of memory; batches are halved to %s", self.device, f"{self.batch_budget:,}")
        middle = len(group) // 2
        return [group[:middle], group[middle:]]

    def encode(self, items: Sequence[Any], role: Role = "passage") -> Vectors:
        """See `Encoder.encode`."""
        return encode_all(self, items, role)

    def hidden_states(self, item: Any, role: Role = "passage") -> HiddenStates:
        """See `Encoder.hidden_states`; a model in another engine or precision is loaded a second time."""
        reference = self.reference()
        return reference.unpool(item, role, reference.head)

    @property
    def head(self) -> PoolingHead:
        """The pooling head, of an encoder that torch runs."""
        return cast("TorchEngine", self._engine).head

    def reference(self) -> Self:
        """Return the encoder that computes the same in float32 by torch; it is loaded by the first call."""
        if self._engine.name == "torch" and self.precision == "fp32":
            return self
        with self._twin_lock:
            if self._twin is None:
                recipe = replace(self._recipe, engine="torch", precision="fp32", decoding="full")
                self._twin = cast(Self, open_encoder(recipe))
        return self._twin

    def unpool(self, item: Any, role: Role, head: PoolingHead) -> HiddenStates:
        """Compute `hidden_states` with a pooling head in float32."""
        raise NotImplementedError

    def unpooled_states(self, prepared: Prepared, head: PoolingHead) -> Unpooled:
        """Take one item through the model, and return its hidden states beside its vector."""
        import torch

        inputs = self.collate([prepared])
        with torch.inference_mode():
            return head.unpooled(
                # alone in its batch, it has no padding
                **{
                    name: torch.tensor(array, device=self.device)
                    for name, array in inputs.items()
                    if name != "attention_mask"
                }
            )
