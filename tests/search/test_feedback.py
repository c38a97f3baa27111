import numpy as np

from embedsearch.distances.metric import Metric, distances, normalized
from embedsearch.query import MoreLike
from tests.fakes import letters, many, text


def test_the_first_hits_are_added_to_the_query(make_searcher):
    """The order is that of the query plus the mean of its first three hits; distances are to the query."""
    entries = many(200)
    searcher = make_searcher(entries)
    vectors = np.asarray(searcher.build.vectors)
    asked = letters("abcd")[None]
    first = [hit.row for hit in searcher.search("abcd", 3)]
    moved = normalized(asked) + normalized(vectors[first]).mean(0)
    want = np.argsort(distances(moved, vectors, Metric.COSINE)[0], kind="stable")
    results = searcher.search("abcd", 20, feedback=True)
    assert [hit.row for hit in results] == want[:20].tolist()
    far = distances(asked, vectors, Metric.COSINE)[0]
    np.testing.assert_allclose(
        [hit.distance for hit in results], far[[hit.row for hit in results]], atol=1e-6
    )
    assert results.feedback
    assert [hit.rank for hit in results] == list(range(1, 21))
    plain = searcher.search("abcd", 20)
    assert (results.verdict, results.reason) == (plain.verdict, plain.reason)
    assert [hit.row for hit in plain] != [hit.row for hit in results]


def test_a_filter_and_the_own_item_hold(make_searcher):
    """What a filter keeps out stays out, and so does the item that is asked with."""
    searcher = make_searcher([text(str(at), "ab" * (at + 1) + "c", odd=at % 2) for at in range(30)])
    results = searcher.search(MoreLike("3"), where="odd = 1", feedback=True, fold=False)
    assert {hit.fields["odd"] for hit in results} == {1}
    assert "3" not in {hit.id for hit in results}
