import csv
import json
from datetime import date

import numpy as np
import pyarrow.parquet as pq
import pytest

from embedsearch.distances.metric import Metric, distances
from embedsearch.distances.verdict import Verdict
from embedsearch.errors import QueryError, UsageError
from embedsearch.query import MoreLike, SearchOptions
from tests.fakes import letters, many, text

CHOSEN = 0.5  # a strictness that makes the limit wide enough for some hits


@pytest.mark.scale
@pytest.mark.parametrize("backend", ["exact", "hnsw"])
def test_all_within_the_limit_and_no_others(make_searcher, backend):
    """The hits are all items no farther than the limit, nearest first; k bounds what is returned of them."""
    searcher = make_searcher(many(300), backend=backend, recall=1.0)
    results = searcher.search("abcdef", close=True, strictness=CHOSEN)
    far = distances(letters("abcdef")[None], searcher.build.vectors, Metric.COSINE)[0]
    assert sorted(hit.row for hit in results) == np.flatnonzero(far <= results.limit).tolist()
    assert [hit.distance for hit in results] == sorted(hit.distance for hit in results)
    assert 1 < len(results) == results.found < 300
    assert (results.close, results.order) == (True, "distance")
    few = searcher.search("abcdef", 2, close=True, strictness=CHOSEN)
    assert (few.hits, few.found) == (results.hits[:2], results.found)
    nearest = searcher.search("abcdef", len(results), strictness=CHOSEN)
    assert (nearest.hits, nearest.verdict) == (results.hits, results.verdict)


@pytest.mark.scale
def test_nothing_close_is_an_empty_set(make_searcher):
    """Where no item is within the limit there are no hits, and the verdict says why."""
    results = make_searcher(many(300)).search("zzzz", close=True, strictness=0.999)
    assert (len(results), results.found, results.verdict) == (0, 0, Verdict.NOTHING_CLOSE)


@pytest.mark.scale
def test_a_filter_and_the_own_item_hold(make_searcher):
    """The limit is that of the share which a filter keeps; the item that is asked with is no hit."""
    searcher = make_searcher(many(400))
    among = searcher.search("abcdef", close=True, where="number < 100", strictness=CHOSEN)
    assert among.limit == searcher.search("abcdef", where="number < 100", strictness=CHOSEN).limit
    assert among.limit > searcher.search("abcdef", strictness=CHOSEN).limit
    assert all(hit.fields["number"] < 100 for hit in among)
    assert "7" not in {hit.id for hit in searcher.search(MoreLike("7"), close=True, strictness=CHOSEN)}


@pytest.mark.scale
def test_an_item_whose_id_is_typed_stays(make_searcher):
    """Beyond the limit the item whose whole id is the query is a hit where words are searched, no other."""
    searcher = make_searcher([*many(300), text("zz-1", "abab ab"), text("zz-2", "baba ab zz-1")])
    plain = searcher.search("ZZ-1", close=True, strictness=0.999, mode="vector")
    results = searcher.search("ZZ-1", close=True, strictness=0.999, mode="hybrid", fold=False)
    assert "zz-1" not in [hit.id for hit in plain]
    (hit,) = [hit for hit in results if hit.distance > results.limit]
    assert (hit.id, hit.found_by) == ("zz-1", "lexical")
    among = searcher.search("ZZ-1", close=True, strictness=0.9, mode="hybrid", where="number >= 0")
    assert "zz-1" not in [hit.id for hit in among]


def test_without_a_limit_a_sentence_names_the_way(fruits):
    """An index that has no verdict can't tell what is close, and says how to set a limit."""
    with pytest.raises(QueryError, match=r"can't be told in small.*embedsearch calibrate small --own"):
        fruits.search("grape", close=True)


@pytest.mark.scale
def test_copies_are_one_hit(make_searcher):
    """Of equal texts within the limit the first is a hit that counts the others."""
    searcher = make_searcher([*many(300), *(text(f"same {at}", "abcdef") for at in range(3))])
    results = searcher.search("abcdef", close=True, strictness=CHOSEN)
    assert (results[0].id, results[0].copies) == ("same 0", 2)
    unfolded = searcher.search("abcdef", close=True, strictness=CHOSEN, fold=False)
    assert unfolded.found == results.found + sum(hit.copies for hit in results)


