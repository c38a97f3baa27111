import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from embedsearch.distances.metric import Metric, distances
from embedsearch.distances.pairs import Closeness
from embedsearch.distances.verdict import Verdict
from embedsearch.encoders.engines import QUERY
from embedsearch.errors import (
    DeviceError,
    EncoderMismatchError,
    FilterError,
    IndexNotFoundError,
    ItemNotFoundError,
    QueryError,
)
from embedsearch.index import Index, open_index
from embedsearch.query import MoreLike, Query, Vector, WeightedTerm, Word
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Modality, Unit
from embedsearch.search.filters import parse
from tests.fakes import FRUITS as WORDS
from tests.fakes import WORD_LIMIT, LetterEncoder, fruit_entries, letters, many, version

ENTRIES = fruit_entries()


@pytest.mark.parametrize("metric", Metric)
@pytest.mark.parametrize("k", [1, 3, 10])
def test_hits_equal_exact_numpy(make_searcher, metric, k):
    """Ids, order and distances are those of comparing with every vector."""
    searcher = make_searcher(ENTRIES, metric=str(metric))
    want = distances(letters("grapple")[None], np.stack([letters(word) for word in WORDS]), metric)[0]
    hits = searcher.search("grapple", k=k)
    assert [hit.rank for hit in hits] == list(range(1, k + 1))
    assert [hit.distance for hit in hits] == pytest.approx(np.sort(want)[:k].tolist(), abs=1e-6)
    assert [hit.distance for hit in hits] == pytest.approx(
        [want[WORDS.index(hit.id)] for hit in hits], abs=1e-6
    )
    assert len({hit.id for hit in hits}) == k


def test_a_hit_tells_what_it_is(fruits):
    """A hit holds rank, id, distance, modality, text and fields; a text has neither path nor span."""
    hit = fruits.search("pear", k=1)[0]
    assert (hit.rank, hit.id, hit.text, hit.modality) == (1, "pear", "pear", Modality.TEXT)
    assert hit.distance == pytest.approx(0, abs=1e-6)
    assert hit.fields == {"length": 4, "first": "p"}
    assert (hit.path, hit.span, hit.image) == (None, None, None)


def test_a_large_k_gives_everything(fruits):
    """More hits than items can't be had; the whole index comes, each item once."""
    assert sorted(hit.id for hit in fruits.search("a", k=10**6)) == sorted(WORDS)
    assert len(fruits) == 10
    for k in (0, -1):
        with pytest.raises(QueryError, match="k must be a whole number, at least 1"):
            fruits.search("a", k=k)


def test_a_filter_keeps_hits_to_its_rows(fruits):
    """With a filter only items that it keeps are found, ranked anew, even where fewer than k are left."""
    hits = fruits.search("apple", k=5, where="length = 4")
    assert {hit.id for hit in hits} == {"date", "pear", "plum"}
    assert [hit.rank for hit in hits] == [1, 2, 3]
    everything = {hit.id: hit.distance for hit in fruits.search("apple", k=10)}
    assert all(hit.distance == pytest.approx(everything[hit.id], abs=1e-6) for hit in hits)
    assert fruits.search("apple", where="length > 99").hits == []
    assert len(fruits.search("apple", k=10, where=" ")) == 10
    made = fruits.search("apple", k=5, where=parse("length = 4"))
    assert [hit.id for hit in made] == [hit.id for hit in hits]
    with pytest.raises(FilterError, match="Did you mean 'length'"):
        fruits.search("apple", where="lenght = 4")


def test_more_like_an_item_leaves_the_item_out(fruits):
    """`MoreLike` asks with the item's own vector and never finds the item itself, filtered or not."""
    hits = fruits.search(MoreLike("apple"), k=10)
    assert hits[0].id == "apples"
    assert sorted(hit.id for hit in hits) == sorted(set(WORDS) - {"apple"})
    vector = fruits.search(Vector(letters("apple")), k=10)
    assert [hit.id for hit in vector if hit.id != "apple"] == [hit.id for hit in hits]
    assert [hit.id for hit in fruits.search(MoreLike("pear"), where="length = 4 and first = 'p'")] == ["plum"]
    with pytest.raises(ItemNotFoundError, match="no item 'papaya'"):
        fruits.search(MoreLike("papaya"))


