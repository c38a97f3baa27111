import gc
from weakref import ref

import numpy as np
import pytest

from embedsearch.encoders import load_encoder


def model_of(encoder):
    """Return the torch model that an encoder runs."""
    return encoder._engine.head.model


@pytest.fixture
def load(small_model):
    """Load the small BERT on the CPU."""

    def loaded(precision="fp32", **options):
        return load_encoder(str(small_model("bert")), device="cpu", precision=precision, **options)

    return loaded


def test_texts_and_words_hold_the_weights_once(load):
    """Encoders of one model and precision share its weights, and compute what each does alone."""
    alone = load().encode(["a cat sleeps"])
    gc.collect()
    words, texts = load(unit="word"), load()
    assert model_of(words) is model_of(texts)
    np.testing.assert_array_equal(texts.encode(["a cat sleeps"]), alone)


def test_another_precision_has_weights_of_its_own(load):
    """A model in bfloat16 is not the one in float32."""
    exact, coarse = load(), load("bf16")
    assert model_of(exact) is not model_of(coarse)
    assert {each.dtype for each in model_of(exact).parameters()} != {
        each.dtype for each in model_of(coarse).parameters()
    }


def test_weights_are_freed_with_their_last_encoder(load):
    """A model is held for as long as an encoder uses it, and no longer."""
    first, second = load(), load(unit="word")
    held = ref(model_of(first))
    del first
    gc.collect()
    assert held() is model_of(second)
    del second
    gc.collect()
    assert held() is None


def test_towers_keep_their_parts_apart(small_model):
    """The image tower and the text tower of a model are two, as each drops the other."""
    towers = {
        unit: load_encoder(str(small_model("clip")), unit=unit, device="cpu", precision="fp32")
        for unit in ("text", "image")
    }
    assert model_of(towers["text"]) is not model_of(towers["image"])
