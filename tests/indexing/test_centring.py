"""An index whose vectors are centred: how it is built and asked, and what a rebuild keeps."""

import json

import numpy as np
import pytest
from PIL import Image

from embedsearch.api import build
from embedsearch.artifacts.calibration import calibrate
from embedsearch.distances.centring import LEAST_ITEMS
from embedsearch.distances.metric import Metric, distances
from embedsearch.distances.verdict import closeness_of
from embedsearch.errors import QueryError, RecipeError
from embedsearch.index import rebuild
from embedsearch.indexing import build as building
from embedsearch.query import MoreLike, Text, Vector
from embedsearch.recipe import EncoderRecipe, IndexOptions
from embedsearch.records import Unit
from embedsearch.store.build import Build, open_build
from embedsearch.store.folders import current_build
from embedsearch.store.versions import roll_back
from tests import fakes
from tests.cli.conftest import Runner

COUNT = 240
letters = fakes.letters


def texts(count=COUNT, first=0):
    """Return texts of two made-up words each, with a number as their id."""
    draw = np.random.default_rng(0)
    words = ["".join(draw.choice(list("abcdefghijklm"), 7)) for _ in range(2 * (first + count))]
    return [fakes.text(str(at), f"{words[2 * at]} {words[2 * at + 1]}") for at in range(first, first + count)]


def raw(entries):
    """Return the letters of texts, (n, 26)."""
    return np.stack([fakes.letters(each.content) for each in entries])


def plainly_centred(vectors, mean_of):
    """Return unit vectors less the mean of those of `mean_of`, of unit length, by plain NumPy."""
    unit, of = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (vectors, mean_of))
    less = unit - of.mean(0)
    return less / np.linalg.norm(less, axis=1, keepdims=True)


def test_queries_are_centred_as_the_items_are(make_searcher):
    """A text, a vector of the model and an item find what plain NumPy finds, at the same distances."""
    entries = texts()
    searcher = make_searcher(entries, center=True)
    vectors = raw(entries)
    items, asked = plainly_centred(vectors, vectors), "abba cab"
    want = 1 - items @ plainly_centred(fakes.letters(asked)[None], vectors)[0]
    for query in (Text(asked), Vector(fakes.letters(asked))):
        found = searcher.search(query, 20, fold=False)
        np.testing.assert_allclose([hit.distance for hit in found], np.sort(want)[:20], atol=2e-6)
        assert found[0].id == str(want.argmin())
    like = 1 - items @ items[7]
    like[7] = 3
    assert searcher.search(MoreLike("7"), 1)[0].distance == pytest.approx(like.min(), abs=2e-6)


def test_main_directions_are_what_is_stored(make_searcher):
    """With `dim` vectors have so many numbers; a query is a vector of the model's length, no other."""
    entries = texts()
    searcher = make_searcher(entries, dim=9)
    manifest = searcher.manifest
    assert searcher.build.vectors.shape == (COUNT, 9)
    assert (manifest.dimension, manifest.model_dimension, manifest.centring.items) == (9, 26, COUNT)
    assert 0.5 < manifest.centring.explained < 1
    assert searcher.search(Text(entries[5].content), 1)[0].id == "5"
    assert searcher.search(Vector(raw(entries)[5]), 1)[0].distance == pytest.approx(0, abs=1e-5)
    with pytest.raises(QueryError, match="takes vectors of 26 numbers; got 9"):
        searcher.search(Vector(np.ones(9)), 1)


@pytest.mark.parametrize("dim", [0, 9])
@pytest.mark.parametrize("storage", ["fp32", "fp16"])
def test_a_rebuild_keeps_the_centring(make_build, dim, storage):
    """One text added, changed and removed: the centring and the vectors of the others stay, bit by bit."""
    options = {"center": True, "dim": dim, "storage": storage}
    before = make_build(texts(), **options)
    changed = [*texts()[1:], fakes.text("new", "brand new words")]
    changed[3] = fakes.text("4", "other letters here")
    after = make_build(changed, **options)
    assert after.manifest.changes.to_embed == 2
    assert after.manifest.centring == before.manifest.centring
    old, new = np.asarray(before.vectors), np.asarray(after.vectors)
    assert (new[4:-1] == old[5:]).all()
    want = before.centring.apply(raw([changed[3], changed[-1]]))
    np.testing.assert_array_equal(new[[3, -1]], want.astype(new.dtype))


