"""Vectors made elsewhere, on the page."""

import re

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

import embedsearch as es
from embedsearch.ui.launch import PAGE
from tests.ui.conftest import html_of


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("asked", [{}, {"item": "v3"}, {"q": "a text"}, {"where": "topic = 'a'"}])
def test_an_index_of_vectors_is_shown(asked):
    """Its items are shown by their ids and asked with; a text in the address breaks nothing."""
    vectors = np.random.default_rng(0).normal(size=(12, 4))
    fields = [{"topic": "ab"[at % 2]} for at in range(12)]
    es.build(([f"v{at}" for at in range(12)], vectors, fields), name="w2v")
    page = AppTest.from_file(str(PAGE), default_timeout=60)
    for name, value in {"index": "w2v", **asked}.items():
        page.query_params[name] = value
    page.run()
    shown = html_of(page)
    assert "v4" in shown or "v5" in shown


@pytest.mark.usefixtures("here")
def test_items_are_added_and_subtracted_by_their_ids():
    """A text of ids with signs is a sum; a wrong id is told in a sentence, and the field keeps the text."""
    rows = {"king": [1, 1, 0], "man": [0, 1, 0], "woman": [0, 0, 1], "queen": [1, 0, 1], "apple": [-1, 1, -1]}
    es.build((list(rows), list(rows.values())), name="w2v")
    page = AppTest.from_file(str(PAGE), default_timeout=60)
    page.query_params["index"] = "w2v"
    page.run()
    page.text_input(key="search-text").set_value("king - man + woman").run()
    shown = html_of(page)
    assert re.findall(r'es-text">([^<]+)<', shown)[0] == "queen"
    assert 'data-act="why"' not in html_of(page)
    page.text_input(key="search-text").set_value("king - mann").run()
    assert "There is no item 'mann' in the index." in page.warning[0].value.replace("\\", "")
    assert page.text_input(key="search-text").value == "king - mann"


@pytest.mark.usefixtures("here")
def test_an_index_of_ones_own_encoder_takes_items():
    """Without the program that has the encoder, the page asks for items, and a text is told why not."""

    class Lengths:
        name = "lengths"

        def encode(self, items):
            return [[len(item), item.count("a"), 1] for item in items]

    es.build(
        [{"id": word, "text": word} for word in ("pear", "banana", "ananas")], name="own", encoder=Lengths()
    )
    page = AppTest.from_file(str(PAGE), default_timeout=60)
    page.query_params["index"] = "own"
    page.run()
    page.text_input(key="search-text").set_value("a long text").run()
    assert "in the Python program that has the encoder" in page.warning[0].value
    page.text_input(key="search-text").set_value("banana").run()
    assert not page.exception
    assert not page.warning
    shown = html_of(page)
    assert re.findall(r'es-text">([^<]+)<', shown)[0] == "ananas"
