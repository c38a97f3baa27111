"""Two indexes that are asked the same."""

from dataclasses import replace

import pytest

from embedsearch.analysis.side_by_side import (
    PERSISTENCE,
    SideBySide,
    differences,
    fits,
    matched,
    rank_biased_overlap,
    side_by_side,
)
from embedsearch.distances.metric import Metric
from embedsearch.errors import QueryError
from embedsearch.query import (
    Both,
    Compare,
    Image,
    In,
    MoreLike,
    Query,
    SearchOptions,
    Text,
    Vector,
    WeightedTerm,
)
from embedsearch.records import Modality, Unit
from embedsearch.results import Hit, Results
from tests import fakes


def named(identity, text=None, path=None):
    """A hit of this id."""
    modality = Modality.IMAGE if path else Modality.TEXT
    return Hit(1, identity, 0, 0.5, 0.5, modality, text, path, None, {})


@pytest.mark.parametrize(
    ("left", "right", "pairs"),
    [
        ("abc", "abc", ((0, 0), (1, 1), (2, 2))),
        ("abc", "cxa", ((0, 2), (2, 0))),
        ("ab", "xy", ()),
        ("aab", "aa", ((0, 0), (1, 1))),
    ],
)
def test_hits_of_one_id_are_the_same(left, right, pairs):
    """Each hit is joined with one other at most, in the order of the left."""
    assert matched([named(each) for each in left], [named(each) for each in right]) == pairs


def test_where_ids_differ_a_text_or_a_file_tells():
    """An id goes first; what holds neither the same text nor the same file is not joined."""
    left = [named("1", "a cat"), named("2", "a dog"), named("3", path="/x.png"), named("4")]
    right = [named("9", "a dog"), named("8", path="/x.png"), named("7", path="/y.png"), named("1", "a dog")]
    assert matched(left, right) == ((0, 3), (1, 0), (2, 1))


@pytest.mark.parametrize(
    ("pairs", "left", "right"),
    [
        ([(0, 0), (1, 1), (2, 2)], 3, 3),
        ([], 3, 3),
        ([(0, 2), (2, 0)], 3, 3),
        ([(0, 0), (1, 4)], 2, 6),
        ([(5, 1)], 6, 3),
    ],
)
def test_rank_biased_overlap_is_the_sum_of_its_definition(pairs, left, right):
    """Overlaps of all depths, weighted by p^d, where those behind the last rank are extrapolated."""
    short, long = sorted((left, right))

    def shared(depth):
        return sum(max(pair) < depth for pair in pairs)

    def agreement(depth):  # the part of the shorter order that is seen goes on behind its end
        if depth <= short:
            return shared(depth) / depth
        depth = min(depth, long)
        return (shared(depth) + shared(short) * (depth - short) / short) / depth

    p = PERSISTENCE
    expected = (1 - p) * sum(p ** (depth - 1) * agreement(depth) for depth in range(1, 600))
    assert rank_biased_overlap(pairs, left, right) == pytest.approx(expected, abs=1e-9)


def test_the_same_order_is_one_and_nothing_in_common_is_zero():
    """The ends of both scales; an empty answer has nothing in common with another."""
    assert rank_biased_overlap([(at, at) for at in range(12)], 12, 12) == pytest.approx(1)
    assert rank_biased_overlap([], 12, 12) == 0
    assert (rank_biased_overlap([], 0, 3), rank_biased_overlap([], 0, 0)) == (0, 1)
    hits = [named(each) for each in "abcd"]
    found = SideBySide(Results(hits, Metric.COSINE), Results(hits[:3], Metric.COSINE), ((0, 0), (1, 2)), ())
    assert (found.depth, found.overlap) == (4, 0.5)
    assert found.sentence.startswith("Both find 2 of 4: overlap@4 is 0.50, rank-biased overlap 0.")
    assert replace(found, pairs=()).sentence.startswith("No item is among the first 4 of both: ")


@pytest.fixture
def two(make_searcher):
    """Two indexes of fruits: by cosine all of them, by l2 without the apple, whose fields differ."""
    others = [fakes.text(f"new {word}", word) for word in fakes.FRUITS if word != "apple"]
    left = make_searcher(fakes.fruit_entries(), name="left")
    return left, make_searcher(others, metric="l2", name="right")


def test_each_index_answers_as_it_does_alone(two):
    """The hits are those of two searches, joined by their texts; what differs is named."""
    left, right = two
    found = side_by_side(left, right, "apples", SearchOptions(4))
    assert [list(found.left), list(found.right)] == [list(each.search("apples", 4)) for each in two]
    same = [(found.left[a].text, found.right[b].text) for a, b in found.pairs]
    assert same
    assert all(a == b for a, b in same)
    assert {hit.text for hit in found.left} & {hit.text for hit in found.right} == {a for a, _ in same}
    assert {name: (a, b) for name, a, b in found.differs}["distance"] == ("cosine", "l2")
    assert ("items", "10", "9") in differences(left.manifest, right.manifest)
    assert found == left.versus(right, "apples", 4)


def test_what_the_other_lacks_is_said(two):
    """An item is asked by its text there, and a filter by a field that it lacks is left out."""
    left, right = two
    where = SearchOptions(3, "length > 4")
    found = side_by_side(left, right, MoreLike("date"), where)
    assert found.right[0].text == "date"
    assert len(found.notes) == 2
    assert all(note.startswith("right does not have the") for note in found.notes)
    both = Query((WeightedTerm(MoreLike("date")), WeightedTerm("plum", 0.5)))
    assert side_by_side(left, right, both, SearchOptions(3)).right[0].text in ("date", "plum")


def test_items_of_a_filter_that_the_other_lacks_are_left_out_there(two):
    """A filter by ids holds in an index that has some of them; else only the rest of the filter does."""
    left, right = two
    ours, shared = In("id", ("apple", "fig")), In("id", ("fig", "new fig"))
    found = side_by_side(left, right, "apple", SearchOptions(9, Both(Compare("id", "!=", "new fig"), ours)))
    assert {hit.id for hit in found.left} == {"apple", "fig"}
    assert len(found.right) == 8
    assert "new fig" not in {hit.id for hit in found.right}
    assert found.notes == ("right does not have the items of the filter, which is left out there.",)
    found = side_by_side(left, right, "apple", SearchOptions(9, shared))
    assert ([hit.id for hit in found.left], [hit.id for hit in found.right]) == (["fig"], ["new fig"])
    assert not found.notes


def test_a_query_that_does_not_fit_is_refused(two, colours, make_searcher):
    """Choices hold indexes of the same modality that the query can be asked of, and not the index itself."""
    left, right = (each.manifest for each in two)
    words = make_searcher([fakes.text("a", "The cat sat.")], unit=Unit.WORD, name="words").manifest
    assert fits(left, right, Text("apple"))
    assert fits(left, right, MoreLike("fig"))
    assert not fits(left, left, Text("apple"))
    assert not fits(left, right, Image(b""))
    assert not fits(left, right, Vector([0.0]))
    assert not fits(left, words, Text("apple"))
    assert not fits(left, words, MoreLike("fig"))
    assert not fits(left, colours.manifest, Text("apple"))


def test_a_word_that_the_other_lacks_is_refused(make_searcher):
    """What stands for an item of words elsewhere is not guessed."""
    left, right = (
        make_searcher([fakes.text(each, "The cat sat.")], unit=Unit.WORD, name=each) for each in ("a", "b")
    )
    with pytest.raises(QueryError, match="b has no item"):
        side_by_side(left, right, MoreLike(left.items([0], [0.0])[0].id), SearchOptions(1))