def test_a_rebuild_fits_again_when_most_items_are_new(make_build):
    """More than half of the items new: the mean is that of all items now, and so are the kept vectors."""
    before = make_build(texts(), center=True)
    entries = texts(2 * COUNT + 10)
    after = make_build(entries, center=True)
    assert after.manifest.report.reused == COUNT
    assert after.centring.fingerprint != before.centring.fingerprint
    want = plainly_centred(raw(entries), raw(entries))
    far = distances(np.asarray(after.vectors), np.asarray(after.vectors), Metric.COSINE)
    np.testing.assert_allclose(far, 1 - want @ want.T, atol=1e-5)
    assert after.manifest.index.made == "anew"


def test_main_directions_stay_while_a_vector_is_kept(make_build):
    """More than half of the items new: the directions stay, as kept vectors have no others; it is said."""
    before = make_build(texts(), dim=9)
    entries = texts(2 * COUNT + 10)
    after = make_build(entries, dim=9)
    assert after.centring.fingerprint == before.centring.fingerprint
    np.testing.assert_allclose(after.vectors, before.centring.apply(raw(entries)), atol=1e-5)
    assert after.manifest.report.notes == (
        "The 9 main directions were fitted to 240 of the 490 vectors. To fit them again: embedsearch rebuild "
        "small --no-center, then embedsearch rebuild small --dim 9.",
    )
    make_build(entries)
    again = make_build(entries, dim=9)
    assert (again.manifest.centring.items, again.manifest.report.notes) == (len(entries), ())
    other = make_build(texts(COUNT, first=COUNT + 10), dim=9)  # 230 of 240 are kept
    assert other.centring.fingerprint == again.centring.fingerprint


def test_centring_is_turned_on_and_off_without_the_model(make_build):
    """A rebuild with another choice embeds nothing; the distances are those of a first build."""
    entries = texts()
    plain = np.array(make_build(entries).vectors)
    on = make_build(entries, center=True)
    assert on.manifest.changes.to_embed == 0
    want = make_build(entries, center=True, name="other")
    np.testing.assert_array_equal(on.vectors, want.vectors)
    off = make_build(entries)
    assert (off.manifest.changes.to_embed, off.manifest.centring) == (0, None)
    np.testing.assert_allclose(off.vectors, plain, atol=1e-5)


def test_an_approximate_index_goes_on_only_under_the_same_centring(make_build):
    """A graph over plain vectors is not extended for centred ones; under the same centring it is."""
    options = {"backend": "hnsw", "center": True}
    make_build(texts(1100), backend="hnsw")
    first = make_build(texts(1100), **options).manifest
    assert (first.index.made, first.changes.neighbours_kept) == ("anew", None)
    assert make_build(texts(1101), **options).manifest.index.made == "extended"


def test_directions_that_are_dropped_are_embedded_again(make_build):
    """From fewer directions to all: everything is embedded again, and the vectors are the model's own."""
    told = fakes.Told()
    make_build(texts(), dim=9)
    plain = make_build(texts(), progress=told)
    assert "embedding everything again: the current build has vectors reduced to 9 dimensions" in told.stages
    np.testing.assert_array_equal(plain.vectors, raw(texts()))


def test_few_items_are_centred_later(make_build):
    """Under 200 items vectors stay as they are, and a note says so; a rebuild with more centres all."""
    few = make_build(texts(LEAST_ITEMS - 1), center=True)
    assert few.manifest.centring is None
    assert few.manifest.report.notes == (
        "The vectors are not centred: that needs 200 items, and there are 199.",
    )
    np.testing.assert_array_equal(few.vectors, raw(texts(LEAST_ITEMS - 1)))
    more = make_build(texts(LEAST_ITEMS), center=True)
    assert (more.manifest.centring.items, more.manifest.report.notes) == (LEAST_ITEMS, ())


