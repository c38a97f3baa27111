"""The address: what it asks for, alone and on the whole page without a browser."""

import pytest
from streamlit.testing.v1 import AppTest

from embedsearch.query import MODES
from embedsearch.ui.launch import PAGE
from embedsearch.ui.url_state import COUNT, MAX_COUNT, MAX_TERMS, Term, of_index, parse, with_weight
from tests.ui.conftest import html_of


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"index": "nope"}, "There is no index 'nope'"),
        ({"index": "question"}, "Did you mean 'questions'?"),
        ({"index": "../../etc"}, "can't name an index"),
        ({"index": "questions", "k": "abc"}, "k=abc, which is not a whole number"),
        ({"index": "questions", "k": "99999999"}, "the page shows 1 to 10,000"),
        (
            {"index": "senses", "q": "a bank", "word": "99"},
            "has 2 words, so no word 99.",
        ),
        ({"index": "questions", "item": "no such"}, "There is no item 'no such' in this index"),
        ({"index": "questions", "where": "price <"}, "can't be understood"),
        ({"index": "questions", "where": "prize > 1"}, "Did you mean 'price'?"),
        ({"index": "questions", "f.topic": "y"}, "No item has topic = 'y'"),
        ({"index": "questions", "f.nope": "x"}, "'nope', which this page does not offer"),
        ({"index": "images", "image": "../../../etc/passwd"}, "never uploaded here"),
        ({"index": "images", "image": "0" * 32}, "no longer kept"),
        ({"index": "questions", "minus": "refund"}, "The query only subtracts"),
        ({"index": "questions", "minusitem": ["x", "y"]}, "There is no item 'y' in this index"),
        ({"index": "questions", "q": "refund", "plusitem": "x"}, "There is no item 'x' in this index"),
        ({"index": "questions", "plus": [*"abcdefgh"], "minus": "snow"}, "ignored: − snow."),
    ],
)
def test_a_wrong_address_gives_a_sentence(indexes, monkeypatch, parameters, sentence):
    """Whatever an address says, the page answers with a calm sentence and offers the indexes."""
    page = _run(indexes, monkeypatch, parameters)
    told = " ".join(each.value for each in [*page.warning, *page.error])
    assert sentence in told.replace("\\", "").replace("\u2060", "")
    assert page.selectbox[0].label == "Index"


@pytest.mark.parametrize(
    ("parameters", "asked"),
    [
        ({"index": "images", "image": "0" * 32}, False),
        ({"index": "senses", "q": "a bank", "word": "99"}, False),
        ({"index": "questions", "plusitem": "x"}, False),
        ({"index": "questions", "item": "x"}, False),
        ({"index": "questions", "q": "refund", "plusitem": "x", "close": "no"}, True),
        ({"index": "images", "item": "star/red star.png", "image": "0" * 32}, True),
    ],
)
def test_what_is_gone_leaves_the_rest(indexes, monkeypatch, parameters, asked):
    """An image, a word, a term or an item that is gone leaves what else is asked, or items to start from."""
    page = _run(indexes, monkeypatch, parameters)
    assert html_of(page).count('data-act="like"') == 12
    assert ('data-act="why"' in html_of(page)) == asked


@pytest.mark.parametrize(
    "parameters",
    [
        {"index": "images", "q": "  ", "word": "-3", "f.label": "", "k": ""},
        {"index": "questions", "f.price": "nan..x"},
        {"index": "senses", "image": "0" * 32},
        {"index": "senses", "q": "   ", "word": "2"},
        {"unknown": "\0", "index": ""},
    ],
)
def test_what_does_not_fit_is_passed_over(indexes, monkeypatch, parameters):
    """Parameters that mean nothing for the index change nothing: its examples are shown."""
    page = _run(indexes, monkeypatch, parameters)
    assert not [*page.warning, *page.error]
    assert html_of(page).count('data-act="like"') == 12


@pytest.mark.parametrize(
    "parameters",
    [
        {"index": "questions", "q": "card", "plus": ["a", "a"]},
        {"index": "questions", "plus": ["a", "a", " a"], "minus": ["a", "a"]},
        {"index": ["images", "questions"], "q": ["x", "card"], "item": ["", ""]},
        {"index": "questions", "f.topic": ["food", "food"]},
    ],
)
def test_what_stands_twice_is_asked_once(indexes, monkeypatch, parameters):
    """Parameters that stand twice break nothing."""
    page = _run(indexes, monkeypatch, parameters)
    assert not [*page.warning, *page.error]


@pytest.mark.parametrize(
    "parameters",
    [
        {"k": ["abc"]},
        {"k": ["1" * 400]},
        {"k": ["0"]},
        {"k": ["-5"]},
        {"k": ["1e9"]},
        {"word": ["one"]},
        {"image": ["../x"]},
        {"image": ["A" * 32]},
        {"image": ["0" * 33]},
        {"k": ["٣"], "word": ["²"]},
        {"mode": ["best"]},
    ],
)
def test_a_wrong_address_is_told_and_never_raises(parameters):
    """What can't be understood is ignored, with a sentence."""
    asked = parse(parameters)
    assert asked.problems
    assert 1 <= asked.count <= MAX_COUNT
    assert (asked.word, asked.image) == (0, "")


