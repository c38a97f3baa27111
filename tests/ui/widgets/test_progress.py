import pytest

from embedsearch.ui.widgets.progress import said


@pytest.mark.parametrize(
    ("done", "total", "seconds", "line"),
    [
        (0, 0, 3.0, "Reading images …"),
        (0, 2939, 3.0, "Reading images: 0 of 2,939"),
        (50, 2939, 0.1, "Reading images: 50 of 2,939"),
        (600, 3000, 2.0, "Reading images: 600 of 3,000, 300 a second, 8 s left"),
        (100, 100_100, 10.0, "Reading images: 100 of 100,100, 10 a second, 167 min left"),
    ],
)
def test_a_bar_says_rate_and_time_left(done, total, seconds, line):
    """How much is done, and after a second also how fast and how long still."""
    assert said("reading images", done, total, seconds) == line
