"""Videos read by PyAV: formats, the frame at a time, what is upright, facts, and damaged files."""

import io
from datetime import datetime
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from embedsearch.errors import ItemError
from embedsearch.splitters.video import SIDE, fields_of, frame_at, frames
from tests.films import BLUE, GREEN, RED, SIZE, film, scene, sound, written


def image(frame):
    """Return a frame as pixels, (H, W, 3)."""
    return np.asarray(Image.open(io.BytesIO(frame.jpeg())), np.int16)


def middle(frame):
    """Return the colour in the middle of a frame."""
    pixels = image(frame)
    return pixels[pixels.shape[0] // 2, pixels.shape[1] // 2]


def near(colour, wanted):
    """Whether a colour is another but for what a codec does to it."""
    return np.abs(np.asarray(colour) - wanted).max() < 16


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm", "a.mov", "a.avi"])
def test_each_format_is_read_with_its_times(tmp_path, name):
    """All frames come in order, at tenths of seconds from 0, from a file and from its bytes alike."""
    path = film(tmp_path / name, [(RED, 1), (BLUE, 1)])
    found = list(frames(path))
    assert [each.milliseconds for each in found] == list(range(0, 2000, 100))
    assert near(middle(found[9]), RED)
    assert near(middle(found[10]), BLUE)
    again = list(frames(path.read_bytes()))
    assert [each.jpeg() for each in again] == [each.jpeg() for each in found]


def test_the_frame_at_a_time_is_that_of_the_whole_reading(tmp_path):
    """Every frame of a video with one key frame is found again, pixel by pixel."""
    path = film(tmp_path / "a.mp4", [(RED, 1), (GREEN, 1), (BLUE, 1)])
    for frame in frames(path):
        assert frame_at(path, frame.milliseconds).jpeg() == frame.jpeg()
    with pytest.raises(ItemError, match=r"ends before 3\.0 seconds"):
        frame_at(path, 3000)


def test_a_file_without_an_index_is_read_from_its_start(tmp_path):
    """Matroska that was cut off has nowhere to look a time up: the frame is found all the same."""
    path = film(tmp_path / "a.mkv", [(RED, 1), (GREEN, 1), (BLUE, 1)])
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(path.read_bytes()[: int(0.8 * path.stat().st_size)])
    found = list(frames(cut))
    assert 5 < len(found) < 30
    assert frame_at(cut, found[-1].milliseconds).jpeg() == found[-1].jpeg()


def test_a_turned_video_is_upright(tmp_path):
    """A camera that was held upright notes the turn; the frame stands as players show it."""
    path = film(tmp_path / "a.mp4", [(RED, 1)], rotation=90)
    frame = next(frames(path))
    pixels = image(frame)
    assert pixels.shape == (SIZE[0], SIZE[1], 3)
    assert near(pixels[-4, 4], (255, 255, 255))  # the block that the file has at the top left
    assert fields_of(path)["height"] == SIZE[0]


def test_pixels_that_are_not_square_are_stretched(tmp_path):
    """A DVD's frame becomes as wide as a player shows it."""
    path = film(tmp_path / "a.mkv", [(RED, 1)], shape=Fraction(2))
    assert image(next(frames(path))).shape == (SIZE[1], 2 * SIZE[0], 3)


def test_a_large_frame_is_made_smaller(tmp_path):
    """Its shorter side has 480 pixels at most; a small one stays as it is."""
    large = np.asarray(scene(RED).resize((1280, 720)))
    path = written(tmp_path / "a.mp4", [large] * 2, 10)
    assert image(next(frames(path))).shape == (SIDE, 853, 3)


def test_a_file_says_how_long_and_large_it_is(tmp_path):
    """Duration, size, codec, title and the time of recording are fields."""
    path = film(tmp_path / "a.mp4", [(RED, 2.5)], title="A  holiday", creation_time="2021-07-01T12:00:00Z")
    assert fields_of(path) == {
        "duration": 2.5,
        "width": SIZE[0],
        "height": SIZE[1],
        "codec": "h264",
        "title": "A holiday",
        "taken": datetime(2021, 7, 1, 12),
    }
    assert fields_of(b"no video") == {}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"hello " * 100, "is no video that can be read"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/x.ts\n", "is no video"),
        (b"ffconcat version 1.0\nfile 'b.mp4'\n", "is no video"),
        (b"\0" * 4096, "is no video"),
    ],
)
def test_what_is_no_video_is_refused(tmp_path, data, reason):
    """A renamed text, a playlist that names other files or addresses, and zeros are told in a sentence."""
    film(tmp_path / "b.mp4", [(RED, 1)])
    path = tmp_path / "a.mp4"
    path.write_bytes(data)
    with pytest.raises(ItemError, match=reason):
        next(frames(path))


def test_a_file_without_a_video_stream_is_refused(tmp_path):
    """Sound alone in an MP4 is no video."""
    with pytest.raises(ItemError, match="no video stream: sound alone"):
        next(frames(sound(tmp_path / "a.mp4")))


def test_a_broken_index_is_told_or_passed_over(tmp_path):
    """An MP4 or MOV that ends before its index is called cut off; with wrong places in it none is decoded."""
    path = film(tmp_path / "a.mp4", [(RED, 1), (BLUE, 1)])
    data = path.read_bytes()
    cut = tmp_path / "cut.mp4"
    index = data.index(b"moov") - 4
    for end in (30, index // 2, index, index + 100):
        cut.write_bytes(data[:end])
        for source in (cut, data[:end]):
            with pytest.raises(ItemError, match="cut off: the list of its frames, which stands at its end"):
                next(frames(source))
    with pytest.raises(ItemError, match="no video stream: none"):
        next(frames(data[:index] + b"\0\0\0\x10moov" + bytes(8)))  # whole, and empty
    for bad in (b"\0" * 64, b"RIFF" + data, b""):
        with pytest.raises(ItemError, match="is no video that can be read, or its beginning is damaged"):
            next(frames(bad))
    at = data.index(b"stco") + 12  # version, flags and count, then the place of the first chunk
    wrong = tmp_path / "wrong.mp4"
    wrong.write_bytes(data[:at] + b"\0\0\0\x04" + data[at + 4 :])
    with pytest.raises(ItemError, match="no frame of the video can be decoded"):
        next(frames(wrong))


def test_what_is_damaged_in_the_middle_is_passed_over(tmp_path):
    """The frames before and behind the damage are read."""
    path = film(tmp_path / "a.avi", [(RED, 2), (BLUE, 2)])
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 60] = bytes(60)
    path.write_bytes(data)
    found = [each.milliseconds for each in frames(path)]
    assert 20 <= len(found) < 41
    assert found[0] == 0
    assert found[-1] >= 3800
