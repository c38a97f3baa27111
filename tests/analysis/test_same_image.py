import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

from embedsearch.analysis.same_image import ImageCheck, difference
from embedsearch.progress import Silent

pytest.importorskip("cv2")


def photo(seed, size=(480, 360)):
    """Return an image with much to see: blobs of many sizes and colours, and noise."""
    draw = np.random.default_rng(seed)
    image = Image.new("RGB", size, tuple(draw.integers(60, 200, 3).tolist()))
    pen = ImageDraw.Draw(image)
    for _ in range(90):
        x, y, r = draw.integers(0, size[0]), draw.integers(0, size[1]), draw.integers(4, 50)
        pen.rectangle((x - r, y - r // 2, x + r, y + r // 2), fill=tuple(draw.integers(0, 255, 3).tolist()))
    noise = draw.normal(0, 6, (*size[::-1], 3))
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))


def outline(shape, size=(300, 300)):
    """Return a black outline on white."""
    image = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(image)
    if shape == "circle":
        pen.ellipse((40, 40, 260, 260), outline="black", width=8)
    elif shape == "square":
        pen.rectangle((40, 40, 260, 260), outline="black", width=8)
    else:
        pen.polygon([(150, 40), (260, 260), (40, 260)], outline="black", width=8)
    return image


def dark(seed):
    """Return a dark frame with something that is hardly seen."""
    draw = np.random.default_rng(seed)
    pixels = draw.normal(6, 2, (300, 400, 3))
    top, left = draw.integers(0, 200), draw.integers(0, 300)
    pixels[top : top + 90, left : left + 90] += 5
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def file(image, kind="png", **settings):
    """Return the bytes of an image file."""
    held = io.BytesIO()
    image.save(held, kind, **settings)
    return held.getvalue()


def same(one, other):
    """Return whether two images are copies."""
    files = [each if isinstance(each, bytes) else file(each) for each in (one, other)]
    check = ImageCheck(lambda rows: [files[row] for row in rows.tolist()], 2)
    return check.same(np.array([0]), np.array([1]), Silent()).tolist() == [True]


def cropped(image):
    """Return an image without a twentieth on each side."""
    return ImageOps.crop(image, 20)


CHANGES = {
    "half the size": lambda image: image.resize((image.width // 2, image.height // 2)),
    "cropped": cropped,
    "mirrored": ImageOps.mirror,
    "turned": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "framed": lambda image: ImageOps.expand(image, (70, 40, 70, 90), "black"),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.25),
    "compressed": lambda image: Image.open(io.BytesIO(file(image, "jpeg", quality=40))),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_image_is_a_copy(change):
    """Scaled, cropped, mirrored, turned, framed, brighter or compressed, an image is still the same."""
    image = photo(0)
    assert same(image, CHANGES[change](image))
    assert same(CHANGES[change](image), image)


def test_a_scaled_drawing_is_a_copy():
    """An image of few points is compared as it lies."""
    assert same(outline("square"), outline("square").resize((150, 150)))


def banner(left, right):
    """Return a wide image whose middle square is always the same."""
    image = Image.new("RGB", (1200, 300), "white")
    for at, seed in ((0, left), (450, 99), (750, right)):
        image.paste(photo(seed, (450 if at != 450 else 300, 300)), (at, 0))
    return image


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (photo(1), photo(2)),
        (banner(3, 4), banner(5, 6)),
        (outline("circle"), outline("square")),
        (outline("square"), outline("triangle")),
        (dark(7), dark(8)),
        (photo(1), Image.new("RGB", (480, 360))),
        (outline("square"), Image.new("RGB", (300, 300), "white")),
        (photo(1), b"no image"),
    ],
    ids=["photos", "banners", "circle", "triangle", "dark", "black", "blank", "unreadable"],
)
def test_other_images_are_no_copies(one, other):
    """Other photos, banners with one middle, drawings, dark frames, what can't be read: no copies."""
    assert not same(one, other)


def sign(drawn, size=(300, 300)):
    """Return letters in black on white."""
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).text((size[0] / 2, size[1] / 2), drawn, "black", ImageFont.load_default(220), "mm")
    return image


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (sign("p"), ImageOps.mirror(sign("p"))),
        (sign("p"), sign("p").rotate(180)),
        (sign("<"), ImageOps.mirror(sign("<"))),
        (sign("6"), sign("6").rotate(180)),
        (sign("N"), sign("N").transpose(Image.Transpose.ROTATE_90)),
        (sign("b"), sign("p")),
        (sign("h"), sign("n")),
        (sign("a"), sign("ä")),
    ],
    ids=["mirrored", "turned", "operator", "digit", "quarter", "b-p", "h-n", "a-ä"],
)
def test_another_sign_is_no_copy(one, other):
    """A letter that is mirrored or turned is another letter; so is one with a part in common."""
    assert not same(one, other)
    assert not same(other, one)


@pytest.mark.parametrize("change", ["half the size", "cropped", "compressed", "framed"])
def test_an_upright_sign_is_a_copy(change):
    """A letter that stands as it stood is a copy."""
    assert same(sign("R"), CHANGES[change](sign("R")))


def test_turned_photos_are_candidates():
    """A photo and its quarter turn, or its mirror image, are a pair to check; no others are."""
    images = [photo(seed) for seed in range(8)]
    images += [images[2].rotate(90, expand=True), ImageOps.mirror(images[5]), sign("p"), sign("q")]
    files = [file(each) for each in images] + [b"no image"]
    check = ImageCheck(lambda rows: [files[row] for row in rows.tolist()], len(files))
    first, second = check.candidates(np.arange(len(files)), Silent())
    assert {(min(pair), max(pair)) for pair in zip(first.tolist(), second.tolist(), strict=True)} == {
        (2, 8),
        (5, 9),
    }
    none = check.candidates(np.empty(0, np.int64), Silent())
    assert [len(each) for each in none] == [0, 0]


def test_another_colour_is_no_copy():
    """The same outlines filled with another colour are two things: shirts, lamps of a traffic light."""
    images = []
    for fill in ((220, 30, 30), (30, 60, 220)):
        image = photo(9)
        ImageDraw.Draw(image).rectangle((100, 60, 380, 300), fill=fill)
        images.append(image)
    assert not same(*images)


def test_what_differs_is_red():
    """The difference is red where pixels differ, and nowhere else."""
    image, other = photo(10), photo(10)
    ImageDraw.Draw(other).rectangle((40, 40, 100, 100), fill="white")
    shown = difference(file(image), file(other))
    assert shown.shape == (300, 400, 3)
    red = (shown[:, :, 0].astype(int) - shown[:, :, 1]) > 100
    assert red[40:75, 40:75].mean() > 0.9
    red[25:95, 25:95] = False
    assert red.mean() < 0.01
    assert difference(file(image), file(photo(11))) is None
    assert difference(file(image), b"no image") is None
