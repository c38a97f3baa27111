"""Several things held against each other: distances, percentiles, refusals, and the command."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import embedsearch as es
from embedsearch.analysis.compare import Comparison, compared, general_pairs, index_pairs
from embedsearch.api import compare
from embedsearch.artifacts.scale import general
from embedsearch.cli import cli
from embedsearch.distances.metric import Metric
from embedsearch.distances.pairs import pairs_of
from embedsearch.encoders import load_encoder
from embedsearch.errors import QueryError
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Unit
from tests import fakes

TEXTS = ("A cat sleeps on the sofa.", "The kitten naps on the couch.", "Interest rates rose again.")


def cosine(vectors):
    """The cosine distances of rows (n, d), plainly: (n, n) float64."""
    unit = vectors.astype(float) / np.linalg.norm(vectors, axis=1, keepdims=True)
    return 1 - unit @ unit.T


@pytest.fixture(scope="module")
def bundled():
    """The bundled text model as `compare` loads it."""
    return load_encoder(engine="torch", precision="fp32")


@pytest.fixture(scope="module")
def three() -> Comparison:
    """Three texts compared with the bundled model."""
    return compare(TEXTS)


@pytest.fixture
def in_index(monkeypatch, tmp_path):
    """`compare` by the index `small` of letter counts in `tmp_path`."""
    opened = lambda name, indexes: es.open(name, indexes, load=fakes.LetterEncoder)  # noqa: E731
    monkeypatch.setattr("embedsearch.api.open_index", opened)
    return lambda *things: compare(things, index="small", indexes=tmp_path)


def test_texts_are_compared_as_plainly_as_can_be(bundled, three):
    """Distances are those of numpy on the encoder's vectors; model, pooling and layers are named."""
    np.testing.assert_allclose(three.distances, cosine(bundled.encode(list(TEXTS))), atol=1e-5)
    assert np.diag(three.distances).tolist() == [0, 0, 0]
    assert three.labels == TEXTS
    assert (three.model, three.pooling, three.layers) == ("all-MiniLM-L6-v2", "mean", (-1,))
    assert (three.metric, three.pairs_of, three.nearest()) == (Metric.COSINE, "general sentences", (0, 1))


def test_percentiles_are_the_share_of_all_pairs_that_are_farther(bundled, three):
    """A percentile is what counting all pairs of general sentences gives."""
    apart = cosine(bundled.encode(general(Unit.TEXT)))
    apart = apart[np.triu_indices(len(apart), 1)]
    for row, column in ((0, 1), (0, 2), (1, 2)):
        plain = 100 * (apart > three.distances[row, column]).mean()
        assert three.percentiles[row, column] == pytest.approx(plain, abs=0.1)
    assert three.percentiles[0, 1] > 99.9
    assert three.percentiles[0, 2] < 90


@pytest.mark.scale
@pytest.mark.parametrize("metric", list(Metric))
def test_an_index_lends_its_metric_and_its_pairs(make_searcher, in_index, metric, tmp_path):
    """By an index, the distance is its own, and the percentile that of its scale."""
    scale = make_searcher(fakes.fruit_entries(), metric=metric).build.scale
    made = in_index("fig", "figs", "grape")
    vectors = np.stack([fakes.letters(each) for each in ("fig", "figs", "grape")]).astype(float)
    plain = {
        Metric.COSINE: cosine(vectors),
        Metric.L2: np.linalg.norm(vectors[:, None] - vectors, axis=2),
        Metric.IP: -vectors @ vectors.T,
    }[metric]
    np.testing.assert_allclose(made.distances, plain, atol=1e-6)
    for at in np.ndindex(3, 3):
        assert made.percentiles[at] == pytest.approx(scale.pairs.percentile(made.distances[at]), abs=1e-4)
    assert (made.pairs_of, made.metric, made.model) == ("general sentences", metric, "letters")
    assert make_searcher(fakes.many(), name="large", metric=metric).build.scale.pairs.of == ""
    assert index_pairs(es.open("large", tmp_path, load=fakes.LetterEncoder)).of == "the index large"


