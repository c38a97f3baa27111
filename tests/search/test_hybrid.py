"""Words and vectors together. The vectors count letters: "listen" and "silent" are at distance 0."""

from dataclasses import replace

import numpy as np
import pytest

from embedsearch.errors import QueryError
from embedsearch.query import MODES, MoreLike, SearchOptions, Text, Word
from embedsearch.records import Unit
from embedsearch.search.hybrid import mode_of, open_words
from embedsearch.store.build import Records
from tests.fakes import text

TEXTS = [
    text("anagram", "silent", parity=0),
    text("exact", "listen listen to zzzz zzz", parity=1),
    text("near", "enlist", parity=1),
    text("far", "owl", parity=0),
    *(text(f"f{at}", "q" * (at + 1) + " w", parity=at % 2) for at in range(6)),
]


@pytest.fixture
def index(make_searcher):
    """An index in which words and vectors find different texts."""
    return make_searcher(TEXTS)


def test_each_mode_orders_by_its_own_score_and_each_hit_keeps_its_distance(index):
    """Vectors find the anagram, words the text with the word; hybrid shows both scores and true distances."""
    vector, words, both = (index.search("listen", 10, mode=mode) for mode in MODES)
    assert {vector[0].id, vector[1].id} == {"anagram", "near"}
    assert [(hit.id, hit.found_by) for hit in words] == [("exact", "lexical")]
    assert (vector.mode, words.mode, both.mode, both.weight) == ("vector", "lexical", "hybrid", 0.9)
    assert {hit.bm25 for hit in vector} == {None}
    known = {hit.id: hit.distance for hit in vector}
    assert {hit.id: hit.distance for hit in both} == pytest.approx(known, abs=1e-6)
    assert (
        {hit.id for hit in both if hit.bm25}
        == {"exact"}
        == {hit.id for hit in both if hit.found_by == "both"}
    )
    assert [hit.rank for hit in both] == list(range(1, 11))


def test_hybrid_is_the_weighted_sum_of_standardised_scores(index):
    """The order is that of 0.9 z(-distance) + 0.1 z(BM25), both over what was found."""
    far = {hit.id: hit.distance for hit in index.search("listen owl", 10, mode="vector")}
    scores = open_words(index.build).index.scores(["listen", "owl"])
    rows = {each.id: row for row, each in enumerate(TEXTS)}
    left = np.array([-far[name] for name in rows])
    right = np.array([float(scores[row]) for row in rows.values()])
    both = 0.9 * (left - left.mean()) / left.std() + 0.1 * (right - right.mean()) / right.std()
    expected = [list(rows)[at] for at in np.lexsort((np.arange(10), -left, -both))]
    assert [hit.id for hit in index.search("listen owl", 10, mode="hybrid")] == expected


def test_a_span_counts_by_the_square_of_its_word_s_rarity(index):
    """A part of a word counts as its word, what is outside nothing, an identifier as its commonest part."""
    counted = index.words.weights("w, owl", [(0, 1), (1, 2), (3, 4), (4, 6)])
    common, unknown = index.words.index.rarity(["w", "owl"])
    assert counted == pytest.approx([common**2, 0, unknown**2, unknown**2])
    assert index.words.weights("w_owl", [(0, 5)]) == pytest.approx([common**2])


def test_a_hit_that_words_alone_found_has_its_true_distance(make_searcher):
    """A text that has the word, and lies behind the nearest 100, is found, at the distance of its vector."""
    crowd = [text(f"c{at}", "enohpolyx" + "y" * at, kind=at) for at in range(150)]
    index = make_searcher([*crowd, text("last", "xylophone " + "b" * 90)])
    (hit,) = index.search("xylophone", 5, mode="lexical")
    (near,) = index.search("xylophone", 1, "kind is null", mode="vector")
    assert (hit.id, hit.distance) == ("last", pytest.approx(near.distance, abs=1e-6))
    (hit,) = [each for each in index.search("xylophone", 151, mode="hybrid") if each.id == "last"]
    assert (hit.found_by, hit.distance) == ("both", near.distance)


def test_a_filter_holds_for_words_too(index):
    """What a filter keeps out is found by no side."""
    for mode in ("lexical", "hybrid"):
        found = index.search("listen owl", 10, "parity = 0", mode=mode)
        assert {hit.fields["parity"] for hit in found} == {0}
    assert [hit.id for hit in index.search("listen owl", 10, "parity = 0", mode="lexical")] == ["far"]


def test_copies_are_one_hit_in_each_mode(make_searcher):
    """Texts of the same content are one hit, by words too."""
    index = make_searcher([*TEXTS, text("again", "listen listen to zzzz zzz", parity=1)])
    for mode in ("lexical", "hybrid"):
        (hit,) = [hit for hit in index.search("listen", 5, mode=mode) if hit.id in ("exact", "again")]
        assert (hit.id, hit.copies) == ("exact", 1)
    assert len(index.search("listen", 5, mode="lexical", fold=False)) == 2


def test_the_verdict_is_that_of_the_vectors(fruits):
    """Verdict, rate and reason are the same in each mode."""
    every = [fruits.search("apples", 3, mode=mode) for mode in MODES]
    assert len({(each.verdict, each.foreign_rate, each.reason, each.limit) for each in every}) == 1


