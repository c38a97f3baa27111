"""The weight of vectors beside words, chosen by judged queries."""

import json

import pytest

from embedsearch.analysis.tuning import WEIGHTS
from embedsearch.errors import QueryError, SourceError
from tests.fakes import text

NAMES = ["silent", "listen", "enlist", "tinsel", "stone", "notes", "onset", "tones", "below", "elbow"]


@pytest.fixture
def judged(tmp_path):
    """Queries that ask for each word by itself, and their judgements."""
    queries, qrels = tmp_path / "queries.jsonl", tmp_path / "qrels.tsv"
    queries.write_text(
        "".join(json.dumps({"_id": f"q{at}", "text": each}) + "\n" for at, each in enumerate(NAMES))
    )
    lines = [f"q{at}\tt{at}\t1" for at in range(len(NAMES))]
    qrels.write_text("\n".join(["query-id\tcorpus-id\tscore", *lines]) + "\n")
    return queries, qrels


def test_judged_queries_choose_the_mode_and_the_weight_and_a_rebuild_keeps_them(make_searcher, judged):
    """Where only words tell anagrams apart, hybrid becomes the default; new items do not change that."""
    entries = [text(f"t{at}", f"{each} x") for at, each in enumerate(NAMES)]
    index = make_searcher(entries)
    tuned = index.tune(*judged)
    facts = tuned.manifest.artifacts.lexical
    assert (facts.mode, facts.tuned.queries, facts.weight in WEIGHTS) == ("hybrid", len(NAMES), True)
    assert facts.tuned.measured["lexical"] == facts.tuned.measured["hybrid"] == 1
    assert facts.tuned.measured["vector"] < 1
    assert (index.search("listen").mode, tuned.search("listen").mode) == ("vector", "hybrid")
    assert tuned.search("listen")[0].id == "t1"
    again = make_searcher([*entries, text("new", "owl")]).manifest.artifacts.lexical
    assert (again.mode, again.weight, again.tuned) == (facts.mode, facts.weight, facts.tuned)
    assert again.terms > facts.terms


def test_vectors_stay_where_words_do_not_help(make_searcher, judged):
    """Where words add nothing to what vectors find, the default stays vector."""
    index = make_searcher(
        [text(f"t{at}", each[0] * 3 + each[-1] * (at + 1)) for at, each in enumerate(NAMES)]
    )
    facts = index.tune(*judged).manifest.artifacts.lexical
    assert (facts.mode, facts.weight) == ("vector", 0.9)


def test_what_can_t_be_tuned_is_refused(judged, tmp_path, fruits):
    """Too few judged queries, and an index without words, are refused with what to do."""
    few = tmp_path / "few.tsv"
    few.write_text("q0\tt0\t1\n")
    with pytest.raises(SourceError, match=r"judges 1 queries of .*; at least 10"):
        fruits.tune(judged[0], few)
    fruits.words = None
    with pytest.raises(QueryError, match="has no words"):
        fruits.tune(*judged)
