"""Files that a visitor may save: each is made when it is asked for, and not with every run of the page."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response

from embedsearch.errors import EmbedsearchError

PATH = "/_es_save/"
MOST = 200  # offers that are known: the newest


@dataclass(frozen=True, slots=True)
class Offer:
    """Files of one answer, by name; each function writes one to a path."""

    files: dict[str, Callable[[Path], object]]


_offers: OrderedDict[str, Offer] = OrderedDict()
_lock = Lock()


def addresses(key: str, offer: Offer) -> dict[str, str]:
    """Return where the files of an offer are fetched, by name; it takes the place of the visitor's last one.

    Args:
        key: of the visitor, see `visitor`.
        offer: the files.
    """
    with _lock:
        _offers[key] = offer
        _offers.move_to_end(key)
        while len(_offers) > MOST:
            _offers.popitem(last=False)
    return {name: f".{PATH}{key}/{name}" for name in offer.files}


def visitor() -> str:
    """Return a new key, which can't be guessed."""
    return secrets.token_urlsafe(16)


async def answer(path: str) -> Response:
    """Return what answers a request for an address: the file, or status 404."""
    key, _, name = path.removeprefix(PATH).partition("/")
    with _lock:
        offer = _offers.get(key)
    write = offer.files.get(name) if offer else None
    if write is None:
        return Response("This link has expired: reload the page.", status_code=404, media_type="text/plain")
    folder = TemporaryDirectory()
    file = Path(folder.name) / name
    try:
        await asyncio.to_thread(write, file)
    except (EmbedsearchError, OSError) as error:
        folder.cleanup()
        return Response(str(error), status_code=500, media_type="text/plain")
    return FileResponse(file, filename=name, background=BackgroundTask(folder.cleanup))
