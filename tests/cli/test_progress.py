"""What a person sees while a build runs."""

from embedsearch.cli.progress import Bar
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Unit
from tests.fakes import LetterEncoder


def test_the_bar_shows_rate_time_left_and_the_share_of_waiting(capsys):
    """Done of all, items a second, time left, and which part of the time input was waited for."""
    bar = Bar("faq")
    bar.start(LetterEncoder(EncoderRecipe(Unit.TEXT)), 200, 0)
    bar.advance(50)
    bar.spent(1.0, 3.0)
    bar.close()
    shown = capsys.readouterr().err
    assert "letters (26-d, mean pooling) in fp32 on cpu with letters" in shown
    last = shown.splitlines()[-1]
    assert "25%" in last
    assert "50/200" in last
    assert " items/s" in last
    assert "<" in last  # elapsed < left
    assert "25% waiting for input" in last


def test_a_bar_without_time_spent_shows_no_share(capsys):
    """Where nothing was waited for yet nothing is divided by nought."""
    bar = Bar("faq")
    bar.start(LetterEncoder(EncoderRecipe(Unit.TEXT)), None, 0)
    bar.spent(0.0, 0.0)
    bar.close()
    assert "waiting" not in capsys.readouterr().err