def test_feedback_and_fields_go_with_each_mode(fruits):
    """Hits by words too can be found with feedback; they keep their distances to the query."""
    fed = fruits.search("apple", 3, mode="hybrid", feedback=True)
    near = {hit.id: hit.distance for hit in fruits.search("apple", 10, mode="vector")}
    assert (fed.mode, fed.order, fed.feedback, fed[0].bm25 is not None) == ("hybrid", "hybrid", True, True)
    assert {hit.id: hit.distance for hit in fed} == {
        hit.id: pytest.approx(near[hit.id], abs=1e-6) for hit in fed
    }
    assert fruits.search("apple", 3, mode="lexical").order == "lexical"


def test_queries_together_answer_as_alone(index):
    """Several queries, texts and items, answer as each alone; what is no text is searched by its vector."""
    alone = [index.search(query, 3) for query in ("listen", MoreLike("near"))]
    assert index.search(["listen", MoreLike("near")], 3) == alone


def test_words_of_an_index_of_words_are_not_searched(terms):
    """A mode that needs words refuses an index whose items are no texts."""
    with pytest.raises(QueryError, match="is for texts"):
        terms.search(Word("The cat sat", 2), mode="lexical")


def test_what_has_no_words_is_refused(index):
    """A mode that needs words refuses other queries than one text; an unknown mode is refused."""
    for query, options, why in (
        (MoreLike("near"), "hybrid", "takes one text"),
        ("listen", "best", "The mode is vector, lexical or hybrid; got 'best'"),
    ):
        with pytest.raises(QueryError, match=why):
            index.search(query, mode=options)


def test_an_index_of_before_is_searched_by_vectors_until_it_is_rebuilt(monkeypatch, make_searcher):
    """Without words the mode is vector, hybrid says to rebuild, and a rebuild adds the words."""
    from embedsearch import artifacts

    made = artifacts.ARTIFACTS["lexical"]
    monkeypatch.delitem(artifacts.ARTIFACTS, "lexical")
    old = make_searcher(TEXTS)
    assert old.manifest.artifacts.lexical is None
    assert old.search("listen").mode == "vector"
    with pytest.raises(QueryError, match="embedsearch rebuild small"):
        old.search("listen", mode="hybrid")
    monkeypatch.setitem(artifacts.ARTIFACTS, "lexical", made)
    new = make_searcher(TEXTS)
    assert [hit.id for hit in new.search("listen", mode="lexical")] == ["exact"]
    assert new.search("listen", mode="vector") == old.search("listen")


def test_the_default_is_what_the_manifest_says(index):
    """None asks for the index's own mode, and a query that is not one text for vectors."""
    assert index.manifest.unit is Unit.TEXT
    assert mode_of(index.manifest, SearchOptions(), Text("a")) == "vector"
    assert mode_of(index.manifest, SearchOptions(mode="hybrid"), Text("a")) == "hybrid"


@pytest.mark.filterwarnings("error")
def test_a_filter_that_keeps_nothing_finds_nothing_in_each_mode(index):
    """Without any item there is no mean and no deviation, and no warning of NumPy's about that."""
    for mode in MODES:
        assert len(index.search("listen", where="parity = 7", mode=mode)) == 0


def mixed(index, query, mode, records, **rest):
    """Return the rows that a query finds by its words or both ways, where rows belong to records."""
    (placed,) = index.placed([query])
    ((looked,),) = index._looked([placed], 1, None, SearchOptions(by="passage"))
    found = index.words.mixed(query, placed.space, looked, 100, None, mode, records, **rest)
    return [each.row for each in found]


def test_a_long_record_leaves_room_for_others(make_searcher):
    """One record with the word in 120 passages, and one with it in a single long passage: both are found."""
    index = make_searcher([*(text(f"p{at}", "owl owl") for at in range(120)), text("other", "owl a b c d")])
    assert len(mixed(index, "owl", "lexical", Records(np.array([0, 120]), 121))) == 2


def test_a_record_is_as_near_as_its_nearest_passage_with_a_limit(make_searcher):
    """A passage within the limit is found, though words prefer a farther one of the same record."""
    index = make_searcher([text("near", "listen silent"), text("far", "listen listen qqqqqqqq")])
    records = Records(np.array([0]), 2)
    assert mixed(index, "listen", "lexical", records) == [1]
    assert mixed(index, "listen", "lexical", records, limit=0.01) == [0]


def test_a_record_is_found_by_both_where_words_prefer_another_of_its_items(make_searcher):
    """The vector finds the record by one passage, words choose another: both have found it."""
    index = make_searcher([text("near", "silent"), text("worded", "listen listen qqqqqqqq")])
    (placed,) = index.placed(["listen"])
    ((looked,),) = index._looked([placed], 1, None, SearchOptions())
    nearest = replace(looked, rows=looked.rows[:1], distances=looked.distances[:1])

    words = replace(index.words, facts=replace(index.words.facts, weight=0.1))

    def sides(records):
        found = words.mixed("listen", placed.space, nearest, 100, None, "hybrid", records)
        return {each.row: each.found_by for each in found}

    assert nearest.rows == [0]
    assert sides(None) == {0: "vector", 1: "lexical"}
    assert sides(Records(np.array([0]), 2)) == {1: "both"}
