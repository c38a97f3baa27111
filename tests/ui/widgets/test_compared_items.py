"""What is entered on the Relatedness page, without a browser: the address, the table, the histogram."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from embedsearch.analysis.compare import Pairs, compared
from embedsearch.distances.metric import Metric, distances
from embedsearch.distances.pairs import Closeness
from embedsearch.modalities import QueryForm
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Modality, Unit
from embedsearch.results import Hit
from embedsearch.ui.widgets import cards, compared_items, matrix
from embedsearch.ui.widgets.compared_items import Compared, TextEntry
from embedsearch.ui.widgets.histogram import LANES, _marks, _ticks, histogram
from tests import fakes
from tests.fakes import LetterEncoder

SPEC = LetterEncoder(EncoderRecipe(Unit.TEXT)).spec
EVEN = np.linspace(0, 1, 101, dtype=np.float32)


def made(vectors, metric=Metric.COSINE, pairs=None):
    """Compare vectors, and what they are of."""
    named = [Compared(at, f"thing {at}") for at in range(1, len(vectors) + 1)]
    labels = [thing.content for thing in named]
    return compared(labels, np.array(vectors, np.float32), SPEC, metric, pairs), named


def test_an_address_is_read_and_written():
    """Texts keep their places and words, also empty ones; what is written is read the same."""
    said = [TextEntry("a b", 2), TextEntry(), TextEntry("c")]
    assert compared_items.entries(compared_items.change(said)) == said
    assert compared_items.change([TextEntry(), TextEntry()]) == {"t": [], "w": []}
    assert compared_items.entries({}) == [TextEntry(), TextEntry()]
    assert compared_items.entries({"t": ["x"], "w": ["²"]}) == [TextEntry("x"), TextEntry()]


def test_a_page_begins_with_an_example():
    """An address that asks for nothing is that of the example; a blank one, and one that asks, stay."""
    example = compared_items.starting(QueryForm.TEXT, {"kind": ["text"]})
    assert compared_items.entries(example) == list(compared_items.EXAMPLES[QueryForm.TEXT])
    assert example["kind"] == ["text"]
    words = compared_items.starting(QueryForm.WORD, {})
    assert words["w"] == ["2", "2", "5", "5"]
    for said in ({"blank": ["yes"]}, {"t": ["a", ""]}, {"p": ["0" * 32]}):
        assert compared_items.starting(QueryForm.TEXT, said) == said
    assert compared_items.starting(QueryForm.IMAGE, {}) == {}


def test_more_than_ten_are_told():
    """Ten are compared; that there were more is said."""
    many = {"t": [str(each) for each in range(14)], "p": ["0" * 32] * 11}
    assert len(compared_items.entries(many)) == len(compared_items.names(many)) == 10
    assert compared_items.problems(many) == ("The address holds 14 items; the first 10 are compared.",)
    assert compared_items.problems({"t": ["a"] * 10}) == ()


def test_an_old_address_is_translated():
    """Sides a and b become the first two things, with kind, model, words and images."""
    old = {"kind": ["word"], "with": ["terms"], "a": ["x y"], "wa": ["2"], "b": ["z"], "pb": ["p"]}
    assert compared_items.from_compare(old) == {
        "kind": ["word"],
        "with": ["terms"],
        "t": ["x y", "z"],
        "w": ["2", ""],
        "p": ["p"],
    }


def test_shades_end_where_the_scale_does():
    """0 is shaded most, the median of random pairs not at all; for ip the nearest and the farthest count."""
    pairs = Pairs(EVEN, EVEN**2, 499_500, "somewhere")
    assert matrix.ends(made(np.eye(3), pairs=pairs)[0])[:2] == pytest.approx((0, 0.5**0.5), abs=1e-4)
    vectors = [[1, 0], [2, 0], [0, 5]]
    assert matrix.ends(made(vectors, Metric.IP)[0])[:2] == (-2, 0)
    assert matrix.ends(made(vectors, Metric.L2)[0])[:2] == pytest.approx((0, 29**0.5))
    assert matrix.ends(made([[1, 0]] * 3)[0])[:2] == (0, 1)  # all alike: no division by zero


def test_shades_tell_apart_what_is_all_near():
    """Where all are nearer than nearly all random pairs, the nearest is shaded most, the farthest not."""
    near = [[1, 0], [1, 0.01], [1, 0.1]]
    low, high, told = matrix.ends(made(near, pairs=Pairs(EVEN, EVEN, 499_500, "somewhere"))[0])
    assert (low, high) == pytest.approx((5e-5, 0.005), abs=1e-4)
    assert told == ("the nearest of these", "the farthest of these")
    told = matrix.ends(made([[1, 0]] * 3, pairs=Pairs(EVEN, EVEN, 499_500, "somewhere"))[0])[2]
    assert told == ("the same", "the median of random pairs")


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1.2366, [0, 0.25, 0.5, 0.75, 1, 1.25]),
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (-31, 4, [-40, -30, -20, -10, 0, 10]),
    ],
)
def test_ticks_are_round_and_hold_everything(low, high, ticks):
    """Ticks are at steps of 1, 2, 2.5 or 5 times a power of ten, and reach both ends."""
    assert _ticks(low, high) == pytest.approx(ticks)


def test_labels_never_lie_on_one_another():
    """Pairs at one place share a mark that tells them all; labels of a row do not touch; none is lost."""
    draw = np.random.default_rng(0)
    comparison, named = made([*draw.normal(size=(9, 8)), np.zeros(8)])
    marks = _marks(comparison, named, 0, 2)
    text = [line.split(":")[0] for mark in marks for line in mark.pairs.split("\n")]
    assert len(text) == len(set(text)) == 45
    assert any("\n" in mark.pairs and mark.label.endswith("+8") for mark in marks)  # all are at 1 from zero
    for lane in range(LANES):
        row = [mark for mark in marks if mark.lane == lane]
        for before, after in pairwise(row):
            assert after.at - before.at > 2.3 * (len(before.label) + len(after.label)) / 2
    assert marks[0].lane == 0


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize(
    "pairs",
    [
        Pairs(EVEN, EVEN, 499_500, "x"),
        Pairs(EVEN[:1], EVEN[-1:], 499_500, "x"),
        Pairs(EVEN - 3, EVEN, 499_500, "x"),
    ],
)
def test_any_pairs_are_drawn(metric, pairs):
    """Bars and marks stay inside the frame, whatever the pairs and the distances are."""
    comparison, named = made([[1, 0], [0, 1], [3, 3]], metric, pairs)
    drawn = histogram(comparison, pairs, named)
    places = [float(part.split("%")[0]) for part in drawn.split("left: ")[1:]]
    heights = [float(part.split("%")[0]) for part in drawn.split("height: ")[1:]]
    assert 0 <= min(places) <= max(places) <= 100
    assert max(heights) == 100
    assert min(heights) >= 0
    assert "nan" not in drawn


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"t": ["a", "b"], "with": "nope"}, "There is no index 'nope' to take a model from"),
        ({"kind": "image", "p": ["0" * 32, "../x"]}, ""),
        ({"kind": "word", "t": ["a b", "c d"], "w": ["99", "x"]}, ""),
        ({"kind": "nothing", "t": ["", " "]}, ""),
        ({"t": ["a"] * 12}, "The address holds 12 items"),
    ],
)
def test_a_wrong_address_gives_a_sentence(indexes, monkeypatch, parameters, sentence):
    """Whatever an address says, the page stands, and raises nothing."""
    monkeypatch.setenv("EMBEDSEARCH_INDEXES", str(indexes))
    page = AppTest.from_function(_page, default_timeout=60)
    for name, value in parameters.items():
        page.query_params[name] = value
    page.run()
    assert not page.exception
    assert not page.error
    text = " ".join(each.value for each in page.warning).replace("\\", "")
    assert sentence in text
    assert bool(text) == bool(sentence)
    assert page.selectbox[0].label == "Measured with"


def _page():
    from embedsearch.ui.pages.relatedness import relatedness_page

    relatedness_page()


def test_an_example_shows_near_and_far(make_searcher):
    """An item, its two nearest and two far from all: of copies none is taken, and of few items all."""
    groups = {"a": "abc", "m": "mno", "x": "xyz", "f": "fgh"}
    records = []
    for at in range(60):
        draw = np.random.default_rng(at)
        letters = "".join(draw.choice(list(groups["amxf"[at % 4]]), 12)) + "".join(draw.choice(list("ek"), 2))
        records.append(fakes.text(str(at), letters))
    searcher = make_searcher([*records, *(fakes.text(f"copy {n}", "aaaaa") for n in range(5))])
    rows = compared_items.telling_rows(searcher)
    assert len(set(rows)) == 5
    vectors = np.asarray(searcher.build.vectors)[rows]
    apart = distances(vectors, vectors, Metric.COSINE)
    assert 0 < apart[0, 1] <= apart[0, 2] < min(apart[0, 3:])
    assert apart[3, 4] > 0.5
    few = make_searcher(fakes.fruit_entries()[:4], name="few")
    assert compared_items.telling_rows(few) == [0, 1, 2, 3]


def test_a_word_says_no_number_against_itself():
    """Of an unrelated hit it is said how many pairs are closer, not how many it is closer than."""
    hit = Hit(1, "a", 0, 0.9, 0.1, Modality.TEXT, "a", None, None, {}, None, 89.0, Closeness.UNRELATED, None)
    assert ">11\u00a0% of random pairs are closer</p>" in cards.said(hit)
    assert cards.said(replace(hit, percentile=None)) == ""
    near = replace(hit, label=Closeness.RELATED, percentile=99.5, human_score=3.25)
    assert ">closer than 99.50\u00a0% of random pairs · people: 3.2" in cards.said(near)


def test_a_chip_never_contradicts_the_page():
    """A nearer word is shaded deeper; what the page says is not close has no word that says it is."""
    depths = [int(cards.chip(each).split("--share: ")[1].split("%")[0]) for each in Closeness]
    assert depths == sorted(depths, reverse=True)
    assert ">related</b>" in cards.chip(Closeness.RELATED)
    assert ">not close</b>" in cards.chip(Closeness.NOT_CLOSE)
    assert cards.chip(None) == ""
