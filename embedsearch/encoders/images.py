"""Images: the mean of a vision model's last hidden state, over tokens or positions; or its projection.

A model's own preprocessing shows it the middle of an image. The vector of an image that is seen in two views,
its middle and the whole, is the mean of their vectors; see `embedsearch.encoders.vision.views`.
"""

from __future__ import annotations

import inspect
import io
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from embedsearch.distances.metric import Vectors
from embedsearch.encoders import Prepared
from embedsearch.encoders.base import ModelEncoder
from embedsearch.encoders.engines import Inputs
from embedsearch.encoders.engines.exported import Kept, open_exported
from embedsearch.encoders.hidden_states import HiddenStates, View
from embedsearch.encoders.probes import CLOSE, least_cosine
from embedsearch.encoders.vision.decode import check_shape, decode, keep_memory
from embedsearch.encoders.vision.field_of_view import grid_of, seen_box
from embedsearch.encoders.vision.lite import LITE2
from embedsearch.encoders.vision.naflex import MORE_INPUTS, NaFlexResizing, padded_patches
from embedsearch.encoders.vision.preprocess import Preprocessing, preprocessing
from embedsearch.encoders.vision.resize import PillowResizing, ScaledResizing
from embedsearch.encoders.vision.views import Pixels, is_wide, second_view
from embedsearch.errors import DeviceError, ItemError, ModelError
from embedsearch.modalities import PROJECTION
from embedsearch.models.files import ModelFiles
from embedsearch.models.spec import EncoderSpec, Role
from embedsearch.recipe import EncoderRecipe

if TYPE_CHECKING:
    from torch import nn

    from embedsearch.encoders.pooling_heads import PoolingHead

# A drafted image keeps at least this many times the side that the model sees. The cosine to decoding in full,
# measured with the bundled model on large images (mosaics of photos among them): 0.9998 at the median, under
# 0.999 for 1 of 330 images; at 2.5 times the side, for 1 of 30.
DRAFT_SIDES = 3


