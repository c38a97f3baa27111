"""Video files, read by PyAV: their frames in order, the frame at a time, and what the file says of itself.

Times are those that a player shows: seconds from the start of the file.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from embedsearch.errors import ItemError, MissingExtraError
from embedsearch.records import Scalar, unbroken

if TYPE_CHECKING:
    import av

Source = Path | bytes
Cells: TypeAlias = npt.NDArray[np.int16]
# Containers that are opened. A playlist is none: it names other files, or addresses.
FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,ogg,flv,asf"
SIDE = 480  # pixels of the shorter side of a frame's image at most: the usual models see 224 to 384
_QUALITY = 92  # of the JPEG that a frame becomes
_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")  # that an MP4 or MOV begins with
_CUT = "the file is cut off: the list of its frames, which stands at its end, is missing"
_ATTACHED = 0x400  # FFmpeg's AV_DISPOSITION_ATTACHED_PIC, such as the cover of an album
_LONGEST = 200  # characters of a title
_EPOCHS = (1904, 1970)  # years of a camera whose clock was not set
_MILLISECONDS = 1000


def require_av() -> None:
    """Check that PyAV is installed.

    Raises:
        MissingExtraError: it is not.
    """
    try:
        import av  # noqa: F401
    except ImportError:
        raise MissingExtraError(
            "Videos are read by PyAV, which is not installed: pip install 'embedsearch[videos]'"
        ) from None


@dataclass(frozen=True, slots=True)
class Frame:
    """A decoded frame.

    Attributes:
        seconds: when it is shown.
        pixels: the frame as the file has it.
        shape: how many pixels wide one of its pixels is, of a height of 1.
    """

    seconds: float
    pixels: av.VideoFrame
    shape: float

    @property
    def milliseconds(self) -> int:
        """When it is shown, rounded."""
        return round(_MILLISECONDS * self.seconds)

    def cells(self, count: int) -> Cells:
        """Return the mean colours of `count` x `count` cells of the frame: (c, c, 3), 0 to 255."""
        small = self.pixels.reformat(count, count, "rgb24", interpolation="AREA")
        return np.asarray(small.to_ndarray(), np.int16)

    def jpeg(self) -> bytes:
        """Return the frame as a JPEG file, upright, its shorter side at most `SIDE` pixels."""
        width, height = self.pixels.width * self.shape, self.pixels.height
        scale = min(1.0, SIDE / min(width, height))
        small = self.pixels.reformat(
            max(1, round(width * scale)), max(1, round(height * scale)), "rgb24", interpolation="AREA"
        )
        image = Image.fromarray(small.to_ndarray())  # (H, W, 3) uint8
        if self.pixels.rotation:
            image = image.rotate(self.pixels.rotation, expand=True)
        file = io.BytesIO()
        image.save(file, "JPEG", quality=_QUALITY)
        return file.getvalue()


def frames(source: Source) -> Iterator[Frame]:
    """Yield the frames of a video in order; one that can't be decoded is passed over.

    Raises:
        ItemError: it is no video, or none of its frames can be decoded.
    """
    with _opened(source) as (container, stream):
        found = False
        for frame in _decoded(container, stream):
            found = True
            yield frame
        if not found:
            raise ItemError("no frame of the video can be decoded: the file is damaged")


def frame_at(source: Source, milliseconds: int) -> Frame:
    """Return the first frame that is shown at a time or later.

    Raises:
        ItemError: it is no video, or ends before.
    """
    with _opened(source) as (container, stream):
        ticks = int((milliseconds / _MILLISECONDS + _start(container)) / stream.time_base)
        with suppress(_av().FFmpegError):  # a file that was not finished has no index to look in
            container.seek(ticks, stream=stream)  # to the key frame before
            is_before = False
            for frame in _decoded(container, stream):
                if frame.milliseconds == milliseconds or (is_before and frame.milliseconds > milliseconds):
                    return frame
                if frame.milliseconds > milliseconds:  # the index led to a later place
                    break
                is_before = True
    for frame in frames(source):
        if frame.milliseconds >= milliseconds:
            return frame
    raise ItemError(f"the video ends before {milliseconds / _MILLISECONDS:.1f} seconds")


def is_cut(source: Source, milliseconds: int) -> bool:
    """Whether a file tells of a length that nothing in it reaches, neither its frames nor its sound.

    Args:
        source: the video.
        milliseconds: when its last frame is shown.
    """
    av = _av()
    with _opened(source) as (container, _):
        seconds = (container.duration or 0) / av.time_base
        least, reached = seconds - max(2, seconds / 50), milliseconds / _MILLISECONDS
        if reached < least:
            with suppress(av.FFmpegError, OSError):
                container.seek(int(least * av.time_base) + (container.start_time or 0))
                for packet in container.demux():
                    if packet.pts is not None and packet.time_base is not None:
                        end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                        reached = max(reached, end - _start(container))
        return bool(reached < least)


def fields_of(source: Source) -> dict[str, Scalar]:
    """Return the fields that a video file has of its own; its header and first frame are read.

    Returns:
        `duration` in seconds, `width` and `height` in pixels, upright, `codec`; and, where the file tells,
        `title` and `taken` (a `datetime` in UTC, without a zone). Nothing where the file can't be read.
    """
    found: dict[str, Scalar] = {}
    with suppress(ItemError), _opened(source) as (container, stream):
        if container.duration:
            found["duration"] = round(container.duration / _av().time_base, 2)
        found["width"], found["height"] = stream.width, stream.height
        first = next(_decoded(container, stream), None)
        if first is not None and first.pixels.rotation % 180:
            found["width"], found["height"] = stream.height, stream.width
        found["codec"] = stream.codec.canonical_name
        title = " ".join(unbroken(container.metadata.get("title", "")).split())[:_LONGEST]
        if title:
            found["title"] = title
        with suppress(ValueError):
            taken = datetime.fromisoformat(container.metadata.get("creation_time", ""))
            if taken.year not in _EPOCHS:
                found["taken"] = taken.astimezone(UTC).replace(tzinfo=None, microsecond=0)
    return found


def _av() -> Any:
    import av

    return av


@contextmanager
def _opened(source: Source) -> Iterator[tuple[Any, Any]]:
    """Open a file and its first stream of moving images.

    Raises:
        ItemError: it is no video.
    """
    av = _av()
    given = io.BytesIO(source) if isinstance(source, bytes) else str(source)
    try:
        container = av.open(given, metadata_errors="replace", options={"format_whitelist": FORMATS})
    except FileNotFoundError:
        raise ItemError("the file does not exist") from None
    except (av.FFmpegError, OSError, ValueError):
        if _is_cut_before_index(source):
            raise ItemError(_CUT) from None
        raise ItemError("the file is no video that can be read, or its beginning is damaged") from None
    with container:
        moving = [each for each in container.streams.video if not each.disposition & _ATTACHED]
        if not moving:
            if not container.streams and _is_cut_before_index(source):
                raise ItemError(_CUT)
            holds = "sound alone" if container.streams.audio else "none"
            raise ItemError(f"the file holds no video stream: {holds}")
        stream = moving[0]
        stream.thread_type = "AUTO"
        yield container, stream


def _is_cut_before_index(source: Source) -> bool:
    """Whether an MP4 or MOV ends before the end of its box `moov`, without which no frame is found.

    A file is a row of boxes: 4 bytes of size, 4 of type; a size of 1 stands for 8 bytes behind the type.
    """
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        end, at = file.seek(0, io.SEEK_END), 0
        while at < end:
            file.seek(at)
            head = file.read(16)
            kind, size = head[4:8], int.from_bytes(head[:4], "big")
            if at == 0 and kind not in _BOXES:
                return False
            if size == 1:
                size = int.from_bytes(head[8:], "big")
            if kind == b"moov" and 8 <= size <= end - at:
                return False
            if size < 8:  # 0 stands for all that is left
                return size == 0 and kind != b"moov"
            at += size
    return end > 0


def _start(container: Any) -> float:
    """Return the seconds that a file's times begin at; a player shows that moment as 0."""
    return float((container.start_time or 0) / _av().time_base)


def _decoded(container: Any, stream: Any) -> Iterator[Frame]:
    av = _av()
    start, count = _start(container), 0
    rate = float(stream.average_rate or stream.guessed_rate or 25)
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            decoded = packet.decode()
        except av.InvalidDataError:
            continue
        except (av.FFmpegError, OSError):  # the end of a file that was cut off
            return
        for pixels in decoded:
            seconds = count / rate if pixels.time is None else pixels.time - start
            shape = float(stream.sample_aspect_ratio or 1)
            if math.isfinite(seconds) and seconds >= 0 and pixels.width and pixels.height:
                yield Frame(seconds, pixels, shape)
            count += 1
