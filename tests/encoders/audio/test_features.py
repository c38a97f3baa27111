"""What NumPy alone makes of samples, against the feature extractors of transformers."""

import numpy as np
import pytest
import transformers

from embedsearch.encoders.audio.features import alone, features_of
from embedsearch.encoders.audio.mel import Scale, mel_filters
from tests.sounds import noise, tone

CASES = [
    ("Wav2Vec2", {}),
    ("Wav2Vec2", {"do_normalize": False}),
    ("AST", {}),
    ("AST", {"num_mel_bins": 64, "max_length": 64, "mean": -3.0, "std": 2.0}),
    ("AST", {"do_normalize": False}),
    ("Whisper", {}),
    ("Whisper", {"feature_size": 128, "chunk_length": 3}),
    ("Clap", {"truncation": "rand_trunc"}),
    ("Clap", {"truncation": "fusion", "padding": "pad", "max_length_s": 2}),
    ("Clap", {"truncation": "rand_trunc", "padding": "repeat", "frequency_min": 50, "feature_size": 32}),
]


def extracted(extractor):
    """Return what an extractor of transformers makes of samples."""

    def features(samples):
        made = extractor(samples, sampling_rate=extractor.sampling_rate, return_tensors="np")
        return {name: np.asarray(array)[0] for name, array in made.items() if name != "attention_mask"}

    return features


@pytest.mark.parametrize(("kind", "options"), CASES)
def test_numpy_does_what_an_extractor_does(kind, options):
    """Each input has the extractor's shape, kind of number and values, to 1e-4 where torch rounds."""
    extractor = getattr(transformers, f"{kind}FeatureExtractor")(**options)
    rate, theirs = extractor.sampling_rate, extracted(extractor)
    facts = alone(extractor, theirs, [noise(0.5, rate)])
    ours = features_of(facts)
    for samples in (tone(1.0, rate=rate), noise(0.73, rate, seed=1), noise(0.1, rate), 0 * noise(1.0, rate)):
        made, wanted = ours(samples), theirs(samples)
        assert {name: each.shape for name, each in made.items()} == {
            name: each.shape for name, each in wanted.items()
        }
        for name, each in made.items():
            assert each.dtype == wanted[name].dtype
            np.testing.assert_allclose(each.astype(float), wanted[name], rtol=0, atol=1e-4)


def test_what_does_something_else_is_not_trusted():
    """An extractor of an unknown class, or whose inputs differ, has no form without transformers."""
    unknown = transformers.SeamlessM4TFeatureExtractor()
    assert alone(unknown, extracted(unknown), [noise(0.5)]) is None
    noisy = transformers.WhisperFeatureExtractor(dither=0.1)
    assert alone(noisy, extracted(noisy), [noise(0.5)]) is None


@pytest.mark.parametrize("scale", list(Scale))
@pytest.mark.parametrize("equal", [True, False])
def test_mel_filters_are_those_of_transformers(scale, equal):
    """The filters on each scale are those of transformers to 1e-12."""
    wanted = transformers.audio_utils.mel_filter_bank(
        257, 40, 50, 7600, 16_000, "slaney" if equal else None, scale, scale is Scale.KALDI
    )
    got = mel_filters(512, 40, (50, 7600), 16_000, scale, equal_areas=equal)
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-12)
