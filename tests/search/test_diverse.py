import numpy as np

from embedsearch.distances.metric import Metric, normalized
from embedsearch.distances.pairs import pairs_of
from embedsearch.distances.scale import Scale
from embedsearch.distances.verdict import Judgement
from embedsearch.search.diverse import TRADE, diverse
from embedsearch.search.fused import Candidate, Looked
from tests.fakes import letters, text

TEXTS = {"one": "aab", "two": "aabb", "again": "baa", "other": "aacc", "far": "ddda"}


def mmr(query, k):
    """Return ids by maximal marginal relevance, by its definition."""
    vectors = {name: normalized(letters(each)[None])[0] for name, each in TEXTS.items() if name != "again"}
    asked, chosen = normalized(letters(query)[None])[0], []
    while len(chosen) < k:

        def margin(name):
            alike = max((float(vectors[name] @ vectors[other]) for other in chosen), default=0.0)
            return TRADE * float(vectors[name] @ asked) - (1 - TRADE) * alike

        chosen.append(max((name for name in vectors if name not in chosen), key=margin))
    return chosen


def test_hits_differ_from_one_another(make_searcher):
    """The order is that of maximal marginal relevance; distances and labels stay those of the query."""
    searcher = make_searcher([text(name, each) for name, each in TEXTS.items()])
    results = searcher.search("aab", 4, diverse=True)
    assert [hit.id for hit in results] == mmr("aab", 4)
    assert results.order == "diverse"
    plain = {hit.id: hit.distance for hit in searcher.search("aab")}
    assert all(hit.distance == plain[hit.id] for hit in results)


def test_a_group_of_copies_is_one_hit(make_searcher):
    """Of items at no distance from one another one is a hit, which counts the others."""
    searcher = make_searcher([text(name, each) for name, each in TEXTS.items()])
    results = searcher.search("aab", diverse=True)
    assert [(hit.id, hit.copies) for hit in results if hit.copies] == [("one", 1)]
    assert np.isclose(results[0].distance, 0, atol=1e-6)
    assert "again" not in {hit.id for hit in results}


def test_what_two_scales_found_is_compared_by_percentiles():
    """A distance of another scale counts as the one that as many random pairs exceed in that of the items."""

    def scale(most):
        return Scale(pairs_of(np.linspace(0, most, 1001, dtype=np.float32)), (), (), np.empty((2, 0)))

    images, captions = scale(1.0), scale(0.5)
    places = [Looked(name, [], [], each, Judgement(None, None, None, ""))
              for name, each in (("image", images), ("caption", captions))]  # fmt: skip
    far = [(0.40, 0), (0.25, 1), (0.30, 0)]  # 0.25 of captions is 0.5 of images: the farthest
    found = [Candidate(row, distance, places[at]) for row, (distance, at) in enumerate(far)]
    chosen = diverse(found, np.eye(3, dtype=np.float32), Metric.COSINE, images, 3)
    assert [each.row for each in chosen] == [2, 0, 1]
    assert [each.distance for each in chosen] == [0.30, 0.40, 0.25]
