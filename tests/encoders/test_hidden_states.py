"""An item's hidden states add up to its vector, and each stands for the right part of it."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from safetensors.torch import save_file
from transformers import AutoImageProcessor, AutoModel

from embedsearch.encoders import load_encoder
from embedsearch.encoders.vision.field_of_view import grid_of, seen_box
from embedsearch.encoders.vision.lite import resized
from embedsearch.encoders.vision.resize import PillowResizing
from embedsearch.errors import ItemError
from embedsearch.records import Sentence
from tests.encoders.test_images import pictures, plain
from tests.models.test_spec import declare
from tests.small_models import IMAGE_MODELS, SENTENCES, TEXT_MODELS, TWO_TOWERS


def adds_up(apart, vector):
    """Whether the weighted rows are the vector, to 1e-5 of its length."""
    return bool(np.linalg.norm(apart.weights @ apart.rows - vector) <= 1e-5 * np.linalg.norm(vector))


@pytest.mark.parametrize("name", TEXT_MODELS)
def test_a_texts_tokens_add_up_to_its_vector(small_model, name):
    """The weighted rows of a mean-pooled text are its vector, whatever the tokenizer."""
    encoder = load_encoder(small_model(name).as_posix(), pooling="mean", precision="fp32")
    for text in SENTENCES:
        apart = encoder.hidden_states(text)
        assert apart.exact
        assert adds_up(apart, encoder.encode([text])[0])
        np.testing.assert_array_equal(apart.rows.shape, (len(apart.names), 32))


@pytest.mark.parametrize("name", TEXT_MODELS)
def test_tokens_stand_where_they_are_in_the_text(small_model, name):
    """The first and the last token are special and stand for no place; the others cover every letter."""
    encoder = load_encoder(small_model(name).as_posix(), pooling="mean", precision="fp32")
    text = SENTENCES[2]
    spans = encoder.hidden_states(text).spans
    assert spans[0] is None
    assert spans[-1] is None
    covered = {place for span in spans if span for place in range(*span)}
    assert {place for place, letter in enumerate(text) if letter.isalnum()} <= covered


@pytest.mark.parametrize("layers", [0, -2, (-1, -2)])
def test_layers_add_up_too(small_model, layers):
    """Other layers than the last, and several of them averaged, add up for texts, words and images."""
    bert, vit = small_model("bert").as_posix(), small_model("vit").as_posix()
    text = load_encoder(bert, pooling="mean", layers=layers, precision="fp32")
    assert adds_up(text.hidden_states(SENTENCES[0]), text.encode([SENTENCES[0]])[0])
    word = load_encoder(bert, unit="word", layers=layers, precision="fp32")
    sentence = Sentence(SENTENCES[2], ((6, 10),))
    assert adds_up(word.hidden_states(sentence), word.encode([sentence])[0])
    image = load_encoder(vit, layers=layers, precision="fp32")
    assert adds_up(image.hidden_states(pictures()[0]), image.encode(pictures()[:1])[0])


@pytest.mark.parametrize("pooling", ["mean", "first"])
def test_a_word_is_made_of_its_sub_tokens(small_model, pooling):
    """A word's rows are those of its sub-tokens, or of the first, and add up to its vector."""
    encoder = load_encoder(small_model("bert").as_posix(), unit="word", pooling=pooling, precision="fp32")
    start = SENTENCES[2].index("unbelievably")
    sentence = Sentence(SENTENCES[2], ((start, start + len("unbelievably")),))
    apart = encoder.hidden_states(sentence)
    assert apart.exact
    assert adds_up(apart, encoder.encode([sentence])[0])
    assert apart.spans[0][0] == start
    assert apart.spans[-1][1] == start + len("unbelievably") if pooling == "mean" else len(apart.rows) == 1
    assert len(apart.rows) > 1 or pooling == "first"


