"""The resizing of the common image processors, without the processor.

A processor of transformers spends most of its time in Python, so the threads that decode images wait for each
other. Most processors do one of two things, written here; `same_pixels` checks that a model's processor does.

Large images are shrunk by torch's integer kernel, in less than half the time that Pillow takes. Both filter
alike and round to whole greys between the two passes. They differ by one grey of 255 at most: in about one of
300 values, in one of 7 where one side is shrunk twice as much as the other.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import torch

# Left, top, right and bottom in pixels, which may lie between two.
Cut = tuple[float, float, float, float]
Resize = Callable[[Image.Image, tuple[int, int], Image.Resampling, Cut | None], Image.Image]

FILTERS = {Image.Resampling.BILINEAR: "bilinear", Image.Resampling.BICUBIC: "bicubic"}
# Without these instructions the kernel takes three times as long as Pillow.
_QUICK = ("AVX2", "AVX512")
# Pixels of an image, of which torch needs a copy of three bytes each.
_MOST = 50_000_000
# Pixels of the result beside a cut that are computed to meet its first one between two pixels of the image.
_ASIDE = 32
# How far, in pixels of the result, the first one of a cut may lie from where it should.
_NEAR = 0.001
# Pixels of the result that a filter may reach over.
_REACH = 3

# The largest difference of scaled pixels, of which the largest are 2 to 3.
ROUNDING = 1e-5

# torch only reads the pixels, which Pillow hands out unwritable
warnings.filterwarnings("ignore", message="The given NumPy array is not writable")


def by_pillow(
    image: Image.Image, size: tuple[int, int], resample: Image.Resampling, cut: Cut | None = None
) -> Image.Image:
    """Resize an image, or a cut of it, to a width and height, as `PIL.Image.Image.resize` does."""
    return image.resize(size, resample, box=cut)


def by_torch(
    image: Image.Image, size: tuple[int, int], resample: Image.Resampling, cut: Cut | None = None
) -> Image.Image:
    """Do what `by_pillow` does, of an RGB image that is shrunk to a third or less.

    Where the filter, the processor, a cut between two pixels or the size of the image keeps torch from it,
    Pillow does it.
    """
    import torch

    quick = resample in FILTERS and torch.backends.cpu.get_cpu_capability() in _QUICK
    if not quick or image.width * image.height > _MOST:
        return by_pillow(image, size, resample, cut)
    width, height = size
    if cut is None:
        return _image(_interpolate(_pixels(np.asarray(image)), resample, size=(height, width)))
    across, down = (cut[2] - cut[0]) / width, (cut[3] - cut[1]) / height
    (aside, left, column), (above, top, row) = _start(cut[0], across), _start(cut[1], down)
    if max(aside, above) > _NEAR:
        return by_pillow(image, size, resample, cut)
    bottom = top + _span(row + height, down)
    # whole rows need no copy
    right = left + _span(column + width, across) if left else image.width
    pixels = _pixels(np.asarray(image)[top:bottom, left:right])
    shrunk = _interpolate(pixels, resample, scale_factor=(1 / down, 1 / across))
    return _image(shrunk[:, :, row : row + height, column : column + width])


def _pixels(array: np.ndarray[Any, np.dtype[np.uint8]]) -> torch.Tensor:
    """Return pixels as the kernel likes them: (H, W, 3) -> (1, 3, H, W), the channels last in memory.

    numpy copies what is no whole rows: torch would start threads for it in each thread that decodes. Pillow's
    own memory is copied too, as torch warns of what can't be written.
    """
    import torch

    return torch.from_numpy(np.require(array, requirements=["C", "W"])).permute(2, 0, 1)[None]


def _image(pixels: torch.Tensor) -> Image.Image:
    return Image.fromarray(pixels[0].permute(1, 2, 0).numpy())  # (1, 3, h, w) -> (h, w, 3)


def _interpolate(pixels: torch.Tensor, resample: Image.Resampling, **size: tuple[float, ...]) -> torch.Tensor:
    from torch.nn.functional import interpolate

    return interpolate(pixels, mode=FILTERS[resample], antialias=True, **size)  # type: ignore[arg-type]


def _start(offset: float, scale: float) -> tuple[float, int, int]:
    """Return where to begin for pixels of the result to fall on a cut that begins at `offset`.

    torch lays the first one over the beginning of what it is given, which is a whole pixel `first`. The one
    `skip` behind it begins at first + skip * scale; both are chosen to be nearest to `offset`.

    Args:
        offset: in pixels of the image.
        scale: pixels of the image to one of the result.

    Returns:
        How far it lies from `offset`, in pixels of the result; `first` and `skip`.
    """
    found = []
    for skip in range(min(_ASIDE, int(offset / scale + 0.5)) + 1):
        first = max(0, round(offset - skip * scale))
        if not first or skip >= _REACH:  # a filter reaches for what was cut away in front
            found.append((abs(first + skip * scale - offset) / scale, first, skip))
    return min(found, default=(math.inf, 0, 0))


def _span(count: int, scale: float) -> int:
    """Return the pixels of an image that `count` ones of the result and the filter's reach want."""
    return math.ceil((count + _REACH) * scale)


