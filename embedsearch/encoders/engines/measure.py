"""Measuring how fast each engine computes in each precision on this machine's CPU; see `rates`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from embedsearch import encoders
from embedsearch.encoders.engines import Engine, Inputs
from embedsearch.encoders.engines.export import traced
from embedsearch.encoders.engines.machine import cpu_has_bf16
from embedsearch.encoders.engines.openvino import OpenVinoEngine
from embedsearch.encoders.engines.rates import LENGTH, SIDE, Kind, Rate
from embedsearch.encoders.engines.torch import TorchEngine
from embedsearch.encoders.pooling_heads import ImagePoolingHead, PoolingHead, TextPoolingHead
from embedsearch.errors import ModelError
from embedsearch.models.spec import EncoderSpec
from embedsearch.records import Unit

SECONDS, ROUNDS = 0.1, 3  # that each engine runs in each precision, at least
WIDTH, HEADS, WORDS = 384, 12, 1000  # of the small transformer
FAR = 0.5  # of the best rate: what is slower after one round is not measured further


def measured(kind: Kind) -> Iterator[Rate]:
    """Yield the rate of each engine in each precision that may gain something; CNNs lose too much in bf16."""
    precisions = ["fp32", "bf16"] if kind is Kind.ATTENTION and cpu_has_bf16() else ["fp32"]
    make = _attention if kind is Kind.ATTENTION else _convolutions
    head, batch = make()
    openvino: Any = None
    if encoders.has_openvino():
        with suppress(ModelError):
            openvino = traced(head, batch(2))
    best = 0.0
    for precision in precisions:
        for engine in _engines(openvino, make()[0], precision):
            rate = _rate(engine, batch, head, best)
            best = max(best, rate)
            yield Rate(engine.name, precision, rate)


def _engines(openvino: Any, head: PoolingHead, precision: str) -> Iterator[Engine]:
    """Yield the engines that run a head in a precision; OpenVINO where it has a model of it."""
    if openvino is not None:
        with suppress(ModelError):
            yield OpenVinoEngine(openvino, precision, is_transformer=head.is_transformer)
    yield TorchEngine(head, torch.device("cpu"), precision)


def _rate(engine: Engine, batch: Callable[[int], Inputs], head: PoolingHead, fastest: float) -> float:
    """Return how many items a second an engine computes, in batches of its own size.

    It is measured less closely where it is far slower than the fastest engine so far.
    """
    count = engine.batch_tokens // LENGTH if head.is_transformer else engine.batch_images
    inputs, together = batch(count), engine.ahead + 1
    engine.start(inputs)()
    best, ends = np.inf, time.perf_counter() + SECONDS
    rounds = 0
    while rounds < ROUNDS or time.perf_counter() < ends:
        started = time.perf_counter()
        for wait in [engine.start(inputs) for _ in range(together)]:
            wait()
        best = min(best, time.perf_counter() - started)  # other programs slow some rounds down
        rounds += 1
        if count * together / best < FAR * fastest:
            break
    return count * together / best


def _spec(unit: Unit) -> EncoderSpec:
    return EncoderSpec("measured", "", unit, "mean", (-1,), False, None, {}, {})


@contextmanager
def _seeded() -> Iterator[None]:
    """Let torch draw the same random weights each time, and go on afterwards as if nothing was drawn."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)  # of the CPU alone
        yield


class _Layer(nn.Module):
    """A layer of the size of MiniLM's, as BERT has them."""

    def __init__(self) -> None:
        super().__init__()
        self.attended = nn.Linear(WIDTH, 3 * WIDTH)
        self.joined = nn.Linear(WIDTH, WIDTH)
        self.wide = nn.Linear(WIDTH, 4 * WIDTH)
        self.narrow = nn.Linear(4 * WIDTH, WIDTH)
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2))

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """Return the next hidden states, (B, T, D) -> (B, T, D); the mask is (B, 1, 1, T), or None."""
        count, length, _ = hidden.shape
        parts = self.attended(hidden).view(count, length, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        query, key, value = parts  # (B, H, T, D / H)
        found = functional.scaled_dot_product_attention(query, key, value, mask)
        hidden = self.norms[0](hidden + self.joined(found.transpose(1, 2).reshape(count, length, WIDTH)))
        wide = functional.gelu(self.wide(hidden))
        return self.norms[1](hidden + self.narrow(wide))  # type: ignore[no-any-return]


class _Attention(nn.Module):
    """Two such layers over tokens. To import BERT from transformers takes as long as to measure it."""

    config = SimpleNamespace(num_attention_heads=HEADS)

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH)
        self.layers = nn.ModuleList(_Layer() for _ in range(2))

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> SimpleNamespace:
        """Return the last hidden states, (B, T, D), as a model of transformers does."""
        hidden = self.words(input_ids)
        mask = None if attention_mask is None else attention_mask.bool()[:, None, None]
        for layer in self.layers:
            hidden = layer(hidden, mask)
        return SimpleNamespace(last_hidden_state=hidden)


def _attention() -> tuple[PoolingHead, Callable[[int], Inputs]]:
    """Return a small transformer, and what makes a batch of texts."""

    def batch(count: int) -> Inputs:
        ids = np.arange(count * LENGTH, dtype=np.int64).reshape(count, LENGTH) % WORDS
        return {"input_ids": ids, "attention_mask": np.ones_like(ids)}

    with _seeded():
        model = _Attention()
    return TextPoolingHead(model, _spec(Unit.TEXT)), batch


class _Convolutions(nn.Module):
    """Blocks of depthwise and pointwise convolutions, as in EfficientNet and MobileNet."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, 32, 3, 2, 1), nn.ReLU6()]
        for wide, out, stride in ((32, 64, 2), (64, 96, 2), (96, 96, 1), (96, 192, 2), (192, 192, 1)):
            layers += [nn.Conv2d(wide, wide, 5, stride, 2, groups=wide), nn.ReLU6(), nn.Conv2d(wide, out, 1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, pixel_values: Tensor) -> SimpleNamespace:
        """Return the last map, (B, D, H, W), as a model of transformers does."""
        return SimpleNamespace(last_hidden_state=self.layers(pixel_values))


def _convolutions() -> tuple[PoolingHead, Callable[[int], Inputs]]:
    """Return a small CNN, and what makes a batch of images."""

    def batch(count: int) -> Inputs:
        return {"pixel_values": np.full((count, 3, SIDE, SIDE), 100, np.uint8)}

    with _seeded():
        model = _Convolutions()
    return ImagePoolingHead(model, _spec(Unit.IMAGE), (1 / 128,) * 3, (-1.0,) * 3), batch
