"""What runs a head: torch on any device, or OpenVINO on a CPU; and the choice between them."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from embedsearch import encoders
from embedsearch.encoders.heads import Head
from embedsearch.encoders.probes import CLOSE, least_cosine
from embedsearch.encoders.runtime import PRECISIONS, cpu_has_bf16, fastest_precision, pick_device
from embedsearch.errors import DeviceError, MissingExtraError, ModelError, nearest
from embedsearch.metrics import Vectors
from embedsearch.recipe import EncoderRecipe

Inputs = Mapping[str, np.ndarray[Any, np.dtype[Any]]]

ENGINES = ("torch", "openvino")
# Under this an engine that was asked for by name computes something else.
SAME = 0.9

log = logging.getLogger("embedsearch")


class Engine(Protocol):
    """Runs a head on batches.

    Attributes:
        name: as in `ENGINES`.
        device: where.
        precision: in what.
        ahead: batches to start before the oldest one's vectors are waited for.
        batch_tokens: padded tokens in a batch of texts that it computes fastest.
        batch_images: pictures in a batch, likewise.
    """

    name: str
    device: str
    precision: str
    ahead: int
    batch_tokens: int
    batch_images: int

    def start(self, inputs: Inputs) -> Callable[[], Vectors]:
        """Start computing a batch; the call returned waits for its vectors, (n, d) float32."""


class TorchEngine:
    """torch, on any device."""

    name = "torch"

    def __init__(self, head: Head, device: torch.device, precision: str) -> None:
        """Move `head` to the device, for good."""
        self.head = head.to(device)
        head.model.to(PRECISIONS[precision])
        self.device, self.precision = str(device), precision
        self._on_gpu = device.type == "cuda"
        self.ahead = 2 if self._on_gpu else 0
        # Measured: on two cores more than 3,000 tokens leave the cache, and the allocator gives them back.
        self.batch_tokens = 65536 if self._on_gpu else 512 * torch.get_num_threads()
        # At 16 pictures the bundled model runs at a quarter of the rate on a CPU.
        self.batch_images = 256 if self._on_gpu else 2

    def start(self, inputs: Inputs) -> Callable[[], Vectors]:
        """See `Engine.start`."""
        mask = inputs.get("attention_mask")
        if mask is not None and mask.all():  # without padding, attention runs unmasked, which is faster
            inputs = {name: array for name, array in inputs.items() if name != "attention_mask"}
        with torch.inference_mode():
            vectors = self.head(**{name: self._put(array) for name, array in inputs.items()})
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


def settle(head: Head, recipe: EncoderRecipe, probes: Sequence[Inputs]) -> Engine:
    """Return the engine and precision that `recipe` asks for, or the fastest that keeps the vectors.

    What `recipe` leaves open is tried from the fastest measured on; it is taken when its vectors of the
    probes have a cosine of at least `CLOSE` to those of torch in fp32.

    Args:
        head: what to run; it belongs to the engine afterwards.
        recipe: device, engine and precision.
        probes: two batches of different shapes, the first with padding where there is any.

    Raises:
        DeviceError: the device, engine or precision is unknown, or this machine has it not.
        MissingExtraError: OpenVINO was asked for and is not installed.
        ModelError: OpenVINO can't run this model.
    """
    device = _device(recipe)
    if recipe.engine == "openvino" and not head.traceable:
        raise ModelError(
            f"OpenVINO can't run {head.spec.model}, which takes pictures of any shape. Use --engine torch."
        )
    tries = list(_tries(recipe, device, head))
    name, precision = tries[0]
    if name == "torch" and (precision == "fp32" or recipe.precision != "auto"):
        return TorchEngine(head, device, precision)
    exact = TorchEngine(copy.deepcopy(head), torch.device("cpu"), "fp32")
    wanted = np.concatenate([exact.start(probe)() for probe in probes])
    chosen = recipe.engine == name and recipe.precision == precision
    for name, precision in tries:
        if (name, precision) == ("torch", "fp32"):
            return TorchEngine(head, device, precision)
        try:
            engine = _open(name, copy.deepcopy(head), device, precision, probes[0])
            cosine = least_cosine(np.concatenate([engine.start(probe)() for probe in probes]), wanted)
        except ModelError as error:
            if recipe.engine == name:
                raise
            log.info("%s", error)
            continue
        if cosine >= (SAME if chosen else CLOSE):
            return engine
        log.info("%s in %s: cosine %.4f to torch in fp32, which is too far", name, precision, cosine)
    raise ModelError(
        f"{recipe.engine} in {precision} gives other vectors of {head.spec.model} than torch in fp32 does "
        f"(cosine {cosine:.4f}). Use --engine torch, or --precision fp32."
    )


def _open(name: str, head: Head, device: torch.device, precision: str, example: Inputs) -> Engine:
    if name == "torch":
        return TorchEngine(head, device, precision)
    from embedsearch.encoders.openvino import OpenVinoEngine

    return OpenVinoEngine(head, precision, example)


def _device(recipe: EncoderRecipe) -> torch.device:
    if recipe.engine not in (*ENGINES, "auto"):
        raise DeviceError(
            f"Unknown engine {recipe.engine!r}; there are auto, {', '.join(ENGINES)}."
            + nearest(recipe.engine, ("auto", *ENGINES))
        )
    if recipe.engine != "openvino":
        return pick_device(recipe.device)
    if not encoders.has_openvino():
        raise MissingExtraError(
            "--engine openvino was asked for, but OpenVINO is not installed: "
            "pip install 'embedsearch[openvino]', or use --engine torch."
        )
    if recipe.device not in ("auto", "cpu"):
        raise DeviceError(
            f"OpenVINO computes on the CPU here, and --device {recipe.device} was asked for. Use "
            f"--engine torch, or --device cpu."
        )
    return torch.device("cpu")


def _tries(recipe: EncoderRecipe, device: torch.device, head: Head) -> Iterator[tuple[str, str]]:
    """Yield engines and precisions, the fastest first (the figures stand in the README)."""
    fast = fastest_precision(recipe.precision, device, is_transformer=head.is_transformer)
    precisions = [fast, "fp32"] if recipe.precision == "auto" and fast != "fp32" else [fast]
    if recipe.engine != "auto":
        engines = [recipe.engine]
    else:
        traced = device.type == "cpu" and encoders.has_openvino() and head.traceable
        engines = ["openvino", "torch"] if traced else ["torch"]
    for precision in precisions:
        for name in engines:
            # bfloat16 that the processor has to emulate gains nothing
            if name == "openvino" and precision == "bf16" and not cpu_has_bf16() and recipe.engine == "auto":
                continue
            yield name, precision