def test_more_like_needs_no_model(make_build):
    """Items and vectors are asked without loading the encoder."""
    searcher = Index(make_build(ENTRIES), lambda recipe: pytest.fail("the model was loaded"))  # noqa: ARG005
    assert searcher.search(MoreLike("apple"), k=1)[0].id == "apples"
    assert searcher.search(letters("fig"), k=1)[0].id == "fig"
    assert searcher.item("fig").text == "fig"


def test_an_item_is_looked_up_by_its_id(fruits):
    """An item is a hit at rank 0 and distance 0."""
    item = fruits.item("fig")
    assert (item.rank, item.id, item.distance, item.fields["length"]) == (0, "fig", 0.0, 3)
    with pytest.raises(ItemNotFoundError):
        fruits.item("Fig")


def test_an_image_hit_is_a_path_or_bytes(colours, tmp_path):
    """A hit on an image names its file, or holds its bytes."""
    hits = {hit.id: hit for hit in colours.search(MoreLike("red"), k=4)}
    assert hits["pink"].path == str(tmp_path / "pink.png")
    assert (hits["white"].path, hits["pink"].text) == (None, None)
    assert Image.open(io.BytesIO(hits["white"].image)).size == (4, 4)
    assert hits["white"].modality is Modality.IMAGE


def test_a_word_hit_shows_its_sentence(terms):
    """A hit on a word holds the sentence, and where in it the word stands."""
    hit = terms.search(Word("dogs and a den", "den"), k=1)[0]
    assert (hit.id, hit.text, hit.text[slice(*hit.span)], hit.fields) == (
        "b#4",
        "dog den",
        "den",
        {"who": "b"},
    )
    assert hit.span == (4, 7)


@pytest.mark.parametrize("query", ["red fox", Query((WeightedTerm("red"), WeightedTerm("fox", -0.5)))])
def test_a_text_is_tokenised_once(fruits, monkeypatch, query):
    """A query's vector and whether its text was cut come of one preparation of each text."""
    prepared, prepare = [], fruits.encoder.prepare

    def counted(items, role="passage"):
        prepared.extend(items)
        return [
            replace(each, truncated="fox" in item)
            for each, item in zip(prepare(items, role), items, strict=True)
        ]

    monkeypatch.setattr(fruits.encoder, "prepare", counted)
    assert fruits.search(query).truncated
    assert " ".join(prepared) == "red fox"


def test_another_model_is_refused(make_build):
    """A model of the same name and dimension but other weights is refused, both named, and the way out."""
    build = make_build(ENTRIES)
    searcher = Index(build, version("2"))
    with pytest.raises(EncoderMismatchError, match="embedsearch rebuild small") as caught:
        searcher.search("apple")
    assert build.manifest.encoder.fingerprint[:12] in str(caught.value)
    assert "vectors of letters" in str(caught.value)
    assert searcher.search(MoreLike("apple"), k=1)[0].id == "apples"


def test_the_query_is_embedded_as_the_index_was(make_build):
    """The model is opened once, with the unit, pooling, layers and precision that the index was made with."""
    asked = []

    def load(recipe):
        asked.append(recipe)
        return LetterEncoder(recipe)

    recipe = EncoderRecipe(
        Unit.TEXT, "letters", pooling="cls", layers=(-2,), precision="bf16", batch_tokens=99
    )
    searcher = Index(make_build(ENTRIES, encoder=recipe), load)
    assert searcher.search("apple", k=1)[0].id == searcher.search("apple", k=1)[0].id == "apple"
    want = EncoderRecipe(Unit.TEXT, "letters", pooling="cls", layers=(-2,), precision="bf16", engine=QUERY)
    assert asked == [want]


