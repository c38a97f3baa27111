"""Images: the mean of a vision model's last hidden state, over its tokens or over its positions."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor, nn

from embedsearch.encoders import EncoderSpec, Prepared, Role
from embedsearch.encoders.base import TorchEncoder
from embedsearch.encoders.efficientnet_lite import EfficientNetLite, preprocess
from embedsearch.encoders.files import ModelFiles
from embedsearch.encoders.pixels import open_rgb
from embedsearch.encoders.pooling import cls_position, image_mean
from embedsearch.encoders.runtime import load_transformer
from embedsearch.errors import ItemError, ModelError
from embedsearch.metrics import Vectors
from embedsearch.recipe import EncoderRecipe

Pixels = np.ndarray[Any, np.dtype[np.float32]]


class ImageEncoder(TorchEncoder):
    """One vector per image."""

    def __init__(self, recipe: EncoderRecipe, spec: EncoderSpec, files: ModelFiles) -> None:
        model, self._pixels = _load(spec, files)
        super().__init__(recipe, spec, model)
        self.batch_budget = 16 if self.device == "cpu" else 128
        self._threads = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="decode")
        # Configurations name the length of the vectors in many ways; a blank picture tells.
        blank = Prepared({"pixel_values": self._pixels(Image.new("RGB", (8, 8)))}, cost=1)
        self.dimension = self.forward([blank]).shape[1]

    def prepare(self, items: Sequence[Any], role: Role = "passage") -> list[Prepared | ItemError]:  # noqa: ARG002
        """Decode and resize pictures in threads; see `Encoder.prepare`."""
        return list(self._threads.map(self._prepare, items))

    def _prepare(self, item: Any) -> Prepared | ItemError:
        try:
            return Prepared({"pixel_values": self._pixels(open_rgb(item))}, cost=1)
        except ItemError as error:
            return error

    def forward(self, batch: Sequence[Prepared]) -> Vectors:
        """Pool each picture's hidden states into its vector, (n, d) float32."""
        pixels = self._put(
            np.stack([item.inputs["pixel_values"] for item in batch])
        )  # n x (3, H, W) -> (B, 3, H, W)
        hidden = self._hidden({"pixel_values": pixels})
        if self.spec.pooling == "cls":
            if hidden.ndim == 4:
                raise ModelError(f"{self.spec.model} is a CNN: it has no [CLS] position. Use --pooling mean.")
            return cls_position(hidden).cpu().numpy()
        skip = self._prefix_tokens(hidden, pixels) if self.spec.patch_tokens_only else 0
        return image_mean(hidden, skip).cpu().numpy()

    def _prefix_tokens(self, hidden: Tensor, pixels: Tensor) -> int:
        """Count the tokens before the patches (CLS, distillation, registers): T - (H / p) * (W / p)."""
        patch = getattr(self._model.config, "patch_size", None)
        if hidden.ndim == 4 or patch is None:
            return 0
        height, width = pixels.shape[2:]
        return max(0, int(hidden.shape[1]) - int(height // patch) * int(width // patch))


def _load(spec: EncoderSpec, files: ModelFiles) -> tuple[nn.Module, Callable[[Image.Image], Pixels]]:
    """Return a vision model and its preprocessing."""
    if files.row and files.row.package:
        return EfficientNetLite(files.weights[0]), preprocess
    whole = load_transformer(files.folder)
    tower = getattr(whole, "vision_model", whole)  # CLIP and SigLIP carry a text tower beside it
    if getattr(tower, "main_input_name", "pixel_values") != "pixel_values":
        raise ModelError(f"{spec.model} is no vision model: it reads no pixels. Use it for texts.")
    return tower, _processor(files)


def _processor(files: ModelFiles) -> Callable[[Image.Image], Pixels]:
    """Return the model's own preprocessing, on Pillow, so that every machine computes the same pixels."""
    from transformers import AutoImageProcessor

    try:
        processor = AutoImageProcessor.from_pretrained(files.folder, local_files_only=True, backend="pil")
    except (OSError, ValueError, KeyError, ImportError) as error:
        first = str(error).strip().splitlines()[0]
        raise ModelError(f"{files.folder} has no image preprocessing that can be loaded: {first}") from error

    def pixels(image: Image.Image) -> Pixels:
        # The axis is named: a picture 3 pixels high would be taken for one with channels first.
        out = processor(images=[image], return_tensors="np", input_data_format="channels_last")
        return np.asarray(out["pixel_values"][0], np.float32)

    return pixels
