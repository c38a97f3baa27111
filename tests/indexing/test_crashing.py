import random

from tests.crashing import Trial, moments


def test_a_rebuild_killed_anywhere_loses_nothing(tmp_path):
    """Killed at ten of its steps, a rebuild leaves the old build or the new one, whole; the next one ends."""
    trial = Trial(tmp_path)
    draw = random.Random(5)
    # among them the rename that makes a build current, and what comes right before and after
    last = len(trial.events)
    chosen = [last, last - 1, last - 2, *moments(trial.events, 7, draw)]
    for at, number in enumerate(chosen):
        trial.kill(number, hold=at % 2 == 0)
    trial.end()
    assert trial.kills >= 5
