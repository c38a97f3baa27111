"""Indexes whose vectors are on a server, on the page: from their folder, and fetched."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

import embedsearch as es
from embedsearch.artifacts.map import inputs_of
from embedsearch.store.build import Build
from embedsearch.store.fetched import fetch_into
from embedsearch.store.folders import current_build
from embedsearch.ui.launch import PAGE
from embedsearch.ui.widgets import index_card
from tests.ui.conftest import html_of


@pytest.fixture
def folders(here):
    """The folder of an index in Milvus Lite, and one that it was fetched into."""
    vectors = np.random.default_rng(0).normal(size=(12, 4))
    fields = [{"topic": "ab"[at % 2]} for at in range(12)]
    uri = str(here / "vectors.db")
    held = ([f"v{at:02}" for at in range(12)], vectors, fields)
    index = es.build(held, name="far", backend="milvus", uri=uri, items="remote")
    fetch_into(here / "fetched", f"milvus://{uri}/far")
    return {"built": index.build.folder.parents[2], "fetched": here / "fetched"}


@pytest.mark.parametrize("which", ["built", "fetched"])
def test_an_index_on_a_server_is_shown(folders, which, monkeypatch):
    """It is searched and filtered, its card names the backend, and a map can be made of it."""
    monkeypatch.setenv("EMBEDSEARCH_INDEXES", str(folders[which]))
    for asked in ({"item": "v03"}, {"where": "topic = 'a'"}):
        page = AppTest.from_file(str(PAGE), default_timeout=60)
        for name, value in {"index": "far", **asked}.items():
            page.query_params[name] = value
        page.run()
        assert not page.exception
        shown = html_of(page)
        assert "v04" in shown
        assert ("v05" in shown) == ("item" in asked)
        assert "milvus, exact" in shown
    folder = folders[which] / "far"
    build = Build(current_build(folder))
    card = index_card.body("far", build.manifest, build.folder, folder, paths=True)
    assert "milvus, exact: recall 100" in card
    inputs = inputs_of(build)
    assert len(inputs.keys) == len(inputs.vectors) == 12
