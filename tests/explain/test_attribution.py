"""What made a score: the parts of an explanation add up to it, and say what they stand for."""

import numpy as np
import pytest
from PIL import Image

from embedsearch.distances.metric import Metric, distances
from embedsearch.encoders import open_encoder
from embedsearch.errors import ItemError, ItemNotFoundError, QueryError
from embedsearch.explain.heatmap import overlay
from embedsearch.index import Index
from embedsearch.query import MoreLike, Vector, Word
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Unit
from tests import fakes
from tests.encoders.test_images import pictures
from tests.small_models import IMAGE_MODELS, SENTENCES, TEXT_MODELS

METRICS = ["cosine", "ip", "l2"]


def holds(made, searcher, vector):
    """Hold that the parts add up to what the recomputed distance is made of, to 1e-4 of the score's size."""
    size = max(1.0, made.query_norm * made.norm) if made.metric is not Metric.COSINE else 1.0
    parts = [part.score for part in (*made.words, *made.rest)]
    patches = 0.0 if made.grid is None else float(made.grid.sum())
    assert abs(sum(parts) + patches - made.score) < 1e-4 * size
    assert abs(made.scores.sum() - made.score) < 1e-4 * size
    assert abs(made.score - made.similarity) < 1e-4 * size
    if made.metric is Metric.COSINE:
        assert abs(made.score - (1 - made.recomputed)) < 1e-4
    elif made.metric is Metric.IP:
        assert abs(made.score + made.recomputed) < 1e-4 * size
    else:
        square = made.query_norm**2 + made.norm**2 - 2 * made.score
        assert abs(square - made.recomputed**2) < 1e-4 * max(size, made.query_norm**2, made.norm**2)
    row = searcher.row(made.id)
    exact = distances(vector, np.asarray(searcher.build.vectors[row : row + 1], np.float32), made.metric)[
        0, 0
    ]
    assert made.stored == pytest.approx(float(exact), abs=1e-6)


def small(make_build, entries, unit, model, metric="cosine", name="small", **encoder):
    """Build and open an index of a small model in float32."""
    recipe = EncoderRecipe(unit, model=str(model), precision="fp32", **encoder)
    build = make_build(entries, load=open_encoder, unit=unit, encoder=recipe, metric=metric, name=name)
    return Index(build, open_encoder)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", TEXT_MODELS)
def test_texts_add_up(make_build, small_model, name, metric):
    """The words, signs and special tokens of every mean-pooled text add up, in every metric."""
    entries = [fakes.text(str(at), text) for at, text in enumerate(SENTENCES)]
    searcher = small(make_build, entries, Unit.TEXT, small_model(name), metric, pooling="mean")
    vector = searcher.queries.space(MoreLike("1")).vector
    for hit in searcher.search("a cat on the bank", 6):
        made = searcher.explain(Vector(vector), hit)
        holds(made, searcher, vector)
        assert made.exact
        assert made.recomputed == pytest.approx(made.stored, abs=1e-3)
        assert len(made.rest) >= 2
        assert made.kind == "text"


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", IMAGE_MODELS)
def test_images_add_up(make_build, small_model, tmp_path, name, metric):
    """The patches, CLS and registers of every family add up, and the heat is the grid less the typical."""
    entries = []
    for at, picture in enumerate(pictures()[:3]):
        picture.save(tmp_path / f"{at}.png")
        entries.append(fakes.picture(str(at), tmp_path / f"{at}.png"))
    searcher = small(make_build, entries, Unit.IMAGE, small_model(name), metric, pooling="mean")
    vector = searcher.queries.space(MoreLike("1")).vector
    made = searcher.explain(MoreLike("1"), "0")
    holds(made, searcher, vector)
    np.testing.assert_allclose(made.heat + made.typical, made.grid, atol=1e-6)
    assert made.words == ()


@pytest.mark.parametrize("metric", METRICS)
def test_words_add_up(make_build, small_model, metric):
    """A word's sub-tokens add up to its score; the sentence's other words are its neighbours."""
    searcher = small(make_build, [fakes.text("a", SENTENCES[2])], Unit.WORD, small_model("bert"), metric)
    query = Word("A bank in Zürich.", "bank")
    hit = next(each for each in searcher.search(query, 20) if each.text[slice(*each.span)] == "unbelievably")
    made = searcher.explain(query, hit)
    holds(made, searcher, searcher.queries.space(query).vector)
    assert [part.text for part in made.words] == ["unbelievably"]
    assert len(made.tokens) > 1
    assert "Naïve" in [part.text for part in made.neighbours]
    assert made.only_asked == ("a", "bank")
    assert "zürich" not in made.only_here


