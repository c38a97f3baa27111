"""What the page keeps: an index that is opened has its models loaded in the background."""

import threading

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
