"""Decoding: every format that is promised, and what can't be used, with its reason."""

import re
import tracemalloc

import numpy as np
import pytest

from embedsearch.errors import ItemError
from embedsearch.splitters import sound
from embedsearch.splitters.tags import fields_of
from tests.sounds import m4a, noise, packed, tone

THREE = tone(3, rate=44_100)
GOOD = {
    "8-bit": packed(THREE, 44_100, subtype="PCM_U8"),
    "24-bit": packed(THREE, 44_100, subtype="PCM_24"),
    "5.1": packed(np.stack([THREE] * 6, 1), 44_100),
    "192 kHz": packed(tone(3, rate=192_000), 192_000),
    "FLAC": packed(THREE, 44_100, "FLAC"),
    "OGG": packed(THREE, 44_100, "OGG"),
    "MP3": packed(THREE, 44_100, "MP3"),
    "Opus": packed(tone(3, rate=48_000), 48_000, "OGG", "OPUS"),
    "M4A": m4a(THREE),
}
NOISE = noise(3, 44_100)
BAD = {
    "zero-length": (b"", "the file is not a sound that can be read"),
    "renamed": (b"This is a text, whatever its name says. " * 40, "the file is not a sound that can be read"),
    "no samples": (packed(THREE[:0], 44_100), "it holds no sound"),
    "1 sample": (packed(THREE[:1], 44_100), "it lasts 0.023 milliseconds; at least 10 are needed"),
    "silent": (packed(0 * THREE, 44_100), "it is silent: no sample is louder than -80 dB"),
    "truncated WAV": (packed(THREE, 44_100)[:100_000], "the file is cut off: 1.1 of 3.0 seconds are there"),
    "truncated FLAC": (packed(NOISE, 44_100, "FLAC")[:150_000], "the file is cut off"),
    "not a number": (
        packed(np.where(THREE > 0.49, np.nan, THREE), 44_100, subtype="FLOAT"),
        "some of its samples are not finite numbers",
    ),
    "truncated M4A": (m4a(THREE)[:9000], "the file is not a sound that can be read"),
}


@pytest.mark.parametrize("kind", GOOD)
def test_a_format_is_decoded(kind):
    """The length is right to a frame of the codec, and a tone of 440 Hz comes out at its level."""
    assert 3000 <= sound.scan(GOOD[kind]).milliseconds <= 3060
    first, last = sound.read(GOOD[kind], [(0, 1000), (1500, 2500)], 16_000)
    for samples in (first, last):
        assert len(samples) == 16_000
        spectrum = np.abs(np.fft.rfft(samples))  # a bin a hertz
        assert spectrum.argmax() == 440
        assert 0.44 < 2 * spectrum[435:446].max() / len(samples) < 0.52


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_sound_is_refused(kind):
    """Each has a sentence that says why."""
    content, reason = BAD[kind]
    with pytest.raises(ItemError) as refused:
        sound.scan(content)
    assert str(refused.value).startswith(reason)


@pytest.mark.parametrize("tag", [b"", b"ID3\x04\0\0\0\0\x01\x02" + bytes(130)], ids=["plain", "ID3"])
def test_a_cut_mp3_is_reported(tag):
    """An MP3 file whose first frame says more bytes than are there is cut off; a whole one is not."""
    data = tag + packed(NOISE, 44_100, "MP3")
    assert not sound.scan(data).problem
    found = sound.scan(data[: len(data) // 2])
    assert found.problem.startswith("the file is cut off or damaged; only its first ")
    assert 0 < found.milliseconds < sound.scan(data).milliseconds


@pytest.mark.parametrize("codec", ["VORBIS", "OPUS"])
def test_what_is_cut_off_is_known_where_the_format_tells(codec):
    """Of a whole file nothing is lost; of one whose end is missing it is said how much is there."""
    data = packed(noise(9, 48_000), 48_000, "OGG", codec)
    assert all(sound.scan(held).problem == "" for held in (*GOOD.values(), data))
    assert re.match(
        r"the file is cut off or damaged; only its first [3-6]\.. seconds are in the index",
        sound.scan(data[: len(data) // 2]).problem,
    )
    last = data.rindex(b"OggS")
    assert "cut off" in sound.scan(data[:-1]).problem
    # a program that does not mark the last page loses nothing
    assert sound.scan(data[:last]).problem == ""


def test_a_stretch_is_the_same_whichever_others_are_read():
    """Overlapping windows, read in one go, have the samples that each has by itself."""
    content = packed(noise(12, 44_100), 44_100, "FLAC")
    spans = [(0, 5000), (2500, 7500), (9000, 12_000)]
    for span, together in zip(spans, sound.read(content, spans, 32_000), strict=True):
        np.testing.assert_array_equal(together, next(iter(sound.read(content, [span], 32_000))))


def test_an_hour_takes_the_memory_of_a_window(tmp_path):
    """Scanning and reading an hour holds a few megabytes, where its samples would take 115."""
    path = tmp_path / "hour.wav"
    path.write_bytes(packed(np.tile(tone(60, rate=8000), 60), 8000, subtype="PCM_U8"))
    tracemalloc.start()
    try:
        found = sound.scan(path)
        spans = [(start, start + 10_000) for start in range(0, 3_590_000, 300_000)]
        lengths = {len(samples) for samples in sound.read(path, spans, 8000)}
        held = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.milliseconds == 3_600_000
    assert lengths == {80_000}
    assert held < 8_000_000


def test_the_file_says_what_it_is():
    """Title, artist, length and sample rate are fields; of what is no sound there are none."""
    found = fields_of(GOOD["M4A"])
    assert found.pop("duration") == pytest.approx(3, abs=0.06)
    assert found == {"title": "A tone", "artist": "Nobody", "sample_rate": 44_100}
    assert fields_of(b"no sound") == {}
