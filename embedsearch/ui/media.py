"""The files that the page plays, sent piece by piece: Streamlit would hold each of them in memory."""

from __future__ import annotations

import secrets
from pathlib import Path

from starlette.responses import FileResponse, Response

PATH = "/_es_media/"
# the media type that a browser gets, by suffix; Matroska is played as WebM, which is a kind of it
TYPES = {
    ".wav": "audio/wav", ".flac": "audio/flac", ".ogg": "audio/ogg", ".oga": "audio/ogg",
    ".opus": "audio/ogg", ".mp3": "audio/mpeg", ".m4a": "audio/mp4", ".aac": "audio/aac",
    ".aif": "audio/aiff", ".aiff": "audio/aiff",
    ".webm": "video/webm", ".mkv": "video/webm", ".ogv": "video/ogg",
}  # fmt: skip
MP4 = "video/mp4"
_names: dict[Path, str] = {}  # of the files that the page has shown; no name can be guessed
_files: dict[str, Path] = {}


def address(file: Path) -> str:
    """Return an address, relative to the page's, at which a browser gets a file from any byte on."""
    name = _names.setdefault(file, secrets.token_urlsafe(16))
    _files[name] = file
    return f".{PATH}{name}"


def answer(path: str) -> Response:
    """Return what answers a request for an address: the file, or status 404."""
    file = _files.get(path.removeprefix(PATH))
    if file is None or not file.is_file():
        return Response(status_code=404)
    return FileResponse(file, media_type=TYPES.get(file.suffix.lower(), MP4))