Pixels = np.ndarray[Any, np.dtype[np.uint8]] | np.ndarray[Any, np.dtype[np.float32]]

# Wide, tall, smaller than any model's input, and of odd sides, where rounding shows.
_PROBES = ((301, 203), (203, 301), (47, 61), (640, 639))


@dataclass(frozen=True, slots=True)
class PillowResizing:
    """Resizes an image whole to a size, or by its shorter edge, then crops its centre.

    Attributes:
        size: height and width; None where `edge` says.
        edge: length of the shorter side.
        crop: height and width of the centre, or None.
        resample: the filter.
        swapped: whether blue comes first, and red last.
    """

    size: tuple[int, int] | None
    edge: int
    crop: tuple[int, int] | None
    resample: Image.Resampling
    swapped: bool = False

    @property
    def side(self) -> int:
        """The longest side that an image's shorter side is resized to."""
        return max(self.size) if self.size else self.edge

    def __call__(self, image: Image.Image, resize: Resize = by_pillow) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Take an RGB image to (3, H, W) uint8."""
        if self.size:
            height, width = self.size
        else:
            width, height = image.size
            long = int(self.edge * max(width, height) / min(width, height))
            width, height = (self.edge, long) if width <= height else (long, self.edge)
        image = resize(image, (width, height), self.resample, None)
        if self.crop:
            left, top = (width - self.crop[1]) // 2, (height - self.crop[0]) // 2
            image = image.crop((left, top, left + self.crop[1], top + self.crop[0]))
        pixels = np.asarray(image).transpose(2, 0, 1)  # (H, W, 3) -> (3, H, W)
        return np.ascontiguousarray(pixels[::-1] if self.swapped else pixels)


def pillow_resizing(processor: Any) -> PillowResizing | None:
    """Return what resizes and crops as `processor` declares, or None where its settings are others."""
    size = dict(processor.size or {}) if processor.do_resize else {}
    crop = dict(processor.crop_size or {}) if getattr(processor, "do_center_crop", False) else {}
    if processor.resample is None or set(size) not in ({"height", "width"}, {"shortest_edge"}):
        return None
    return PillowResizing(
        size=(size["height"], size["width"]) if "height" in size else None,
        edge=size.get("shortest_edge", 0),
        crop=(crop["height"], crop["width"]) if crop else None,
        resample=Image.Resampling(int(processor.resample)),
        swapped=bool(getattr(processor, "do_flip_channel_order", False)),
    )


@dataclass(frozen=True, slots=True)
class ScaledResizing:
    """Resizes as Pillow does, then scales each channel, as a processor does that scales by itself.

    Attributes:
        resizing: of the image.
        scale: by channel, of `pixels * scale + shift`.
        shift: by channel.
    """

    resizing: PillowResizing
    scale: tuple[float, ...]
    shift: tuple[float, ...]

    def __call__(self, image: Image.Image) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Take an RGB image to (3, H, W) float32."""
        scale, shift = (np.array(each, np.float32)[:, None, None] for each in (self.scale, self.shift))
        return self.resizing(image) * scale + shift


def without_processor(
    processor: Any, pixels: Callable[[Image.Image], Pixels]
) -> PillowResizing | ScaledResizing | None:
    """Return what gives the pixels of an unusual processor without it; None where nothing does.

    Args:
        processor: of transformers.
        pixels: what it makes of an RGB image, (3, H, W).
    """
    black, white = (pixels(Image.new("RGB", (64, 64), (level,) * 3))[:, 0, 0] for level in (0, 255))  # (3,)
    for resizing in _readings(processor):
        if black.dtype == np.uint8:
            if same_pixels(resizing, pixels):
                return resizing
            continue
        scaled = ScaledResizing(resizing, tuple(((white - black) / 255).tolist()), tuple(black.tolist()))
        if same_pixels(scaled, pixels, within=ROUNDING):
            return scaled
    return None


def _readings(processor: Any) -> Iterator[PillowResizing]:
    """Yield what the settings of a processor may mean."""
    if declared := pillow_resizing(processor):
        yield declared
    edge = dict(processor.size or {}).get("shortest_edge")
    if edge and processor.do_resize and processor.resample is not None:
        resample = Image.Resampling(int(processor.resample))
        # ConvNeXt and PoolFormer crop this share of the resized image; LeViT the middle 224 of 256
        for share in (getattr(processor, "crop_pct", None), 224 / 256):
            if share:
                yield PillowResizing(None, int(edge / share), (edge, edge), resample)
        yield PillowResizing((edge, edge), 0, None, resample)


def same_pixels(
    ours: Callable[[Image.Image], Pixels], theirs: Callable[[Image.Image], Pixels], within: float = 0.0
) -> bool:
    """Whether both give the same pixels of noise images of several shapes.

    Args:
        ours: from an RGB image to (3, H, W).
        theirs: likewise.
        within: by how much two numbers may differ.
    """
    draw = np.random.default_rng(0)
    for width, height in _PROBES:
        noise = Image.fromarray(draw.integers(0, 256, (height, width, 3), dtype=np.uint8))
        a, b = (np.asarray(each(noise), np.float32) for each in (ours, theirs))
        if a.shape != b.shape or np.abs(a - b).max() > within:
            return False
    return True
