"""The preprocessing of a model: an image is resized, cropped and scaled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from embedsearch.encoders.vision import naflex
from embedsearch.encoders.vision.naflex import NaFlexResizing
from embedsearch.encoders.vision.resize import (
    PillowResizing,
    Pixels,
    ScaledResizing,
    by_torch,
    pillow_resizing,
    same_pixels,
    without_processor,
)
from embedsearch.errors import ModelError
from embedsearch.models.files import ModelFiles


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How an image becomes the input of a model.

    Attributes:
        pixels: takes an RGB image to (3, H, W), uint8, or float32 where the processor scales itself.
        side: the image's shorter side in pixels once it is resized, before cropping; 0 where unknown.
        scale: by channel, of `pixels * scale + shift`, which the encoder does on the device.
        shift: by channel.
        shrunk: a faster `pixels` for images of at least three times the side; it differs by at most one grey
            level of 255. None where the side is unknown.
        patches: most patches of an image, of a model that reads any shape; 0 of others.
        alone: returns what gives the pixels without transformers; None where nothing does.
    """

    pixels: Callable[[Image.Image], Pixels]
    side: int
    scale: Sequence[float]
    shift: Sequence[float]
    shrunk: Callable[[Image.Image], Pixels] | None = None
    alone: Callable[[], PillowResizing | ScaledResizing | NaFlexResizing | None] = lambda: None
    patches: int = 0


def preprocessing(files: ModelFiles) -> Preprocessing:
    """Return what the model's own processor does.

    Pillow resizes all but large images, so that every machine computes the same pixels.

    Raises:
        ModelError: the processor can't be loaded.
    """
    declared = files.json("preprocessor_config.json") or {}
    if str(declared.get("image_processor_type", "")).startswith("DINOv3"):
        return _from_declaration(declared)
    from transformers import AutoImageProcessor

    try:
        processor = AutoImageProcessor.from_pretrained(files.folder, local_files_only=True, backend="pil")
    except (OSError, ValueError, KeyError, ImportError) as error:
        first = str(error).strip().splitlines()[0]
        raise ModelError(f"{files.folder} has no image preprocessing that can be loaded: {first}") from error
    if hasattr(processor, "max_num_patches"):
        theirs = naflex.resizing(processor)
        shaped, patches = partial(naflex.alone, processor, theirs), int(processor.max_num_patches)
        return Preprocessing(theirs, 0, *_affine(processor), alone=shaped, patches=patches)
    # EfficientNet's processor may also shift the range, which the formula does not cover
    plain = not getattr(processor, "rescale_offset", False) and not getattr(processor, "include_top", False)
    steps = {"do_rescale": False, "do_normalize": False} if plain else {}

    def pixels(image: Image.Image) -> Pixels:
        # The axis is named, or an image 3 pixels high would be read as channels first.
        out = processor(images=[image], return_tensors="np", input_data_format="channels_last", **steps)
        return np.asarray(out["pixel_values"][0])

    alone = partial(without_processor, processor, pixels)
    if not plain:
        return Preprocessing(pixels, 0, (1.0,) * 3, (0.0,) * 3, alone=alone)
    quick = pillow_resizing(processor)
    if quick and same_pixels(quick, pixels):
        return Preprocessing(quick, quick.side, *_affine(processor), shrunk=partial(quick, resize=by_torch))
    return Preprocessing(pixels, 0, *_affine(processor), alone=alone)


def _from_declaration(declared: dict[str, Any]) -> Preprocessing:
    """Do what DINOv3's processor does, which is written for torchvision alone (Simeoni et al. 2025)."""
    defaults = {
        "do_resize": True, "size": {"height": 224, "width": 224}, "resample": Image.Resampling.BILINEAR,
        "do_center_crop": False, "crop_size": None, "do_rescale": True, "rescale_factor": 1 / 255,
        "do_normalize": True, "image_mean": (0.485, 0.456, 0.406), "image_std": (0.229, 0.224, 0.225),
    }  # fmt: skip
    given = {name: value for name, value in declared.items() if value is not None}
    processor = SimpleNamespace(**{**defaults, **given})
    resizing = pillow_resizing(processor)
    if resizing is None:
        raise ModelError(
            f"DINOv3 resizes an image to a height and width; its preprocessor has {processor.size}."
        )
    return Preprocessing(
        resizing, resizing.side, *_affine(processor), shrunk=partial(resizing, resize=by_torch)
    )


def _affine(processor: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return scale and shift of `(x * factor - mean) / std`."""
    factor = float(processor.rescale_factor) if processor.do_rescale else 1.0
    means, stds = (
        (processor.image_mean, processor.image_std) if processor.do_normalize else ((0,) * 3, (1,) * 3)
    )
    return (
        tuple(factor / std for std in stds),
        tuple(-mean / std for mean, std in zip(means, stds, strict=True)),
    )
