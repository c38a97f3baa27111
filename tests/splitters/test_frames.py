"""Which frames of a video get a vector: one a second at most, where the image changed."""

import gc
import io
import os
import tempfile

import numpy as np
import pytest
from PIL import Image

from embedsearch.errors import ItemError
from embedsearch.splitters.frames import split_frames
from tests.films import BLUE, GREEN, RED, SIZE, film, scene, written


def spans(path):
    """Return the span of each chosen frame, in milliseconds; what it starts with is told beside it."""
    found = list(split_frames(path))
    assert [start for start, _ in found] == [frame.span[0] for _, frame in found]
    return [frame.span for _, frame in found]


def test_a_scene_is_one_frame(tmp_path):
    """Frames that are near-equal to the last one are dropped; a scene lasts until the next."""
    path = film(tmp_path / "a.mp4", [(RED, 4), (GREEN, 3), (BLUE, 2)])
    assert spans(path) == [(0, 4000), (4000, 7000), (7000, 8900)]
    colours = [np.asarray(Image.open(io.BytesIO(each.read())))[40, 60] for _, each in split_frames(path)]
    assert np.abs(np.array(colours, int) - [RED, GREEN, BLUE]).max() < 16


def test_one_frame_a_second_at_most(tmp_path):
    """Where every frame differs, they are a second apart, whatever the rate of the video."""
    for fps in (8, 25):
        moving = (np.roll(np.asarray(scene(RED)), 7 * at, axis=1) for at in range(5 * fps))
        starts = [start for start, _ in spans(written(tmp_path / f"{fps}.mp4", moving, fps))]
        assert len(starts) == 5
        assert min(np.diff(starts)) >= 1000


def test_a_change_of_scene_is_found_within_a_quarter_of_a_second(tmp_path):
    """A scene that begins between two whole seconds is taken from its beginning, not from its middle."""
    path = film(tmp_path / "a.mp4", [(RED, 2.7), (BLUE, 2)], fps=20)
    (_, first), (start, _) = spans(path)
    assert 2700 <= start <= 2950
    assert first == start


def test_a_small_thing_that_appears_is_a_change(tmp_path):
    """A block of a hundredth of the image makes another frame; the noise of a codec does not."""
    draw = np.random.default_rng(0)
    still = np.asarray(scene(GREEN).resize((320, 180))).astype(np.int16)

    def noisy(pixels):
        return np.clip(pixels + draw.integers(-20, 21, pixels.shape), 0, 255).astype(np.uint8)

    more = still.copy()
    more[100:118, 200:232] = 240
    shown = [noisy(still) for _ in range(30)] + [noisy(more) for _ in range(30)]
    assert [start for start, _ in spans(written(tmp_path / "a.mp4", shown, 10))] == [0, 3000]


def test_frames_of_one_colour_are_passed_over(tmp_path):
    """The black between two scenes has no vector; a video that is all black has one."""
    black = Image.new("RGB", SIZE)
    path = film(tmp_path / "a.mp4", [(black, 1.5), (RED, 2), (black, 1.5), (BLUE, 2)])
    assert [round(start, -3) for start, _ in spans(path)] == [2000, 5000]
    assert spans(film(tmp_path / "b.mp4", [(black, 3)])) == [(0, 2900)]


def test_the_frames_on_disk_go_with_the_last_of_them(tmp_path, monkeypatch):
    """They lie in one file without a name, so that a crash leaves none, and it is closed in the end."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    found = [frame for _, frame in split_frames(film(tmp_path / "a.mp4", [(RED, 2), (BLUE, 2)]))]
    assert list((tmp_path / "temporary").iterdir()) == []
    number = found[0].file.fileno()
    del found[0]
    assert found[0].read().startswith(b"\xff\xd8")
    found.clear()
    gc.collect()
    with pytest.raises(OSError):
        os.fstat(number)


def test_a_file_that_is_no_video_raises(tmp_path):
    """The reason is that of the reading."""
    path = tmp_path / "a.mp4"
    path.write_bytes(b"hello")
    with pytest.raises(ItemError, match="no video"):
        list(split_frames(path))
