"""Queries by sounds, texts of two towers and any images load no torch, as texts do; nor does re-ranking."""

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
from embedsearch.encoders.cross_encoder import CrossEncoder
from embedsearch.encoders.engines import QUERY
from embedsearch.encoders.token_rows import tokens_of
from embedsearch.modalities import PROJECTION
from embedsearch.models.files import find_files
from embedsearch.query import Text
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Unit
from tests import small_sound_models
from tests.encoders.engines.test_exported import HEAVY, exports
from tests.encoders.test_images import pictures
from tests.encoders.test_towers import LONG
from tests.search.test_rerank import cross_encoder
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
rerank = sys.argv[5] or False
hit = index.search(query[sys.argv[3]](sys.argv[4]), k=2, rerank=True if rerank == "tokens" else rerank)[0]
print(hit.id, f"{hit.distance:.6f}", [name for name in sys.argv[6:] if name in sys.modules])
"""


def asked_apart(name, indexes, kind, query, rerank=""):
    """Return the first hit of a query in a process of its own, its distance, and the heavy modules there."""
    command = [sys.executable, "-c", SEARCH, name, str(indexes), kind, str(query), rerank, *HEAVY]
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


def test_an_image_that_finds_texts_loads_no_torch(tmp_path):
    """A build of texts exports the model of images and keeps its class head, which another process reads."""
    index = es.build(
        ["a red apple", "a fast car"], name="texts", indexes=tmp_path, precision="fp32", device="cpu"
    )  # fmt: skip
    path = tmp_path / "image.png"
    pictures()[0].save(path)
    found = asked_apart("texts", tmp_path, "image", path)
    first = index.search(path, k=2)[0]
    assert found == (first.id, f"{first.distance:.6f}", "[]")


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("ConvNext", {"size": {"shortest_edge": 32}, "crop_pct": 0.875}),
        ("ConvNext", {"size": {"shortest_edge": 384}}),
        ("Levit", {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}),
        ("EfficientNet", {"size": {"height": 32, "width": 32}}),
        ("EfficientNet", {"size": {"height": 32, "width": 32}, "rescale_offset": True}),
        ("MobileViT", {"size": {"shortest_edge": 36}, "crop_size": {"height": 32, "width": 32}}),
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


def both(exact, encoder, items, atol=1e-5):
    """Check that an encoder runs an export, and gives the vectors of torch's."""
    assert encoder.engine == "openvino"
    np.testing.assert_allclose(encoder.encode(items), exact.encode(items), rtol=0, atol=atol)


@pytest.mark.parametrize("name", small_sound_models.MODELS)
def test_sounds_go_through_an_exported_audio_encoder(tmp_path, name):
    """Sounds of several lengths have torch's vectors to 2e-5, through an export that was made before."""
    folder = small_sound_models.make(name, tmp_path / "model")
    exact = encoder_of(Unit.SOUND, folder, "torch")
    sounds = [tone(1.0, rate=exact.rate), noise(0.73, exact.rate), tone(1.0, 220, exact.rate), noise(2.5)]
    encoder_of(Unit.SOUND, folder)
    encoder = encoder_of(Unit.SOUND, folder)
    both(exact, encoder, sounds, 2e-5)
    both(exact, encoder, sounds[1:2], 2e-5)
    apart = encoder.hidden_states(sounds[0])
    np.testing.assert_array_equal(apart.rows, exact.hidden_states(sounds[0]).rows)


def test_sounds_and_texts_that_ask_clap_load_no_torch(tmp_path):
    """A build of sounds by CLAP exports both towers: a sound and a text find the nearest sound by them."""
    folder = small_sound_models.make("clap", tmp_path / "model")
    sounds = write(tmp_path / "s", rate=48_000, low=tone(1, 220, 48_000), loud=noise(1, 48_000))
    index = es.build(
        sounds, name="sounds", indexes=tmp_path, model=folder, precision="fp32", device="cpu"
    )  # fmt: skip
    assert [facts["failed"] for facts in exports()] == ["", ""]
    for kind, query in (("sound", sounds / "loud.wav"), ("text", "a cat")):
        first = index.search(query, k=2)[0]
        found = asked_apart("sounds", tmp_path, kind, query)
        assert found == (first.id, f"{first.distance:.6f}", "[]")


@pytest.mark.parametrize("pooling", ["mean", PROJECTION])
def test_images_of_any_shape_go_through_an_exported_model(small_model, pooling):
    """NaFlex: images have torch's vectors to 1e-5, alone and together, through an export made before."""
    folder = small_model("siglip2-naflex")
    images = [*pictures(), pictures()[0].resize((30, 90)), pictures()[1].resize((200, 21))]
    exact = encoder_of(Unit.IMAGE, folder, "torch", pooling=pooling)
    encoder_of(Unit.IMAGE, folder, pooling=pooling)
    encoder = encoder_of(Unit.IMAGE, folder, pooling=pooling)
    both(exact, encoder, images)
    both(exact, encoder, images[-1:])