def test_a_precision_that_is_not_here_gives_way(make_build):
    """An index made in fp16 on a GPU is searched on a machine that has no fp16, in what that one has."""

    def load(recipe):
        if recipe.precision == "fp16":
            raise DeviceError("no fp16 here")
        return LetterEncoder(recipe)

    searcher = Index(make_build(ENTRIES, encoder=EncoderRecipe(Unit.TEXT, precision="fp16")), load)
    assert searcher.search("apple", k=1)[0].id == "apple"


def test_threads_share_a_searcher(make_build):
    """Eight threads that ask at once load the model once and get the same hits."""
    loaded = []

    def load(recipe):
        loaded.append(recipe)
        return LetterEncoder(recipe)

    searcher = Index(make_build(ENTRIES), load)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: [hit.id for hit in searcher.search("grape", k=3)], range(32)))
    assert len(loaded) == 1
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.scale
def test_labels_agree_with_the_verdict(make_searcher):
    """Where nothing is close, no label says otherwise; the nearest hit of a close answer is not far."""
    draw = np.random.default_rng(0)
    searcher = make_searcher(many())
    far = {Closeness.NOT_CLOSE, Closeness.UNRELATED}
    verdicts = []
    for _ in range(60):
        vector = draw.gamma(0.5, 1, 26) * (draw.random(26) < draw.uniform(0.1, 0.9)) + 1e-3
        results = searcher.search(Vector(vector), k=5)
        verdicts.append(results.verdict)
        if results.verdict is Verdict.NOTHING_CLOSE:
            assert {hit.label for hit in results} <= far
        else:
            assert results[0].label not in far
        assert results.reason
    assert set(verdicts) == {Verdict.CLOSE, Verdict.NOTHING_CLOSE}


@pytest.mark.scale
def test_a_filter_moves_the_limit_of_the_verdict(make_searcher):
    """Of fewer items the nearest is farther: the limit follows, and under few items there is no verdict."""
    searcher = make_searcher(many(400))
    limits = (400, 200, 20, 2)
    whole, half, part, own = (searcher.search("abcdef", k=1, where=f"number < {each}") for each in limits)
    assert whole.limit < half.limit < part.limit
    assert (own.verdict, own.limit) == (None, None)
    assert own.reason.startswith("There is no verdict: the filter keeps too few items")


@pytest.mark.scale
def test_a_strictness_is_asked_for_with_a_query(make_searcher):
    """The stricter, the nearer the limit; a strictness that is no share is refused."""
    searcher = make_searcher(ENTRIES)
    limits = [searcher.search("grape", strictness=each).limit for each in (0.5, 0.9, 0.99)]
    assert limits == sorted(limits, reverse=True)
    assert [each.limit for each in searcher.search(["grape", "fig"], strictness=0.9)] == [limits[1]] * 2
    with pytest.raises(QueryError, match="over 0 and under 1"):
        searcher.search("grape", strictness=95.0)


def test_a_query_beyond_the_model_s_limit_is_told(fruits):
    """An answer says whether the end of its text did not count, in one of several parts too."""
    long = "plum " * (WORD_LIMIT + 1)
    assert [fruits.search(text).truncated for text in ("plum", "plum " * WORD_LIMIT, long)] == [
        False, False, True,
    ]  # fmt: skip
    assert fruits.search(Query((WeightedTerm("plum"), WeightedTerm(long)))).truncated
    assert not fruits.search(MoreLike("plum")).truncated


def test_an_index_is_opened_by_name(make_build, tmp_path, monkeypatch):
    """`open_index` takes the folder of indexes as an argument or from the environment."""
    make_build(ENTRIES)
    assert open_index("small", tmp_path, load=LetterEncoder).search("fig", k=1)[0].id == "fig"
    monkeypatch.setenv("EMBEDSEARCH_INDEXES", str(tmp_path))
    assert len(open_index("small")) == 10
    with pytest.raises(IndexNotFoundError):
        open_index("large")
