"""Image files to RGB pixels, whatever the file holds."""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import io
import re
import warnings
from pathlib import Path

import numpy as np
import PIL
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from embedsearch.disk.file_urls import is_file_url, path_in
from embedsearch.encoders.vision.to_rgb import (
    SCALED,
    UPPER_BYTE,
    UPPER_BYTE_KEPT,
    Declared,
    declared,
    narrowed,
    to_rgb,
)
from embedsearch.errors import ItemError
from embedsearch.recipe import PREPARATION

ImageSource = Path | str | bytes | Image.Image

# Pillow refuses twice this number of pixels; a panorama of 170 megapixels still opens.
BOMB_PIXELS = Image.MAX_IMAGE_PIXELS or 89_478_485
# Blocks of Pillow's memory that an image takes: decoded, upright, resized; 12 megapixels in full take three.
BLOCKS = 6
# Pillow's plugins raise all of these on damaged files.
DAMAGED = (
    OSError, ValueError, SyntaxError, EOFError, TypeError, IndexError, KeyError, AttributeError,
)  # fmt: skip
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)  # a Path has one slash of the two
UPLOADED_PIXELS = 50_000_000  # of an image that somebody sends to the page or the server
ORIENTATION = ExifTags.Base.Orientation
# Sides of an image, long to short: one scaled by its short side to 256 pixels still fits into memory.
LONGEST = 1000


def enable_heif() -> bool:
    """Let Pillow open HEIC files if pillow-heif is installed; return whether it is."""
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
        return True
    return False


enable_heif()


def silence_libtiff() -> None:
    """Keep libtiff, which Pillow reads TIFF files with, from writing to the terminal.

    It prints what it finds odd in a file; what can't be read raises an error all the same.
    """
    folder = Path(PIL.__file__).parent
    bundled = [*folder.glob(".dylibs/libtiff*"), *folder.parent.glob("pillow.libs/libtiff*")]
    name = str(bundled[0]) if bundled else ctypes.util.find_library("tiff")
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(name)
        library.TIFFSetWarningHandler(None)
        library.TIFFSetErrorHandler(None)


silence_libtiff()


def keep_memory(threads: int) -> None:
    """Have Pillow reuse the memory of `threads` images for the next ones.

    The kernel clears fresh memory page by page, which takes a third of the time of decoding. A block has at
    most 16 MiB; if Pillow keeps more blocks already (`PILLOW_BLOCKS_MAX`), that stays.
    """
    memory = Image.core  # type: ignore[attr-defined]  # where Pillow's documentation has its block allocator
    memory.set_blocks_max(max(memory.get_blocks_max(), BLOCKS * threads))


def open_rgb(source: ImageSource, at_least: int | None = None, *, most: int | None = None) -> Image.Image:
    """Return the first frame of an image as 8-bit RGB, upright; arguments and errors as `decode`."""
    return decode(source, at_least, most=most)[0]


def decode(
    source: ImageSource,
    at_least: int | None = None,
    *,
    preparation: int = PREPARATION,
    most: int | None = None,
) -> tuple[Image.Image, tuple[str, ...]]:
    """Return the first frame of an image as 8-bit RGB, upright, and what was done to show what it holds.

    EXIF orientation is applied; transparency, wide numbers, CMYK, palettes and greys are converted.

    Args:
        source: a path, the bytes of an image file, or an open image.
        at_least: decode a JPEG file at a half, a quarter or an eighth of its size if both sides keep so many
            whole pixels (`Image.draft`), which is several times faster; None decodes every file in full.
        preparation: the version of the rules; 1 is that of embedsearch 0.6, see `_to_rgb_of_0_6`.
        most: pixels that the image may have; None for what Pillow opens, about 179 megapixels.

    Returns:
        The image; and notes, see `to_rgb`.

    Raises:
        ItemError: it is no image, is empty, truncated, missing, an address, or too large.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large and odd files that it then reads
            image = source if isinstance(source, Image.Image) else opened(source)
            if at_least and image is not source:
                _draft(image, at_least)
            if not all(image.size):
                raise ItemError("the image has no pixels")
            if most:
                _check_pixels(image, most)
            says = declared(image)
            deep = preparation > 2 and _is_deep(image)
            if image is source:
                return _converted(ImageOps.exif_transpose(image), says, preparation)
            ImageOps.exif_transpose(image, in_place=True)  # opened here, so no copy is needed
            image.load()
            if deep and not isinstance(source, Image.Image):
                return _colours(source, image, says)
            return _converted(image, says, preparation)
    except ItemError:
        raise
    except Image.DecompressionBombError:
        raise ItemError(f"the image has more than {2 * BOMB_PIXELS // 10**6} megapixels") from None
    except UnidentifiedImageError:
        raise ItemError("the file is not an image that Pillow can read") from None
    except FileNotFoundError:
        raise ItemError("the file does not exist") from None
    except DAMAGED as error:
        raise ItemError(f"the image can't be decoded: {error or type(error).__name__}") from None
    except (MemoryError, OverflowError, ArithmeticError) as error:
        raise ItemError(f"the image can't be decoded: {type(error).__name__}") from None


def check_shape(image: Image.Image) -> None:
    """Refuse an image that is too thin for any preprocessing.

    Raises:
        ItemError: one side is more than `LONGEST` times the other.
    """
    if max(image.size) > LONGEST * min(image.size):
        raise ItemError(f"the image is too thin: {image.width} x {image.height} pixels")


def check_upload(content: bytes, most: int) -> int:
    """Refuse an image file that somebody sent, by its header: nothing is decoded.

    Args:
        content: the bytes of the file.
        most: pixels that the image may have.

    Returns:
        How many it has; 0 where that can't be read.

    Raises:
        ItemError: it has more, or is too thin, or is read by another program (EPS, by Ghostscript).
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = opened(content)
    except Image.DecompressionBombError:
        raise ItemError(f"the image has more than {2 * BOMB_PIXELS // 10**6} megapixels") from None
    except (*DAMAGED, MemoryError, OverflowError, ArithmeticError):
        return 0  # what decodes it says what is wrong
    with image:
        if image.format == "EPS":
            raise ItemError("an EPS file is a program, which is not run: send a PNG or a JPEG file")
        _check_pixels(image, most)
        check_shape(image)
        return image.width * image.height