def test_a_crash_leaves_the_build_before(make_build, monkeypatch, tmp_path):
    """A rebuild that dies after it has centred its vectors changes nothing; the next one embeds nothing."""
    entries = texts()
    plain = make_build(entries)
    real = building.make_index

    def die(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(building, "make_index", die)
    with pytest.raises(KeyboardInterrupt):
        make_build(entries, center=True)
    assert Build(current_build(tmp_path / "small"), whole=True).manifest.build == plain.manifest.build
    monkeypatch.setattr(building, "make_index", real)
    after = make_build(entries, center=True)
    assert (after.manifest.centring.items, after.manifest.changes.to_embed) == (COUNT, 0)


def test_a_rollback_takes_the_centring_back(make_build, tmp_path):
    """After a rollback the index answers as before: with the earlier build's vectors, not centred."""
    plain = make_build(texts())
    make_build(texts(), center=True)
    roll_back(tmp_path, "small")
    back = open_build(tmp_path, "small")
    assert (back.manifest.build, back.centring) == (plain.manifest.build, None)


@pytest.mark.scale
def test_unrelated_queries_are_centred_too(make_build):
    """The limit of the verdict comes of unrelated queries that are centred; they are kept as the model's."""
    centred = make_build(texts(), center=True)
    foreign = np.load(centred.folder / "background.npy")
    far = distances(centred.placed(foreign), np.asarray(centred.vectors), Metric.COSINE)
    want = np.sort(closeness_of(np.sort(far, axis=1)[:, :3]))
    np.testing.assert_allclose(centred.scale.answers[0].foreign, want, atol=1e-5)
    off = make_build(texts())
    np.testing.assert_array_equal(np.load(off.folder / "background.npy"), foreign)


def test_a_centred_explanation_adds_up(make_searcher):
    """The words of a hit add up to the centred similarity, to 1e-4."""
    entries = texts()
    for options in ({"center": True}, {"dim": 9}):
        searcher = make_searcher(entries, name=f"e{len(options)}{options.get('dim', 0)}", **options)
        hit = searcher.search("abba cab", 1)[0]
        made = searcher.explain("abba cab", hit)
        assert sum(part.score for part in (*made.words, *made.rest)) == pytest.approx(
            1 - hit.distance, abs=1e-4
        )
        assert made.note == ""


def test_numbers_that_fp16_can_not_hold_are_refused(make_build, monkeypatch):
    """A centred vector with a component over 65,504 is not stored as infinity: the build says what to do."""
    monkeypatch.setattr(fakes, "letters", lambda text: 1e5 * letters(text))
    with pytest.raises(RecipeError, match="--storage fp32"):
        make_build(texts(), center=True, storage="fp16")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"center": True, "metric": "l2"},
            "Vectors are centred for the metric cosine, and this index has l2",
        ),
        ({"dim": 27}, "have 26 numbers, and --dim asks for 27"),
    ],
)
def test_what_can_not_be_centred_is_refused(make_build, options, says):
    """Another metric than cosine, and more directions than the model's vectors have, are refused."""
    with pytest.raises(RecipeError, match=says):
        make_build(texts(), **options)


def test_options_that_contradict_each_other_are_refused():
    """`dim` keeps directions of centred vectors, so it can't be given with `center=False`."""
    with pytest.raises(RecipeError, match="leave it out, or do not turn centring off"):
        IndexOptions(center=False, dim=5)
    with pytest.raises(RecipeError, match="1 or more"):
        IndexOptions(dim=-1)


def test_one_space_for_texts_and_images_is_not_centred(make_build):
    """A model of two towers has one mean for each of them, so centring is refused."""
    with pytest.raises(RecipeError, match="have one space and different means"):
        make_build(texts(), center=True, encoder=EncoderRecipe(Unit.TEXT, pooling="projection"))


@pytest.mark.usefixtures("letter_model")
def test_new_indexes_of_images_are_centred_and_others_are_not(tmp_path):
    """`build` centres a new index of images by cosine, and no other; one that is there stays as it is."""
    table = tmp_path / "texts.csv"
    table.write_text("text\n" + "\n".join(each.content for each in texts()), encoding="utf-8")
    assert build(table, name="texts", text="text").manifest.recipe.index.center is None
    folder = fakes_folder(tmp_path / "images")
    assert build(folder, name="images").manifest.recipe.index.center is True
    assert build(folder, name="plain", center=False).manifest.recipe.index.center is None
    (tmp_path / "plain" / "recipe.toml").write_text("damaged", encoding="utf-8")
    assert build(folder, name="plain").manifest.recipe.index.center is None
    assert build(folder, name="plain", replace=True).manifest.recipe.index.center is None
    assert build(table, name="plain", text="text", replace=True).manifest.recipe.index.center is None
    assert build(folder, name="plain", replace=True).manifest.recipe.index.center is True
    assert build(folder, name="far", metric="l2").manifest.recipe.index.center is None


@pytest.mark.usefixtures("letter_model")
def test_rebuild_changes_the_recipe(tmp_path):
    """`rebuild(dim=)` and `rebuild(center=False)` are saved in the recipe; a plain rebuild keeps it."""
    table = tmp_path / "texts.csv"
    table.write_text("text\n" + "\n".join(each.content for each in texts()), encoding="utf-8")
    build(table, name="texts", text="text")
    options = [
        rebuild("texts", **asked).manifest.recipe.index
        for asked in ({"dim": 9}, {}, {"center": False}, {"center": True}, {})
    ]
    assert [(each.center, each.dim) for each in options] == [
        (True, 9),
        (True, 9),
        (None, 0),
        (True, 0),
        (True, 0),
    ]
    with pytest.raises(RecipeError, match="leave it out, or do not turn centring off"):
        rebuild("texts", center=False, dim=3)


