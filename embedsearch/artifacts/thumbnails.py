"""Small copies of the images of an index, made at its build, so that a page of hits decodes no originals.

They are made from the bytes that the build has read, so that each file is opened once. They lie in the cache
of the machine, named by the path, the time and the size of the original: a rebuild makes only those of new
images, and an index without them shows its images later. Images at addresses, those that the index itself
keeps, and those that another machine reads have none.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Self

from embedsearch.disk.cache import cache_folder
from embedsearch.encoders.vision.decode import ImageSource, open_rgb
from embedsearch.errors import ItemError

SIDE = 400  # pixels of the longer side
MOST = 20_000  # of a build: about 300 MB
FOLDER, QUALITY = "thumbnails", 85


def small_copy(image: ImageSource, side: int = SIDE) -> bytes:
    """Return an image as JPEG, at most `side` pixels wide and high.

    Raises:
        ItemError, OSError: it can't be read.
    """
    decoded = open_rgb(image, 2 * side)
    decoded.thumbnail((side, side))
    buffer = io.BytesIO()
    decoded.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def kept_copy(path: Path) -> bytes | None:
    """Return the small copy that a build made of a file as it is now; None where there is none."""
    with suppress(OSError, ValueError, RuntimeError):  # RuntimeError: there is no home folder
        return _file(path).read_bytes() or None
    return None


class Copies:
    """Makes small copies of images from the bytes that a build reads, in threads beside it.

    An image that can't be read, or a copy that can't be written, is skipped.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(os.cpu_count(), "thumbnails")
        self._coming: list[Future[None]] = []
        self._left = MOST

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._threads.shutdown(cancel_futures=raised[0] is not None)

    def begin(self, images: Iterable[tuple[Path, bytes]]) -> None:
        """Begin the copies of files whose bytes are held, when those begun before are made and let go."""
        wait(self._coming)
        some = list(islice(images, self._left))
        self._left -= len(some)
        self._coming = [self._threads.submit(_make, path, content) for path, content in some]


def _make(path: Path, content: bytes) -> None:
    with suppress(ItemError, OSError, ValueError, RuntimeError):
        file = _file(path)
        if file.is_file():
            return
        copy = small_copy(content)
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as aside:
            try:
                aside.write(copy)
                aside.close()
                Path(aside.name).replace(file)
            except OSError:
                Path(aside.name).unlink(missing_ok=True)
                raise


def _file(path: Path) -> Path:
    """Return where the small copy of a file as it is now lies.

    Raises:
        OSError, ValueError: there is no such file.
        RuntimeError: there is no home folder.
    """
    facts = path.stat()
    key = repr((str(path.absolute()), facts.st_mtime_ns, facts.st_size, SIDE, QUALITY))
    name = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    return cache_folder() / FOLDER / name[:2] / f"{name}.jpg"
