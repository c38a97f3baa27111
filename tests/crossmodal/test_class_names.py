import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from embedsearch.crossmodal import class_names
from embedsearch.distances.centring import fit
from embedsearch.encoders import encoder_spec, load_encoder
from embedsearch.encoders.class_head import ClassHead, find_class_head, imagenet_names
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Unit
from tests.encoders.test_images import pictures


def test_probabilities_are_a_softmax_over_the_best_classes():
    """Logits are halved, the 50 largest make the softmax, the others have no share."""
    logits = np.random.default_rng(0).normal(0, 3, (4, 200)).astype(np.float32)
    got = class_names.probabilities(logits)
    for row, values in zip(got, logits.astype(np.float64), strict=True):
        best = np.argsort(-values)[:50]
        want = np.zeros(200)
        want[best] = np.exp(values[best] / 2) / np.exp(values[best] / 2).sum()
        np.testing.assert_allclose(row, want, atol=1e-6)


def test_a_place_is_the_weighted_mean_of_centred_names():
    """An image that is surely one class lies at that class's centred name; between two, at their mean."""
    names = np.eye(4, 6, dtype=np.float32)
    centre = names.mean(0)
    logits = np.full((2, 4), -100, np.float32)
    logits[0, 2] = 100
    logits[1, :2] = 100
    got = class_names.project(logits, names, centre)
    want = np.stack([names[2] - centre, (names[0] + names[1]) / 2 - centre])
    np.testing.assert_allclose(got, want / np.linalg.norm(want, axis=1, keepdims=True), atol=1e-6)


def test_the_bundled_class_head_is_the_networks_own():
    """Logits of stored vectors are what the whole network gives, to 1e-4, and find their class names."""
    from efficientnet_lite_pytorch import EfficientNet

    from embedsearch.models.files import find_files

    recipe = EncoderRecipe(Unit.IMAGE, precision="fp32", decoding="full")
    encoder = load_encoder(unit="image", precision="fp32", decoding="full")
    class_head = find_class_head(encoder_spec(recipe))
    ready = encoder.prepare(pictures()[:2])
    got = class_head.logits(encoder.encode(pictures()[:2]))
    network = EfficientNet.from_name("efficientnet-lite2").eval()
    network.load_state_dict(torch.load(find_files(recipe).weights[0], weights_only=True))
    pixels = np.stack([each.inputs["pixel_values"] for each in ready])
    with torch.no_grad():
        want = network((torch.from_numpy(pixels).float() - 127) / 128).numpy()
    np.testing.assert_allclose(got, want, atol=1e-4)
    assert class_head.names == imagenet_names()
    assert (len(set(class_head.names)), class_head.names[:2]) == (998, ("tench", "goldfish"))


def test_class_scores_of_centred_vectors_are_those_of_the_raw_ones():
    """An index that is centred, reduced or not, names what is in an image as the plain index does."""
    draw = np.random.default_rng(0)
    vectors = np.pad(draw.normal(1, 1, (300, 8)), ((0, 0), (0, 4))).astype(np.float32)
    head = ClassHead(tuple("abcde"), draw.normal(size=(5, 12)).astype(np.float32), np.ones(5, np.float32))
    for dim in (0, 9):
        centring = fit(vectors, dim)
        got = replace(head, centring=centring).logits(centring.apply(vectors))
        np.testing.assert_allclose(got, head.logits(vectors), atol=1e-3)


@pytest.fixture
def classified(tmp_path):
    """Return a function that saves a small image class_head, and gives its folder."""

    def make(kind, config, processor="ViTImageProcessor", **size):
        import transformers

        torch.manual_seed(1)
        labels = dict(enumerate(["tench", "goldfish", "red fox"]))
        made = getattr(transformers, f"{kind}Config")(**config, id2label=labels, num_labels=3)
        model = getattr(transformers, f"{kind}ForImageClassification")(made).eval()
        with torch.no_grad():
            for parameter in model.parameters():  # a fresh bias is all zeros, and would hide its absence
                parameter.add_(0.02 * torch.randn_like(parameter))
        model.save_pretrained(tmp_path)
        getattr(transformers, processor)(size={"height": 32, "width": 32}, **size).save_pretrained(tmp_path)
        return tmp_path

    return make


