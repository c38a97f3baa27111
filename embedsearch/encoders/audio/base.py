"""What the encoders of sounds share: clips to samples, and batches of one shape."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from embedsearch.encoders import Prepared
from embedsearch.encoders.base import ModelEncoder
from embedsearch.encoders.engines import Inputs
from embedsearch.encoders.engines.exported import Exported
from embedsearch.encoders.hidden_states import HiddenStates, View
from embedsearch.errors import ItemError
from embedsearch.models.spec import EncoderSpec, Role
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Clip
from embedsearch.splitters.sound import Samples, check_installed, read

if TYPE_CHECKING:
    from embedsearch.encoders.pooling_heads import PoolingHead, Unpooled

LONGEST = 30_000  # milliseconds that are read of a sound which was not split


class SoundEncoder(ModelEncoder):
    """One vector per clip. A family adds `ready`, which makes a model's inputs of samples."""

    rate: int

    def __init__(
        self, recipe: EncoderRecipe, spec: EncoderSpec, head: PoolingHead | Exported, rate: int
    ) -> None:
        """Settle the engine.

        Args:
            recipe: device, engine and precision.
            spec: what the vectors mean.
            head: what computes them; one that was exported needs no torch.
            rate: samples a second that the model reads.
        """
        check_installed()
        self.rate = rate
        self._threads = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="decode")
        super().__init__(recipe, spec, head, probes(rate))
        self.batch_budget = self._engine.batch_images

    def ready(self, samples: Samples) -> Prepared:
        """Return what the model reads of samples, (n,) at `rate`."""
        raise NotImplementedError

    def prepare(self, items: Sequence[Any], role: Role = "passage") -> list[Prepared | ItemError]:  # noqa: ARG002
        """Decode and resample sounds in threads; see `Encoder.prepare`.

        An item is a `Clip`, a file or its bytes, or samples at the encoder's rate, (n,) float32. Clips that
        follow each other in one sound are decoded in one go.
        """
        groups: list[list[Any]] = []
        for item in items:
            same = groups and isinstance(item, Clip) and isinstance(groups[-1][-1], Clip)
            if same and groups[-1][-1].source == item.source and groups[-1][-1].span <= item.span:
                groups[-1].append(item)
            else:
                groups.append([item])
        return [each for made in self._threads.map(self._prepared, groups) for each in made]

    def _prepared(self, group: list[Any]) -> list[Prepared | ItemError]:
        try:
            return [self.ready(samples) for samples in samples_of(group, self.rate)]
        except ItemError as error:
            return [error] * len(group)
        except OSError as error:
            return [ItemError(f"it can't be read: {error.strerror or error}")] * len(group)

    def batches(self, prepared: Sequence[Prepared]) -> list[list[int]]:
        """Group items of one shape, so that nothing is padded; see `ModelEncoder.batches`."""
        by_shape: dict[tuple[tuple[int, ...], ...], list[int]] = {}
        for at, item in enumerate(prepared):
            shape = tuple(array.shape for array in item.inputs.values())
            by_shape.setdefault(shape, []).append(at)
        return [
            [places[at] for at in group]
            for places in by_shape.values()
            for group in super(SoundEncoder, self).batches([prepared[at] for at in places])
        ]

    def collate(self, batch: Sequence[Prepared]) -> Inputs:
        """Stack the inputs of several clips: n x (...) -> (B, ...)."""
        return {name: np.stack([item.inputs[name] for item in batch]) for name in batch[0].inputs}


def samples_of(group: Sequence[Any], rate: int) -> Sequence[Samples]:
    """Return the samples of clips of one sound, or of one whole sound, (n,) each.

    Raises:
        ItemError, OSError: as `embedsearch.splitters.sound.read`.
    """
    first = group[0]
    if isinstance(first, np.ndarray):
        return [np.asarray(first, np.float32)]
    if isinstance(first, Path | bytes):
        return list(read(first, [(0, LONGEST)], rate))
    return list(read(first.source, [clip.span for clip in group], rate))


def apart(unpooled: Unpooled, view: View, names: Sequence[str] = ()) -> HiddenStates:
    """Return the hidden states of a clip: first rows that stand for no part of it, then those of its patches.

    Args:
        unpooled: the rows and the vector.
        view: the patches over the spectrogram: time to the right, frequency upwards.
        names: of the first rows.
    """
    return HiddenStates(
        rows=unpooled.rows.float().cpu().numpy(),
        weights=unpooled.weights.cpu().numpy(),
        vector=unpooled.vector.float().cpu().numpy(),
        exact=unpooled.exact,
        names=(*names, *("",) * view.count),
        spans=(None,) * (len(names) + view.count),
        views=(view,),
    )


def probes(rate: int) -> list[Samples]:
    """Return three sounds, two as long as each other, which an engine is tried on."""
    draw = np.random.default_rng(0)
    time = np.arange(2 * rate, dtype=np.float32) / rate
    make: list[Callable[[Any], Any]] = [
        lambda t: 0.5 * np.sin(2 * np.pi * (300 + 400 * t) * t),
        lambda t: 0.2 * draw.normal(size=len(t)) * np.exp(-3 * (t % 0.5)),
        lambda t: 0.3 * np.sign(np.sin(2 * np.pi * 110 * t)),
    ]
    times = (time, time, time[:rate])
    return [each(part).astype(np.float32) for each, part in zip(make, times, strict=True)]