def test_an_address_is_read_whole():
    """Each part of the address has its place; of a value that stands twice, the last counts."""
    asked = parse({"index": ["a", "b"], "q": ["x"], "word": ["2"], "f.label": ["u", "v"], "where": ["n > 1"]})
    assert (asked.index, asked.text, asked.word, asked.count) == ("b", "x", 2, COUNT)
    assert (asked.facets, asked.where, asked.problems) == ({"label": ("u", "v")}, "n > 1", ())
    assert [parse({"mode": [mode]}).mode for mode in MODES] == [*MODES]


def test_terms_count_once_and_eight_of_them():
    """A term that stands twice is one; of more than eight, the ignored ones are named."""
    asked = parse({"plus": ["a", "a", "b", " "], "minus": ["a"]})
    assert asked.terms == (Term("plus", "a"), Term("plus", "b"), Term("minus", "a"))
    assert asked.problems == ()
    many = parse({"plus": list("abcdefg"), "minus": ["x", "y", "z" * 60]})
    assert [term.value for term in many.terms] == [*"abcdefg", "x"]
    assert len(many.terms) == MAX_TERMS
    assert many.problems == (f"A query takes at most 8 terms; ignored: − y, − {'z' * 39}….",)


def test_a_term_has_its_weight():
    """A subtracted term counts a quarter unless the address says more; what is no weight is reported."""
    asked = parse({"plus": ["a"], "minus": ["b", "c"], "weight.minus.c": ["0.6"], "weight.plus.a": ["9"]})
    assert [term.weight for term in asked.terms] == [1.0, -0.25, -0.6]
    assert len(asked.problems) == 1
    assert "from 0 to 2" in asked.problems[0]
    assert with_weight(asked.terms[2], -0.25) == {"weight.minus.c": ""}
    assert with_weight(asked.terms[1], -0.5) == {"weight.minus.b": "0.5"}
    assert with_weight(asked.terms[1], 0) == {"weight.minus.b": "0"}
    still = parse({"q": ["x"], "minus": ["b"], "weight.minus.b": ["0"], "weight": ["-0.5"]})
    assert (still.terms[0].weight, still.weight, still.problems) == (0, -0.5, ())
    assert parse({"weight": ["7"]}).problems[0].startswith("The address gives the query the weight 7,")


def test_a_crop_and_an_image_as_a_term_stand_in_the_address():
    """A box is four shares; what is none is reported, and the whole image is asked."""
    kept = "0" * 32
    asked = parse({"image": [kept], "crop": ["0.25,0,1,0.5"], "plusimage": [kept, "../x"], "versus": ["b"]})
    assert (asked.crop, asked.versus, asked.problems) == ((0.25, 0, 1, 0.5), "b", ())
    assert [(term.kind, term.value, term.opposite) for term in asked.terms] == [("image", kept, "minusimage")]
    wrong = parse({"image": [kept], "crop": ["1,0,0,1"]})
    assert wrong.crop is None
    assert "The whole image is asked." in wrong.problems[0]


def test_another_index_keeps_the_text_and_drops_the_items():
    """What is asked in words goes along to another index; its items, filters and pages do not."""
    said = {
        name: ["x"]
        for name in (
            "q", "image", "crop", "k", "item", "word", "where", "plus", "minusitem", "f.a", "weight.plus.x",
            "weight", "versus",
        )
    }  # fmt: skip
    left = {"item", "crop", "word", "where", "plus", "minusitem", "f.a", "weight.plus.x", "weight"}
    assert set(of_index(said)) == left
    assert set(of_index(said).values()) == {""}
    del said["item"]  # then the crop is of the image
    assert set(of_index(said)) == left - {"item", "crop"}


def _run(indexes, monkeypatch, parameters):
    monkeypatch.setenv("EMBEDSEARCH_INDEXES", str(indexes))
    page = AppTest.from_file(str(PAGE), default_timeout=60)
    for name, value in parameters.items():
        page.query_params[name] = value
    page.run()
    assert not page.exception
    return page


def test_the_mode_is_chosen_in_the_sidebar_and_stands_in_the_address(indexes, monkeypatch):
    """Chosen, words alone are searched: only texts with a word of the query, with their scores."""
    page = _run(indexes, monkeypatch, {"index": "questions", "q": "film"})
    assert any("Searched by vectors." in each.value for each in page.get("html") if hasattr(each, "value"))
    page.selectbox(key="search-mode").select("lexical").run()
    assert "lexical" in page.query_params["mode"]
    shown = html_of(page)
    assert "Searched by words (BM25)." in shown
    assert "found by its words · BM25" in shown


@pytest.mark.parametrize(
    ("order", "said"),
    [("f.price", "The first 12 of 22"), ("diverse", "The first 12 of 22"), ("f.nothing", "does not have")],
)
def test_the_address_orders_the_hits(indexes, monkeypatch, order, said):
    """A field, or a way to order, stands in the address; one that the index does not have is reported."""
    page = _run(indexes, monkeypatch, {"index": "questions", "q": "refund", "close": "no", "order": order})
    assert not page.exception
    shown = " ".join(each.value for each in [*page.warning, *page.get("html")])
    assert said in shown.replace("\\", "").replace("\u2060", "")
