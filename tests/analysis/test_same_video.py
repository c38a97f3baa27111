"""The second check of near copies among videos."""

import numpy as np
import pytest

from embedsearch.analysis.same_video import VideoCheck
from embedsearch.analysis.sizes import frame_pixels
from embedsearch.progress import Silent
from tests.films import BLUE, GREEN, RED, film, scene

SCENES = [(RED, 3), (GREEN, 4), (BLUE, 3)]


@pytest.fixture
def copies():
    """Return a function that tells which of some videos are copies of the first."""

    def run(*paths):
        check = VideoCheck(lambda rows: [paths[row] for row in rows], len(paths))
        others = np.arange(1, len(paths))
        return check.same(np.zeros_like(others), others, Silent()).tolist()

    return run


def test_a_smaller_copy_by_another_codec_is_one(copies, tmp_path):
    """The length and five frames agree; so do those of a file that was renamed."""
    one = film(tmp_path / "a.mp4", SCENES)
    small = film(tmp_path / "b.webm", [(scene(colour).resize((48, 32)), each) for colour, each in SCENES])
    again = film(tmp_path / "c.mkv", SCENES, codec="mpeg4")
    assert copies(one, small, again) == [True, True]
    assert frame_pixels(one) > frame_pixels(small)


def test_a_common_beginning_is_no_copy(copies, tmp_path):
    """Another episode has the same first scene; a part is shorter; what is no video is like nothing."""
    one = film(tmp_path / "a.mp4", SCENES)
    episode = film(tmp_path / "b.mp4", [(RED, 3), (BLUE, 4), (GREEN, 3)])
    part = film(tmp_path / "c.mp4", SCENES[:2])
    broken = tmp_path / "d.mp4"
    broken.write_bytes(b"no video")
    assert copies(one, episode, part, broken) == [False, False, False]
    assert copies(broken, one) == [False]
    assert frame_pixels(broken) == (0,)
