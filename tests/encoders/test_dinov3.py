"""DINOv3's processor is written for torchvision alone; ours does the same with Pillow."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from embedsearch.encoders import load_encoder
from embedsearch.encoders.vision.preprocess import preprocessing
from embedsearch.errors import ModelError
from embedsearch.models.files import ModelFiles

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# as the published checkpoints say it
DECLARED = {
    "crop_size": None, "do_center_crop": None, "do_normalize": True, "do_rescale": True, "do_resize": True,
    "image_mean": MEAN, "image_processor_type": "DINOv3ViTImageProcessorFast", "image_std": STD,
    "resample": 2, "rescale_factor": 0.00392156862745098, "size": {"height": 32, "width": 32},
}  # fmt: skip


@pytest.fixture
def dinov3(tmp_path):
    """Return the folder of a small DINOv3 with a CLS and four register tokens."""
    from transformers import DINOv3ViTConfig, DINOv3ViTModel

    torch.manual_seed(0)
    config = DINOv3ViTConfig(
        image_size=32, patch_size=8, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=2, num_register_tokens=4,
    )  # fmt: skip
    DINOv3ViTModel(config).save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(DECLARED))
    return tmp_path


def picture(width=90, height=60):
    """Return an image of noise."""
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def triangle_weights(before, after):
    """Return the weights of antialiased bilinear resizing of one axis, (after, before)."""
    scale = before / after
    centres = (np.arange(after) + 0.5) * scale
    distance = np.abs(np.arange(before)[None] + 0.5 - centres[:, None]) / max(scale, 1.0)
    weights = np.maximum(0.0, 1.0 - distance)
    return weights / weights.sum(1, keepdims=True)


@pytest.mark.parametrize("size", [(90, 60), (64, 64), (20, 31), (33, 200)])
def test_pixels_are_those_of_plain_numpy(dinov3, size):
    """Antialiased bilinear resizing whole to the declared size, within one level of 255, then (x - m) / s."""
    prepared = preprocessing(ModelFiles(dinov3, (), "", None))
    image = picture(*size)
    levels = np.einsum(
        "yh,hwc,xw->cyx",
        triangle_weights(size[1], 32), np.asarray(image, np.float64), triangle_weights(size[0], 32),
    )  # fmt: skip
    got = prepared.pixels(image)
    assert (got.shape, got.dtype) == ((3, 32, 32), np.uint8)
    assert np.abs(got - levels).max() <= 1.0
    normalised = got * np.reshape(prepared.scale, (3, 1, 1)) + np.reshape(prepared.shift, (3, 1, 1))
    want = (levels / 255 - np.reshape(MEAN, (3, 1, 1))) / np.reshape(STD, (3, 1, 1))
    assert np.abs(normalised - want).max() <= 1.0 / 255 / min(STD) + 1e-6


@pytest.mark.parametrize("patches", [False, True])
def test_an_image_is_the_mean_of_the_plain_call(dinov3, patches):
    """All tokens count, or with patch_tokens_only all but the CLS and the four registers, to 1e-5."""
    from transformers import AutoModel

    encoder = load_encoder(str(dinov3), patch_tokens_only=patches, precision="fp32")
    assert encoder.spec.unit == "image"
    prepared = preprocessing(ModelFiles(dinov3, (), "", None))
    levels = torch.from_numpy(prepared.pixels(picture())).float() / 255
    pixels = (levels - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    with torch.no_grad():
        hidden = AutoModel.from_pretrained(dinov3).eval()(pixel_values=pixels[None]).last_hidden_state
    assert hidden.shape == (1, 1 + 4 + 16, 32)
    want = hidden[:, 5 if patches else 0 :].mean(1).numpy()  # (1, T, D) -> (1, D)
    np.testing.assert_allclose(encoder.encode([picture()]), want, rtol=0, atol=1e-5)


def test_a_size_that_is_none_is_named(dinov3):
    """A declaration that says no height and width is one sentence."""
    (dinov3 / "preprocessor_config.json").write_text(json.dumps({**DECLARED, "size": {"longest_edge": 9}}))
    with pytest.raises(ModelError, match="resizes an image to a height and width"):
        load_encoder(str(dinov3), unit="image")
