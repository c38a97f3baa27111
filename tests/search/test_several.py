"""Several queries at once: one pass of the model, one call of the index, and the results of each alone."""

from dataclasses import replace

import pytest

import embedsearch as es
from embedsearch.errors import ItemError, ItemNotFoundError, QueryError
from embedsearch.records import Unit
from tests.fakes import UNREADABLE, text


class Counted:
    """A backend that remembers how many queries each call had."""

    def __init__(self, backend):
        self._backend, self.calls = backend, []

    def __len__(self):
        return len(self._backend)

    def search(self, queries, k, filter=None, exclude=()):
        """Search, and note the number of queries."""
        self.calls.append(len(queries))
        return self._backend.search(queries, k, filter, exclude)


@pytest.fixture
def counted(fruits, monkeypatch):
    """The index of fruits, the calls of its backend, and what its encoder prepared."""
    backend, prepared = Counted(fruits.build.backend), []
    monkeypatch.setattr(fruits.build, "_backend", backend)
    own = fruits.encoder.prepare
    monkeypatch.setattr(
        fruits.encoder, "prepare", lambda items, role="passage": prepared.append(items) or own(items, role)
    )
    return fruits, backend.calls, prepared


def same(found, alone):
    """Assert that results are the same but for rounding."""
    assert [hit.id for hit in found] == [hit.id for hit in alone]
    assert [hit.distance for hit in found] == pytest.approx([hit.distance for hit in alone], abs=1e-6)
    assert replace(found, hits=[]) == replace(alone, hits=[])


def test_several_queries_are_read_and_searched_together(counted):
    """Texts go through the model and the index in one call each; each has the results that it has alone."""
    searcher, calls, prepared = counted
    asked = ["apple", "cherry pie", "figs", es.Vector([1.0] * 26)]
    together = searcher.search(asked, 4)
    assert (calls, prepared) == ([4], [["apple", "cherry pie", "figs"]])
    for results, query in zip(together, asked, strict=True):
        same(results, searcher.search(query, 4))


def test_items_and_sums_among_several(counted):
    """An item is not among its own hits, and a query of several terms is one query."""
    searcher, calls, _ = counted
    berries = es.Query((es.WeightedTerm("berry"), es.WeightedTerm("pear", -0.5)))
    asked = [es.MoreLike("fig"), "plum", berries, es.MoreLike("date")]
    together = searcher.search(asked, 3)
    assert calls == [1, 1, 2]  # an item is left out of its own search alone
    assert "fig" not in {hit.id for hit in together[0]}
    for results, query in zip(together, asked, strict=True):
        same(results, searcher.search(query, 3))


def test_a_filter_and_copies_are_as_alone(make_searcher):
    """Folding goes as deep as each query needs, and a filter holds for all."""
    entries = [text(f"{word}{at}", word, n=at) for at in range(12) for word in ("aaa", "aab", "zzz")]
    searcher = make_searcher([*entries, text("x", "abz", n=0), text("y", "zzy", n=50)])
    asked = ["aaa", "zzz", "abz"]
    for results, query in zip(searcher.search(asked, 3, "n < 9"), asked, strict=True):
        alone = searcher.search(query, 3, "n < 9")
        same(results, alone)
        assert [hit.copies for hit in results] == [hit.copies for hit in alone]
    assert [hit.copies for hit in searcher.search(asked, 2, "n < 9")[0]] == [8, 8]
    assert [len(each) for each in searcher.search(asked, 40, fold=False)] == [38, 38, 38]


def test_words_among_several(make_searcher):
    """Words in their sentences are read together too."""
    searcher = make_searcher([text("a", "fig tree"), text("b", "plum jam")], unit=Unit.WORD)
    asked = [es.Word("a big fig", 3), "plums", es.Word("jam today", "jam")]
    for results, query in zip(searcher.search(asked, 2), asked, strict=True):
        same(results, searcher.search(query, 2))


def test_one_wrong_query_stops_all(fruits):
    """A text that no model reads, an unknown item and an empty text are errors, as alone."""
    with pytest.raises(ItemError, match="the text holds a skull"):
        fruits.search(["apple", UNREADABLE])
    with pytest.raises(ItemNotFoundError, match="no item 'melon'"):
        fruits.search(["apple", es.MoreLike("melon")])
    with pytest.raises(QueryError, match="The query is empty"):
        fruits.search(["apple", " "])
    assert fruits.search([]) == []
