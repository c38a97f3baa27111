"""What the page keeps: an index that is opened has its models loaded in the background."""

import gc
import threading
import weakref

from embedsearch.index import Index
from embedsearch.ui import cached


def test_opening_an_index_warms_its_models(fruits, monkeypatch):
    """The models of an index are loaded by a thread when it is opened, once; errors are left to the query."""
    warmed = threading.Event()
    monkeypatch.setattr(Index, "warm", lambda _: warmed.set())
    cached.open_index(fruits.build.folder.parents[2], fruits.name)
    assert warmed.wait(10)
    warmed.clear()
    cached.open_index(fruits.build.folder.parents[2], fruits.name)
    assert not warmed.wait(0.2)


def test_what_is_loaded_is_not_looked_through_by_each_run():
    """What is loaded is taken out of the collection of garbage; what is replaced is collected by the next."""

    class Kept:
        """It refers to itself, as an open index does."""

        def __init__(self):
            self.own = self

    kept = Kept()
    gone = weakref.ref(kept)
    try:
        cached.settle()
        assert gc.get_freeze_count() > 0
        assert not any(each is kept for each in gc.get_objects())
        del kept
        assert gone() is not None
        cached.settle()
        assert gone() is None
    finally:
        gc.unfreeze()
