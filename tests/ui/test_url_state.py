"""Addresses that ask for what is not there, on the whole page but without a browser."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from embedsearch.ui.widgets.cards import LIKE

APP = Path(__file__).parents[2] / "app.py"


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"index": "nope"}, "There is no index 'nope'"),
        ({"index": "question"}, "Did you mean 'questions'?"),
        ({"index": "../../etc"}, "can't name an index"),
        ({"index": "questions", "k": "abc"}, "k=abc, which is not a whole number"),
        ({"index": "questions", "k": "99999999"}, "the page shows 1 to 200"),
        ({"index": "senses", "q": "a bank", "word": "99"}, "no word 99"),
        ({"index": "questions", "item": "no such"}, "There is no item 'no such' in this index"),
        ({"index": "questions", "where": "price <"}, "can't be understood"),
        ({"index": "questions", "where": "prize > 1"}, "Did you mean 'price'?"),
        ({"index": "questions", "f.topic": "y"}, "No item has topic = 'y'"),
        ({"index": "questions", "f.nope": "x"}, "'nope', which can't be chosen by"),
        ({"index": "images", "image": "../../../etc/passwd"}, "none that this page has kept"),
        ({"index": "images", "image": "0" * 32}, "no longer kept"),
        ({"index": "questions", "minus": "refund"}, "Only parts to take away: say what to look for"),
        ({"index": "questions", "minusitem": ["x", "y"]}, "Only parts to take away: say what to look for"),
        ({"index": "questions", "plus": [*"abcdefgh"], "minus": "snow"}, "left out: − snow."),
    ],
)
def test_a_wrong_address_gives_a_sentence(indexes, monkeypatch, parameters, sentence):
    """Whatever an address says, the page answers with a calm sentence and offers the indexes."""
    page = _run(indexes, monkeypatch, parameters)
    told = " ".join(each.value for each in [*page.warning, *page.error])
    assert sentence in told.replace("\\", "").replace("\u2060", "")
    assert page.selectbox[0].label == "Index"


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
    assert len([button for button in page.button if button.label == LIKE]) == 12


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


def _run(indexes, monkeypatch, parameters):
    monkeypatch.setenv("EMBEDSEARCH_INDEXES", str(indexes))
    page = AppTest.from_file(str(APP), default_timeout=60)
    for name, value in parameters.items():
        page.query_params[name] = value
    page.run()
    assert not page.exception
    return page
