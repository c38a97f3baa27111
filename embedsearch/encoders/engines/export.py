"""torch to OpenVINO: pooling heads are traced, and those that answer queries exported to the cache folder."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from embedsearch.distances.metric import Vectors
from embedsearch.encoders.engines import Engine, Inputs
from embedsearch.encoders.engines.devices import quiet_transformers
from embedsearch.encoders.engines.exported import (
    Exported,
    Kept,
    asked,
    exporting,
    is_wanted,
    keep,
    open_exported,
    refuse,
)
from embedsearch.encoders.engines.openvino import ROWS, first_line
from embedsearch.encoders.engines.torch import TorchEngine
from embedsearch.encoders.pooling_heads import PoolingHead
from embedsearch.encoders.probes import CLOSE, least_cosine
from embedsearch.errors import ModelError
from embedsearch.models.spec import EncoderSpec
from embedsearch.recipe import EncoderRecipe

# Inputs whose size a model fixes, or all but the height and width of images, and the length of sounds.
ONE_SIZE = {"pixel_values", "input_values", "input_features"}

log = logging.getLogger("embedsearch")


def traced(head: PoolingHead, example: Inputs) -> Any:
    """Return a pooling head as an `openvino.Model`.

    Args:
        head: in float32 on the CPU; it is of no use afterwards.
        example: a batch of its inputs, with padding where there is any.

    Raises:
        ModelError: it can't be traced or converted.
    """
    import openvino

    if hasattr(getattr(head.model, "config", None), "local_attention"):
        # ModernBERT: fused attention masks by minus infinity, and OpenVINO 2026.4 makes NaN of a window
        # that holds nothing but padding
        head.model.set_attn_implementation("eager")  # type: ignore[operator]
    tensors = {name: torch.from_numpy(array) for name, array in example.items()}
    if head.tells_rows:
        head.forward = head.with_rows
    try:
        with warnings.catch_warnings(), quiet_transformers(), torch.no_grad():
            warnings.simplefilter("ignore")  # of the tracer, about branches on shapes; vectors are compared
            # traced here: OpenVINO's own call runs the model five times over
            trace = torch.jit.trace(  # type: ignore[no-untyped-call]
                head, example_kwarg_inputs=tensors, check_trace=False, strict=False
            )
            model = openvino.convert_model(trace)
        if head.tells_rows:  # the vector is computed from them; they keep their name for `rows_of`
            result = model.get_results()[1]
            result.input_value(0).get_tensor().add_names({ROWS})
            model.remove_result(result)
        for port in model.inputs:  # the tracer numbers names: attention_mask.1
            names = {name.split(".")[0] for name in port.get_names()}
            port.get_tensor().set_names(names & set(tensors))
        for port in model.inputs if ONE_SIZE & set(tensors) else ():
            # any number of items, of one size or of any
            name = port.any_name
            size = tensors[name].shape[1:]
            if not head.any_shape:
                model.reshape({name: [-1, *size]})
            elif name == "pixel_values":
                model.reshape({name: [-1, size[0], -1, -1]})
    except Exception as error:  # the tracer raises whatever the model's code does
        raise ModelError(first_line(error)) from error
    return model


def export(
    head: PoolingHead, recipe: EncoderRecipe, spec: EncoderSpec, probes: Sequence[Inputs], kept: Kept | None
) -> Exported | None:
    """Export a pooling head for queries, once per machine, and open it.

    Args:
        head: in float32 on the CPU, as it was loaded.
        recipe: of the query encoder.
        spec: of its vectors.
        probes: batches on which it is compared with torch, the first with padding where there is any.
        kept: what prepares the inputs without torch or transformers; None where they are needed.

    Returns:
        None where OpenVINO can't serve, which is said once: torch serves then.
    """
    if not asked(recipe):
        return None
    try:
        with exporting(spec):
            exported = open_exported(recipe, spec)  # which another process may have made meanwhile
            if exported is None and is_wanted(recipe, spec):
                exported = _exported(head, recipe, spec, probes, kept)
    except OSError as error:
        log.info("%s can't be exported for queries: %s", spec.model, error)
        return None
    return exported


def _exported(
    head: PoolingHead, recipe: EncoderRecipe, spec: EncoderSpec, probes: Sequence[Inputs], kept: Kept | None
) -> Exported | None:
    """Export a pooling head; see `export`.

    Raises:
        OSError: what was exported can't be written, or can't be opened; that may pass.
    """
    if kept is None:
        why = "transformers prepares its inputs"
        refuse(spec, why)
        log.warning("Queries are embedded by torch: OpenVINO can't run %s: %s.", spec.model, why)
        return None
    try:
        # of a copy: the engine shares its model with other encoders, and `head` may get another precision
        wanted = _vectors(TorchEngine(copy.deepcopy(head), torch.device("cpu"), "fp32"), probes)
        keep(spec, traced(copy.deepcopy(head), probes[0]), wanted.shape[1], kept)
        exported = open_exported(recipe, spec)
        if exported is None:
            raise OSError("what was exported can't be opened")
        got = _vectors(exported.engine, probes)
        if wanted.shape[1] == 1:  # scores, whose cosines tell nothing
            got, wanted = got.T, wanted.T
        if (cosine := least_cosine(got, wanted)) < CLOSE:
            raise ModelError(f"the least cosine to torch is {cosine:.4f}, and {CLOSE} is needed")
    except ModelError as error:
        refuse(spec, str(error))
        log.warning("Queries are embedded by torch: OpenVINO can't run %s: %s.", spec.model, error)
        return None
    return exported


def _vectors(engine: Engine, probes: Sequence[Inputs]) -> Vectors:
    return np.concatenate([engine.start(probe)() for probe in probes])
