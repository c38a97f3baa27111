"""Windows of a sound: where they lie, and which are left out."""

import numpy as np
import pytest

from embedsearch.errors import RecipeError
from embedsearch.splitters.windows import seconds_of, split_windows, windows
from tests.sounds import packed, tone


def test_windows_cover_the_sound_to_its_end():
    """The last window ends with the sound; a short sound is one window."""
    assert windows(3000, 10_000, 5000) == [(0, 3000)]
    assert windows(10_000, 10_000, 5000) == [(0, 10_000)]
    assert windows(12_000, 10_000, 5000) == [(0, 10_000), (5000, 12_000)]
    assert windows(20_000, 10_000, 5000) == [(0, 10_000), (5000, 15_000), (10_000, 20_000)]


def test_silent_windows_are_left_out():
    """Between two tones lie 20 seconds of silence, of which no window is made."""
    sound = np.concatenate([tone(5), np.zeros(20 * 16_000, np.float32), tone(5)])
    assert [start for start, _ in split_windows(packed(sound))] == [0, 20_000]
    assert [clip.span for _, clip in split_windows(packed(sound), "5/5")] == [(0, 5000), (25_000, 30_000)]


@pytest.mark.parametrize("rule", ["", "10", "5/10", "0/0", "ten/five", "10/5/1"])
def test_a_rule_is_two_numbers_of_seconds(rule):
    """What is no length and hop is refused, with an example."""
    with pytest.raises(RecipeError, match="10/5"):
        seconds_of(rule)