class ImageEncoder(ModelEncoder):
    """One vector per image."""

    decoding = "full"

    def __init__(self, recipe: EncoderRecipe, spec: EncoderSpec, files: ModelFiles) -> None:
        exported = open_exported(recipe, spec)
        threads = os.cpu_count() or 1
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        keep_memory(threads)
        self._patch = 0
        self._patch_size: int | None
        self._whole: Callable[[Image.Image], Pixels] | None = None
        if exported is not None:
            self._preprocessing = _kept_preprocessing(exported.facts["resizing"])
            self._patch = exported.facts["naflex"]
            self._look(spec, is_transformer=exported.is_transformer)
            self._patch_size = exported.facts["patch_size"]
            self._least_patches = self._preprocessing.patches
            super().__init__(recipe, spec, exported, ())
        else:
            head = self._head(spec, files)
            self._least_patches = self._preprocessing.patches  # OpenVINO reads as many of each image
            super().__init__(recipe, spec, head, _probes(several_shapes=bool(self._patch)))
        if self.engine == "torch":
            self._least_patches = 0
        self.batch_budget = self._engine.batch_images
        self.decoding = self._settle_decoding(recipe.decoding)

    def _head(self, spec: EncoderSpec, files: ModelFiles) -> PoolingHead:
        """Load the model and its preprocessing, and return the pooling head on it."""
        from embedsearch.encoders.pooling_heads import ImagePoolingHead
        from embedsearch.encoders.vision.naflex_head import NaFlexPoolingHead

        model, self._preprocessing = _load(spec, files)
        self._patch = _naflex_patch(model)
        kind = NaFlexPoolingHead if self._patch else ImagePoolingHead
        head = kind(model, spec, self._preprocessing.scale, self._preprocessing.shift)
        head.any_shape = self._look(spec, is_transformer=head.is_transformer)
        config = getattr(model, "config", None)
        self._patch_size = getattr(getattr(config, "vision_config", config), "patch_size", None)
        return head

    def _look(self, spec: EncoderSpec, *, is_transformer: bool) -> bool:
        """Settle how the whole of an image is shown; return whether that is in several shapes."""
        if spec.preparation == 1 or spec.views == "centre" or self._patch:
            return False
        self._whole, any_shape = second_view(self._preprocessing.pixels, convolutional=not is_transformer)
        return any_shape

    def kept(self, head: PoolingHead) -> Kept | None:
        """Return how images are resized, where Pillow can do it; see `ModelEncoder.kept`."""
        facts: dict[str, Any] = {"resizing": None, "patch_size": self._patch_size, "naflex": self._patch}
        if self._preprocessing is not LITE2:
            pixels = self._preprocessing.pixels
            found = pixels if isinstance(pixels, PillowResizing) else self._preprocessing.alone()
            if found is None:
                return None
            facts["resizing"] = asdict(found)
        return Kept(head.is_transformer, facts, {})

    def _settle_decoding(self, wanted: str) -> str:
        """Return `full`, or `draft` where it is asked for or keeps the vectors."""
        if wanted not in ("auto", "full", "draft"):
            raise DeviceError(f"Unknown decoding {wanted!r}; there are auto, full and draft.")
        if wanted == "draft" and not self._preprocessing.side:
            raise ModelError(
                f"Drafting does not support how {self.spec.model} resizes images. Use --decoding full."
            )
        if wanted != "auto" or not self._preprocessing.side:
            return "full" if wanted == "auto" else wanted
        photo = _photo(2 * DRAFT_SIDES * self._preprocessing.side)
        self.decoding = "full"
        exact = self.encode([photo])
        self.decoding = "draft"
        return "draft" if least_cosine(self.encode([photo]), exact) >= CLOSE else "full"

    def prepare(self, items: Sequence[Any], role: Role = "passage") -> list[Prepared | ItemError]:  # noqa: ARG002
        """Decode and resize images in threads; see `Encoder.prepare`."""
        return list(self._threads.map(self._prepare, items))

    def _prepare(self, item: Any) -> Prepared | ItemError:
        try:
            image, notes = self._open(item)
            return self._ready(image, notes)
        except ItemError as error:
            return error

    def _open(self, item: Any) -> tuple[Image.Image, tuple[str, ...]]:
        image, notes = decode(item, self._large, preparation=self.spec.preparation)
        check_shape(image)
        return image, notes

    def _ready(self, image: Image.Image, notes: tuple[str, ...] = ()) -> Prepared:
        """Return the views of an image, (3, H, W) each: `pixel_values` and `whole`, or one of them."""
        shrunk = self._preprocessing.shrunk if self._large and min(image.size) >= self._large else None
        views: dict[str, Pixels] = {}
        if self.spec.views != "whole" or self._whole is None:
            views["pixel_values"] = (shrunk or self._preprocessing.pixels)(image)
        if self._whole is not None and (self.spec.views != "auto" or is_wide(image)):
            views["whole"] = self._whole(image)
        return Prepared(views, cost=len(views), notes=notes)

    @property
    def _large(self) -> int | None:
        """Pixels of the shorter side of a large image; None where all images are treated alike."""
        return DRAFT_SIDES * self._preprocessing.side if self.decoding == "draft" else None

    def unpool(self, item: Any, role: Role, head: PoolingHead) -> HiddenStates:  # noqa: ARG002
        """Take an image apart into the patches that the model sees; see `Encoder.hidden_states`."""
        image, notes = self._open(item)
        rows, prefixes, weights, vectors, names, views = [], [], [], [], [], []
        exact = True
        inputs = self._ready(image).inputs
        for name, pixels in inputs.items():
            unpooled = self.unpooled_states(Prepared({name: pixels}, cost=1), head)
            grid = unpooled.map or self._grid(len(unpooled.rows), pixels)
            shown = self._whole if name == "whole" and self._whole else self._preprocessing.pixels
            views.append(View(grid, seen_box(shown, image.size)))
            prefix = len(unpooled.rows) - views[-1].count
            prefixes.append(prefix)
            names += ["[CLS]" if not at else f"[token {at + 1}]" for at in range(prefix)]
            rows.append(unpooled.rows.cpu().numpy())
            weights.append(unpooled.weights.numpy() / len(inputs))
            vectors.append(unpooled.vector.cpu().numpy())
            exact &= unpooled.exact
        patches = sum(view.count for view in views)
        return HiddenStates(
            rows=_patches_last(rows, prefixes),
            weights=_patches_last(weights, prefixes),
            vector=vectors[0] if len(vectors) == 1 else (vectors[0] + vectors[1]) / 2,
            exact=exact,
            names=(*names, *("",) * patches),
            spans=(None,) * (len(names) + patches),
            views=tuple(views),
            note=f"How the image was read: {', '.join(notes)}." if notes else "",
        )

    def patch_rows(self, item: Any) -> Vectors | None:
        """Return the hidden states of the patches of an image, (T, d) float32; None where torch is needed.

        Raises:
            ItemError: the image can't be read.
            ModelError: see `Encoder.hidden_states`.
        """
        if self.exported_rows is None:
            return None
        rows = []
        for pixels in self._ready(self._open(item)[0]).inputs.values():
            (states,) = self.exported_rows.start({"pixel_values": pixels[None]})()
            if states.ndim == 3:  # (D, H, W) -> (H * W, D)
                rows.append(states.reshape(len(states), -1).T)
            else:  # (T, D), those of no patch first
                across, down = self._grid(len(states), pixels)
                rows.append(states[len(states) - across * down :])
        return np.concatenate(rows)

    def _grid(self, count: int, pixels: Pixels) -> tuple[int, int]:
        """Return rows and columns of the patches among a transformer's tokens."""
        height, width = pixels.shape[1:]
        grid = grid_of(count, self._patch_size, height, width)
        if grid is None:
            raise ModelError(
                f"{self.spec.model} gives {count} tokens for an image of {width} x {height} pixels. "
                "Which token stands for which part is unknown, so its hits can't be explained."
            )
        return grid

    def run(self, prepared: Sequence[Prepared]) -> Iterator[tuple[int, Vectors]]:
        """See `Encoder.run`: views go through the model one by one; of two views the mean is the vector."""
        owners = [at for at, item in enumerate(prepared) for _ in item.inputs]
        views = [
            Prepared({name: pixels}, cost=1) for item in prepared for name, pixels in item.inputs.items()
        ]
        waiting: dict[int, Vectors] = {}
        for at, rows in super().run(views):
            owner = owners[at]
            if len(prepared[owner].inputs) == 1:
                yield owner, rows
            elif owner in waiting:
                yield owner, (waiting.pop(owner) + rows) * np.float32(0.5)
            else:
                waiting[owner] = rows

    def batches(self, prepared: Sequence[Prepared]) -> list[list[int]]:
        """Group views, of one shape each; see `ModelEncoder.batches`."""
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for at, view in enumerate(prepared):
            shape = () if self._patch else _pixels_of(view).shape
            by_shape.setdefault(shape, []).append(at)
        return [
            [places[at] for at in group]
            for places in by_shape.values()
            for group in super(ImageEncoder, self).batches([prepared[at] for at in places])
        ]

    def collate(self, batch: Sequence[Prepared]) -> Inputs:
        """Stack the first view of each item: n x (3, H, W) -> (B, 3, H, W), or cut it into patches."""
        pixels = [_pixels_of(item) for item in batch]
        if not self._patch:
            return {"pixel_values": np.stack(pixels)}
        return padded_patches(pixels, self._patch, self._least_patches)


