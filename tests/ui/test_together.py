"""Queries of several visitors: answered together, each with its own answer."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from embedsearch.ui import together
from embedsearch.ui.together import Together


def test_what_waits_is_the_next_batch(monkeypatch):
    """While one is worked on, others gather, up to a bound; each gets its own answer, or its own error."""
    monkeypatch.setattr(together, "MOST", 4)
    begun, go, sizes = Event(), Event(), []

    def work(batch):
        if len(batch) > 1 or batch == [0]:
            sizes.append(len(batch))
        if batch == [0]:
            begun.set()
            assert go.wait(10)
        if 3 in batch:
            raise ValueError("three")
        return [10 * each for each in batch]

    asking = Together(work)
    with ThreadPoolExecutor(7) as threads:
        first = threads.submit(asking.ask, 0)
        assert begun.wait(10)
        others = [threads.submit(asking.ask, each) for each in range(1, 7)]
        while len(asking._waiting) < 6:
            pass
        go.set()
        assert first.result() == 0
        assert [each.result() for at, each in enumerate(others, 1) if at != 3] == [10, 20, 40, 50, 60]
        with pytest.raises(ValueError, match="three"):
            others[2].result()
    assert sizes == [1, 4, 2]


def test_a_thread_that_is_stopped_leaves_the_others_their_turn():
    """Streamlit ends the run of a visitor who left, also amid a batch: the others are answered."""

    class Stopped(BaseException):
        pass

    begun, go, stops = Event(), Event(), iter([Stopped()])

    def work(batch):
        if batch == [0]:
            begun.set()
            assert go.wait(10)
        elif stop := next(stops, None):
            raise stop
        return [10 * each for each in batch]

    asking = Together(work)
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(asking.ask, 0)
        assert begun.wait(10)
        others = [threads.submit(asking.ask, each) for each in (1, 2)]
        while len(asking._waiting) < 2:
            pass
        go.set()
        assert first.result(10) == 0
        answers = [each.exception(10) or each.result() for each in others]
    assert sum(isinstance(each, Stopped) for each in answers) == 1
    assert [each for each in answers if each in (10, 20)]
