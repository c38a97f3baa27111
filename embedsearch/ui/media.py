"""Images, sounds and videos that the page shows, each at an address: a browser fetches what it needs.

Streamlit would hold each of them in memory, and send them with every run.
"""

from __future__ import annotations

import asyncio
import hashlib
import mimetypes
import os
import secrets
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from starlette.responses import FileResponse, Response

from embedsearch.explain.shown import moment_of
from embedsearch.modalities import MODALITIES, Card
from embedsearch.records import Span
from embedsearch.results import Hit
from embedsearch.ui.widgets import thumbnails

PATH = "/_es_media/"
SMALL, LARGE = "/small", "/large"  # behind an address: a thumbnail, and the image at a bounded size, as JPEG
MOST, MOST_BYTES = 50_000, 100_000_000  # addresses that are known, and what they hold of items without a file
# the media type that a browser gets, by suffix; Matroska is played as WebM, which is a kind of it
TYPES = {
    ".wav": "audio/wav", ".flac": "audio/flac", ".ogg": "audio/ogg", ".oga": "audio/ogg",
    ".opus": "audio/ogg", ".mp3": "audio/mpeg", ".m4a": "audio/mp4", ".aac": "audio/aac",
    ".aif": "audio/aiff", ".aiff": "audio/aiff",
    ".webm": "video/webm", ".mkv": "video/webm", ".ogv": "video/ogg",
}  # fmt: skip
MP4 = "video/mp4"
# how the bytes of a file begin, from the second number on -> its media type
BEGINNINGS = (
    (b"\x89PNG", 0, "image/png"), (b"\xff\xd8\xff", 0, "image/jpeg"), (b"GIF8", 0, "image/gif"),
    (b"WEBP", 8, "image/webp"), (b"WAVE", 8, "audio/wav"), (b"fLaC", 0, "audio/flac"),
    (b"OggS", 0, "audio/ogg"),
    (b"ID3", 0, "audio/mpeg"), (b"\xff\xfb", 0, "audio/mpeg"), (b"ftyp", 4, "audio/mp4"),
)  # fmt: skip
UNKNOWN = "application/octet-stream"
# a file that claims to be a page must not become one of this address
HEADERS = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"}
_SECRET = secrets.token_bytes(16)  # so that no address can be guessed
_THREADS = ThreadPoolExecutor(os.cpu_count(), "thumbnails")


@dataclass(frozen=True, slots=True)
class Shown:
    """What stands behind an address: a file or its bytes, how it is shown, and the moment in milliseconds."""

    source: Path | bytes
    card: Card
    moment: Span | None = None

    @property
    def size(self) -> int:
        """How many bytes are held."""
        return len(self.source) if isinstance(self.source, bytes) else 0


class Known:
    """What stands behind the addresses that were given out last, as much as memory allows."""

    def __init__(self) -> None:
        self._shown: OrderedDict[str, Shown] = OrderedDict()  # by name; the one used last at the end
        self._bytes = 0
        self._lock = Lock()

    def add(self, name: str, shown: Shown) -> None:
        """Keep what stands behind a name."""
        with self._lock:
            if name not in self._shown:
                self._shown[name] = shown
                self._bytes += shown.size
            self._shown.move_to_end(name)
            while len(self._shown) > MOST or (self._bytes > MOST_BYTES and len(self._shown) > 1):
                self._bytes -= self._shown.popitem(last=False)[1].size

    def get(self, name: str) -> Shown | None:
        """Return what stands behind a name; None where it was never given out, or long ago."""
        with self._lock:
            return self._shown.get(name)


_known = Known()


def address(shown: Shown) -> str:
    """Return an address, relative to the page's, at which a browser gets a file from any byte on."""
    source = shown.source
    content = source if isinstance(source, bytes) else os.fsencode(source)
    digest = hashlib.blake2b(content, digest_size=16, key=_SECRET)
    digest.update(f"{shown.card}{shown.moment}".encode())
    name = digest.hexdigest()
    _known.add(name, shown)
    return f".{PATH}{name}"


def of_hit(hit: Hit) -> str:
    """Return the address of the file of a hit; with `SMALL` or `LARGE` behind it, of its image."""
    source = hit.image or Path(hit.path or "")
    return address(Shown(source, MODALITIES[hit.modality].card, moment_of(hit)))


async def answer(path: str) -> Response:
    """Return what answers a request for an address: the file or its image, or status 404."""
    name, _, size = path.removeprefix(PATH).partition("/")
    shown = _known.get(name)
    if shown is None:
        return Response(status_code=404)
    if size:
        return await _image(shown, f"/{size}")
    if isinstance(shown.source, bytes):
        return Response(shown.source, media_type=_begins(shown.source), headers=HEADERS)
    if not shown.source.is_file():
        return Response(status_code=404)
    return FileResponse(shown.source, media_type=_media_type(shown), headers=HEADERS)


async def _image(shown: Shown, size: str) -> Response:
    make = {SMALL: thumbnails.small, LARGE: thumbnails.large}.get(size)
    if make is None:
        return Response(status_code=404)
    loop = asyncio.get_running_loop()
    image = await loop.run_in_executor(_THREADS, make, shown.source, shown.card, shown.moment)
    if image is None:
        return Response(status_code=404)
    return Response(
        image, media_type="image/jpeg", headers={**HEADERS, "Cache-Control": "private, max-age=600"}
    )


def _media_type(shown: Shown) -> str:
    assert isinstance(shown.source, Path)
    if shown.card is Card.IMAGE:
        guessed = mimetypes.guess_type(shown.source.name)[0] or ""
        is_image = guessed.startswith("image/") and guessed != "image/svg+xml"
        return guessed if is_image else UNKNOWN
    return TYPES.get(shown.source.suffix.lower(), MP4)


def _begins(content: bytes) -> str:
    return next((kind for mark, at, kind in BEGINNINGS if content.startswith(mark, at)), UNKNOWN)
