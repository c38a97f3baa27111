"""What visitors searched with, kept beside the indexes so that a link still shows its results."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from pathlib import Path
from threading import Semaphore
from typing import TYPE_CHECKING

from embedsearch.encoders.vision.crop import asked_image
from embedsearch.encoders.vision.decode import UPLOADED_PIXELS, check_shape, open_rgb
from embedsearch.errors import ItemNotFoundError
from embedsearch.query import Crop, Image
from embedsearch.records import content_hash
from embedsearch.splitters.sound import scan
from embedsearch.ui.url_state import is_kept_name

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

FOLDER = ".uploads"
IMAGE, SOUND = ".png", ".sound"  # how the names of kept files end
SIDE = 1024
KEEP = 200
MOST = 50  # megabytes of a file
# A large image takes hundreds of megabytes and a second or more while it is decoded: one at a time.
_TURN = Semaphore(1)


def keep(content: bytes, indexes: Path) -> str:
    """Keep an upright RGB copy, at most 1024 pixels on its longer side, without loss beyond that.

    Queries are always made from the copy, so a reload gives the same distances. The newest 200 stay.

    Returns:
        The copy's name: the hash of its content.

    Raises:
        ItemError: it is no image that can be read, too thin to be embedded, or over 50 megapixels.
        OSError: the folder can't be written.
    """
    with _TURN:
        image = open_rgb(content, SIDE, most=UPLOADED_PIXELS)
        check_shape(image)
        image.thumbnail((SIDE, SIDE))
    return _kept(_png(image), indexes, IMAGE)


def keep_part(source: Path | bytes, part: Crop, indexes: Path) -> str:
    """Keep a part of an image as `keep` does.

    Returns:
        The copy's name: the hash of its content.

    Raises:
        ItemError, OSError: as `keep`.
    """
    with _TURN:
        image = open_rgb(asked_image(Image(source, part)))
        image.thumbnail((SIDE, SIDE))
    return _kept(_png(image), indexes, IMAGE)


def _png(image: PilImage) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def keep_sound(content: bytes, indexes: Path) -> str:
    """Keep a sound file as it is; the newest 200 stay.

    Returns:
        Its name: the hash of its content.

    Raises:
        ItemError: it is no sound that can be read, or is silent.
        OSError: the folder can't be written.
    """
    scan(content)
    return _kept(content, indexes, SOUND)


def _kept(content: bytes, indexes: Path, suffix: str) -> str:
    name = content_hash(content)
    folder = indexes / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f".{name}-{os.getpid()}"
    aside.write_bytes(content)
    aside.replace(folder / f"{name}{suffix}")
    for old in sorted(folder.glob(f"*{suffix}"), key=_age)[:-KEEP]:
        old.unlink(missing_ok=True)
    return name


def find(name: str, indexes: Path, suffix: str = IMAGE) -> Path:
    """Return the file of a kept image, or of a sound (`SOUND`), and count it as new.

    Raises:
        ItemNotFoundError: it is not there (any more).
    """
    path = indexes / FOLDER / f"{name}{suffix}"
    if not is_kept_name(name) or not path.is_file():
        what = "sound" if suffix == SOUND else "image"
        raise ItemNotFoundError(
            f"The {what} of this link is no longer kept here. Upload it again to search with it."
        )
    with suppress(OSError):
        path.touch()
    return path


def _age(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_mtime_ns
    return 0