@pytest.mark.parametrize("patch_tokens_only", [False, True])
@pytest.mark.parametrize("name", IMAGE_MODELS)
def test_an_images_patches_add_up_to_its_vector(small_model, name, patch_tokens_only):
    """Patches, CLS and registers of every family add up; the grid takes all but the leading tokens."""
    encoder = load_encoder(
        small_model(name).as_posix(),
        pooling="mean",
        precision="fp32",
        patch_tokens_only=patch_tokens_only,
        views="centre",
    )
    last = plain(small_model(name), pictures()[0])[1]
    for picture in pictures():
        apart = encoder.hidden_states(picture)
        assert apart.exact
        assert adds_up(apart, encoder.encode([picture])[0])
        if last.ndim == 4:
            assert apart.views[0].grid == tuple(last.shape[2:])
            assert not any(apart.names)
            continue
        prefix = last.shape[1] - apart.views[0].grid[0] * apart.views[0].grid[1]
        assert prefix == {"deit": 2, "dinov2-registers": 4, "siglip": 0, "swin": 0}.get(name, 1)
        assert [bool(label) for label in apart.names] == [True] * prefix + [False] * (
            len(apart.rows) - prefix
        )
        assert (apart.weights[:prefix] == 0).all() or not patch_tokens_only


def test_a_maps_positions_are_its_rows(small_model):
    """The rows of a CNN are the positions of its map, row by row."""
    encoder = load_encoder(small_model("resnet").as_posix(), precision="fp32")
    last = plain(small_model("resnet"), pictures()[0])[1][0]  # (D, H, W)
    got = encoder.hidden_states(pictures()[0]).rows.reshape(*last.shape[1:], last.shape[0])
    np.testing.assert_allclose(got, last.permute(1, 2, 0).numpy(), atol=1e-5)


@pytest.mark.parametrize("name", ["vit", "siglip", "clip"])
def test_a_patch_stands_for_its_place(small_model, name):
    """What is painted into one patch changes that patch's row of the embeddings or of the map most."""
    encoder = load_encoder(small_model(name).as_posix(), layers=0, precision="fp32")
    before = Image.new("RGB", (32, 32), "grey")
    rows, columns = encoder.hidden_states(before).views[0].grid
    for row, column in ((0, 0), (rows - 1, 0), (1, columns - 1)):
        after = before.copy()
        height, width = 32 // rows, 32 // columns
        box = (column * width, row * height, (column + 1) * width - 1, (row + 1) * height - 1)
        ImageDraw.Draw(after).rectangle(box, "red")
        change = encoder.hidden_states(after).rows - encoder.hidden_states(before).rows
        moved = np.linalg.norm(change, axis=1)[-rows * columns :].reshape(rows, columns)
        assert np.unravel_index(moved.argmax(), moved.shape) == (row, column)


def test_the_bundled_models_add_up():
    """The bundled models' rows add up in float32, also where the encoder computes in bf16."""
    for precision in ("fp32", "bf16"):
        encoder = load_encoder(engine="torch", precision=precision)
        exact = load_encoder(engine="torch", precision="fp32").encode(["How do I get my money back?"])[0]
        apart = encoder.hidden_states("How do I get my money back?")
        assert adds_up(apart, exact)
        assert (apart.names[0], apart.names[-1], len(apart.names)) == ("[CLS]", "[SEP]", 10)
    image = load_encoder(unit="image", engine="torch", precision="fp32")
    apart = image.hidden_states(pictures()[2])
    assert apart.views[0].grid == (9, 9)
    assert adds_up(apart, image.encode([pictures()[2]])[0])


@pytest.mark.openvino
def test_openvino_s_encoder_takes_apart_in_torch(small_model):
    """OpenVINO gives vectors alone: the hidden states come from torch in float32."""
    pytest.importorskip("openvino")
    folder = small_model("bert").as_posix()
    encoder = load_encoder(folder, pooling="mean", engine="openvino", precision="fp32")
    exact = load_encoder(folder, pooling="mean", engine="torch", precision="fp32")
    assert encoder.engine == "openvino"
    assert adds_up(encoder.hidden_states(SENTENCES[0]), exact.encode([SENTENCES[0]])[0])


