"""Large JPEGs may be decoded at a smaller scale, where that keeps the vectors."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from embedsearch.encoders import images, load_encoder
from embedsearch.encoders.vision.decode import BLOCKS, keep_memory, open_rgb
from embedsearch.errors import DeviceError, ModelError
from tests.encoders.test_text import cosines


def jpeg(width, height, kind="JPEG", **options):
    """Return an image of smooth waves and a sharp disc as the bytes of a file."""
    y, x, channel = np.mgrid[:height, :width, :3]
    waves = 128 + 60 * np.sin(9 * x / width + channel) + 40 * np.cos(14 * y / height)
    disc = (x / width - 0.4) ** 2 + (y / height - 0.6) ** 2 < 0.04
    buffer = io.BytesIO()
    Image.fromarray(np.where(disc, 30, waves).astype(np.uint8)).save(buffer, kind, quality=90, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("at_least", "size"),
    [(None, (1600, 1200)), (601, (1600, 1200)), (600, (800, 600)), (300, (400, 300)), (1, (200, 150))],
)
def test_both_sides_keep_so_many_pixels(at_least, size):
    """A JPEG is decoded at the smallest of 1, 1/2, 1/4 and 1/8 that keeps both its sides long enough."""
    assert open_rgb(jpeg(1600, 1200), at_least).size == size


@pytest.mark.parametrize(
    ("size", "drafted"),
    [((1600, 1204), (400, 301)), ((1602, 1200), (801, 600)), ((1601, 1200), (1601, 1200))],
)
def test_a_scale_divides_both_sides(size, drafted):
    """No side is rounded, which would move all of the image against the one that is decoded in full."""
    assert open_rgb(jpeg(*size), 100).size == drafted


def test_memory_kept_for_images_is_never_less(monkeypatch):
    """Threads that decode get blocks of Pillow's memory to keep, and whoever set more keeps that."""
    kept = [4]
    monkeypatch.setattr(Image.core, "get_blocks_max", lambda: kept[-1])
    monkeypatch.setattr(Image.core, "set_blocks_max", kept.append)
    keep_memory(2)
    keep_memory(1)
    assert kept == [4, 2 * BLOCKS, 2 * BLOCKS]


def test_only_jpegs_are_drafted():
    """A PNG, and an image that a caller has opened, are never changed."""
    assert open_rgb(jpeg(800, 600, "PNG"), 100).size == (800, 600)
    opened = Image.open(io.BytesIO(jpeg(800, 600)))
    assert open_rgb(opened, 100).size == opened.size == (800, 600)


def test_a_turned_photo_is_drafted_and_upright():
    """EXIF orientation is applied to a drafted image too; greyscale and CMYK ones become RGB."""
    exif = Image.Exif()
    exif[0x0112] = 6
    assert open_rgb(jpeg(1600, 1200, exif=exif), 300).size == (300, 400)
    for mode in ("L", "CMYK"):
        buffer = io.BytesIO()
        Image.open(io.BytesIO(jpeg(800, 600))).convert(mode).save(buffer, "JPEG")
        drafted = open_rgb(buffer.getvalue(), 300)
        assert (drafted.mode, drafted.size) == ("RGB", (400, 300))


@pytest.mark.parametrize("size", [(4000, 3000), (2400, 1800), (1800, 3600), (3758, 3506)])
def test_a_drafted_image_keeps_its_vector(size):
    """`auto` drafts for the bundled model, at a cosine of at least 0.999 to decoding in full."""
    drafting = load_encoder(unit="image", device="cpu")
    assert drafting.decoding == "draft"
    full = load_encoder(unit="image", device="cpu", decoding="full")
    assert full.decoding == "full"
    photo = jpeg(*size)
    got, want = drafting.encode([photo]), full.encode([photo])
    assert not np.array_equal(got, want)
    assert cosines(got, want).min() >= 0.999


def test_a_small_image_is_decoded_in_full(small_model):
    """Under the pixels that drafting keeps, both decodings give the very same vector."""
    small = jpeg(500, 375)
    folder = str(small_model("vit"))
    vectors = [
        load_encoder(folder, decoding=decoding, precision="fp32").encode([jpeg(126, 95)])
        for decoding in ("draft", "full")
    ]
    assert np.array_equal(*vectors)
    bundled = [
        load_encoder(unit="image", device="cpu", decoding=kind).encode([small]) for kind in ("draft", "full")
    ]
    assert np.array_equal(*bundled)


def test_a_large_image_of_any_kind_is_shrunk_by_torch(small_model, monkeypatch):
    """Under `draft` an image of three times the side is shrunk by torch, a smaller one by Pillow."""
    encoder = load_encoder(str(small_model("vit")), decoding="draft", precision="fp32")
    side = encoder._preprocessing.side
    shrunk = []
    known = encoder._preprocessing

    def spy(image):
        shrunk.append(image.size)
        return known.shrunk(image)

    monkeypatch.setattr(encoder, "_preprocessing", replace(known, shrunk=spy))
    for size in ((3 * side, 4 * side), (3 * side - 1, 4 * side)):
        encoder.encode([jpeg(*size, "PNG")])
    assert shrunk == [(3 * side, 4 * side)]
    full = load_encoder(str(small_model("vit")), decoding="full", precision="fp32")
    large = jpeg(5 * side, 4 * side, "PNG")
    assert cosines(encoder.encode([large]), full.encode([large])).min() >= 0.9999


def test_auto_leaves_drafting_that_changes_the_vectors(small_model, monkeypatch):
    """Where drafting moves a model's vectors under 0.999, `auto` decodes in full."""
    assert load_encoder(str(small_model("vit"))).decoding == "draft"
    monkeypatch.setattr(images, "least_cosine", lambda *_: 0.9989)
    assert load_encoder(str(small_model("vit"))).decoding == "full"


def test_what_can_not_be_drafted_says_so(small_model, monkeypatch):
    """A model that resizes in a way of its own decodes in full, and refuses --decoding draft."""
    with pytest.raises(DeviceError, match="Unknown decoding 'half'"):
        load_encoder(str(small_model("vit")), decoding="half")
    known = images.preprocessing
    monkeypatch.setattr(images, "preprocessing", lambda files: replace(known(files), side=0))
    assert load_encoder(str(small_model("vit"))).decoding == "full"
    with pytest.raises(ModelError, match="Use --decoding full"):
        load_encoder(str(small_model("vit")), decoding="draft")