@pytest.mark.scale
def test_words_order_what_is_close_and_distances_choose_it(make_searcher):
    """In the mode hybrid the same items are close, in the order of both scores."""
    searcher = make_searcher(many(300))
    near = searcher.search("abcdefab", close=True, strictness=CHOSEN)
    both = searcher.search("abcdefab", close=True, strictness=CHOSEN, mode="hybrid")
    assert both.mode == "hybrid"
    assert sorted(hit.id for hit in both) == sorted(hit.id for hit in near)
    assert {hit.id: hit.distance for hit in both} == pytest.approx({hit.id: hit.distance for hit in near})


ENTRIES = [
    text("a", "apple", price=3.0, tags=["x", "y"], day=date(2024, 5, 1), name="b"),
    text("b", "apples", price=None, tags=["x"], day=date(2023, 5, 1), name="A"),
    text("c", "maple", price=1.0, tags=[], day=None, name="b"),
    text("d", "palm", price=2.0, tags=["z"], day=date(2025, 5, 1), name="ä"),
]


def test_hits_are_sorted_by_a_field(make_searcher):
    """Numbers, texts without case and dates sort; a minus descends; without a value comes last."""
    searcher = make_searcher(ENTRIES)

    def ids(sort, k=4):
        results = searcher.search("apple", k, sort=sort)
        assert (results.order, [hit.rank for hit in results]) == (sort, list(range(1, k + 1)))
        return "".join(hit.id for hit in results)

    assert ids("price") == "cdab"
    assert ids("-price") == "adcb"
    assert ids("day") == "badc"
    assert ids("name")[0] == "b"
    assert ids("price", 2) == "ab", "the two nearest, sorted"
    for wrong, why in (("tags", "holds lists"), ("prise", "'price'")):
        with pytest.raises(QueryError, match=why):
            searcher.search("apple", sort=wrong)


def test_values_are_counted(make_searcher):
    """A facet counts the values among what was found, each of a list, the most frequent first."""
    results = make_searcher(ENTRIES).search("apple", 3, facets=["tags", "name", "price"])
    assert results.facets["tags"] == [("x", 2), ("y", 1)]
    assert results.facets["name"] == [("b", 2), ("A", 1)]
    assert set(results.facets["price"]) == {(3.0, 1), (None, 1), (1.0, 1)}


def test_hits_are_exported(make_searcher, tmp_path):
    """The three kinds of file hold a row a hit, in order; another ending is refused."""
    results = make_searcher(ENTRIES).search("apple", sort="price")
    rows = pq.read_table(results.export(tmp_path / "o.parquet")).to_pylist()
    assert [row["id"] for row in rows] == ["c", "d", "a", "b"]
    lines = results.export(tmp_path / "o.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[1])["day"] == "2025-05-01"
    with results.export(tmp_path / "o.csv").open(encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert (table[2]["id"], table[2]["tags"], table[3]["price"]) == ("a", '["x", "y"]', "")
    assert "image" not in table[0]
    with pytest.raises(UsageError, match="xlsx"):
        results.export(tmp_path / "o.xlsx")


def test_options_that_contradict_are_refused():
    """Hits have one order, what is close is told by the query alone, and counts are at least 1."""
    for wrong, why in (
        ({"sort": "a", "diverse": True}, "one order"),
        ({"rerank": True, "diverse": True}, "one order"),
        ({"close": True, "feedback": True}, "query alone"),
        ({"k": 0}, "k must be"),
        ({"rerank": -1}, "rerank_k must be"),
    ):
        with pytest.raises(QueryError, match=why):
            SearchOptions(**wrong)
    assert (SearchOptions(rerank=5).rerank, SearchOptions(rerank=5).rerank_k) == ("tokens", 5)
    assert SearchOptions(rerank=True).rerank_k == 10