def test_cls_pooling_is_told_as_an_approximation(small_model):
    """With [CLS] pooling the rows are all tokens' states, the vector the first one's, and not exact."""
    encoder = load_encoder(small_model("bert").as_posix(), pooling="cls", precision="fp32")
    apart = encoder.hidden_states(SENTENCES[0])
    assert not apart.exact
    np.testing.assert_allclose(apart.rows[0], apart.vector, atol=1e-6)
    np.testing.assert_allclose(apart.weights, 1 / len(apart.rows))
    image = load_encoder(small_model("vit").as_posix(), pooling="cls", precision="fp32")
    assert not image.hidden_states(pictures()[0]).exact


@pytest.mark.parametrize(("activation", "exact"), [("Identity", True), ("Tanh", False)])
def test_dense_layers_are_exact_where_they_do_not_bend(small_model, tmp_path, activation, exact):
    """W mean(h) + b = mean(W h + b): a straight Dense layer keeps the sum, a bent one does not."""
    folder = tmp_path / "model"
    shutil.copytree(small_model("bert"), folder)
    declare(folder, {"pooling_mode": "mean"}, "Dense")
    (folder / "2_Dense").mkdir()
    facts = {
        "in_features": 32, "out_features": 8, "bias": True,
        "activation_function": f"torch.nn.modules.{activation}",
    }  # fmt: skip
    (folder / "2_Dense" / "config.json").write_text(json.dumps(facts))
    torch.manual_seed(1)
    weights = {"linear.weight": torch.randn(8, 32), "linear.bias": torch.randn(8)}
    save_file(weights, folder / "2_Dense" / "model.safetensors")
    encoder = load_encoder(folder.as_posix(), precision="fp32")
    apart = encoder.hidden_states(SENTENCES[0])
    np.testing.assert_allclose(apart.vector, encoder.encode([SENTENCES[0]])[0], atol=1e-6)
    assert apart.rows.shape[1] == 8
    assert apart.exact is exact
    assert adds_up(apart, apart.vector) is exact


def test_a_prompt_is_no_part_of_the_text(small_model, tmp_path):
    """A passage prompt's tokens stand for no place, and the text's begin at 0."""
    folder = tmp_path / "model"
    shutil.copytree(small_model("bert"), folder)
    declare(folder, {"pooling_mode": "mean"})
    (folder / "config_sentence_transformers.json").write_text('{"prompts": {"passage": "cat: "}}')
    encoder = load_encoder(folder.as_posix(), precision="fp32")
    apart = encoder.hidden_states("bank rate")
    placed = [span for span in apart.spans if span]
    assert (placed[0][0], placed[-1][1]) == (0, len("bank rate"))
    assert apart.spans[:3] == (None, None, None)
    assert adds_up(apart, encoder.encode(["bank rate"])[0])


def test_a_long_text_says_that_it_was_cut(small_model):
    """What lies beyond the model's limit has no token, and that is told."""
    encoder = load_encoder(small_model("bert").as_posix(), pooling="mean", precision="fp32")
    assert encoder.hidden_states("bank " * 300).truncated
    assert not encoder.hidden_states("bank").truncated


def test_a_lost_image_is_an_item_error(small_model, tmp_path):
    """An image that is gone is an ItemError, as in `encode`."""
    with pytest.raises(ItemError, match="does not exist"):
        load_encoder(small_model("vit").as_posix()).hidden_states(tmp_path / "gone.png")


@pytest.mark.parametrize("size", [(400, 300), (300, 400), (1000, 90), (64, 64), (37, 53)])
def test_the_bundled_model_sees_the_central_square(size):
    """The measured part is the square of 260 / 292 of the shorter side, to half a percent."""
    width, height = size
    side = min(size) * 260 / 292
    want = (0.5 - side / width / 2, 0.5 - side / height / 2, 0.5 + side / width / 2, 0.5 + side / height / 2)
    np.testing.assert_allclose(seen_box(resized, size), want, atol=0.005)


