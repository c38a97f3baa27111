"""Large images are shrunk by torch, to what Pillow makes of them."""

import numpy as np
import pytest
import torch
from PIL import Image

from embedsearch.encoders.vision import resize
from embedsearch.encoders.vision.lite import LITE2, resized
from embedsearch.encoders.vision.resize import PillowResizing, by_pillow, by_torch

BICUBIC, BILINEAR = Image.Resampling.BICUBIC, Image.Resampling.BILINEAR


def noise(width, height):
    """Return an image in which no two pixels are alike."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def apart(ours, theirs):
    """Return the greatest difference of two images in greys of 255, and the share of values that differ."""
    difference = np.abs(np.asarray(ours).astype(int) - np.asarray(theirs))
    return difference.max(), (difference > 0).mean()


def calls_of_pillow(monkeypatch):
    """Count how often Pillow resizes instead of torch."""
    calls = []
    monkeypatch.setattr(resize, "by_pillow", lambda *given: calls.append(given) or by_pillow(*given))
    return calls


quick = pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() not in resize._QUICK,
    reason="Pillow is faster on this processor",
)


@quick
@pytest.mark.parametrize("resample", [BICUBIC, BILINEAR])
@pytest.mark.parametrize("size", [(900, 700), (701, 1303), (2016, 1512)])
def test_a_whole_image_is_pillows(size, resample, monkeypatch):
    """The pixels are within a grey of 255 of Pillow's: one of 100 differs, one of 5 if squeezed."""
    calls = calls_of_pillow(monkeypatch)
    picture = noise(*size)
    most, share = apart(by_torch(picture, (224, 211), resample), by_pillow(picture, (224, 211), resample))
    assert not calls
    assert most == 1
    assert share < (0.2 if size == (701, 1303) else 0.01)


@quick
@pytest.mark.parametrize("size", [(1500, 2000), (2016, 1512), (877, 1301), (1304, 878)])
def test_a_middle_that_lies_between_pixels_is_met(size, monkeypatch):
    """The bundled model's central square begins between two pixels, and is met as by Pillow."""
    calls = calls_of_pillow(monkeypatch)
    most, share = apart(resized(noise(*size), by_torch), resized(noise(*size)))
    assert not calls
    assert most == 1
    assert share < 0.01


@quick
def test_a_cut_at_the_image_s_edge_is_met(monkeypatch):
    """Where a cut begins at the edge, or ends there, the filter reaches no further than Pillow's does."""
    calls = calls_of_pillow(monkeypatch)
    picture = noise(1200, 900)
    for cut in ((0, 0, 600, 900), (600, 300, 1200, 900), (150, 90, 1200, 900)):
        most, share = apart(
            by_torch(picture, (150, 100), BICUBIC, cut), by_pillow(picture, (150, 100), BICUBIC, cut)
        )
        assert most == 1
        assert share < 0.01
    assert not calls


def test_what_torch_can_not_meet_is_left_to_pillow(monkeypatch):
    """A cut that no pixel of the result falls on, another filter or processor, a huge image: Pillow's."""
    calls = calls_of_pillow(monkeypatch)
    between = noise(1168, 1551)  # four pixels to one, and half a pixel aside
    assert apart(resized(between, by_torch), resized(between)) == (0, 0)
    picture, size = noise(800, 600), (100, 90)
    lanczos = Image.Resampling.LANCZOS
    assert apart(by_torch(picture, size, lanczos), by_pillow(picture, size, lanczos)) == (0, 0)
    monkeypatch.setattr(resize, "_MOST", 800 * 600 - 1)
    assert apart(by_torch(picture, size, BICUBIC), by_pillow(picture, size, BICUBIC)) == (0, 0)
    monkeypatch.setattr(resize, "_MOST", 800 * 600)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    assert apart(by_torch(picture, size, BICUBIC), by_pillow(picture, size, BICUBIC)) == (0, 0)
    assert len(calls) == 4


def test_both_preprocessings_crop_alike():
    """The shorter edge, the crop and its padding are those of Pillow."""
    for edge, crop in ((64, (48, 40)), (32, (64, 64)), (50, None)):
        resizing = PillowResizing(None, edge, crop, BILINEAR)
        ours, theirs = resizing(noise(640, 480), by_torch), resizing(noise(640, 480))
        assert ours.shape == theirs.shape
        assert ours.dtype == theirs.dtype == np.uint8
        assert apart(ours, theirs)[0] <= 1


def test_the_bundled_model_shrinks_large_images_so():
    """`shrunk` is the preprocessing itself, to within one grey."""
    picture = noise(1000, 1400)
    assert apart(LITE2.shrunk(picture), LITE2.pixels(picture))[0] <= 1