def test_an_index_without_a_scale_gives_distances_alone(fruits, in_index):  # noqa: ARG001
    """Where an index has no random pairs there are no percentiles, and none are made up."""
    made = in_index("fig", "figs")
    assert (made.percentiles, made.pairs, made.pairs_of) == (None, None, "")


def test_images_are_compared_without_percentiles(tmp_path):
    """Paths and images of one image are at distance 0; there are no general images to compare with."""
    path = tmp_path / "red.png"
    Image.radial_gradient("L").convert("RGB").save(path)
    made = compare([path, Image.open(path), Image.linear_gradient("L")])
    assert made.labels == ("red.png", "an image", "an image")
    assert made.distances[0, 1] == pytest.approx(0, abs=1e-6)
    assert made.distances[0, 2] > 0.05
    assert made.percentiles is None


def test_words_have_pairs_of_words():
    """A model of words is held against a word in each general sentence."""
    pairs = general_pairs(fakes.LetterEncoder(EncoderRecipe(unit=Unit.WORD)))
    assert pairs.of == "words in general sentences"
    assert pairs.shares[-1] == 1


def test_equal_pairs_give_the_first_as_the_nearest():
    """The nearest pair is of two different things, and of equals the first."""
    vectors = np.array([[1, 0], [0, 1], [1, 1], [1, 1]], np.float32)
    spec = fakes.LetterEncoder(EncoderRecipe(Unit.TEXT)).spec
    assert compared("abcd", vectors, spec, Metric.L2, None).nearest() == (2, 3)
    assert compared("abc", vectors[:3], spec, Metric.L2, None).nearest() == (0, 2)


def test_a_histogram_counts_the_pairs_of_each_bin():
    """The shares of bins are those of counting all pairs, though only some are kept; none is lost."""
    apart = np.random.default_rng(0).gamma(4, 0.2, 50_000).astype(np.float32)
    apart[:500] = 0
    pairs = pairs_of(apart, "somewhere")
    edges = np.linspace(0, apart.max(), 41, dtype=np.float32)
    plain, _ = np.histogram(apart, edges)
    made = pairs.histogram(edges)
    assert made.shape == (40,)
    np.testing.assert_allclose(made, plain / len(apart), atol=2e-3)
    assert made.sum() == pytest.approx(1, abs=1e-6)


def test_what_cannot_be_compared_is_refused(fruits, in_index, tmp_path):  # noqa: ARG001
    """Too few or other things, an empty text, mixed kinds and misfits are told, each by itself."""
    for things, told in (
        (["alone"], "Give at least two things to compare; got 1"),
        (["a", es.MoreLike("fig")], "Texts, images and sounds can be compared"),
        (["a", [1.0, 2.0]], "Texts, images and sounds can be compared"),
        (["a", " \n"], "One of the texts is empty"),
        (["a", tmp_path / "a.png"], "--index NAME"),
    ):
        with pytest.raises(QueryError, match=told):
            compare(things)
    with pytest.raises(QueryError, match="search it with a whole text"):
        in_index(tmp_path / "a.png", tmp_path / "b.png")


def run(*arguments):
    """Run `embedsearch compare`."""
    return CliRunner().invoke(cli, ["compare", *map(str, arguments)], prog_name="embedsearch")