SHAPE = {
    "image_size": 32, "patch_size": 8, "intermediate_size": 64, "hidden_size": 32, "num_hidden_layers": 2,
    "num_attention_heads": 2,
}  # fmt: skip
STAGES = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}
CLASSIFIERS = {
    "vit": ("ViT", SHAPE, {"pooling": "cls"}),
    "deit": ("DeiT", SHAPE, {"pooling": "cls"}),
    "beit": ("Beit", {**SHAPE, "use_mean_pooling": True}, {"patch_tokens_only": True}),
    "convnext": ("ConvNext", STAGES, {}),
    "resnet": ("ResNet", {**STAGES, "embedding_size": 8, "layer_type": "basic"}, {}),
    "swin": (
        "Swin",
        {
            "image_size": 32, "patch_size": 2, "embed_dim": 16, "depths": [1, 1], "num_heads": [2, 2],
            "window_size": 4,
        },
        {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_class_heads_give_the_plain_logits(classified, name):
    """From the pooled vectors alone come the logits of the plain transformers call, to 1e-4."""
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    kind, config, options = CLASSIFIERS[name]
    folder = classified(kind, config)
    encoder = load_encoder(folder.as_posix(), unit="image", precision="fp32", **options)
    class_head = find_class_head(encoder.spec)
    assert class_head.names == ("tench", "goldfish", "red fox")
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    model = AutoModelForImageClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        want = [model(**processor(image, return_tensors="pt")).logits[0].numpy() for image in pictures()]
    np.testing.assert_allclose(class_head.logits(encoder.encode(pictures())), want, atol=1e-4)


def test_a_head_that_reads_something_else_is_not_used(classified, small_model):
    """ViT's head reads CLS: the mean has no class head; nor has a model without names, or without a head."""
    folder = classified("ViT", SHAPE)
    mean = load_encoder(folder.as_posix(), unit="image", precision="fp32")
    assert find_class_head(mean.spec) is None
    assert find_class_head(load_encoder(small_model("resnet").as_posix(), precision="fp32").spec) is None
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}
    (folder / "config.json").write_text(json.dumps(config))
    unnamed = load_encoder(folder.as_posix(), unit="image", pooling="cls", precision="fp32")
    assert find_class_head(unnamed.spec) is None


def test_other_files_have_no_head_of_this_encoder(classified):
    """Where the model's files were changed since the index was made, their head is not taken."""
    folder = classified("ResNet", CLASSIFIERS["resnet"][1])
    spec = load_encoder(folder.as_posix(), unit="image", precision="fp32").spec
    state = load_file(folder / "model.safetensors")
    save_file({name: value * 1.5 for name, value in state.items()}, folder / "model.safetensors")
    assert find_class_head(spec) is None


def test_class_names_are_embedded_once(monkeypatch, tmp_path):
    """The second time vectors come from the machine's cache; another encoder, role or list has its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked = []

    class Encoder:
        def encode(self, items, role):
            asked.append((items, role))
            return np.arange(2.0 * len(items), dtype=np.float32).reshape(len(items), 2) + 1

    for names, fingerprint in ((["a", "b"], "1"), (["a", "b"], "1"), (["a", "c"], "1"), (["a", "b"], "2")):
        got = class_names.text_vectors(names, fingerprint, Encoder)
        np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1, atol=1e-6)
    class_names.text_vectors(["a", "b"], "1", Encoder, "query")
    asked_with = [
        (["a", "b"], "passage"),
        (["a", "c"], "passage"),
        (["a", "b"], "passage"),
        (["a", "b"], "query"),
    ]
    assert asked == asked_with
