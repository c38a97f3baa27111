import logging

import numpy as np
import pytest

from embedsearch.encoders import load_encoder
from embedsearch.encoders.engines import OutOfDeviceMemoryError
from embedsearch.errors import DeviceError

TEXTS = ["a", "a cat", "a cat sleeps", "a cat sleeps on the mat", "the mat"]


def short_of_memory(encoder, monkeypatch, fits):
    """Let `encoder` run out of memory on more than `fits` items at once; return the sizes it was given."""
    sizes, start = [], encoder._engine.start

    def limited(inputs):
        sizes.append(len(inputs["input_ids"]))
        if sizes[-1] > fits:
            raise OutOfDeviceMemoryError
        return start(inputs)

    monkeypatch.setattr(encoder._engine, "start", limited)
    return sizes


def test_out_of_memory_halves_the_batch_and_goes_on(small_model, monkeypatch, caplog):
    """A batch that does not fit is halved until it does, with the same vectors; each halving is said once."""
    encoder = load_encoder(str(small_model("bert")), device="cpu", precision="fp32", batch_tokens=1000)
    expected = encoder.encode(TEXTS)
    sizes = short_of_memory(encoder, monkeypatch, 2)
    with caplog.at_level(logging.WARNING, "embedsearch"):
        found = encoder.encode(TEXTS)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert sizes == [5, 2, 3, 1, 2]
    assert [record.message for record in caplog.records] == [
        "cpu is out of memory; batches are halved to 500",
        "cpu is out of memory; batches are halved to 250",
    ]


def test_one_item_that_does_not_fit_is_an_error(small_model, monkeypatch):
    """Where not even one item fits, the message names the device and the way out."""
    encoder = load_encoder(str(small_model("bert")), device="cpu", precision="fp32")
    short_of_memory(encoder, monkeypatch, 0)
    with pytest.raises(DeviceError, match=r"memory of cpu does not hold .* Use a smaller model"):
        encoder.encode(TEXTS[:1])
