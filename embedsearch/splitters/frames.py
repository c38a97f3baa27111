"""A video to the frames that get a vector each: one a second at most, where the image has changed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO

import numpy as np

from embedsearch.errors import ItemError
from embedsearch.records import Clip
from embedsearch.splitters import video
from embedsearch.splitters.video import Cells, Frame, Source

EVERY = 1.0  # seconds between two frames at least
LOOK = 0.25  # seconds: one frame of each is looked at, so a change of scene is found that late at most
CELLS = 16  # that an image is cut into on each side, to compare it with the one before
NEAR = 10  # levels of 255 that no cell's mean colour may differ by, of two images that are near-equal


@dataclass(frozen=True, slots=True)
class StoredFrame(Clip):
    """A frame of a video that waits for the encoder on disk; a long film has more than memory should hold.

    Attributes:
        file: a file without a name, which goes when the last of its frames does.
        place: offset and size of the frame's JPEG file in it.
    """

    file: IO[bytes] = field(compare=False)
    place: tuple[int, int] = field(compare=False)

    def read(self) -> bytes:
        """Return the frame as a JPEG file."""
        offset, size = self.place
        return os.pread(self.file.fileno(), size, offset)


def split_frames(source: Source, rule: str = "") -> Iterator[tuple[int, StoredFrame]]:  # noqa: ARG001
    """Yield where each chosen frame starts, in milliseconds, and the frame, until the next one is chosen.

    Raises:
        ItemError: it is no video, or none of its frames can be decoded; behind the last frame, where the
            rest is lost.
    """
    file = tempfile.TemporaryFile()  # noqa: SIM115  the frames keep it open
    end = 0

    def stored(frame: Frame, until: int) -> tuple[int, StoredFrame]:
        image = frame.jpeg()
        offset = file.seek(0, os.SEEK_END)
        file.write(image)
        file.flush()
        start = frame.milliseconds
        return start, StoredFrame(source, (start, max(until, start + 1)), file, (offset, len(image)))

    waiting: Frame | None = None  # until it is known when the next one comes
    for frame, is_chosen in _looked_at(video.frames(source)):
        end = max(end, frame.milliseconds)
        if is_chosen:
            if waiting is not None:
                yield stored(waiting, frame.milliseconds)
            waiting = frame
    if waiting is not None:
        yield stored(waiting, end)
    if video.is_cut(source, end):
        raise ItemError(
            f"the file is cut off or damaged; only its first {end / 1000:.1f} seconds are in the index"
        )


def _looked_at(frames: Iterable[Frame]) -> Iterator[tuple[Frame, bool]]:
    """Yield the frames, and of each whether it is chosen.

    One of a single colour is not, as between two scenes; the first one is, where a video has no others.
    """
    first: Frame | None = None
    kept: Cells | None = None
    kept_at, looks = -EVERY, -1
    for frame in frames:
        first = first or frame
        is_chosen = False
        if frame.seconds >= kept_at + EVERY and frame.seconds // LOOK > looks:
            looks = int(frame.seconds // LOOK)
            cells = frame.cells(CELLS)
            is_blank = int(np.ptp(cells, axis=(0, 1)).max()) <= NEAR
            is_chosen = not is_blank and (kept is None or int(np.abs(cells - kept).max()) > NEAR)
            if is_chosen:
                kept, kept_at = cells, frame.seconds
        yield frame, is_chosen
    if kept is None and first is not None:
        yield first, True