def test_layers_and_patches_only_add_up(make_build, small_model, tmp_path):
    """Several layers averaged, and patch tokens alone, add up as well; what is left out scores 0."""
    entries = [fakes.text(str(at), text) for at, text in enumerate(SENTENCES)]
    searcher = small(make_build, entries, Unit.TEXT, small_model("bert"), pooling="mean", layers=(-1, -2))
    holds(searcher.explain(MoreLike("0"), "2"), searcher, searcher.queries.space(MoreLike("0")).vector)
    pictures()[0].save(tmp_path / "p.png")
    entries = [fakes.picture("p", tmp_path / "p.png"), fakes.picture("q", tmp_path / "q.png")]
    pictures()[1].save(tmp_path / "q.png")
    model = small_model("dinov2-registers")
    searcher = small(
        make_build, entries, Unit.IMAGE, model, patch_tokens_only=True, layers=(-1, -2), name="patches"
    )
    made = searcher.explain(MoreLike("p"), "q")
    holds(made, searcher, searcher.queries.space(MoreLike("p")).vector)
    assert [part.score for part in made.rest] == [0] * 4


def test_cls_pooling_is_labelled(make_build, small_model):
    """With [CLS] pooling the parts do not add up, and the explanation says that they approximate."""
    entries = [fakes.text(str(at), text) for at, text in enumerate(SENTENCES)]
    searcher = small(make_build, entries, Unit.TEXT, small_model("bert"), pooling="cls")
    made = searcher.explain(MoreLike("0"), "1")
    assert not made.exact
    assert "approximation" in made.note
    assert "[CLS]" in made.note
    assert 1 - made.recomputed == pytest.approx(made.similarity, abs=1e-5)


def test_a_score_is_the_share_of_its_letters(fruits):
    """By letters counted: the one word of a text scores all, in the cosine by hand."""
    made = fruits.explain("pear", "apple")
    want = 4 / np.sqrt(4) / np.sqrt(1 + 4 + 1 + 1)  # p twice, e, a of a-p-p-l-e: 2 + 1 + 1
    assert [part.text for part in made.words] == ["apple"]
    assert made.score == pytest.approx(want)
    assert made.words[0].score == pytest.approx(want)
    assert made.rest == ()


def test_leaving_a_neighbour_out_tells_what_it_did(make_build):
    """A neighbour's score is the similarity with it less that without it."""

    class Around(fakes.LetterEncoder):
        """A word's vector is its sentence's letters."""

        def hidden_states(self, item, role="passage"):
            made = super().hidden_states(item, role)
            vector = fakes.letters(item.text)
            return type(made)(vector[None], np.ones(1, np.float32), vector, True, ("w",), (item.spans[0],))

    searcher = Index(make_build([fakes.text("a", "ab cd ee")], unit=Unit.WORD), Around)
    vector = fakes.letters("cd")
    made = searcher.explain(Vector(vector), searcher.search(Vector(vector), 3)[0])
    here, without = fakes.letters("ab cd ee"), fakes.letters("cd ee")
    want = [1 - distances(vector[None], each[None], Metric.COSINE)[0, 0] for each in (here, without)]
    assert made.neighbours[0].text == "ab"
    assert made.neighbours[0].score == pytest.approx(want[0] - want[1], abs=1e-6)
    assert [part.text for part in made.neighbours] == ["ab", "ee"]


def test_a_changed_image_is_told(colours, tmp_path):
    """When the file is another one now, the two distances differ and the note says so."""
    assert colours.explain(MoreLike("navy"), "red").note == ""
    Image.new("RGB", (4, 4), "navy").save(tmp_path / "red.png")
    made = colours.explain(MoreLike("navy"), "red")
    assert made.recomputed == pytest.approx(0, abs=1e-2)
    assert made.stored > 1
    assert "the item has changed" in made.note


def test_what_is_gone_is_an_error_in_words(colours, tmp_path):
    """An image that is gone, an item that is not there and a query that does not fit are named."""
    (tmp_path / "red.png").unlink()
    with pytest.raises(ItemError, match=r"'red' can't be explained: .*red\.png is gone\. Put it back"):
        colours.explain(MoreLike("navy"), "red")
    with pytest.raises(ItemNotFoundError, match="nothing here"):
        colours.explain(MoreLike("navy"), "nothing here")
    with pytest.raises(QueryError):
        colours.explain("a text", "navy")


def test_an_image_of_bytes_is_explained(colours):
    """An image that no file of its own holds has a grid as well."""
    made = colours.explain(MoreLike("pink"), "white")
    assert made.grid.shape == (4, 4)
    np.testing.assert_allclose(made.grid, made.grid[0, 0])


def test_the_heat_lies_in_its_box():
    """The overlay is hot in the box's hot patch, has no colour where nothing is seen, and keeps its size."""
    heat = np.array([[0, 0], [0, 1.0]])
    made = np.asarray(overlay(Image.new("RGB", (400, 200), "grey"), heat, (0.25, 0, 0.75, 1)), np.int64)
    assert made.shape == (200, 400, 3)
    assert len({*made[100, 50]}) == 1  # grey: outside
    hot, cold = made[180, 290], made[20, 110]
    assert hot[0] - hot[2] > 60
    assert cold[2] - cold[0] > 10
    flat = np.asarray(overlay(Image.new("RGB", (40, 20), "grey"), -heat, (0, 0, 1, 1)))
    assert (flat == flat[0, 0]).all()
