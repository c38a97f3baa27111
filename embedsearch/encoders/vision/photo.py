"""What an image file says of itself beside its pixels: its size, and what a camera noted (EXIF)."""

from __future__ import annotations

import math
import struct
import warnings
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image

from embedsearch.encoders.vision.decode import DAMAGED, opened
from embedsearch.errors import ItemError
from embedsearch.records import Scalar, unbroken

_TURNED = (5, 6, 7, 8)  # orientations whose width is the height that is seen
_LONGEST = 100  # characters of a camera's name
_SECONDS = 60.0
_UNREADABLE = (*DAMAGED, ItemError, ArithmeticError, struct.error, Image.DecompressionBombError)


def fields_of(content: Path | bytes) -> dict[str, Scalar]:
    """Return the fields that an image file has of its own; only its header is read.

    Args:
        content: the file, or its bytes.

    Returns:
        `width` and `height`, upright, in pixels; and, where the file tells, `taken` (a `datetime` in the
        camera's local time, without a zone), `camera`, and `latitude` and `longitude` in degrees, north and
        east positive. What can't be read is left out.
    """
    found: dict[str, Scalar] = {}
    with warnings.catch_warnings(), suppress(*_UNREADABLE):
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata
        with opened(content) as image:
            found["width"], found["height"] = image.size
            # Pillow decodes a whole PNG to look for metadata behind its pixels
            if image.format == "PNG" and "exif" not in image.info:
                return found
            exif = image.getexif()
            if exif.get(ExifTags.Base.Orientation) in _TURNED:
                found["width"], found["height"] = image.size[::-1]
            for read in (_taken, _camera, _place):
                with suppress(*_UNREADABLE):
                    found |= read(exif)
    return found


def _taken(exif: Image.Exif) -> dict[str, Scalar]:
    noted = exif.get_ifd(ExifTags.IFD.Exif)
    for tag in (ExifTags.Base.DateTimeOriginal, ExifTags.Base.DateTimeDigitized):
        with suppress(ValueError):
            return {"taken": datetime.strptime(_text(noted.get(tag))[:19], "%Y:%m:%d %H:%M:%S")}
    return {}


def _camera(exif: Image.Exif) -> dict[str, Scalar]:
    maker, model = (_text(exif.get(tag)) for tag in (ExifTags.Base.Make, ExifTags.Base.Model))
    both = model if model.casefold().startswith(maker.casefold().split(" ")[0]) else f"{maker} {model}"
    camera = both.strip()[:_LONGEST]
    return {"camera": camera} if camera else {}


def _place(exif: Image.Exif) -> dict[str, Scalar]:
    gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    latitude = _degrees(gps.get(ExifTags.GPS.GPSLatitude), gps.get(ExifTags.GPS.GPSLatitudeRef), "S", 90)
    longitude = _degrees(gps.get(ExifTags.GPS.GPSLongitude), gps.get(ExifTags.GPS.GPSLongitudeRef), "W", 180)
    if latitude is None or longitude is None:
        return {}
    return {"latitude": latitude, "longitude": longitude}


def _degrees(parts: Iterable[Any] | None, side: Any, negative: str, most: int) -> float | None:
    """Return degrees, minutes and seconds as degrees; None where they are no place on Earth."""
    whole, minutes, seconds = map(float, parts or ())
    degrees = whole + minutes / _SECONDS + seconds / _SECONDS**2
    if not math.isfinite(degrees) or not 0 <= degrees <= most:
        return None
    return round(-degrees if _text(side).upper() == negative else degrees, 7)


def _text(value: Any) -> str:
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value or "")
    return unbroken(" ".join(text.split("\0")[0].split()))