def _pixels_of(view: Prepared) -> Pixels:
    return next(iter(view.inputs.values()))


def _patches_last(arrays: Sequence[Pixels], prefixes: Sequence[int]) -> Pixels:
    """Join arrays that have a row for each token; what stands for no patch comes first."""
    pairs = list(zip(arrays, prefixes, strict=True))
    first, last = [each[:prefix] for each, prefix in pairs], [each[prefix:] for each, prefix in pairs]
    return np.concatenate([*first, *last])


def _probes(*, several_shapes: bool) -> list[Image.Image]:
    """Return three images with edges, slopes and colours, which an engine is tried on."""
    y, x, channel = np.mgrid[:300, :400, :3]
    waves = [
        128 + 90 * np.sin(x / 40 + channel) + 30 * np.cos(y / 25),
        (x + 2 * y + 80 * channel) % 256,
        200.0 * ((x - 200) ** 2 + (y - 150) ** 2 < 9000) + 20 * channel,
    ]
    if several_shapes:
        waves[1] = waves[1][:90]
    return [Image.fromarray(wave.clip(0, 255).astype(np.uint8)) for wave in waves]


def _photo(side: int) -> bytes:
    """Return a square JPEG with detail of every size, as photos have, which drafting is tried on."""
    draw = np.random.default_rng(0)
    grey = np.full((side, side), 128, np.float32)
    for octave in range(2, side.bit_length()):
        noise = Image.fromarray(draw.normal(0, 14, (2**octave,) * 2).astype(np.float32))
        grey += np.asarray(noise.resize((side, side), Image.Resampling.BILINEAR))
    file = io.BytesIO()
    pixels = np.stack([grey, grey[::-1], grey[:, ::-1]], axis=2)  # (H, W) -> (H, W, 3)
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def _kept_preprocessing(resizing: dict[str, Any] | None) -> Preprocessing:
    """Return the preprocessing that `ImageEncoder.kept` describes; an exported model scales itself.

    Pillow shrinks large images too, which is slower and within one grey level of what torch makes.
    """
    if resizing is None:
        return replace(LITE2, shrunk=None)
    if "max_num_patches" in resizing:
        resample = Image.Resampling(resizing["resample"])
        shaped = NaFlexResizing(resizing["patch_size"], resizing["max_num_patches"], resample)
        return Preprocessing(shaped, 0, (), (), patches=shaped.max_num_patches)
    scaled, resizing = resizing, resizing.get("resizing", resizing)
    size, crop = (tuple(each) if each else None for each in (resizing["size"], resizing["crop"]))
    resample = Image.Resampling(resizing["resample"])
    pixels = PillowResizing(size, resizing["edge"], crop, resample, resizing["swapped"])
    if "scale" in scaled:
        return Preprocessing(ScaledResizing(pixels, scaled["scale"], scaled["shift"]), 0, (), ())
    return Preprocessing(pixels, pixels.side, (), ())


