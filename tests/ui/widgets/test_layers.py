import numpy as np
import pytest

from embedsearch.api import compare
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Unit
from embedsearch.ui.widgets import layers

TEXTS = ("A cat sleeps.", "The kitten naps.", "Rates rose.")


def test_each_layer_is_compared_as_the_library_does(monkeypatch):
    """All layers of both poolings, from the embedding of tokens on; each with the distances of `compare`."""
    monkeypatch.setattr(layers, "MOST", 3)
    recipe = EncoderRecipe(Unit.TEXT, engine="torch", precision="fp32")
    far = layers.by_layer(recipe, TEXTS)
    assert {pooling: list(by) for pooling, by in far.items()} == {"cls": [0, 3, 6], "mean": [0, 3, 6]}
    for pooling, layer in (("cls", 6), ("mean", 3)):
        made = compare(TEXTS, pooling=pooling, layers=layer)
        assert far[pooling][layer] == pytest.approx(made.distances, abs=1e-5)


def test_the_nearest_pair_is_framed_and_said():
    """A map is shaded by its own ends, its nearest pair is framed twice and named for screen readers."""
    far = np.array([[0, 0.2, 0.6], [0.2, 0, 1.0], [0.6, 1.0, 0]], np.float32)
    html = layers.drawn({"mean": {0: far, 1: far}})
    assert html.count('class="es-nearest"') == 4
    assert html.count("--share: 70.0%") == 4
    assert html.count("--share: 0.0%") == 4
    assert "the mean of all tokens, layer 1 (last): 1 and 2 are nearest, the farthest 1" in html
    assert "--share: 0.0%" in layers.drawn({"cls": {0: np.zeros((2, 2), np.float32)}})
