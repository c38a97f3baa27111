"""The part of an image that a query asks with."""

import io

import numpy as np
import pytest
from PIL import Image

import embedsearch as es
from embedsearch.encoders.vision import decode
from embedsearch.encoders.vision.crop import asked_image
from embedsearch.errors import ItemError, QueryError
from embedsearch.query import checked_crop
from tests.encoders.vision.test_decode import quarters, saved


@pytest.mark.parametrize(
    ("crop", "pixel", "size"),
    [
        ((0, 0, 0.5, 0.5), (255, 0, 0), (2, 1)),
        ((0.5, 0, 1, 0.5), (0, 255, 0), (2, 1)),
        ((0, 0.5, 0.5, 1), (0, 0, 255), (2, 1)),
        ((0.6, 0.6, 0.7, 0.7), (255, 255, 255), (1, 1)),
    ],
)
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_part_is_cut_from_the_upright_image(crop, pixel, size, orientation):
    """Edges are shares of the image as it is seen, whatever its orientation; each touched pixel counts."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = quarters() if orientation == 1 else quarters().transpose(Image.Transpose.ROTATE_90)
    part = asked_image(es.Image(saved(stored, "PNG", exif=exif), crop))
    assert part.size == size
    assert {tuple(each) for each in np.asarray(part).reshape(-1, 3)} == {pixel}


def test_a_whole_image_is_left_as_it_is(tmp_path):
    """Without a crop the source goes on unread; a crop of all is the image."""
    assert asked_image(es.Image(tmp_path / "none.png")) == tmp_path / "none.png"
    assert np.array_equal(asked_image(es.Image(quarters(), (0, 0, 1, 1))), quarters())


@pytest.mark.parametrize(
    "crop",
    [
        "",
        "0,0,1",
        "a,b,c,d",
        (1, 0, 0, 1),
        (0, 0.5, 1, 0.5),
        (-0.1, 0, 1, 1),
        (0, 0, float("nan"), 1),
        3,
        (0, 0, 10**400, 1),
    ],
)
def test_what_is_no_part_is_refused(crop):
    """A crop has four edges in the image, and something between them."""
    with pytest.raises(QueryError, match="left, top, right and bottom edge"):
        checked_crop(crop)
    with pytest.raises(QueryError, match="left, top, right and bottom edge"):
        es.Image(b"", crop)


def test_a_large_or_thin_image_is_refused(monkeypatch):
    """The bounds of uploads hold for what is cut, and a part may be too thin."""
    with pytest.raises(ItemError, match="too thin"):
        asked_image(es.Image(Image.new("RGB", (1001, 20)), (0, 0, 1, 0.04)))
    monkeypatch.setattr(decode, "UPLOADED_PIXELS", 100)
    content = io.BytesIO()
    Image.new("RGB", (11, 10)).save(content, "PNG")
    with pytest.raises(ItemError, match="11 x 10 pixels"):
        asked_image(es.Image(content.getvalue(), (0, 0, 0.5, 0.5)))


def test_a_part_finds_what_is_in_it(colours):
    """Of an image that is red on the left and navy on the right, each half finds its own colour."""
    both = Image.new("RGB", (8, 4), (255, 0, 0))
    both.paste((0, 0, 128), (4, 0, 8, 4))
    for crop, name in (((0, 0, 0.5, 1), "red"), ((0.5, 0, 1, 1), "navy")):
        hit = colours.search(es.Image(both, crop), 1)[0]
        assert (hit.id, hit.distance) == (name, pytest.approx(0, abs=1e-4))
    two = es.Query(
        (es.WeightedTerm(es.Image(both, (0, 0, 0.5, 1)), 0.2), es.WeightedTerm(es.MoreLike("red")))
    )
    assert colours.search(two, 1)[0].id == "pink"
