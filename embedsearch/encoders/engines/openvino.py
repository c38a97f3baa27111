"""OpenVINO on a CPU: the computation of torch, compiled for the processor."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

import torch

from embedsearch.distances.metric import Vectors
from embedsearch.encoders.engines import Inputs
from embedsearch.encoders.engines.devices import quiet_transformers
from embedsearch.encoders.pooling_heads import PoolingHead
from embedsearch.errors import DeviceError, ModelError

# OpenVINO reports to its maker over the network when it is imported, unless this package can't be.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

PRECISIONS = {"fp32": "f32", "bf16": "bf16"}


class OpenVinoEngine:
    """A pooling head, traced by torch and compiled by OpenVINO."""

    name = "openvino"
    device = "cpu"
    # Measured on two cores, each of which computes a batch of its own.
    batch_tokens = 1024

    def __init__(self, head: PoolingHead, precision: str, example: Inputs) -> None:
        """Trace `head` on `example`, and compile it.

        Raises:
            DeviceError: OpenVINO does not compute in this precision.
            ModelError: the model can't be traced or compiled.
        """
        if precision not in PRECISIONS:
            raise DeviceError(f"OpenVINO computes in fp32 or bf16, not in {precision}. Use --precision fp32.")
        self.precision = precision
        self.batch_images = 3 if head.is_transformer else 1
        try:
            self._compiled = _compile(head, PRECISIONS[precision], example)
        except Exception as error:  # the tracer raises whatever the model's code does
            lines = [
                line for line in str(error).splitlines() if line.strip() and "Exception from" not in line
            ]
            first = lines[0].strip() if lines else type(error).__name__
            raise ModelError(
                f"OpenVINO can't run {head.spec.model}: {first.rstrip('.')}. Use --engine torch."
            ) from error
        self._names = {port.any_name for port in self._compiled.inputs}  # a model may leave one unread
        # one request per core: more wait for each other, fewer leave a core idle
        self.ahead = self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        self._idle: SimpleQueue[Any] = SimpleQueue()

    def start(self, inputs: Inputs) -> Callable[[], Vectors]:
        """See `Engine.start`."""
        try:
            request = self._idle.get_nowait()
        except Empty:  # as many requests as batches in flight; OpenVINO queues the rest
            request = self._compiled.create_infer_request()
        request.start_async({name: array for name, array in inputs.items() if name in self._names})

        def wait() -> Vectors:
            request.wait()
            vectors: Vectors = request.get_output_tensor(0).data.copy()
            self._idle.put(request)
            return vectors

        return wait


def _compile(head: PoolingHead, precision: str, example: Inputs) -> Any:
    import openvino

    if hasattr(getattr(head.model, "config", None), "local_attention"):
        # ModernBERT: fused attention masks by minus infinity, and OpenVINO 2026.4 makes NaN of a window
        # that holds nothing but padding
        head.model.set_attn_implementation("eager")  # type: ignore[operator]
    tensors = {name: torch.from_numpy(array) for name, array in example.items()}
    with warnings.catch_warnings(), quiet_transformers(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the tracer, about branches on shapes; `settle` compares vectors
        # traced here: OpenVINO's own call runs the model five times over
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            head, example_kwarg_inputs=tensors, check_trace=False, strict=False
        )
        model = openvino.convert_model(traced)
    for port in model.inputs:  # the tracer numbers names: attention_mask.1
        names = {name.split(".")[0] for name in port.get_names()}
        port.get_tensor().set_names(names & set(tensors))
    if "pixel_values" in tensors:
        # any number of images, of one size or of any
        size = [-1, -1] if head.any_shape else tensors["pixel_values"].shape[2:]
        model.reshape({"pixel_values": [-1, 3, *size]})
    return openvino.Core().compile_model(
        model, "CPU", {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "THROUGHPUT"}
    )
