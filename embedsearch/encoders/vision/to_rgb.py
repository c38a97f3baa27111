"""What an image file holds, as 8-bit RGB: transparency is laid on a ground, wide numbers are scaled.

A model sees 8-bit RGB. Which ground and which scale are taken decides what it sees, so the rules have a
version, `embedsearch.recipe.PREPARATION`, that goes into an encoder's fingerprint.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

ON_BLACK = "put on black (white on a transparent background)"
ALPHA_IGNORED = "transparency ignored (it hides the whole image)"
SCALED = "scaled to 8 bits (by the range of its values)"
_DARK = "only the upper 8 of its 16 bits were read, so it may look dark"
UPPER_BYTE = (
    f"{_DARK}; to read all: pip install 'embedsearch[copies]', then run: embedsearch rebuild NAME --full"
)
UPPER_BYTE_KEPT = f"{_DARK}; OpenCV can't read this file"

# Of 255: an alpha channel that stays below shows nothing; a colour with no channel below is lost on white.
HIDDEN, LIGHT = 8, 216
LEAST_SEEN = 0.02  # share of what shows that has to differ from white for a white ground
# Values that programs write where there is no measurement, beside not-a-number and infinity.
NO_DATA = (-9999.0, -32768.0, -99999.0, -999.0)
HUGE = 1e30  # a float beyond is no measurement either: -3.4e38 marks missing ones
WIDTHS = (10, 12, 14, 16)  # bits that cameras and scanners write into 16
SPREAD = 0.25  # share of a range that values have to fill to be of that range
ENDS = (0.5, 99.5)  # percentiles that become black and white; what lies beyond is stray
SOME = 1_000_000  # values of an image that tell its range
_MIN_SAMPLE, _MAX_SAMPLE, _SMIN_SAMPLE, _SMAX_SAMPLE, _GDAL_NODATA = 280, 281, 340, 341, 42113
_KINDS_MOST = (1.0, 255.0, 65535.0, 2.0**31 - 1, 2.0**32 - 1)  # what a type can hold declares nothing

Numbers = npt.NDArray[np.floating[Any]]


class Declared(NamedTuple):
    """What a file says of its numbers.

    Attributes:
        low: the value of black; None where it does not say.
        high: the value of white; None likewise.
        missing: the value that stands for no measurement; None for none.
    """

    low: float | None = None
    high: float | None = None
    missing: float | None = None


def declared(image: Image.Image) -> Declared:
    """Return what an image file, opened and not yet decoded, says of its numbers."""
    tile = getattr(image, "tile", None)
    if image.format == "PPM" and tile and tile[0][0] == "ppm":
        return Declared(0.0, 65535.0)  # Pillow has scaled it by the range that it declares
    tags: Mapping[int, Any] = getattr(image, "tag_v2", {})
    low = _number(tags.get(_SMIN_SAMPLE, tags.get(_MIN_SAMPLE)))
    high = _number(tags.get(_SMAX_SAMPLE, tags.get(_MAX_SAMPLE)))
    missing = _number(tags.get(_GDAL_NODATA))
    if high is None or high in _KINDS_MOST or (low or 0.0) >= high:
        return Declared(missing=missing)
    return Declared(low or 0.0, high, missing)


def _number(value: Any) -> float | None:
    value = value[0] if isinstance(value, tuple) and value else value
    try:
        return float(str(value).strip("\0 ")) if value is not None else None
    except ValueError:
        return None


def to_rgb(image: Image.Image, says: Declared = Declared()) -> tuple[Image.Image, tuple[str, ...]]:  # noqa: B008
    """Return an image as 8-bit RGB, and what was done for it to show what it holds.

    - An image of wide numbers is scaled to 8 bits, see `scaled`.
    - Transparency is laid on white; on black where nearly all that shows is white. Transparency that hides
      the whole image is ignored.

    Args:
        image: of any mode.
        says: what its file declares.

    Returns:
        The image, and which of `ON_BLACK`, `ALPHA_IGNORED` and `SCALED` was done.
    """
    done: tuple[str, ...] = ()
    if image.mode.startswith("I") or image.mode == "F":
        image, is_scaled = scaled(image, says)
        done = (SCALED,) if is_scaled else ()
    if image.has_transparency_data:
        image, note = _on_ground(image.convert("RGBA"))
        done += (note,) if note else ()
    return image if image.mode == "RGB" else image.convert("RGB"), done


def _on_ground(image: Image.Image) -> tuple[Image.Image, str]:
    """Lay an RGBA image on the ground that it shows on."""
    pixels = np.asarray(image)  # (h, w, 4)
    alpha = pixels[:, :, 3]
    if alpha.min() == 255:
        return image, ""
    if alpha.max() < HIDDEN:
        return image, ALPHA_IGNORED  # to RGB, Pillow drops the alpha channel
    differs = pixels[:, :, :3].min(2) < LIGHT  # (h, w)
    seen = float(alpha[differs].sum(dtype=np.float64)) / float(alpha.sum(dtype=np.float64))
    ground = Image.new("RGBA", image.size, "white" if seen >= LEAST_SEEN else "black")
    return Image.alpha_composite(ground, image), "" if seen >= LEAST_SEEN else ON_BLACK


def scaled(image: Image.Image, says: Declared) -> tuple[Image.Image, bool]:
    """Scale an image of floats, or of whole numbers over 8 bits, to 8 bits.

    What is 8-bit already, in a wide type, keeps its values. Black and white are what the file declares;
    else the ends of the narrowest range of 10, 12, 14 or 16 bits (of floats, of 0 to 1) that holds the
    values, where they fill a quarter of it; else the percentiles `ENDS`. What is no measurement is black.

    Returns:
        The image, and whether its own values gave the range.
    """
    values = np.asarray(image, np.float64)  # (h, w)
    real = np.isfinite(values) & (np.abs(values) < HUGE)
    if says.missing is not None:
        real &= values != np.float64(np.float32(says.missing))
    for each in NO_DATA:
        if (there := values == each).any() and values[real].min(initial=0.0) == each:
            rest = real & ~there
            real = rest if rest.any() else real
    known = values[real]
    if not known.size:
        return Image.new("L", image.size), False
    low, high, own = _range(known, says)
    grey = (values - low) / max(high - low, 1e-12) * 255
    grey = np.where(real, grey, 0).clip(0, 255)
    return Image.fromarray((grey + 0.5).astype(np.uint8)), own


def narrowed(colours: npt.NDArray[np.uint16], says: Declared) -> tuple[Image.Image | None, bool]:
    """Scale 16-bit colours to 8 bits, all channels by one range, as `scaled` does greys.

    Args:
        colours: (h, w, 3), or (h, w, 4) with alpha, which keeps its upper byte.
        says: what the file declares.

    Returns:
        The image, None where the values reach so far that their upper byte holds what there is; and whether
        its own values gave the range.
    """
    flat = colours[:, :, :3].reshape(-1)  # (h, w, 3) -> (3 h w,)
    some = flat[:: -(-len(flat) // SOME)]
    low, high, own = _range(np.array([*some, flat.min(), flat.max()], np.float64), says)
    if high - low >= 255 * 256:
        return None, False
    table = (np.arange(65536) - low) / max(high - low, 1e-12) * 255
    shades = (table.clip(0, 255) + 0.5).astype(np.uint8)[colours]
    shades[:, :, 3:] = colours[:, :, 3:] >> 8
    return Image.fromarray(shades), own


def _range(known: Numbers, says: Declared) -> tuple[float, float, bool]:
    """Return the values of black and white, and whether the values themselves gave them."""
    least, most = float(known.min()), float(known.max())
    whole = bool((known == np.rint(known)).all())
    if least >= 0 and whole and most > 1:
        if most <= 255:
            return 0.0, 255.0, False
        for step in (257, 256):  # 8 bits repeated, or moved up
            if most <= 255 * step and not (known % step).any():
                return 0.0, 255.0 * step, False
    if says.low is not None and says.high is not None:
        return says.low, says.high, False
    low, high = (float(end) for end in np.percentile(known, ENDS))
    if low == high:
        low, high = least, most
    for top in [2.0**bits - 1 for bits in WIDTHS] if whole else [1.0, 255.0]:
        if least >= 0 and most <= top:
            return (0.0, top, False) if high - low >= SPREAD * top else (low, high, True)
    return low, high, True
