"""Which device and which precision, and the model loaded onto it."""

from __future__ import annotations

import contextlib
import json
import logging
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from embedsearch.errors import DeviceError, ModelError, nearest

INSTEAD = "Use auto or cpu: with --device, or in the recipe.toml of an index."
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def pick_device(wanted: str) -> torch.device:
    """Return the device that `wanted` names; `auto` is CUDA, else MPS, else the CPU.

    Raises:
        DeviceError: this machine has no such device, or the name is unknown.
    """
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError:
        device = None
    if device is None or device.type not in {"cpu", "cuda", "mps"}:
        raise DeviceError(
            f"Unknown device {wanted!r}; there are auto, cpu, cuda, cuda:N and mps."
            + nearest(wanted, ("auto", "cpu", "cuda", "mps"))
        )
    if device.type == "cuda":
        found = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= found:
            has = f"has {found} CUDA device(s)" if found else "has no CUDA device that torch can use"
            raise DeviceError(f"The device {wanted} was asked for, and this machine {has}. {INSTEAD}")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError(f"The device mps was asked for, and this machine has none. {INSTEAD}")
    return device


def checked_precision(wanted: str, device: torch.device) -> str:
    """Return the precision that is asked for; empty where that is `auto`.

    Raises:
        DeviceError: the precision is unknown, or the device can't compute in it.
    """
    if wanted not in (*PRECISIONS, "auto"):
        raise DeviceError(
            f"Unknown precision {wanted!r}; there are auto, {', '.join(PRECISIONS)}."
            + nearest(wanted, ("auto", *PRECISIONS))
        )
    if wanted == "fp16" and device.type == "cpu":
        raise DeviceError("fp16 is slow and inexact on a CPU; use --precision bf16 or fp32.")
    return "" if wanted == "auto" else wanted


def fastest_on_gpu(device: torch.device) -> str:
    """Return the precision in which a GPU computes fastest; `fp32` of any that does not multiply bfloat16."""
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep what transformers reports while it loads and traces off the terminal."""
    if "transformers" not in sys.modules:  # to load it takes seconds
        yield
        return
    from transformers.utils import logging as hub_logging

    level, bar = hub_logging.get_verbosity(), hub_logging.is_progress_bar_enabled()
    hub_logging.set_verbosity(logging.ERROR)
    hub_logging.disable_progress_bar()
    try:
        yield
    finally:
        hub_logging.set_verbosity(level)
        if bar:
            hub_logging.enable_progress_bar()


def load_transformer(folder: Path, *, whole: bool = False) -> nn.Module:
    """Load `AutoModel` from a folder: no remote code, no pickled code, no network.

    Args:
        folder: of the model.
        whole: whether the layers after the last hidden state are needed too.

    Raises:
        ModelError: transformers can't load it.
    """
    from safetensors import SafetensorError
    from transformers import AutoModel

    try:
        with quiet_transformers():
            model, report = AutoModel.from_pretrained(
                folder, local_files_only=True, dtype=torch.float32, output_loading_info=True
            )
    except (pickle.UnpicklingError, EOFError) as error:  # torch's text would say how to run the code in it
        raise ModelError(
            f"transformers can't load the model in {folder}: its weights are a damaged pickle, or one that "
            "holds more than tensors, which is not opened. Save them as safetensors."
        ) from error
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"transformers can't load the model in {folder}: {first}") from error
    # transformers fills what the weights lack with random numbers; these serve no last_hidden_state
    unused = () if whole else ("pooler", "mask_token", "vision_model.head.")
    lacking = sorted(name for name in report["missing_keys"] if not any(part in name for part in unused))
    if lacking:
        raise ModelError(
            f"The weights in {folder} lack {len(lacking)} tensors of the model, {lacking[0]} among them. "
            "Fetch or save the model again."
        )
    return model.eval()  # type: ignore[no-any-return]


# The activations that sentence-transformers allows after a Dense layer, by the last part of the name.
ACTIVATIONS = {each.__name__: each for each in (nn.Identity, nn.Tanh, nn.ReLU, nn.GELU, nn.Sigmoid)}


def load_dense(folder: Path) -> nn.Module:
    """Load a Dense layer of sentence-transformers: activation(W x + b), (B, D) -> (B, d) in float32.

    Raises:
        ModelError: its files can't be read, or its activation is unknown.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        weights = folder / "model.safetensors"
        state = (
            load_file(weights)
            if weights.is_file()
            else torch.load(folder / "pytorch_model.bin", map_location="cpu", weights_only=True)
        )
        linear = nn.Linear(config["in_features"], config["out_features"], bias=config.get("bias", True))
        linear.load_state_dict({name.removeprefix("linear."): value for name, value in state.items()})
    except (
        OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError,
        pickle.UnpicklingError,
    ) as error:  # fmt: skip
        first = str(error).splitlines()[0]
        raise ModelError(
            f"The Dense layer in {folder} can't be loaded: {first} Fetch the model again."
        ) from None
    name = str(config.get("activation_function", "Tanh")).rsplit(".", 1)[-1]
    if name not in ACTIVATIONS:
        raise ModelError(
            f"The Dense layer in {folder} has the activation {name}; supported are {', '.join(ACTIVATIONS)}. "
            "Take the vector before it with another --pooling."
        )
    return nn.Sequential(linear.float(), ACTIVATIONS[name]())
