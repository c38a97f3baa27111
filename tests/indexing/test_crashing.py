import random

import pytest

from tests.crashing import Trial, moments


@pytest.mark.parametrize("splitter", ["", "2/2/0"])
def test_a_rebuild_killed_anywhere_loses_nothing(tmp_path, splitter):
    """Killed at its steps, a rebuild leaves the old build or the new one, whole; the next one ends.

    So it does where texts are split into passages: all of a text are there, or none.
    """
    trial = Trial(tmp_path, splitter=splitter)
    draw = random.Random(5)
    # among them the rename that makes a build current, and what comes right before and after
    last = len(trial.events)
    chosen = [last, last - 1, last - 2, *moments(trial.events, 3 if splitter else 7, draw)]
    for at, number in enumerate(chosen):
        trial.kill(number, hold=at % 2 == 0)
    trial.end()
    assert trial.kills >= 3
