"""Vectors made elsewhere, on the page."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

import embedsearch as es
from embedsearch.ui.launch import PAGE


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
    assert not page.exception
    shown = " ".join(each.proto.body for each in page.get("html"))
    assert "v4" in shown or "v5" in shown