def test_crops_and_padding_are_measured():
    """Resized whole is all of it, cropped the middle, and a crop wider than the image reaches beyond it."""
    whole = PillowResizing((32, 48), 0, None, Image.Resampling.BICUBIC)
    np.testing.assert_allclose(seen_box(whole, (300, 200)), (0, 0, 1, 1), atol=0.005)
    middle = PillowResizing(None, 64, (32, 32), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(seen_box(middle, (400, 200)), (0.375, 0.25, 0.625, 0.75), atol=0.01)
    padded = PillowResizing(None, 32, (64, 64), Image.Resampling.BICUBIC)
    np.testing.assert_allclose(seen_box(padded, (200, 200)), (-0.5, -0.5, 1.5, 1.5), atol=0.03)
    assert seen_box(whole, (1, 1)) == (0, 0, 1, 1)


@pytest.mark.parametrize("name", ["dinov2", "clip"])
def test_the_box_fits_what_the_processor_crops(small_model, name):
    """For models that crop, the part is the central square of the shorter side."""
    encoder = load_encoder(small_model(name).as_posix(), pooling="mean", precision="fp32")
    np.testing.assert_allclose(
        encoder.hidden_states(Image.new("RGB", (200, 100))).views[0].box, (0.25, 0, 0.75, 1), atol=0.01
    )


@pytest.mark.parametrize(
    ("tokens", "patch", "size", "want"),
    [
        (197, 16, (224, 224), (14, 14)), (201, 16, (224, 224), (14, 14)), (49, 4, (224, 224), (7, 7)),
        (98, 4, (224, 448), (7, 14)), (50, None, (224, 224), (7, 7)), (1, None, (32, 32), (1, 1)),
        (3, None, (32, 32), (1, 1)), (29, 16, (224, 32), (14, 2)), (0, None, (32, 32), None),
    ],
)  # fmt: skip
def test_grids_follow_from_the_number_of_tokens(tokens, patch, size, want):
    """CLS and registers are what is over; merged patches keep the image's shape."""
    assert grid_of(tokens, patch, *size) == want


@pytest.mark.parametrize("name", TWO_TOWERS)
def test_projected_patches_are_an_approximation(small_model, name):
    """Each patch is projected as the vector is, the vector stays that of the model, and it is inexact."""
    encoder = load_encoder(small_model(name).as_posix(), unit="image", precision="fp32")
    apart = encoder.hidden_states(pictures()[0])
    assert not apart.exact
    np.testing.assert_allclose(apart.vector, encoder.encode(pictures()[:1])[0], atol=1e-5)
    assert len(apart.rows) >= apart.views[0].grid[0] * apart.views[0].grid[1] > 1
    assert apart.weights.sum() == pytest.approx(1)
    model = AutoModel.from_pretrained(small_model(name)).eval()
    inputs = AutoImageProcessor.from_pretrained(small_model(name), backend="pil")(
        pictures()[0], return_tensors="pt"
    )
    last = int(inputs["pixel_attention_mask"].sum()) - 1 if "pixel_attention_mask" in inputs else -1
    with torch.inference_mode():
        hidden = model.vision_model(**inputs).last_hidden_state[0, last]
        if name == "clip":
            want = model.visual_projection(model.vision_model.post_layernorm(hidden))
        else:
            want = model.vision_model.head(hidden[None, None])[0]
    np.testing.assert_allclose(apart.rows[-1], want.numpy(), atol=1e-5)


@pytest.mark.parametrize("name", TWO_TOWERS)
def test_projected_tokens_are_an_approximation(small_model, name):
    """The tokens of a text tower are projected one by one, without the padding, and cover the text."""
    encoder = load_encoder(small_model(name).as_posix(), unit="text", precision="fp32")
    text = SENTENCES[0][:9]
    apart = encoder.hidden_states(text)
    assert not apart.exact
    np.testing.assert_allclose(apart.vector, encoder.encode([text])[0], atol=1e-5)
    assert len(apart.rows) == len(apart.names) <= len(text) + 2
    covered = {place for span in apart.spans if span for place in range(*span)}
    assert {place for place, letter in enumerate(text) if letter.isalnum()} <= covered