def test_the_command_compares_by_several_poolings_and_layers(small_model):
    """Each pooling by each layer is a comparison of its own, in this order, with the plain distances."""
    folder = small_model("bert")
    result = run("a cat", "a dog", "--model", folder, "--pooling", "cls,mean", "--layers", "-1,1", "--json")
    assert result.exit_code == 0, result.stderr
    printed = json.loads(result.stdout)
    assert (printed["schema"], list(printed)) == (1, ["schema", "comparisons"])
    made = [(each["pooling"], tuple(each["layers"])) for each in printed["comparisons"]]
    assert made == [("cls", (-1,)), ("cls", (1,)), ("mean", (-1,)), ("mean", (1,))]
    for each in printed["comparisons"]:
        encoder = load_encoder(str(folder), pooling=each["pooling"], layers=each["layers"], precision="fp32")
        plain = cosine(encoder.encode(["a cat", "a dog"]))
        assert each["distances"][0][1] == pytest.approx(plain[0, 1], abs=2e-6)
    assert len({each["distances"][0][1] for each in printed["comparisons"]}) == 4


def test_the_command_prints_the_documented_object(three):
    """`compare --json` prints labels, both matrices and what they were made with.

    The command embeds anew, perhaps on another number of threads: its digits are near, not the same.
    """
    (printed,) = json.loads(run(*TEXTS, "--json").stdout)["comparisons"]
    assert np.abs(np.array(printed.pop("distances")) - three.distances).max() < 1e-5
    assert np.abs(np.array(printed.pop("percentiles")) - three.percentiles).max() < 0.01
    assert printed == {
        "labels": list(TEXTS),
        "pairs_of": "general sentences",
        "metric": "cosine",
        "model": "all-MiniLM-L6-v2",
        "pooling": "mean",
        "layers": [-1],
        "by": "",
    }


def test_the_command_prints_matrices(small_model):
    """Without --json there are numbered labels, the distances and the percentiles."""
    lines = run("a cat", "a dog", "--model", small_model("bert")).stdout.splitlines()
    assert [line.split() for line in lines[:2]] == [["1", "a", "cat"], ["2", "a", "dog"]]
    assert lines[3].endswith("cls pooling, layers -1: cosine distance")
    assert lines[5].split()[:2] == ["1", "0.0000"]
    assert "percentage of random pairs (general sentences)" in lines[7]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("one",), 1, "Give at least two things to compare"),
        (("a", "b", "--index", "faq", "--pooling", "cls"), 2, "--index has its own"),
        (("a", "b", "--layers", "last"), 2, "whole numbers separated by commas"),
        (("a", "b", "--index", "no-such"), 1, "no-such"),
    ],
)
def test_the_command_refuses_in_a_sentence(tmp_path, monkeypatch, arguments, code, told):
    """Bad input ends in a line on stderr: 1 for what was asked, 2 for how."""
    monkeypatch.setenv("EMBEDSEARCH_INDEXES", str(tmp_path))
    result = run(*arguments)
    assert result.exit_code == code
    assert told in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.scale
def test_texts_and_images_are_compared_by_an_index_that_knows_both(small_model, tmp_path):
    """Of two kinds all are taken across the crossmodal: their cosine distances there, and no percentiles."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, value in fakes.COLOURS.items():
        Image.new("RGB", (40, 40), value).save(folder / f"{name}.png")
    searcher = es.build(folder, name="both", model=str(small_model("clip")), indexes=tmp_path / "indexes")
    things = ["a red thing", folder / "red.png", folder / "navy.png"]
    made = compare(things, index="both", indexes=tmp_path / "indexes")
    text = load_encoder(str(small_model("clip")), unit="text", precision="fp32").encode([things[0]])
    pictures = searcher.encoder.encode(things[1:], "query")
    np.testing.assert_allclose(made.distances, cosine(np.concatenate([text, pictures])), atol=1e-5)
    assert (made.by, made.percentiles, made.pairs_of) == ("towers", None, "")
    of_one_kind = compare(things[1:], index="both", indexes=tmp_path / "indexes")
    assert (of_one_kind.by, of_one_kind.percentiles) == ("", None)  # four images have too few pairs


def test_what_the_model_does_not_know_gets_no_percentiles():
    """Texts of which over a third is unknown are compared by distance alone."""
    assert compare(["a cat", "审批流程需要经理的批准。"]).percentiles is None
    assert compare(["a cat", "a kitten"]).percentiles is not None
