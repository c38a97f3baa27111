"""The image that stands for a hit: itself, the frame of a video, or the spectrogram of a sound."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PIL import Image

from embedsearch.artifacts.thumbnails import SIDE, kept_copy, small_copy
from embedsearch.encoders.audio.spectrogram import RATE, coloured, log_mel
from embedsearch.encoders.vision.decode import ImageSource
from embedsearch.modalities import MODALITIES, Card
from embedsearch.records import Span
from embedsearch.results import Hit
from embedsearch.splitters.sound import read
from embedsearch.splitters.video import frame_at

SIZE = (720, 288)  # pixels of a spectrogram


def spectrogram(source: Path | bytes, span: Span) -> Image.Image:
    """Return the spectrogram of a stretch of a sound, `[start, end)` in milliseconds.

    Raises:
        ItemError, OSError: the sound can't be read.
    """
    (samples,) = read(source, [span], RATE)
    return coloured(log_mel(samples)).resize(SIZE, Image.Resampling.BICUBIC)


# by how an item is shown: from a source and the span of a moment to an image
DRAWN: dict[Card, Callable[[Path | bytes, Span], ImageSource]] = {
    Card.VIDEO: lambda source, span: frame_at(source, span[0]).jpeg(),
    Card.SOUND: spectrogram,
}


def image_at(source: Path | bytes, card: Card, moment: Span | None) -> ImageSource:
    """Return the image of a source that is shown as `card`; `moment` is in milliseconds.

    Raises:
        ItemError, OSError: a video or a sound can't be read.
    """
    return DRAWN[card](source, moment) if moment is not None and card in DRAWN else source


def image_of(hit: Hit) -> ImageSource:
    """Return the image that stands for a hit; errors as `image_at`."""
    return image_at(hit.image or Path(hit.path or ""), MODALITIES[hit.modality].card, moment_of(hit))


def thumbnail(content: Path | bytes, card: Card, moment: Span | None, side: int) -> bytes:
    """Return a small copy of what stands for an item as JPEG, at most `side` pixels wide and high.

    Raises:
        ItemError, OSError: its file can't be read.
    """
    if card is Card.IMAGE and side == SIDE and isinstance(content, Path) and (made := kept_copy(content)):
        return made
    return small_copy(image_at(content, card, moment), side)


def moment_of(hit: Hit) -> Span | None:
    """Return the moment of a hit in milliseconds; None for what has none."""
    if hit.moment is None:
        return None
    start, end = hit.moment
    return round(1000 * start), round(1000 * end)
