"""Audio encoders of transformers, against the plain call on small models with random weights."""

import numpy as np
import pytest
import torch

from embedsearch.encoders import load_encoder
from embedsearch.models.files import default_unit
from embedsearch.records import Unit
from tests.small_sound_models import MODELS, make
from tests.sounds import noise, tone


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder of each model."""
    root = tmp_path_factory.mktemp("models")
    return {name: make(name, root / name) for name in MODELS}


def plain(folder, samples, rate):
    """Return what the feature extractor and the model of transformers give for one sound."""
    from transformers import AutoFeatureExtractor, AutoModel

    model = AutoModel.from_pretrained(folder).eval()
    inputs = AutoFeatureExtractor.from_pretrained(folder)(samples, sampling_rate=rate, return_tensors="pt")
    return model, inputs


def encode(folder, samples, **options):
    """Return the encoder of a folder, and its vectors of samples."""
    encoder = load_encoder(str(folder), unit="sound", device="cpu", precision="fp32", **options)
    return encoder, encoder.encode(samples)


@pytest.mark.parametrize("name", ["wav2vec2", "hubert", "wavlm"])
def test_a_model_of_waveforms_gives_the_mean_over_its_frames(folders, name):
    """Sounds of several lengths in one call get what each gets alone: none is padded."""
    samples = [tone(1.0), noise(0.7), tone(1.0, 220)]
    _, vectors = encode(folders[name], samples)
    for each, vector in zip(samples, vectors, strict=True):
        model, inputs = plain(folders[name], each, 16_000)
        with torch.inference_mode():
            wanted = model(inputs["input_values"]).last_hidden_state[0].mean(0).numpy()
        np.testing.assert_allclose(vector, wanted, atol=2e-5)


def test_whisper_leaves_the_padding_out(folders):
    """Of a sound of 1 second the first 50 of its 1,500 frames count."""
    _, (vector,) = encode(folders["whisper"], [tone(1.0)])
    model, inputs = plain(folders["whisper"], tone(1.0), 16_000)
    with torch.inference_mode():
        hidden = model.get_encoder()(inputs["input_features"]).last_hidden_state[0]
    np.testing.assert_allclose(vector, hidden[:50].mean(0).numpy(), atol=2e-5)


def test_ast_leaves_the_padding_and_the_first_positions_out(folders):
    """Of 1.02 seconds, 100 frames of 1,024, the patches that begin among them count, of every frequency."""
    _, (vector,) = encode(folders["ast"], [tone(1.02)])
    model, inputs = plain(folders["ast"], tone(1.02), 16_000)
    with torch.inference_mode():
        hidden = model(inputs["input_values"]).last_hidden_state[0, 2:]
    grid = hidden.reshape(12, 101, -1)  # frequencies, times
    np.testing.assert_allclose(vector, grid[:, :10].mean((0, 1)).numpy(), atol=2e-5)


def test_clap_gives_its_projection(folders):
    """The vector is that of `get_audio_features`; with the pooling mean it is the mean over its map."""
    sound = noise(2.0, rate=48_000)
    _, (vector,) = encode(folders["clap"], [sound])
    model, inputs = plain(folders["clap"], sound, 48_000)
    with torch.inference_mode():
        wanted = model.get_audio_features(**inputs).pooler_output[0].numpy()
        hidden = model.audio_model(**inputs).last_hidden_state[0]
    np.testing.assert_allclose(vector, wanted, atol=2e-5)
    _, (vector,) = encode(folders["clap"], [sound], pooling="mean")
    np.testing.assert_allclose(vector, hidden.mean((1, 2)).numpy(), atol=2e-5)


@pytest.mark.parametrize("name", MODELS)
def test_a_clip_is_taken_apart(folders, name):
    """The rows that count have equal weights, and their mean is the vector where nothing is projected."""
    encoder, (vector,) = encode(folders[name], [noise(1.0, rate=48_000 if name == "clap" else 16_000)])
    apart = encoder.hidden_states(noise(1.0, rate=encoder.rate))
    assert apart.exact == (name != "clap")
    assert apart.views[0].count == len(apart.rows)
    np.testing.assert_allclose(apart.vector, vector, atol=2e-5)
    if apart.exact:
        np.testing.assert_allclose(apart.weights @ apart.rows, vector, atol=2e-5)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_says_that_it_reads_sounds(folders, name):
    """Without a unit a model of sounds is one by its preprocessor."""
    assert default_unit(str(folders[name]), "") is Unit.SOUND
