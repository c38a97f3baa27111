"""Which files are images: by how their names end, else by their first bytes."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

# All that Pillow reads by itself; .eps needs a program, and of .hdf, .grib, .wmf and others it has no reader.
IMAGE_SUFFIXES = frozenset(
    (
        ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".gif", ".bmp", ".dib", ".webp", ".tif",
        ".tiff", ".avif", ".avifs", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".ppm", ".pgm", ".pbm",
        ".pnm", ".pfm", ".ico", ".cur", ".icns", ".tga", ".icb", ".vda", ".vst", ".dds", ".psd", ".qoi",
        ".pcx", ".dcx", ".sgi", ".bw", ".rgb", ".rgba", ".ras", ".xbm", ".xpm", ".fit", ".fits", ".im",
        ".msp", ".pcd", ".pxr", ".fli", ".flc", ".ftc", ".ftu", ".blp", ".gbr",
    )
)  # fmt: skip
USUAL = (".jpg", ".png", ".webp", ".gif", ".tif", ".bmp", ".avif")  # those that a message names
HEIF_SUFFIXES = frozenset((".heic", ".heif", ".hif"))
HEIF_HINT = "pip install 'embedsearch[heif]' to read them"
_FIRST = 32  # bytes that tell what a file is


def image_suffixes() -> frozenset[str]:
    """Return the suffixes of the images that can be opened here, in lower case."""
    return IMAGE_SUFFIXES | (HEIF_SUFFIXES if find_spec("pillow_heif") else frozenset())


def image_test(others: frozenset[str]) -> Callable[[os.DirEntry[str]], bool]:
    """Return a function that tells whether a file is an image.

    It is, where its name ends as an image's, or has another ending and its first bytes are an image's.

    Args:
        others: suffixes of files that are something else whatever they hold; they are not opened.
    """
    images, heif = image_suffixes(), bool(find_spec("pillow_heif"))
    others |= HEIF_SUFFIXES

    def is_image(entry: os.DirEntry[str]) -> bool:
        suffix = PurePosixPath(entry.name).suffix.lower()
        if suffix in images or suffix in others:
            return suffix in images
        try:
            if not entry.is_file():
                return False
            with Path(entry).open("rb") as file:
                first = file.read(_FIRST)
        except OSError:
            return False
        return _begins_as_image(first, heif=heif, bare=not suffix)

    return is_image


def _begins_as_image(first: bytes, *, heif: bool, bare: bool) -> bool:
    """Whether a file of these first bytes is an image, without doubt.

    A TIFF is one only where its name has no suffix, for cameras' raw files begin so, too.
    """
    if first.startswith(
        (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"8BPS\0\1", b"qoif", b"DDS |\0\0\0")
    ):
        return True
    if first.startswith((b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")):  # JPEG 2000
        return True
    if first[:4] == b"RIFF" and first[8:12] == b"WEBP":
        return True
    if first[4:8] == b"ftyp":
        return first[8:12] in (b"avif", b"avis") or (heif and first[8:12] in (b"heic", b"heix", b"mif1"))
    return bare and first.startswith((b"II*\0", b"MM\0*"))