def _check_pixels(image: Image.Image, most: int) -> None:
    if image.width * image.height > most:
        raise ItemError(
            f"the image has {image.width:,} x {image.height:,} pixels, more than "
            f"{most // 10**6} megapixels; make it smaller"
        )


def pixels_of(source: Path | bytes) -> int:
    """Return how many pixels an image has, from the header of its file; 0 if that can't be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with opened(source) as image:
                return image.width * image.height
    except (ItemError, OSError, ValueError, SyntaxError, EOFError, TypeError, Image.DecompressionBombError):
        return 0


def opened(source: Path | str | bytes) -> Image.Image:
    """Open an image file, of which only the header is read.

    Raises:
        ItemError: there is no file, it is empty, or it is an address, other than of a file.
        Image.DecompressionBombError, OSError and the others of `DAMAGED`: it is no image that can be read.
    """
    return Image.open(_file(source))


def _file(source: Path | str | bytes) -> io.BytesIO | Path:
    if isinstance(source, bytes):
        if not source:
            raise ItemError("the file is empty")
        return io.BytesIO(source)
    name, path = str(source), Path(source)
    if _ADDRESS.match(name) and not path.exists():
        if not is_file_url(name):
            raise ItemError("it is an address, which is not fetched: download the image and give its file")
        local = path_in(name)
        if local is None:
            raise ItemError("it is a file on another machine: copy it and give its path")
        path = Path(local)
    if path.is_dir():
        raise ItemError("it is a folder; an image was expected")
    if path.is_file() and path.stat().st_size == 0:
        raise ItemError("the file is empty")
    return path


def _draft(image: Image.Image, at_least: int) -> None:
    """Have a JPEG file decoded at the smallest scale that keeps `at_least` pixels of both sides.

    A side that the scale doesn't divide would be rounded up, which shifts the image by up to a pixel: that
    alone lowers the cosine to decoding in full to 0.995.
    """
    for scale in (8, 4, 2):
        size = image.width // scale, image.height // scale
        if min(size) >= at_least and (scale * size[0], scale * size[1]) == image.size:
            image.draft(None, size)  # None keeps the mode
            return


def _is_deep(image: Image.Image) -> bool:
    """Whether a file, of which only the header is read, has colours of 16 bits; Pillow keeps the upper 8."""
    return image.mode in ("RGB", "RGBA", "LA") and ";16" in str(getattr(image, "tile", ""))


def _colours(
    source: Path | str | bytes, image: Image.Image, says: Declared
) -> tuple[Image.Image, tuple[str, ...]]:
    """Return an image of 16-bit colours, read whole by OpenCV; by Pillow, with a note, if that fails.

    Args:
        source: its file.
        image: the same, decoded by Pillow and upright.
        says: what the file declares of its numbers.
    """
    upper, notes = to_rgb(image)
    try:
        import cv2
    except ImportError:
        return upper, (*notes, UPPER_BYTE)
    file = source if isinstance(source, bytes) else Path(source).read_bytes()
    try:
        colours = cv2.imdecode(
            np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED
        )  # (h, w, 3 or 4), blue first
    except cv2.error:  # such as one of a million columns
        colours = None
    if colours is None or colours.dtype != np.uint16 or colours.ndim != 3:
        return upper, (*notes, UPPER_BYTE_KEPT)
    whole, own = narrowed(colours[:, :, [2, 1, 0, 3][: colours.shape[2]]], says)
    if whole is None:
        return upper, notes
    with opened(source) as header:
        if header.format != "TIFF":  # which OpenCV turns itself
            whole.getexif()[ORIENTATION] = header.getexif().get(ORIENTATION, 1)
            ImageOps.exif_transpose(whole, in_place=True)
    rgb, notes = to_rgb(whole)
    return rgb, (*((SCALED,) if own else ()), *notes)


def _converted(image: Image.Image, says: Declared, preparation: int) -> tuple[Image.Image, tuple[str, ...]]:
    return (_to_rgb_of_0_6(image), ()) if preparation == 1 else to_rgb(image, says)


def _to_rgb_of_0_6(image: Image.Image) -> Image.Image:
    """Return 8-bit RGB as embedsearch 0.6 did, whose indexes are still asked so.

    Transparency is laid on white. 16-bit grey is divided by 257, and other wide numbers are scaled by their
    least and greatest.
    """
    if image.mode.startswith("I") or image.mode == "F":
        pixels = np.asarray(image, dtype=np.float32)
        if image.mode == "F" or pixels.max(initial=0) > 65535 or pixels.min(initial=0) < 0:
            low, high = np.nanmin(pixels), np.nanmax(pixels)
            pixels = (pixels - low) / max(float(high - low), 1e-12) * 65535
        image = Image.fromarray(np.nan_to_num(pixels / 257 + 0.5).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image if image.mode == "RGB" else image.convert("RGB")
