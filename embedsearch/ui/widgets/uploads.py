"""Images that visitors searched with, kept beside the indexes so that a link still shows their results."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from pathlib import Path
from threading import Semaphore

from embedsearch.encoders.vision.decode import check_shape, open_rgb
from embedsearch.errors import ItemNotFoundError
from embedsearch.records import content_hash
from embedsearch.ui.url_state import is_kept_name

FOLDER = ".uploads"
SIDE = 1024
KEEP = 200
MOST_PIXELS = 50_000_000
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
        image = open_rgb(content, SIDE, most=MOST_PIXELS)
        check_shape(image)
        image.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    name = content_hash(buffer.getvalue())
    folder = indexes / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f".{name}-{os.getpid()}"
    aside.write_bytes(buffer.getvalue())
    aside.replace(folder / f"{name}.png")
    for old in sorted(folder.glob("*.png"), key=_age)[:-KEEP]:
        old.unlink(missing_ok=True)
    return name


def find(name: str, indexes: Path) -> Path:
    """Return the file of a kept image, and count it as new.

    Raises:
        ItemNotFoundError: it is not there (any more).
    """
    path = indexes / FOLDER / f"{name}.png"
    if not is_kept_name(name) or not path.is_file():
        raise ItemNotFoundError(
            "The image of this link is no longer kept here. Upload it again to search with it."
        )
    with suppress(OSError):
        path.touch()
    return path


def _age(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_mtime_ns
    return 0
