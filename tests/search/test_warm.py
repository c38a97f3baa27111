"""`Index.warm` loads what the first query would."""

import numpy as np

import embedsearch as es
from embedsearch.index import Index
from tests import fakes


def test_warm_loads_the_model_of_queries(make_build):
    """After `warm` the encoder is loaded and has embedded a text; a query loads nothing more."""
    loaded = []

    def load(recipe):
        loaded.append(recipe)
        return fakes.LetterEncoder(recipe)

    index = Index(make_build(fakes.fruit_entries()), load)
    index.warm()
    assert len(loaded) == 1
    index.search("apple")
    assert len(loaded) == 1


def test_vectors_have_nothing_to_warm(tmp_path):
    """An index of vectors whose model is not known is warm as it is."""
    index = es.build((["a", "b"], np.eye(2, dtype=np.float32)), name="vectors", indexes=tmp_path)
    index.warm()
    assert index._encoder is None
