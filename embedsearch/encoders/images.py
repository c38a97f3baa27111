"""Images: the mean of a vision model's last hidden state, over its tokens or over its positions."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from PIL import Image
from torch import nn

from embedsearch.encoders import EncoderSpec, Prepared, Role
from embedsearch.encoders.base import ModelEncoder
from embedsearch.encoders.efficientnet_lite import SCALE, SHIFT, EfficientNetLite, resized
from embedsearch.encoders.engines import Inputs
from embedsearch.encoders.files import ModelFiles
from embedsearch.encoders.heads import ImageHead
from embedsearch.encoders.pixels import open_rgb
from embedsearch.encoders.resizing import pillow_resizing, same_pixels
from embedsearch.encoders.runtime import load_transformer
from embedsearch.errors import ItemError, ModelError
from embedsearch.recipe import EncoderRecipe

Pixels = np.ndarray[Any, np.dtype[np.uint8]] | np.ndarray[Any, np.dtype[np.float32]]
Affine = tuple[Sequence[float], Sequence[float]]


# Sides of a picture, long to short: one scaled by its short side to 256 pixels still fits into memory.
LONGEST = 1000


class ImageEncoder(ModelEncoder):
    """One vector per image."""

    def __init__(self, recipe: EncoderRecipe, spec: EncoderSpec, files: ModelFiles) -> None:
        model, self._pixels, (scale, shift) = _load(spec, files)
        self._threads = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="decode")
        super().__init__(recipe, spec, ImageHead(model, spec, scale, shift), _probes())
        # On a CPU, larger batches leave the cache: four times slower at 16.
        self.batch_budget = 256 if self.device.startswith("cuda") else 4

    def prepare(self, items: Sequence[Any], role: Role = "passage") -> list[Prepared | ItemError]:  # noqa: ARG002
        """Decode and resize pictures in threads; see `Encoder.prepare`."""
        return list(self._threads.map(self._prepare, items))

    def _prepare(self, item: Any) -> Prepared | ItemError:
        try:
            image = open_rgb(item)
            if max(image.size) > LONGEST * min(image.size):
                raise ItemError(f"the picture is too thin: {image.width} x {image.height} pixels")
            return Prepared({"pixel_values": self._pixels(image)}, cost=1)
        except ItemError as error:
            return error

    def collate(self, batch: Sequence[Prepared]) -> Inputs:
        """Stack the pixels: n x (3, H, W) -> (B, 3, H, W); see `ModelEncoder.collate`."""
        return {"pixel_values": np.stack([item.inputs["pixel_values"] for item in batch])}


def _probes() -> list[Image.Image]:
    """Return three pictures with edges, slopes and colours; an engine is tried on them."""
    y, x, channel = np.mgrid[:300, :400, :3]
    waves = [
        128 + 90 * np.sin(x / 40 + channel) + 30 * np.cos(y / 25),
        (x + 2 * y + 80 * channel) % 256,
        200.0 * ((x - 200) ** 2 + (y - 150) ** 2 < 9000) + 20 * channel,
    ]
    return [Image.fromarray(wave.clip(0, 255).astype(np.uint8)) for wave in waves]


def _load(spec: EncoderSpec, files: ModelFiles) -> tuple[nn.Module, Callable[[Image.Image], Pixels], Affine]:
    """Return a vision model, what makes its pixels of a picture, and their scale and shift by channel."""
    if files.row and files.row.package:
        return EfficientNetLite(files.weights[0]), resized, (SCALE, SHIFT)
    whole = load_transformer(files.folder)
    tower = getattr(whole, "vision_model", whole)  # CLIP and SigLIP carry a text tower beside it
    if getattr(tower, "main_input_name", "pixel_values") != "pixel_values":
        raise ModelError(f"{spec.model} is no vision model: it reads no pixels. Use it for texts.")
    return tower, *_processor(files)


def _processor(files: ModelFiles) -> tuple[Callable[[Image.Image], Pixels], Affine]:
    """Return the model's own resizing and cropping, and what its rescaling and normalising come to.

    Pillow resizes, so that every machine computes the same pixels. The rest of the processor's work is
    `(x * factor - mean) / std`, which the encoder does on the device.
    """
    from transformers import AutoImageProcessor

    try:
        processor = AutoImageProcessor.from_pretrained(files.folder, local_files_only=True, backend="pil")
    except (OSError, ValueError, KeyError, ImportError) as error:
        first = str(error).strip().splitlines()[0]
        raise ModelError(f"{files.folder} has no image preprocessing that can be loaded: {first}") from error

    factor = float(processor.rescale_factor) if processor.do_rescale else 1.0
    means, stds = (
        (processor.image_mean, processor.image_std) if processor.do_normalize else ((0,) * 3, (1,) * 3)
    )
    scale = tuple(factor / std for std in stds)
    shift = tuple(-mean / std for mean, std in zip(means, stds, strict=True))
    # EfficientNet's processor may move the range besides, which is no part of the formula above
    plain = not getattr(processor, "rescale_offset", False) and not getattr(processor, "include_top", False)
    steps = {"do_rescale": False, "do_normalize": False} if plain else {}

    def pixels(image: Image.Image) -> Pixels:
        # The axis is named: a picture 3 pixels high would be taken for one with channels first.
        out = processor(images=[image], return_tensors="np", input_data_format="channels_last", **steps)
        return np.asarray(out["pixel_values"][0])

    if not plain:
        return pixels, ((1.0,) * 3, (0.0,) * 3)
    quick = pillow_resizing(processor)
    return (quick if quick and same_pixels(quick, pixels) else pixels), (scale, shift)
