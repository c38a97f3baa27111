"""Sound files to samples: by libsndfile, and by FFmpeg (PyAV) what that can't read; streamed.

Samples are mono, float32, the mean of all channels.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from embedsearch.errors import ItemError, MissingExtraError
from embedsearch.records import Span

Samples = npt.NDArray[np.float32]
SoundSource = Path | bytes
BLOCK = 2**16  # frames that are decoded at a time
CELLS = 2  # a second, each with its loudest sample
SILENT = 1e-4  # the loudest sample of a sound that nobody hears, -80 dB below the loudest that there is
LEAST = 10  # milliseconds
UNREADABLE = "the file is not a sound that can be read"
# what libsndfile notes where a WAV file holds less than its header says; streams have no length there
_CUT = re.compile(r"data : (\d+) \(should be (\d+)\)")
_STREAMED = 2**31 - 2**16
_PAGE = 2**17  # bytes that hold a page of an Ogg file
# what most programs write into the first frame of an MP3 file, and its flags; by bit 1 it says how many bytes
_XING = re.compile(rb"(?:Xing|Info)\0\0\0([\x02\x03\x06\x07\x0a\x0b\x0e\x0f])")
_FIRST_FRAME = 1500  # bytes


@dataclass(frozen=True, slots=True)
class Scan:
    """A sound that was decoded once from its start to its end.

    Attributes:
        milliseconds: how long it is, rounded up.
        peaks: (c,) float32, the largest absolute sample of each half second.
        problem: why the rest of the file can't be used; empty where all of it could be decoded.
    """

    milliseconds: int
    peaks: Samples
    problem: str = ""

    def is_silent(self, span: Span) -> bool:
        """Whether nothing is heard in a stretch of it, `[start, end)` in milliseconds."""
        first, last = (CELLS * each // 1000 for each in (span[0], max(span[0], span[1] - 1)))
        return bool(self.peaks[first : last + 1].max(initial=0) < SILENT)


def check_installed() -> None:
    """Check that the extra `sounds` is installed.

    Raises:
        MissingExtraError: it is not.
    """
    if lacking := [name for name in ("soundfile", "soxr", "av") if find_spec(name) is None]:
        raise MissingExtraError(
            f"Sounds are read by {', '.join(lacking)}, not installed here: pip install 'embedsearch[sounds]'"
        )


def scan(source: SoundSource, most: int | None = None) -> Scan:
    """Decode a sound from its start to its end, in blocks, and return its length and how loud it is.

    Args:
        source: the file, or its bytes.
        most: minutes that it may last; no more of it is decoded.

    Raises:
        ItemError: it can't be decoded, is cut off, holds nothing, is silent, or is too long.
        OSError: the file can't be read.
    """
    peaks: list[float] = []
    frames, rest = 0, np.empty(0, np.float32)
    with _opened(source) as sound:
        cell = max(1, sound.rate // CELLS)
        for block in sound.blocks(0):
            frames += len(block)
            if most is not None and frames > 60 * most * sound.rate:
                raise ItemError(f"the sound lasts more than {most} minutes; send a part of it")
            held = np.concatenate([rest, np.abs(block)])
            whole = len(held) // cell * cell
            peaks += held[:whole].reshape(-1, cell).max(1).tolist()  # (n,) -> (c, cell) -> (c,)
            rest = held[whole:]
        rate, promised, is_cut = sound.rate, sound.promised, sound.is_cut(frames)
    peaks += [float(rest.max())] if len(rest) else []
    milliseconds = -(-1000 * frames // rate)
    if frames < promised:
        raise ItemError(
            f"the file is cut off: {frames / rate:.1f} of {promised / rate:.1f} seconds are there; fetch or "
            "save it again"
        )
    if not frames:
        raise ItemError("it holds no sound")
    if milliseconds < LEAST:
        raise ItemError(f"it lasts {1000 * frames / rate:.2g} milliseconds; at least {LEAST} are needed")
    problem = (
        f"the file is cut off or damaged; only its first {milliseconds / 1000:.1f} seconds are in the index"
    )
    made = Scan(milliseconds, np.array(peaks, np.float32), problem if is_cut else "")
    if made.is_silent((0, milliseconds)):
        raise ItemError("it is silent: no sample is louder than -80 dB")
    return made


def read(source: SoundSource, spans: list[Span], rate: int) -> Iterator[Samples]:
    """Yield stretches of a sound at a sample rate, (n,) each; what lies between them is passed over.

    Each is resampled by itself, so that it is the same whichever others are asked for.

    Args:
        source: the file, or its bytes.
        spans: `[start, end)` in milliseconds, by their start.
        rate: samples a second.

    Raises:
        ItemError: it can't be decoded, or ends before a stretch begins.
        OSError: the file can't be read.
    """
    import soxr

    with _opened(source) as sound:
        at = sound.rate * spans[0][0] // 1000
        held, blocks = np.empty(0, np.float32), sound.blocks(at)  # `held` begins at the frame `at`
        for span in spans:
            start, end = (sound.rate * each // 1000 for each in span)
            while at + len(held) < end and (block := next(blocks, None)) is not None:
                keep = max(0, start - at)
                at += min(keep, len(held))
                held = np.concatenate([held[keep:], block])
            held, at = held[max(0, start - at) :], max(start, at)
            if not len(held):
                raise ItemError("the sound is shorter than it was: rebuild the index")
            yield np.asarray(soxr.resample(held[: end - start], sound.rate, rate), np.float32)


class _Sound:
    """An open sound.

    Attributes:
        rate: frames a second.
        promised: how many frames its header says; 0 where it does not.
    """

    rate: int
    promised: int

    def blocks(self, start: int) -> Iterator[Samples]:
        """Yield the samples from a frame on, at most `BLOCK` at a time."""
        raise NotImplementedError

    def is_cut(self, frames: int) -> bool:
        """Whether more frames than were decoded can be seen to have been there, though none is promised."""
        raise NotImplementedError


@contextmanager
def _opened(source: SoundSource) -> Iterator[_Sound]:
    """Open a sound by libsndfile, else by FFmpeg."""
    import soundfile

    file = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
    with file:
        try:
            held = soundfile.SoundFile(file)
        except soundfile.LibsndfileError:
            file.seek(0)
            with _by_ffmpeg(file) as sound:
                yield sound
            return
        with held:
            yield _LibsndfileSound(held, file)


class _LibsndfileSound(_Sound):
    def __init__(self, file: Any, raw: IO[bytes]) -> None:
        self._file, self._raw = file, raw
        self._is_damaged = False
        self.rate = int(file.samplerate)
        exact = file.format in ("FLAC", "WAV", "WAVEX", "AIFF")  # of others it is an estimate
        self.promised = int(file.frames) if exact else 0
        if cut := _CUT.search(file.extra_info):
            declared, there = int(cut[1]), int(cut[2])
            if there < declared < _STREAMED:
                self.promised = int(file.frames * declared / there) if there else declared

    def blocks(self, start: int) -> Iterator[Samples]:
        import soundfile

        try:
            if start:
                self._file.seek(min(start, self._file.frames))
            while len(block := self._file.read(BLOCK, dtype="float32", always_2d=True)):  # (n, channels)
                yield _finite(block.mean(1))
        except (soundfile.LibsndfileError, RuntimeError):
            self._is_damaged = True

    def is_cut(self, frames: int) -> bool:  # noqa: ARG002
        """See `_Sound.is_cut`.

        An Ogg file ends with a page that is there to its end. That page should be marked as the last one,
        which not every program does. An MP3 file says in its first frame how long it is, where the program
        that wrote it is a common one.
        """
        if self._is_damaged or self._file.format not in ("OGG", "MP3"):
            return self._is_damaged
        if self._file.format == "MP3":
            return _is_short(self._raw)
        self._raw.seek(-min(_PAGE, self._raw.seek(0, io.SEEK_END)), io.SEEK_END)
        tail = self._raw.read()
        last = tail.rfind(b"OggS")
        return last < 0 or not _is_whole(tail[last:])


def _is_short(file: IO[bytes]) -> bool:
    """Whether an MP3 file holds fewer bytes than its first frame says."""
    end = file.seek(0, io.SEEK_END)
    file.seek(0)
    tag, start = file.read(10), 0
    if tag.startswith(b"ID3"):  # its size is the last four bytes, of seven bits each
        start = len(tag) + sum(byte << 7 * place for place, byte in enumerate(reversed(tag[6:])))
    file.seek(start)
    first = file.read(_FIRST_FRAME)
    said = _XING.search(first)
    if said is None:
        return False
    at = said.end() + 4 * (said[1][0] & 1)  # behind the number of frames, if that is there
    return int.from_bytes(first[at : at + 4], "big") > end - start


def _is_whole(page: bytes) -> bool:
    """Whether a page of an Ogg file is there to its end, and no packet goes on behind it."""
    if len(page) < 27:
        return False
    sizes = page[27 : 27 + page[26]]  # of its segments; after one of 255 the packet goes on
    return len(page) >= 27 + page[26] + sum(sizes) and sizes[-1:] != b"\xff"


@contextmanager
def _by_ffmpeg(file: Any) -> Iterator[_Sound]:
    import av

    try:
        with av.open(file, mode="r", metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise ItemError("it holds no sound")
            yield _FfmpegSound(container)
    except (av.error.FFmpegError, ValueError) as error:
        raise ItemError(UNREADABLE) from error


class _FfmpegSound(_Sound):
    promised = 0

    def is_cut(self, frames: int) -> bool:
        """See `_Sound.is_cut`; the containers of M4A and Matroska tell how long they are."""
        seconds = (self._container.duration or 0) / 1_000_000
        tells = self._container.format.name.startswith(("mov", "matroska"))
        return bool(tells and frames / self.rate < seconds - max(1, seconds / 50))

    def __init__(self, container: Any) -> None:
        self._container, self._stream = container, container.streams.audio[0]
        self.rate = int(self._stream.rate or 0)
        if not self.rate:
            raise ItemError(UNREADABLE)

    def blocks(self, start: int) -> Iterator[Samples]:
        import av

        resampler = av.AudioResampler(format="fltp", rate=self.rate)
        if start:  # to a packet before it
            self._container.seek(int(start / self.rate / self._stream.time_base), stream=self._stream)
        first: int | None = None
        for decoded in self._container.decode(self._stream):
            for frame in resampler.resample(decoded):
                samples = frame.to_ndarray().mean(0)  # (channels, n) -> (n,)
                if first is None:
                    origin = self._stream.start_time or 0
                    time = float(((decoded.pts or origin) - origin) * self._stream.time_base)
                    first = round(time * self.rate)
                skipped = max(0, start - first)
                first += len(samples)
                if skipped < len(samples):
                    yield _finite(samples[skipped:])


def _finite(samples: npt.NDArray[np.floating[Any]]) -> Samples:
    """Return samples as float32.

    Raises:
        ItemError: one is not a finite number.
    """
    made = samples.astype(np.float32, copy=False)
    if not np.isfinite(made).all():
        raise ItemError("some of its samples are not finite numbers: save it again")
    return made
