import io
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from embedsearch.encoders import load_encoder
from embedsearch.errors import DeviceError, ItemError, ModelError
from tests.small_models import IMAGE_MODELS

PREFIX = {
    "vit": 1,
    "deit": 2,
    "beit": 1,
    "dinov2": 1,
    "dinov2-registers": 4,
    "clip": 1,
    "siglip": 0,
    "swin": 0,
}


def pictures():
    """Return five images of different sizes and shapes, always the same."""
    random = np.random.default_rng(3)
    sizes = [(40, 50), (32, 32), (33, 90), (200, 64), (31, 31)]
    arrays = [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    return [Image.fromarray(array) for array in arrays]


def plain(folder, image):
    """Return hidden_states and last_hidden_state of one image by the plain transformers call."""
    from transformers import AutoImageProcessor, AutoModel

    model = AutoModel.from_pretrained(folder).eval()
    model = getattr(model, "vision_model", model)
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    with torch.no_grad():
        output = model(**processor(image, return_tensors="pt"), output_hidden_states=True)
    return output.hidden_states, output.last_hidden_state


def cosines(a, b):
    """Return the cosine of each row of `a` with the same row of `b`."""
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@pytest.mark.parametrize("name", IMAGE_MODELS)
def test_an_image_is_the_mean_of_the_plain_call(small_model, name):
    """The vector is last_hidden_state.mean(1) over tokens, or .mean((2, 3)) over a CNN's map, to 1e-5."""
    folder = small_model(name)
    got = load_encoder(folder.as_posix(), pooling="mean", precision="fp32", views="centre").encode(pictures())
    for row, image in zip(got, pictures(), strict=True):
        last = plain(folder, image)[1]
        want = last.mean((2, 3))[0] if name in {"resnet", "convnext"} else last.mean(1)[0]
        np.testing.assert_allclose(row, want.numpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["vit", "dinov2", "deit", "clip"])
def test_cls_is_the_first_row(small_model, name):
    """With pooling cls an image's vector is last_hidden_state[:, 0, :]."""
    folder = small_model(name)
    got = load_encoder(folder.as_posix(), pooling="cls", precision="fp32", views="centre").encode(pictures())
    want = [plain(folder, image)[1][0, 0, :].numpy() for image in pictures()]
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", PREFIX)
def test_patch_tokens_only_leaves_the_first_tokens_out(small_model, name):
    """CLS, distillation and register tokens are left out of the mean; a model without any loses nothing."""
    folder = small_model(name)
    got = load_encoder(folder.as_posix(), patch_tokens_only=True, precision="fp32").encode(pictures()[:2])
    want = [plain(folder, image)[1][0, PREFIX[name] :, :].mean(0).numpy() for image in pictures()[:2]]
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["vit", "dinov2", "clip", "swin"])
@pytest.mark.parametrize("layers", [1, -2, (-1, -2)])
def test_layers_are_hidden_states_averaged(small_model, name, layers):
    """Layer n is hidden_states[n], -1 is last_hidden_state, and several are averaged before pooling."""
    folder = small_model(name)
    got = load_encoder(folder.as_posix(), layers=layers, precision="fp32").encode(pictures()[:2])
    asked = (layers,) if isinstance(layers, int) else layers
    for row, image in zip(got, pictures(), strict=False):
        states, last = plain(folder, image)
        want = torch.stack([last if layer == -1 else states[layer] for layer in asked]).mean(0).mean(1)[0]
        np.testing.assert_allclose(row, want.numpy(), rtol=0, atol=1e-5)


def test_layer_0_is_the_embedding_layer(small_model):
    """Layer 0 of ViT is hidden_states[0], and differs from layer 1."""
    folder = small_model("vit")
    got = load_encoder(folder.as_posix(), layers=0, precision="fp32").encode(pictures())
    want = [plain(folder, image)[0][0].mean(1)[0].numpy() for image in pictures()]
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)


def test_layers_of_different_shape_are_not_averaged(small_model):
    """ConvNeXt's layers have different maps: their average is refused in words."""
    with pytest.raises(ModelError, match=r"layers .* have different shapes"):
        load_encoder(small_model("convnext").as_posix(), layers=(-1, -2))


@pytest.mark.parametrize("name", IMAGE_MODELS)
def test_neighbours_and_order_do_not_change_a_vector(small_model, name):
    """An image alone, among 40 others or in another order has the same vector (cosine 0.99999)."""
    encoder = load_encoder(small_model(name).as_posix(), precision="fp32")
    many = pictures() * 8
    want = np.concatenate([encoder.encode([image]) for image in pictures()] * 8)
    assert cosines(encoder.encode(many), want).min() >= 0.99999
    assert cosines(encoder.encode(many[::-1])[::-1], want).min() >= 0.99999


@pytest.mark.parametrize("name", IMAGE_MODELS)
def test_bf16_stays_close_to_fp32(small_model, name):
    """In bf16 the cosine to fp32 is at least 0.9995, and the vectors are float32 all the same."""
    exact = load_encoder(small_model(name).as_posix(), precision="fp32").encode(pictures())
    rough = load_encoder(small_model(name).as_posix(), precision="bf16").encode(pictures())
    assert rough.dtype == np.float32
    assert cosines(exact, rough).min() >= 0.9995