def fakes_folder(folder):
    """Make a folder of four images."""
    folder.mkdir()
    for name, value in fakes.COLOURS.items():
        Image.new("RGB", (4, 4), value).save(folder / f"{name}.png")
    return folder


def test_an_index_of_images_is_the_plain_call_centred(tmp_path, small_model):
    """Distances of images are those of the plain transformers call, its mean and the mean of all by NumPy."""
    import torch
    from transformers import AutoImageProcessor, AutoModel

    draw = np.random.default_rng(0)
    images = [Image.fromarray(draw.integers(0, 256, (32, 32, 3), dtype=np.uint8)) for _ in range(LEAST_ITEMS)]
    folder = small_model("vit")
    model, processor = AutoModel.from_pretrained(folder).eval(), AutoImageProcessor.from_pretrained(folder)
    with torch.no_grad():
        vectors = model(**processor(images, return_tensors="pt")).last_hidden_state.mean(1).numpy()
    items = plainly_centred(vectors, vectors)
    centred = build(images, name="images", model=str(folder), precision="fp32", indexes=tmp_path)
    want = 1 - items @ items[7]
    found = centred.search(images[7], 5)
    assert [hit.row for hit in found] == np.argsort(want)[:5].tolist()
    np.testing.assert_allclose([hit.distance for hit in found], np.sort(want)[:5], atol=1e-4)
    part = centred.explain(images[7], found[1])
    assert part.exact
    assert float(part.grid.sum()) + sum(each.score for each in part.rest) == pytest.approx(
        1 - found[1].distance, abs=1e-4
    )


@pytest.mark.scale
def test_judgements_of_other_distances_are_not_kept(make_build, tmp_path):
    """People's scores that were fitted to plain distances go when vectors are centred, and it is said."""
    told = fakes.Told()
    make_build(texts())
    pairs = tmp_path / "pairs.tsv"
    rows = [
        f"{one.content}\t{other.content}\t{at % 5}"
        for at, (one, other) in enumerate(zip(texts(40), texts(41)[1:], strict=True))
    ]
    pairs.write_text("text1\ttext2\tscore\n" + "\n".join(rows), encoding="utf-8")
    judged = calibrate("small", pairs=pairs, root=tmp_path, load=fakes.LetterEncoder)
    assert judged.manifest.artifacts.scale.people.pairs == 40
    assert make_build(texts()).manifest.artifacts.scale.people is not None
    centred = make_build(texts(), center=True, progress=told)
    assert centred.manifest.artifacts.scale.people is None
    assert f"to measure it again: embedsearch calibrate small --pairs {pairs}" in told.stages
    again = calibrate("small", pairs=pairs, root=tmp_path, load=fakes.LetterEncoder)
    first, second = (raw(texts(41))[at : at + 40] for at in (0, 1))
    vectors = raw(texts())
    want = 1 - np.einsum("nd,nd->n", plainly_centred(first, vectors), plainly_centred(second, vectors))
    middles = again.scale.people[0]
    assert want.min() - 1e-5 <= middles.min()
    assert middles.max() <= want.max() + 1e-5
    assert middles.max() > 1  # which no plain distance of these is


@pytest.mark.usefixtures("letter_model")
def test_the_command_line_centres_and_says_so(tmp_path):
    """`build --dim` and `rebuild --no-center` change the vectors; `info` says how they are centred."""
    table = tmp_path / "texts.csv"
    table.write_text("text\n" + "\n".join(each.content for each in texts()), encoding="utf-8")
    run = Runner(tmp_path)
    assert run("build", table, "--text", "text", "--name", "texts", "--dim", "9").exit_code == 0
    said = run("info", "texts").stdout
    assert "centred      the mean of 240 vectors is subtracted; 9 of 26 directions are kept, with " in said
    facts = json.loads(run("info", "texts", "--json").stdout)["centring"]
    assert (facts["items"], facts["numbers"]) == (240, 26)
    assert run("rebuild", "texts", "--no-center").exit_code == 0
    assert "centred" not in run("info", "texts").stdout
    assert json.loads(run("info", "texts", "--json").stdout)["centring"] is None
    assert run("rebuild", "texts", "--dry-run", "--center").exit_code == 2


@pytest.mark.usefixtures("here")
def test_a_model_of_two_towers_takes_the_place_of_a_centred_one(tmp_path, small_model):
    """Nobody asked to centre, so an index that was centred by default is not, with such a model."""
    folder = fakes_folder(tmp_path / "images")
    assert build(folder, name="images", model=small_model("vit").as_posix()).manifest.recipe.index.center
    towers = build(folder, name="images", model=small_model("clip").as_posix(), pooling="projection")
    assert towers.manifest.recipe.index.center is None
