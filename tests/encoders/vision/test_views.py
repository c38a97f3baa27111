import numpy as np
import pytest
from PIL import Image

from embedsearch.encoders import load_encoder
from embedsearch.encoders.vision.views import at_own_shape, second_view, whole_size
from tests.small_models import IMAGE_MODELS


def wide(ends="red", size=(96, 32)):
    """Return a wide image whose ends have a colour, and whose middle square is noise, always the same."""
    noise = np.random.default_rng(5).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    margin = (size[0] - size[1]) // 2
    image.paste(ends, (0, 0, margin, size[1]))
    image.paste(ends, (size[0] - margin, 0, size[0], size[1]))
    return image


def cosine(a, b):
    """Return the cosine of two vectors."""
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.fixture(scope="module")
def bundled():
    """The bundled encoder by its views."""
    return {
        views: load_encoder(unit="image", device="cpu", engine="torch", precision="fp32", views=views)
        for views in ("centre", "whole", "both", "auto")
    }


def test_images_that_differ_outside_the_middle_have_other_vectors(bundled):
    """Two wide images with the same middle are 0.0000 apart by their centre, and over 0.02 by default."""
    pair = [wide("red", (780, 260)), wide("white", (780, 260))]
    assert cosine(*bundled["centre"].encode(pair)) == pytest.approx(1, abs=1e-6)
    assert 1 - cosine(*bundled["auto"].encode(pair)) > 0.02


@pytest.mark.parametrize("name", ["clip", "dinov2", "vit", "bundled"])
def test_two_views_are_the_mean_of_both(small_model, bundled, name):
    """The vector of `both` is the mean of those of `centre` and `whole`, of wide, tall and square images."""
    images = [wide(), wide().rotate(90, expand=True), wide(size=(40, 40)), wide(size=(64, 48))]
    made = bundled
    if name != "bundled":
        folder = str(small_model(name))
        made = {each: load_encoder(folder, precision="fp32", views=each) for each in bundled}
    centre, whole, both = (made[views].encode(images) for views in ("centre", "whole", "both"))
    np.testing.assert_allclose(both, (centre + whole) / 2, atol=1e-5)
    auto = made["auto"].encode(images)
    np.testing.assert_allclose(auto[[0, 1, 3]], both[[0, 1, 3]], atol=1e-6)  # 64 / 48 is over 1.3
    np.testing.assert_allclose(auto[2], centre[2], atol=1e-6)


def test_a_model_that_sees_all_is_shown_one_view(small_model):
    """A model that squeezes an image has no second view: all choices give the same vector."""
    made = [load_encoder(str(small_model("vit")), precision="fp32", views=v) for v in ("centre", "both")]
    assert [len(encoder.prepare([wide()])[0].inputs) for encoder in made] == [1, 1]
    np.testing.assert_array_equal(*(encoder.encode([wide()]) for encoder in made))


@pytest.mark.parametrize("name", IMAGE_MODELS)
def test_company_does_not_change_an_image_of_two_views(small_model, name):
    """Among images of other shapes, in any order, a wide image has the vector that it has alone."""
    encoder = load_encoder(str(small_model(name)), precision="fp32", views="both")
    images = [wide(size=size) for size in ((96, 32), (50, 44), (40, 160), (33, 33), (96, 32))]
    together = encoder.encode(images)
    for row, image in zip(together, images, strict=True):
        np.testing.assert_allclose(row, encoder.encode([image])[0], atol=1e-5)


@pytest.mark.openvino
def test_openvino_sees_both_views_as_torch_does(bundled):
    """Compiled for images of any shape, the bundled model gives the vectors of torch (cosine 0.999)."""
    pytest.importorskip("openvino")
    compiled = load_encoder(unit="image", device="cpu", engine="openvino", precision="fp32", views="both")
    images = [wide(size=size) for size in ((780, 260), (300, 500), (260, 260))]
    for got, want in zip(compiled.encode(images), bundled["both"].encode(images), strict=True):
        assert cosine(got, want) > 0.999


@pytest.mark.parametrize(
    ("size", "want"),
    [
        ((260, 260), (256, 256)), ((400, 300), (288, 224)), ((300, 400), (224, 288)),
        ((1600, 900), (352, 192)), ((9000, 100), (1024, 64)), ((3, 1), (448, 160)),
    ],
)  # fmt: skip
def test_the_whole_keeps_shape_and_area(size, want):
    """The whole is near its own shape, up to 16 to 1, its sides multiples of 32, its area that of 260^2."""
    assert whole_size(size, 260) == want
    assert at_own_shape(Image.new("RGB", size), 260).shape == (3, want[1], want[0])


def test_a_preprocessing_that_crops_gets_a_second_view():
    """On the grey square, of which it cuts the margin off, the corners of a wide image are all there."""

    def middle(image):
        width, height = image.size
        edge = round(0.8 * min(width, height))
        left, top = (width - edge) // 2, (height - edge) // 2
        return np.asarray(image.crop((left, top, left + edge, top + edge)).resize((32, 32))).transpose(
            2, 0, 1
        )

    image = Image.new("RGB", (400, 200), "blue")
    image.paste("red", (0, 0, 30, 200))
    whole, any_shape = second_view(middle, convolutional=False)
    assert not any_shape
    shown = whole(image).transpose(1, 2, 0).astype(int)  # (3, H, W) -> (H, W, 3)
    assert np.abs(shown[16, 1] - (255, 0, 0)).max() < 40
    assert np.abs(shown[16, 30] - (0, 0, 255)).max() < 40
    assert np.abs(shown[2, 16] - (124, 116, 104)).max() < 10
