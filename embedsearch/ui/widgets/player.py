"""What a browser needs to play a video or a sound from the moment found; see assets/lightbox.js."""

from __future__ import annotations

import html
from pathlib import Path

from embedsearch.records import clock
from embedsearch.results import Hit
from embedsearch.ui import media

CANT = (
    "This browser can’t play this video ({kind}). The frame is shown instead. Browsers play MP4 and WebM "
    "with H.264, VP8, VP9 or AV1. Open the file in a player: {file}"
)


def cant_play(hit: Hit) -> str:
    """Return why a browser may not play a video or a sound, as a sentence."""
    file = Path(hit.path or "")
    codec = str(hit.fields.get("codec") or "")
    kind = f"{codec} in {file.suffix.removeprefix('.').upper()}" if codec else file.suffix
    return CANT.format(kind=kind, file=file)


def listen(hit: Hit, name: str) -> str:
    """Return the HTML of a player of a sound that starts at a hit's moment.

    Args:
        hit: a moment of a sound.
        name: what it is called.
    """
    assert hit.moment is not None
    file = Path(hit.path or "")
    label = html.escape(f"{name}, from {clock(hit.moment)}", quote=True)
    reason = html.escape(f"This browser can’t play {file.suffix} files. Open it in a player: {file}")
    return (
        f'<audio class="es-audio" controls preload="metadata" aria-label="{label}" '
        f'src="{media.of_hit(hit)}#t={hit.moment[0]:.3f}"></audio><p class="es-still">{reason}</p>'
    )