@pytest.mark.parametrize("name", ["vit", "dinov2", "resnet", "clip", "siglip"])
@pytest.mark.parametrize("size", [(1, 1), (3, 1), (1, 3), (3, 3), (1, 40)])
def test_the_smallest_images_have_vectors(small_model, name, size):
    """An image of one or three pixels is read with its colour in the last axis, and has a finite vector."""
    encoder = load_encoder(small_model(name).as_posix(), precision="fp32", views="centre")
    small, same = encoder.encode([Image.new("RGB", size, "teal"), Image.new("RGB", (64, 64), "teal")])
    assert np.isfinite(small).all()
    np.testing.assert_allclose(small, same, rtol=0, atol=1e-4)  # one colour, whatever the size


def test_path_bytes_and_open_image_are_one(small_model, tmp_path):
    """An image as a path, a string, bytes or an open image has the same vector."""
    image = pictures()[0]
    path = tmp_path / "a picture.png"
    image.save(path)
    encoder = load_encoder(small_model("vit").as_posix(), precision="fp32")
    rows = encoder.encode([path, str(path), path.read_bytes(), image])
    assert (rows == rows[0]).all()


def test_a_bad_image_stands_between_good_ones(small_model):
    """`prepare` puts the ItemError in the bad image's place; `encode` raises it."""
    good = io.BytesIO()
    pictures()[0].save(good, "PNG")
    encoder = load_encoder(small_model("vit").as_posix())
    prepared = encoder.prepare([good.getvalue(), b"no picture", good.getvalue()])
    assert [isinstance(item, ItemError) for item in prepared] == [False, True, False]
    with pytest.raises(ItemError, match="not an image"):
        encoder.encode([b"no picture"])


def test_a_cnn_has_no_cls(small_model):
    """CLS pooling of a CNN is refused when the model is opened."""
    with pytest.raises(ModelError, match=r"is a CNN.*--pooling mean"):
        load_encoder(small_model("resnet").as_posix(), pooling="cls")


def test_a_text_model_embeds_no_images(small_model):
    """A text model asked for images is refused in words."""
    with pytest.raises(ModelError, match="reads no pixels"):
        load_encoder(small_model("bert").as_posix(), unit="image")


def test_missing_preprocessing_is_named(small_model, tmp_path):
    """A vision model without preprocessor_config.json is refused: pixels would be a guess."""
    folder = shutil.copytree(small_model("vit"), tmp_path / "vit")
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(ModelError, match="no image preprocessing"):
        load_encoder(folder.as_posix(), unit="image")


def test_missing_weights_are_not_made_up(small_model, tmp_path):
    """Weights that lack a layer are refused: transformers would fill it with random numbers."""
    folder = shutil.copytree(small_model("vit"), tmp_path / "vit")
    tensors = load_file(folder / "model.safetensors")
    kept = {
        name: tensor for name, tensor in tensors.items() if "layer.1." not in name and "layers.1." not in name
    }
    assert len(kept) < len(tensors)
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="lack"):
        load_encoder(folder.as_posix())


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_cuda_is_not_silently_replaced(small_model):
    """Asking for CUDA where there is none is an error that names what to use instead."""
    with pytest.raises(DeviceError, match=r"no CUDA device.*Use auto or cpu: with --device"):
        load_encoder(small_model("vit").as_posix(), device="cuda")


def test_a_cuda_device_of_a_wrong_number_is_refused(small_model):
    """cuda:99 is refused on every machine."""
    with pytest.raises(DeviceError, match="cuda:99"):
        load_encoder(small_model("vit").as_posix(), device="cuda:99")


@pytest.mark.parametrize("device", ["gpu", "meta", "cuda:x", ""])
def test_an_unknown_device_is_refused(small_model, device):
    """A device that embedsearch does not know is refused with the ones it knows."""
    with pytest.raises(DeviceError, match="there are auto, cpu, cuda"):
        load_encoder(small_model("vit").as_posix(), device=device)


def test_fp16_on_a_cpu_is_refused(small_model):
    """fp16 on a CPU, and a precision that does not exist, are refused with what to use."""
    with pytest.raises(DeviceError, match="bf16 or fp32"):
        load_encoder(small_model("vit").as_posix(), device="cpu", precision="fp16")
    with pytest.raises(DeviceError, match="Did you mean 'fp32'"):
        load_encoder(small_model("vit").as_posix(), device="cpu", precision="fp23")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ["vit", "resnet", "bert"])
def test_cuda_computes_the_same(small_model, name):
    """On a GPU in fp32 the cosine to the CPU is at least 0.9999, in bf16 at least 0.999."""
    items = pictures() if name != "bert" else ["a cat", "the grassy bank of the river"]
    cpu = load_encoder(small_model(name).as_posix(), device="cpu", precision="fp32").encode(items)
    for precision, bound in (("fp32", 0.9999), ("bf16", 0.999)):
        gpu = load_encoder(small_model(name).as_posix(), device="cuda", precision=precision)
        assert cosines(cpu, gpu.encode(items)).min() >= bound
