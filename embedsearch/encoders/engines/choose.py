"""The choice of an engine and a precision, compared with torch in float32."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from embedsearch import encoders
from embedsearch.encoders.engines import ENGINES, Engine, Inputs, rates
from embedsearch.encoders.engines.devices import checked_precision, fastest_on_gpu, pick_device
from embedsearch.encoders.engines.rates import Kind
from embedsearch.encoders.engines.torch import TorchEngine
from embedsearch.encoders.pooling_heads import PoolingHead
from embedsearch.encoders.probes import CLOSE, least_cosine
from embedsearch.errors import DeviceError, MissingExtraError, ModelError, nearest
from embedsearch.recipe import EncoderRecipe

# Below this cosine an engine that was asked for by name computes something else.
SAME = 0.9

log = logging.getLogger("embedsearch")


def settle(head: PoolingHead, recipe: EncoderRecipe, probes: Sequence[Inputs]) -> Engine:
    """Return the engine and precision that `recipe` asks for, or the fastest that keeps the vectors.

    What `recipe` leaves open is tried, the fastest first. The first one whose vectors of the probes have a
    cosine of at least `CLOSE` to those of torch in fp32 is taken.

    Args:
        head: what to run; it belongs to the engine afterwards.
        recipe: device, engine and precision.
        probes: two batches of different shapes, the first with padding where there is any.

    Raises:
        DeviceError: the device, engine or precision is unknown, or this machine lacks it.
        MissingExtraError: OpenVINO was asked for and is not installed.
        ModelError: OpenVINO can't run this model.
    """
    device = _device(recipe)
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
        f"{recipe.engine} in {precision} computes other vectors with {head.spec.model} than torch in fp32 "
        f"(cosine {cosine:.4f}). Use --engine torch, or --precision fp32."
    )


def _open(name: str, head: PoolingHead, device: torch.device, precision: str, example: Inputs) -> Engine:
    if name == "torch":
        return TorchEngine(head, device, precision)
    from embedsearch.encoders.engines.export import traced
    from embedsearch.encoders.engines.openvino import OpenVinoEngine

    try:
        return OpenVinoEngine(traced(head, example), precision, is_transformer=head.is_transformer)
    except ModelError as error:
        raise ModelError(f"OpenVINO can't run {head.spec.model}: {error}. Use --engine torch.") from error


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
            f"Here OpenVINO computes on the CPU only, and --device {recipe.device} was asked for. Use "
            f"--engine torch, or --device cpu."
        )
    return torch.device("cpu")


def _tries(recipe: EncoderRecipe, device: torch.device, head: PoolingHead) -> Iterator[tuple[str, str]]:
    """Yield engines and precisions, the fastest first; on a CPU as they were measured here."""
    named = checked_precision(recipe.precision, device)
    engine = "torch" if recipe.engine == "auto" else recipe.engine
    if device.type != "cpu" or (recipe.engine != "auto" and named):
        precision = named or fastest_on_gpu(device)
        yield engine, precision
        if not named and precision != "fp32":
            yield engine, "fp32"
        return
    fits = [
        (each.engine, each.precision)
        for each in rates.rates(Kind.ATTENTION if head.is_transformer else Kind.CONVOLUTIONS)
        if recipe.engine in ("auto", each.engine) and named in ("", each.precision)
    ]
    yield from fits or [(engine, named or "fp32")]  # one that nobody would choose is not measured
