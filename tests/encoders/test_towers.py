import numpy as np
import pytest
import torch

from embedsearch.encoders import load_encoder
from embedsearch.errors import ModelError
from embedsearch.records import Unit
from tests.encoders.test_images import pictures
from tests.small_models import SENTENCES, TWO_TOWERS

LONG = "a river bank and a cat " * 20


def plain(folder, texts):
    """Return what transformers gives for images and for texts, (n, d) each."""
    from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

    model = AutoModel.from_pretrained(folder).eval()
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    padding = "longest" if model.config.model_type == "clip" else "max_length"
    inputs = tokenizer(texts, padding=padding, truncation=True, max_length=24, return_tensors="pt")
    inputs.pop("token_type_ids", None)
    with torch.no_grad():
        seen = [model.get_image_features(**processor(image, return_tensors="pt")) for image in pictures()]
        read = model.get_text_features(**inputs).pooler_output
    return torch.cat([each.pooler_output for each in seen]).numpy(), read.numpy()


@pytest.mark.parametrize("name", TWO_TOWERS)
def test_both_towers_give_what_transformers_gives(small_model, name):
    """Images have get_image_features and texts get_text_features of the plain call, to 1e-5, by default."""
    folder = small_model(name).as_posix()
    texts = [*SENTENCES, LONG]
    images, read = plain(folder, texts)
    encoder = load_encoder(folder, precision="fp32", views="centre")
    assert encoder.spec.unit is Unit.IMAGE
    np.testing.assert_allclose(encoder.encode(pictures()), images, rtol=0, atol=1e-5)
    tower = load_encoder(folder, unit="text", precision="fp32")
    np.testing.assert_allclose(tower.encode(texts), read, rtol=0, atol=1e-5)
    assert tower.dimension == encoder.dimension


@pytest.mark.parametrize("name", TWO_TOWERS)
def test_a_text_does_not_depend_on_its_batch(small_model, name):
    """A text alone has the vector that it has among others; what the limit cuts is counted."""
    tower = load_encoder(small_model(name).as_posix(), unit="text", precision="fp32")
    together = tower.encode([*SENTENCES, LONG])
    alone = np.concatenate([tower.encode([text]) for text in [*SENTENCES, LONG]])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5)
    assert [each.truncated for each in tower.prepare(["x", LONG])] == [False, True]


def test_images_of_any_shape_are_the_mean_of_their_patches(small_model):
    """NaFlex: the mean over an image's own patches, to 1e-5 of the plain call, whatever the batch."""
    from transformers import AutoImageProcessor, AutoModel

    folder = small_model("siglip2-naflex")
    tall = pictures()[0].resize((30, 90))
    images = [*pictures(), tall, pictures()[1].resize((200, 21))]
    model = AutoModel.from_pretrained(folder).vision_model.eval()
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    want = []
    for image in images:
        inputs = processor(image, return_tensors="pt")
        with torch.no_grad():
            hidden = model(**inputs).last_hidden_state[0]
        want.append(hidden[inputs["pixel_attention_mask"][0].bool()].mean(0).numpy())
    encoder = load_encoder(folder.as_posix(), pooling="mean", precision="fp32")
    np.testing.assert_allclose(encoder.encode(images), want, rtol=0, atol=1e-5)
    alone = np.concatenate([encoder.encode([image]) for image in images])
    encoder.batch_budget = 7
    np.testing.assert_allclose(encoder.encode(images), alone, rtol=0, atol=1e-5)
    apart = encoder.hidden_states(tall)
    rows, columns = apart.views[0].grid
    assert (rows * columns == len(apart.rows), rows > columns, apart.exact) == (True, True, True)
    np.testing.assert_allclose(apart.weights @ apart.rows, alone[len(pictures())], rtol=0, atol=1e-5)
    np.testing.assert_allclose(apart.views[0].box, (0, 0, 1, 1), atol=0.02)


