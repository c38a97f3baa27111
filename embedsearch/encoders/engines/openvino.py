"""OpenVINO on a CPU: the computation of torch, compiled for the processor. Loads no torch."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from embedsearch.distances.metric import Vectors
from embedsearch.encoders.engines import Inputs
from embedsearch.errors import DeviceError, ModelError

# OpenVINO reports to its maker over the network when it is imported, unless this package can't be.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

PRECISIONS = {"fp32": "f32", "bf16": "bf16"}
# Tokens. The first query of each length takes twice as long, as OpenVINO makes code for its shape and keeps
# it; so lengths are few. AMX multiplies 16 rows at a time.
QUERY_STEP = 16
# What an exported model calls the hidden states of tokens, (B, T, D), which it does not give unless asked.
ROWS = "token_rows"


class OpenVinoEngine:
    """A pooling head, converted from torch and compiled by OpenVINO."""

    name = "openvino"
    device = "cpu"
    # Measured on two cores, each of which computes a batch of its own.
    batch_tokens = 1024

    def __init__(
        self, model: Any, precision: str, *, is_transformer: bool, compiled: Path | None = None
    ) -> None:
        """Compile a model.

        Args:
            model: an `openvino.Model`, or the path of one.
            precision: `fp32` or `bf16`.
            is_transformer: whether it is made of attention, and not of convolutions.
            compiled: the folder where OpenVINO keeps what it compiled for queries, which are computed one by
                one by all cores; None for batches, one per core at a time.

        Raises:
            DeviceError: OpenVINO does not compute in this precision.
            ModelError: the model can't be read or compiled.
        """
        if precision not in PRECISIONS:
            raise DeviceError(f"OpenVINO computes in fp32 or bf16, not in {precision}. Use --precision fp32.")
        self.precision = precision
        self.batch_images = 3 if is_transformer else 1
        self.length_step = 1 if compiled is None else QUERY_STEP
        options = {"INFERENCE_PRECISION_HINT": PRECISIONS[precision], "PERFORMANCE_HINT": "THROUGHPUT"}
        if compiled is not None:
            size = {"CACHE_MODE": "OPTIMIZE_SIZE"}  # the weights are read from the model itself
            options |= {"PERFORMANCE_HINT": "LATENCY", "CACHE_DIR": str(compiled), **size}
        elif threads := os.environ.get(
            "OMP_NUM_THREADS", ""
        ):  # several processes share the cores, as Ray's do
            options |= {"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": "NO"}
        import openvino

        try:
            self._compiled = openvino.Core().compile_model(model, "CPU", options)
        except RuntimeError as error:
            raise ModelError(first_line(error)) from error
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
            try:
                request.wait()
            except RuntimeError as error:
                raise ModelError(first_line(error)) from error
            vectors: Vectors = request.get_output_tensor(0).data.copy()
            self._idle.put(request)
            return vectors

        return wait


def rows_of(path: Path) -> Any:
    """Return an exported model as an `openvino.Model` that gives the hidden states of tokens alone.

    Raises:
        ModelError: it can't be read, or does not tell them.
    """
    import openvino

    try:
        model = openvino.Core().read_model(path)
        (pooled,) = model.get_results()
        model.add_outputs(ROWS)
        model.remove_result(pooled)
    except RuntimeError as error:
        raise ModelError(first_line(error)) from error
    return model


def first_line(error: Exception) -> str:
    """Return the line of an error of OpenVINO or of the tracer that says what is wrong."""
    lines = [line for line in str(error).splitlines() if line.strip() and "Exception from" not in line]
    return lines[0].strip().rstrip(".") if lines else type(error).__name__