@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_tokens_go_through_an_exported_model(small_model, name):
    """Tokens of texts, and where they stand, are those of torch to 1e-5, also where the vector is in bf16."""
    exact = tokens_of(encoder_of(Unit.TEXT, small_model(name), "torch", pooling="mean"), SENTENCES)
    encoder = encoder_of(Unit.TEXT, small_model(name), pooling="mean")
    assert encoder.exported_rows is not None
    for ours, theirs in zip(tokens_of(encoder, SENTENCES), exact, strict=True):
        assert ours.spans == theirs.spans
        np.testing.assert_allclose(ours.rows, theirs.rows, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["vit", "resnet"])
def test_patches_go_through_an_exported_model(small_model, name):
    """Patches of images, of both views, are those of torch to 1e-4."""
    options = {"preparation": 2, "views": "both", "decoding": "full"}
    exact = tokens_of(encoder_of(Unit.IMAGE, small_model(name), "torch", **options), pictures())
    encoder = encoder_of(Unit.IMAGE, small_model(name), **options)
    assert encoder.exported_rows is not None
    for ours, theirs in zip(tokens_of(encoder, pictures()), exact, strict=True):
        np.testing.assert_allclose(ours.rows, theirs.rows, rtol=0, atol=1e-4)


def test_a_tower_has_no_tokens_of_its_own_space_exported(small_model):
    """The rows of a projection are projected apart from the vector: torch computes them."""
    encoder = encoder_of(Unit.TEXT, small_model("clip"), pooling=PROJECTION)
    assert encoder.exported_rows is None
    assert len(tokens_of(encoder, SENTENCES[:1])[0].spans) > 3


def test_re_ranking_loads_no_torch(small_model, tmp_path):
    """By tokens at once, by a cross-encoder from the second process on: the order is torch's."""
    index = es.build(
        list(SENTENCES), name="faq", indexes=tmp_path, model=small_model("bert"), pooling="mean",
        precision="fp32", device="cpu",
    )  # fmt: skip
    first = index.search("a river bank", k=2, rerank=True)[0]
    assert asked_apart("faq", tmp_path, "text", "a river bank", "tokens") == (
        first.id, f"{first.distance:.6f}", "[]",
    )  # fmt: skip
    model = cross_encoder(tmp_path / "cross", small_model, 1).as_posix()
    first = index.search("a river bank", k=2, rerank=model)[0]
    assert asked_apart("faq", tmp_path, "text", "a river bank", model) == (
        first.id, f"{first.distance:.6f}", "[]",
    )  # fmt: skip


@pytest.mark.parametrize("labels", [1, 2])
def test_a_cross_encoder_goes_through_an_export(small_model, tmp_path, monkeypatch, labels):
    """The export, and the one that is only read, score as torch does to 1e-5, pairs that are cut too."""
    folder = cross_encoder(tmp_path, small_model, labels)
    texts = [*SENTENCES, "a cat sleeps on the bank " * 40]
    with monkeypatch.context() as without:
        without.setattr(encoders, "has_openvino", lambda: False)
        want = CrossEncoder(find_files(EncoderRecipe(Unit.TEXT, str(folder))), "cross").scores("cat", texts)
    for _ in range(2):
        got = CrossEncoder(find_files(EncoderRecipe(Unit.TEXT, str(folder))), "cross")
        assert got._engine.name == "openvino"
        np.testing.assert_allclose(got.scores("cat", texts), want, rtol=0, atol=1e-5)


COMPARE = """
import sys
import embedsearch as es
distances = es.compare([*sys.argv[2:4]], model=sys.argv[1]).distances
print(f"{distances[0, 1]:.5f}", [name for name in sys.argv[4:] if name in sys.modules])
"""


def test_texts_are_compared_without_torch(small_model):
    """Without an index, the first comparison by a model exports it; the next process loads no torch."""
    model, texts = str(small_model("bert")), SENTENCES[:2]
    unit = encoder_of(Unit.TEXT, model, "torch").encode(texts)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    got = es.compare(texts, model=model)
    assert got.distances[0, 1] == pytest.approx(1 - unit[0] @ unit[1], abs=1e-5)
    command = [sys.executable, "-c", COMPARE, model, *texts, *HEAVY]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout.split(maxsplit=1) == [f"{got.distances[0, 1]:.5f}", "[]\n"]
    assert es.compare(texts, model=model, layers=-2).layers == (-2,)
    assert len(exports()) == 1