def _load(spec: EncoderSpec, files: ModelFiles) -> tuple[nn.Module, Preprocessing]:
    """Return a vision model and its preprocessing."""
    from torch import nn

    from embedsearch.encoders.efficientnet_lite import EfficientNetLite
    from embedsearch.encoders.engines.devices import load_transformer

    if files.row and files.row.package:
        return EfficientNetLite(files.weights[0]), LITE2
    if spec.pooling == PROJECTION:
        towers = load_transformer(files.folder, whole=True)
        towers.text_model = nn.Identity()  # texts are another encoder's
        return towers, preprocessing(files)
    whole = load_transformer(files.folder)
    tower = getattr(whole, "vision_model", whole)  # CLIP and SigLIP carry a text tower beside it
    if getattr(tower, "main_input_name", "pixel_values") != "pixel_values":
        raise ModelError(f"{spec.model} is not a vision model: it reads no pixels. Use it for texts.")
    more = _more_inputs(tower)
    if more and set(more) != MORE_INPUTS:
        raise ModelError(
            f"{spec.model} needs more inputs than pixels ({', '.join(more)}), which is not supported. Use "
            "another vision model."
        )
    return tower, preprocessing(files)


def _more_inputs(tower: nn.Module) -> list[str]:
    """Return the inputs that a vision model needs beside pixels."""
    parameters = inspect.signature(tower.forward).parameters.values()
    wanted = [
        each.name
        for each in parameters
        if each.default is each.empty and each.kind is each.POSITIONAL_OR_KEYWORD
    ]
    return [name for name in wanted if name != "pixel_values"]


def _naflex_patch(model: Any) -> int:
    """Return the side in pixels of the patches that a model takes instead of an image; 0 for an image."""
    tower = getattr(model, "vision_model", model)
    return int(tower.config.patch_size) if set(_more_inputs(tower)) == MORE_INPUTS else 0
