"""Queries of several parts: their arithmetic, and how a command line says them."""

import click
import numpy as np
import pytest
from click.testing import CliRunner

from embedsearch.cli.weighted_terms import WeightedTermsCommand, query_of
from embedsearch.distances.metric import Metric, normalized
from embedsearch.errors import QueryError
from embedsearch.query import MoreLike, Query, Text, Vector, WeightedTerm, Word
from tests import fakes


@pytest.mark.parametrize("metric", list(Metric))
def test_the_vector_is_the_weighted_sum(make_searcher, metric):
    """Unit vectors are added up for cosine, raw ones for the other metrics."""
    searcher = make_searcher(fakes.fruit_entries(), metric=metric)
    asked = Query((WeightedTerm("apple"), WeightedTerm("fig", -0.5), WeightedTerm(Vector(np.ones(26)), 2)))
    vectors = [fakes.letters("apple")[None], fakes.letters("fig")[None], np.ones((1, 26), np.float32)]
    if metric is Metric.COSINE:
        vectors = [normalized(vector) for vector in vectors]
    want = vectors[0] - 0.5 * vectors[1] + 2 * vectors[2]
    np.testing.assert_allclose(searcher.queries.space(asked).vector, want, atol=1e-6)


def test_items_asked_with_are_not_their_own_hits(fruits):
    """Whatever their sign."""
    ids = {hit.text: hit.id for hit in fruits.search("apple", k=10)}
    asked = Query(
        (WeightedTerm("apple"), WeightedTerm(MoreLike(ids["fig"])), WeightedTerm(MoreLike(ids["pear"]), -1))
    )
    assert {hit.text for hit in fruits.search(asked, k=10)} == set(fakes.FRUITS) - {"fig", "pear"}


def test_minus_pushes_away(fruits):
    """What is taken away falls behind."""
    near = [
        hit.text for hit in fruits.search(Query((WeightedTerm("grape"), WeightedTerm("apple", -0.9))), k=10)
    ]
    plain = [hit.text for hit in fruits.search("grape", k=10)]
    assert near.index("apple") > plain.index("apple")
    assert near[0] == "grape"


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ((), "at least one with a positive weight"),
        ((WeightedTerm("apple", -1),), "at least one with a positive weight"),
        (("apple", "fig"), "takes weighted terms"),
    ],
)
def test_what_is_no_query_is_told(parts, said):
    """Nothing looked for, and what is no part."""
    with pytest.raises(QueryError, match=said):
        Query(parts)


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), "1", 1e45, -1e-50])
def test_a_weight_is_a_number_that_counts(weight):
    """Weights that are no numbers, or that float32 can't hold beside a weight of 1, are refused."""
    with pytest.raises(QueryError, match="The weight of a term must"):
        WeightedTerm("apple", weight)


def test_the_widest_weights_are_told_apart(fruits):
    """A part with the greatest weight decides; beside it one with the least takes nothing away."""
    far = fruits.search(Query((WeightedTerm("grape", 1e6), WeightedTerm("apple", -1e-6))), k=3)
    want = [hit.distance for hit in fruits.search("grape", k=3)]
    assert [hit.distance for hit in far] == pytest.approx(want, abs=1e-6)


def test_parts_that_cancel_out_are_told(fruits):
    """Nothing is left to look for."""
    with pytest.raises(QueryError, match="cancel each other out"):
        fruits.search(Query((WeightedTerm("apple"), WeightedTerm("apple", -1))))


def asked(searcher, *arguments):
    """Return the query that a command line stands for."""
    found = []

    @click.command(cls=WeightedTermsCommand)
    @click.argument("query", nargs=-1)
    @click.option("--image", multiple=True, type=click.Path())
    @click.option("--item", multiple=True)
    @click.option("--word")
    @click.option("-k", type=int)
    def command(query, image, item, word, k):
        found.append((query_of(searcher, query, image, item, word), k))

    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, result.output
    return found[0]


@pytest.mark.parametrize(
    ("arguments", "want"),
    [
        (["beach"], Text("beach")),
        (["+beach"], Text("beach")),
        (["+ 1 is 2"], Text("+ 1 is 2")),
        (["at 10:30"], Text("at 10:30")),
        (["+beach", "-people"], Query((WeightedTerm("beach"), WeightedTerm("people", -0.25)))),
        (["+beach", "-people:1"], Query((WeightedTerm("beach"), WeightedTerm("people", -1)))),
        (["+beach:1e-3", "+a:b"], Query((WeightedTerm("beach", 0.001), WeightedTerm("a:b")))),
        (["-kids:0.5", "+beach:2"], Query((WeightedTerm("kids", -0.5), WeightedTerm("beach", 2)))),
        (["beach", "-house"], Query((WeightedTerm("beach"), WeightedTerm("house", -0.25)))),
        (["--item", "fig"], MoreLike("fig")),
        (["--item", "a:1"], MoreLike("a:1")),
        (["--item", "fig:0.5", "+apple"], Query((WeightedTerm("apple"), WeightedTerm(MoreLike("fig"), 0.5)))),
        (
            ["--item", "fig:-1", "--item", "plum"],
            Query((WeightedTerm(MoreLike("fig"), -1), WeightedTerm(MoreLike("plum")))),
        ),
        (["the key", "--word", "2"], Word("the key", 2)),
    ],
)
def test_a_command_line_says_parts(make_searcher, arguments, want):
    """Signs, weights and items; an item whose id looks like a weight is that item."""
    entries = [fakes.text(name, name) for name in (*fakes.FRUITS, "a:1")]
    assert asked(make_searcher(entries), *arguments)[0] == want


@pytest.mark.parametrize("text", ["+a:nan", "-a:inf", "+a:-Infinity"])
def test_a_weight_that_is_no_number_is_refused(fruits, text):
    """A term whose weight is no finite number is refused, and not looked for as a text."""
    with pytest.raises(QueryError, match="must be a finite number; got"):
        query_of(fruits, (text,), (), (), None)


@pytest.mark.scale
def test_a_difference_is_not_judged(fruits):
    """A query that subtracts gets no verdict and no labels, and the answer says why; a sum is judged."""
    plus, minus = WeightedTerm("grape"), WeightedTerm("apple", -0.25)
    results = fruits.search(Query((plus, minus)))
    assert (results.verdict, results.foreign_rate) == (None, None)
    assert {(hit.label, hit.percentile) for hit in results} == {(None, None)}
    assert "The query subtracts" in results.reason
    both = fruits.search(Query((plus, WeightedTerm("apple", 0.25))))
    assert both.verdict is not None
    assert both[0].percentile is not None
    assert None not in {hit.label for hit in both}


@pytest.mark.parametrize("number", ["-k3", "-k 3"])
def test_options_are_still_options(fruits, number):
    """-k is no text, and the value of an option is no option."""
    query, k = asked(fruits, "+beach", *number.split(), "-sand")
    assert (query, k) == (Query((WeightedTerm("beach"), WeightedTerm("sand", -0.25))), 3)


@pytest.mark.parametrize("texts", [("two", "texts"), ()])
def test_what_can_not_be_told_apart_is_refused(fruits, texts):
    """Two texts without signs, and nothing at all."""
    with pytest.raises(
        click.UsageError, match=r"in quotes, or give each term a sign|There is no query. Give a QUERY"
    ):
        query_of(fruits, texts, (), (), None)
