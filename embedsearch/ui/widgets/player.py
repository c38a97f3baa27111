"""Players of videos and sounds that start at the moment found; a frame where a browser can't play a video."""

from __future__ import annotations

import base64
import html
from pathlib import Path

import streamlit as st

from embedsearch.records import clock
from embedsearch.results import Hit
from embedsearch.ui import media
from embedsearch.ui.widgets import thumbnails

CANT = (
    "This browser can’t play this video ({kind}). The frame is shown instead. Browsers play MP4 and WebM "
    "with H.264, VP8, VP9 or AV1. Open the file in a player: {file}"
)


def play(hit: Hit, name: str) -> None:
    """Show a player that starts at a hit's moment; `assets/video.js` tells whether the browser can play it.

    Args:
        hit: a moment of a video.
        name: what it is called.
    """
    assert hit.moment is not None
    file = Path(hit.path or "")
    frame = thumbnails.large(hit)
    if frame is None:
        st.warning("The video can’t be read any more.", icon=":material/info:")
        return
    still = f"data:image/jpeg;base64,{base64.b64encode(frame).decode()}"
    codec = str(hit.fields.get("codec") or "")
    kind = f"{codec} in {file.suffix.removeprefix('.').upper()}" if codec else file.suffix
    label = html.escape(f"{name}, {clock(hit.moment)}", quote=True)
    reason = html.escape(CANT.format(kind=kind, file=file))
    st.html(
        f'<div class="es-player"><video class="es-video" controls playsinline preload="metadata" '
        f'aria-label="{label}" src="{media.address(file)}#t={hit.moment[0]:.3f}"></video>'
        f'<div class="es-still"><img alt="{label}" src="{still}"><p>{reason}</p></div>'
        f'<p class="es-quiet">{label}</p></div>'
    )


def listen(hit: Hit, name: str) -> None:
    """Show a player of a sound that starts at a hit's moment.

    Args:
        hit: a moment of a sound.
        name: what it is called.
    """
    assert hit.moment is not None
    if hit.image is not None:
        st.audio(hit.image, start_time=int(hit.moment[0]))
        return
    file = Path(hit.path or "")
    label = html.escape(f"{name}, from {clock(hit.moment)}", quote=True)
    reason = html.escape(f"This browser can’t play {file.suffix} files. Open it in a player: {file}")
    st.html(
        f'<audio class="es-audio" controls preload="metadata" aria-label="{label}" '
        f'src="{media.address(file)}#t={hit.moment[0]:.3f}"></audio><p class="es-still">{reason}</p>'
    )
