"""What a search returns, as a sequence and as a table."""

from dataclasses import replace
from datetime import date

import pytest

from embedsearch.distances.metric import Metric, similarity
from embedsearch.distances.pairs import Closeness
from embedsearch.records import Modality
from embedsearch.results import Hit, Results, order_sentences

HITS = [
    Hit(1, "a", 7, 0.25, 0.75, Modality.TEXT, "cat", None, None, {"day": date(2020, 1, 2), "text": 3}),
    Hit(
        2, "b#4", 2, 0.5, 0.5, Modality.TEXT, "the dog", None, (4, 7), {"price": float("nan")},
        percentile=99.0, label=Closeness.RELATED, human_score=3.5,
    ),
]  # fmt: skip
RESULTS = Results(HITS, Metric.COSINE)


def test_results_are_a_sequence():
    """They have a length, are indexed, sliced, walked and searched like a list of hits."""
    assert (len(RESULTS), RESULTS[0], RESULTS[-1], RESULTS[1:]) == (2, HITS[0], HITS[1], HITS[1:])
    assert list(RESULTS) == HITS
    assert list(reversed(RESULTS)) == HITS[::-1]
    assert HITS[1] in RESULTS
    assert not Results([], Metric.COSINE)


def test_a_hit_whose_file_is_gone_says_so(tmp_path):
    """It is looked up each time; what has no file is not gone."""
    path = tmp_path / "a.png"
    path.touch()
    hit = Hit(1, "a.png", 0, 0.25, 0.75, Modality.IMAGE, None, str(path), None, {})
    assert not hit.is_gone
    path.unlink()
    assert hit.is_gone
    assert not HITS[0].is_gone


def test_a_table_has_a_row_for_each_hit():
    """Fields are columns of their own; one whose name is taken stands under `fields.`."""
    table = RESULTS.to_arrow()
    assert table["id"].to_pylist() == ["a", "b#4"]
    assert table["row"].to_pylist() == [7, 2]
    assert table["similarity"].to_pylist() == [0.75, 0.5]
    assert table["label"].to_pylist() == [None, "related"]
    assert table["human_score"].to_pylist() == [None, 3.5]
    assert (table["start"].to_pylist(), table["end"].to_pylist()) == ([None, 4], [None, 7])
    assert table["fields.text"].to_pylist() == [3, None]
    assert table["day"].to_pylist() == [date(2020, 1, 2), None]
    assert Results([], Metric.L2).to_arrow().num_rows == 0


def test_a_table_says_what_found_each_hit_and_how_well():
    """What found a hit, its score by words and that by which it was re-ranked are columns, in files too."""
    scored = replace(HITS[0], found_by="both", bm25=4.5, rerank_score=0.75)
    table = Results([scored, HITS[1]], Metric.COSINE).to_arrow()
    assert table["found_by"].to_pylist() == ["both", ""]
    assert table["bm25"].to_pylist() == [4.5, None]
    assert table["rerank_score"].to_pylist() == [0.75, None]


def test_pandas_gets_the_same_columns():
    """A data frame of the hits, in their order."""
    pytest.importorskip("pandas")
    frame = RESULTS.to_pandas()
    assert list(frame["rank"]) == [1, 2]
    assert list(frame.columns) == RESULTS.to_arrow().column_names


def test_similarity_falls_with_distance():
    """Cosine 1 - d, the inner product itself, and 1 / (1 + d) for l2."""
    assert [similarity(d, Metric.COSINE) for d in (0, 0.25, 2)] == [1, 0.75, -1]
    assert [similarity(d, Metric.IP) for d in (-3, 0, 2)] == [3, 0, -2]
    assert [similarity(d, Metric.L2) for d in (0, 1, 3)] == [1, 0.5, 0.25]


TWO_SCALES = (
    "Distances to images and to captions are of two scales: the hits are in the order of their percentiles."
)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, ["Searched by vectors."]),
        (
            {"mode": "lexical", "order": "lexical"},
            ["Searched by words (BM25).", "The order is by BM25, not by distance."],
        ),
        (
            {"mode": "hybrid", "order": "hybrid", "weight": 0.5, "hits": HITS[::-1]},
            [
                "Searched by vectors (50 %) and words (50 %).",
                "The order is by both, not by distance alone.",
            ],
        ),
        ({"hits": HITS[::-1]}, ["Searched by vectors."]),
        (
            {"mode": "hybrid", "weight": 0.6, "order": "-price", "feedback": True},
            [
                "Searched by vectors (60 %) and words (40 %).",
                "The mean of the first 3 hits was added to the query.",
                "Sorted by price, descending.",
            ],
        ),
        ({"order": "tokens"}, ["Searched by vectors.", "The first hits are re-ranked by their tokens."]),
        (
            {"hits": [replace(HITS[0], distance=0.45, found_by="caption"), replace(HITS[1], distance=0.44)]},
            ["Searched by vectors.", TWO_SCALES],
        ),
        ({"hits": [replace(HITS[0], distance=0.43, found_by="caption")]}, ["Searched by vectors."]),
    ],
)
def test_the_order_of_hits_is_said(changed, said):
    """What was searched stands first, then what has changed the order."""
    assert order_sentences(replace(RESULTS, **changed)) == said
