"""Small copies of the images of an index, made at its build, so that a page of hits decodes no originals.

They lie in the cache of the machine, named by the path, the time and the size of the original. So a rebuild
makes only the new ones, a stopped build is resumed, and an index without them shows its images later.
Images at addresses, and those that the index itself keeps, have none.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path

from embedsearch.disk.cache import cache_folder
from embedsearch.encoders.vision.decode import ImageSource, open_rgb
from embedsearch.errors import ItemError
from embedsearch.modalities import Card, modality_of
from embedsearch.progress import Progress
from embedsearch.store.build import Build

SIDE = 400  # pixels of the longer side
MOST = 20_000  # of a build: about 300 MB
MOST_ROWS = 10 * MOST  # that are looked at
FOLDER, QUALITY, TOGETHER = "thumbnails", 85, 200


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


def make_thumbnails(build: Build, progress: Progress) -> int:
    """Make the small copies that are missing; return how many were made.

    This writes nothing of the index: call it without the index's lock. An image that can't be read, or a copy
    that can't be written, is skipped.

    Args:
        build: a published one.
        progress: is told how it goes on.
    """
    if modality_of(build.manifest.unit).card is not Card.IMAGE:
        return 0
    column = build.items["path"].slice(0, MOST_ROWS)
    paths = [Path(path) for path in dict.fromkeys(column.to_pylist()) if path]
    missing = list(islice(filter(_lacks, paths), MOST))
    if not missing:
        return 0
    progress.stage("making thumbnails", len(missing))
    made = 0
    with ThreadPoolExecutor(os.cpu_count(), "thumbnails") as threads:
        for start in range(0, len(missing), TOGETHER):
            batch = missing[start : start + TOGETHER]
            made += sum(threads.map(_make, batch))
            progress.advance(len(batch))
    return made


def _lacks(path: Path) -> bool:
    try:
        return path.is_file() and not _file(path).is_file()
    except (OSError, ValueError, RuntimeError):
        return False


def _make(path: Path) -> bool:
    with suppress(ItemError, OSError, ValueError, RuntimeError):
        file = _file(path)
        copy = small_copy(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as aside:
            try:
                aside.write(copy)
                aside.close()
                Path(aside.name).replace(file)
            except OSError:
                Path(aside.name).unlink(missing_ok=True)
                raise
        return True
    return False


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
