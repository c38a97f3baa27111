"""Queries by sounds, texts of two towers, and images of any preprocessing load no torch, as texts do."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import transformers
from PIL import Image

import embedsearch as es
from embedsearch import encoders
from embedsearch.encoders import open_encoder
from embedsearch.encoders.audio.spectrogram import BANDS, LOWEST, RATE, SIZE, _bank
from embedsearch.encoders.engines import QUERY
from embedsearch.modalities import PROJECTION
from embedsearch.query import Text
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Unit
from tests.encoders.engines.test_exported import HEAVY, exports
from tests.encoders.test_images import pictures
from tests.encoders.test_towers import LONG
from tests.small_models import SENTENCES, TWO_TOWERS
from tests.sounds import clicks, noise, tone, write

pytestmark = [
    pytest.mark.openvino,
    pytest.mark.skipif(not encoders.has_openvino(), reason="the extra openvino is not installed"),
]
SEARCH = """
import sys
from pathlib import Path
import embedsearch as es
from embedsearch.query import Image, Sound
index = es.open(sys.argv[1], indexes=sys.argv[2])
query = {"text": str, "sound": lambda path: Sound(Path(path)), "image": lambda path: Image(Path(path))}
hit = index.search(query[sys.argv[3]](sys.argv[4]), k=2)[0]
print(hit.id, f"{hit.distance:.6f}", [name for name in sys.argv[5:] if name in sys.modules])
"""


def asked_apart(name, indexes, kind, query):
    """Return the first hit of a query in a process of its own, its distance, and the heavy modules there."""
    command = [sys.executable, "-c", SEARCH, name, str(indexes), kind, str(query), *HEAVY]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stderr == ""
    return tuple(ran.stdout.strip().split(maxsplit=2))


def encoder_of(unit, model="", engine=QUERY, **options):
    """Return an encoder in fp32 on the CPU."""
    return open_encoder(
        EncoderRecipe(unit, str(model), precision="fp32", device="cpu", engine=engine, **options)
    )


def test_the_mel_filters_are_those_of_transformers():
    """The filters, computed without transformers, are its Slaney filters to the last digit."""
    wanted = transformers.audio_utils.mel_filter_bank(
        SIZE // 2 + 1, BANDS, LOWEST, RATE / 2, RATE, norm="slaney", mel_scale="slaney"
    )
    np.testing.assert_array_equal(_bank(), wanted.astype(np.float32))


def test_a_sound_query_loads_no_torch(tmp_path):
    """A build of sounds exports their model: its vectors are torch's to 1e-5, and a query loads no torch."""
    sounds = write(tmp_path / "s", low=tone(1, 220), loud=noise(1), clicks=clicks(1))
    index = es.build(sounds, name="sounds", indexes=tmp_path, precision="fp32", device="cpu")
    paths = sorted(sounds.glob("*.wav"))
    want = encoder_of(Unit.SOUND, engine="torch").encode(paths)
    assert index.encoder.engine == "openvino"
    np.testing.assert_allclose(index.encoder.encode(paths), want, rtol=0, atol=1e-5)
    first = index.search(sounds / "loud.wav", k=2)[0]
    found = asked_apart("sounds", tmp_path, "sound", sounds / "loud.wav")
    assert found == (first.id, f"{first.distance:.6f}", "[]")


@pytest.mark.parametrize("name", TWO_TOWERS)
def test_texts_of_two_towers_go_through_an_exported_model(small_model, name):
    """Texts have the vectors of torch's tower to 1e-5, alone and together, through an export made before."""
    texts = [*SENTENCES, LONG]
    exact = encoder_of(Unit.TEXT, small_model(name), "torch", pooling=PROJECTION)
    want = exact.encode(texts)
    encoder_of(Unit.TEXT, small_model(name), pooling=PROJECTION)
    encoder = encoder_of(Unit.TEXT, small_model(name), pooling=PROJECTION)
    assert encoder.engine == "openvino"
    for ours, theirs in zip(encoder.prepare(texts), exact.prepare(texts), strict=True):
        assert (ours.truncated, ours.unknown, ours.cost) == (theirs.truncated, theirs.unknown, theirs.cost)
        np.testing.assert_array_equal(ours.inputs["input_ids"], theirs.inputs["input_ids"])
    np.testing.assert_allclose(encoder.encode(texts), want, rtol=0, atol=1e-5)
    alone = np.concatenate([encoder.encode([text]) for text in texts])
    np.testing.assert_allclose(alone, want, rtol=0, atol=1e-5)


def test_a_text_that_finds_images_by_towers_loads_no_torch(small_model, tmp_path):
    """A build of images by CLIP exports both towers; texts that ask it load no torch."""
    for number in range(6):
        Image.new("RGB", (64, 64), (40 * number, 90, 0)).save(tmp_path / f"{number}.png")
    options = {"model": small_model("clip"), "captions": "", "precision": "fp32", "device": "cpu"}
    index = es.build(tmp_path, name="reds", indexes=tmp_path / "ix", **options)
    assert sorted(facts["failed"] for facts in exports()) == ["", ""]
    first = index.search(Text("a cat"), k=2)[0]
    found = asked_apart("reds", tmp_path / "ix", "text", "a cat")
    assert found == (first.id, f"{first.distance:.6f}", "[]")


def test_an_image_that_finds_texts_loads_torch_once(tmp_path):
    """The first image asked of texts exports its model and keeps its class head; later ones load no torch."""
    index = es.build(
        ["a red apple", "a fast car"], name="texts", indexes=tmp_path, precision="fp32", device="cpu"
    )  # fmt: skip
    path = tmp_path / "image.png"
    pictures()[0].save(path)
    first = index.search(path, k=2)[0]
    found = asked_apart("texts", tmp_path, "image", path)
    assert found == (first.id, f"{first.distance:.6f}", "[]")


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("ConvNext", {"size": {"shortest_edge": 32}, "crop_pct": 0.875}),
        ("ConvNext", {"size": {"shortest_edge": 384}}),
        ("Levit", {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}),
        ("EfficientNet", {"size": {"height": 32, "width": 32}}),
        ("EfficientNet", {"size": {"height": 32, "width": 32}, "rescale_offset": True}),
    ],
)
def test_images_of_another_preprocessing_go_through_an_exported_model(small_model, tmp_path, kind, options):
    """A processor that reads its settings in its own way, or scales by itself, is exported with its model."""
    model = transformers.AutoModel.from_pretrained(small_model("resnet"))
    model.save_pretrained(tmp_path)
    getattr(transformers, f"{kind}ImageProcessorPil")(**options).save_pretrained(tmp_path)
    recipe = EncoderRecipe(Unit.IMAGE, str(tmp_path), precision="fp32", device="cpu", preparation=2)
    exact = open_encoder(replace(recipe, engine="torch", decoding="full"))
    open_encoder(replace(recipe, engine=QUERY, decoding="full"))
    encoder = open_encoder(replace(recipe, engine=QUERY, decoding="full"))
    assert encoder.engine == "openvino"
    want = exact.encode(pictures())
    bound = 1e-4 * np.linalg.norm(want, axis=1).max()
    np.testing.assert_allclose(encoder.encode(pictures()), want, rtol=0, atol=bound)
    assert [each["facts"]["resizing"] is not None for each in exports()] == [True]