@pytest.mark.openvino
def test_images_of_any_shape_run_with_openvino(small_model):
    """Images of several shapes in a batch have torch's vectors to 1e-5."""
    pytest.importorskip("openvino")
    folder = small_model("siglip2-naflex").as_posix()
    images = [*pictures(), pictures()[0].resize((30, 90))]
    a, b = (
        load_encoder(folder, precision="fp32", engine=engine).encode(images)
        for engine in ("torch", "openvino")
    )
    np.testing.assert_allclose(b, a, rtol=0, atol=1e-5)


@pytest.mark.openvino
@pytest.mark.parametrize("unit", ["image", "text"])
def test_openvino_gives_the_same(small_model, unit):
    """Both of CLIP's towers run with OpenVINO, at a cosine of 0.9999 to torch."""
    pytest.importorskip("openvino")
    folder = small_model("clip").as_posix()
    items = pictures() if unit == "image" else SENTENCES
    engines = ("torch", "openvino")
    a, b = (
        load_encoder(folder, unit=unit, precision="fp32", engine=engine).encode(items) for engine in engines
    )
    assert ((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min() > 0.9999


def test_both_towers_are_of_one_content(small_model, tmp_path):
    """The fingerprints of a projection cover the tokenizer and the preprocessor; the mean's only its own."""
    import shutil

    folder = shutil.copytree(small_model("clip"), tmp_path / "clip")

    def fingerprints():
        return [
            load_encoder(folder.as_posix(), unit=unit, pooling=pooling, precision="fp32").spec.fingerprint
            for unit, pooling in (("image", "projection"), ("text", "projection"), ("image", "mean"))
        ]

    before = fingerprints()
    changed = folder / "tokenizer_config.json"
    changed.write_text(changed.read_text().replace("128", "127"))
    after = fingerprints()
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, False, True]


def test_a_projection_needs_two_towers(small_model):
    """Other models, and other hidden layers, have no projection, and that is said."""
    with pytest.raises(ModelError, match="two towers"):
        load_encoder(small_model("vit").as_posix(), pooling="projection")
    with pytest.raises(ModelError, match="last hidden layer"):
        load_encoder(small_model("clip").as_posix(), pooling="projection", layers=1)


def test_a_tower_without_its_tokenizer_says_so(small_model, tmp_path):
    """Where the files for texts are missing, the images still have vectors, and texts an error in words."""
    import shutil

    folder = shutil.copytree(small_model("clip"), tmp_path / "clip")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    assert load_encoder(folder.as_posix(), precision="fp32").encode(pictures()).shape == (5, 16)
    with pytest.raises(ModelError, match="has no tokenizer"):
        load_encoder(folder.as_posix(), unit="text", precision="fp32")


def test_a_tokenizer_without_a_fast_form_is_read(tmp_path):
    """Texts get the plain call's vectors and are cut at the limit; where their tokens stand is not known."""
    import transformers as hf

    from tests.small_models import _bert_shape, _square, _vision_shape

    _square(tmp_path, "SiglipImageProcessor")
    tokenizer = hf.ByT5Tokenizer(model_max_length=24, model_input_names=["input_ids"])
    tokenizer.save_pretrained(tmp_path)
    text = {**_bert_shape(400), "max_position_embeddings": 24}
    model = hf.SiglipModel(hf.SiglipConfig(text_config=text, vision_config=_vision_shape())).eval()
    model.save_pretrained(tmp_path)
    texts = ["a cat", LONG, ""]
    inputs = tokenizer(texts, padding="max_length", truncation=True, max_length=24, return_tensors="pt")
    with torch.no_grad():
        want = model.get_text_features(input_ids=inputs["input_ids"]).pooler_output.numpy()
    tower = load_encoder(tmp_path.as_posix(), unit="text", precision="fp32", engine="torch")
    assert not tokenizer.is_fast
    assert [each.truncated for each in tower.prepare(texts)] == [False, True, False]
    assert tower.prepare([]) == []
    with pytest.raises(ModelError, match="only a slow tokenizer"):
        tower.hidden_states("a cat")
    np.testing.assert_allclose(tower.encode(texts), want, rtol=0, atol=1e-5)
