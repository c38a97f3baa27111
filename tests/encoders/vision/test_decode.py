import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from embedsearch.encoders.vision.decode import enable_heif, open_rgb
from embedsearch.errors import ItemError


def saved(image, kind, **options):
    """Return the bytes of an image file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels(picture):
    """Return the RGB pixels of an image, and hold that they are 8-bit RGB."""
    image = open_rgb(picture)
    assert image.mode == "RGB"
    return np.asarray(image)


def quarters():
    """Return an image 4 wide and 2 high: red, green above blue, white."""
    array = np.zeros((2, 4, 3), np.uint8)
    array[0, :2], array[0, 2:], array[1, :2], array[1, 2:] = (255, 0, 0), (0, 255, 0), (0, 0, 255), 255
    return Image.fromarray(array)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    """An image stored turned or mirrored is read upright, as the camera saw it."""
    undo = {
        1: [], 2: [Image.Transpose.FLIP_LEFT_RIGHT], 3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM], 5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90], 7: [Image.Transpose.TRANSVERSE], 8: [Image.Transpose.ROTATE_270],
    }  # fmt: skip
    stored = quarters()
    for step in undo[orientation]:
        stored = stored.transpose(step)
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(pixels(saved(stored, "PNG", exif=exif)), np.asarray(quarters()))


def test_transparency_is_composed_on_white():
    """A transparent pixel is white, a half-transparent black one mid-grey, in RGBA and in LA."""
    colours = Image.new("RGBA", (3, 1))
    colours.putdata([(255, 0, 0, 0), (0, 0, 0, 128), (0, 0, 255, 255)])
    assert pixels(saved(colours, "PNG")).tolist() == [[[255] * 3, [127] * 3, [0, 0, 255]]]
    grey = Image.new("LA", (2, 1))
    grey.putdata([(0, 0), (10, 255)])
    assert pixels(saved(grey, "PNG")).tolist() == [[[255] * 3, [10] * 3]]


def test_a_transparent_palette_colour_is_white():
    """The transparent colour of a palette image becomes white, in PNG and in GIF."""
    image = Image.new("P", (2, 1))
    image.putpalette([200, 0, 0, 0, 200, 0])
    image.putdata([0, 1])
    for kind in ("PNG", "GIF"):
        assert pixels(saved(image, kind, transparency=0)).tolist() == [[[255] * 3, [0, 200, 0]]]
        assert pixels(saved(image, kind)).tolist() == [[[200, 0, 0], [0, 200, 0]]]


def test_cmyk_is_converted():
    """A CMYK file gives the colours of Pillow's own conversion; no ink is white."""
    image = Image.new("CMYK", (2, 1))
    image.putdata([(0, 0, 0, 0), (0, 255, 255, 0)])
    assert pixels(saved(image, "TIFF")).tolist() == [[[255] * 3, [255, 0, 0]]]
    assert pixels(saved(Image.new("CMYK", (8, 8)), "JPEG")).min() >= 250


def test_sixteen_bit_grey_is_scaled():
    """16-bit grey runs from 0 to 65,535: white stays white and the middle stays the middle."""
    values = np.array([[0, 257, 32768, 65535]], np.uint16)
    got = pixels(saved(Image.fromarray(values), "PNG"))
    assert got[0, :, 0].tolist() == [0, 1, 128, 255]
    assert (got == got[:, :, :1]).all()


def test_one_bit_images():
    """A black-and-white image has the values 0 and 255."""
    image = Image.new("1", (2, 1))
    image.putdata([0, 1])
    assert pixels(saved(image, "PNG")).tolist() == [[[0] * 3, [255] * 3]]


def test_float_images_are_scaled_by_their_range():
    """A float TIFF runs from its least to its greatest value; not-a-number is black, one value is black."""
    values = np.array([[-1.0, 0.0, 1.0, np.nan]], np.float32)
    assert pixels(saved(Image.fromarray(values), "TIFF"))[0, :, 0].tolist() == [0, 128, 255, 0]
    assert pixels(saved(Image.fromarray(np.full((2, 2), 7.5, np.float32)), "TIFF")).max() == 0


def test_the_first_frame_of_an_animation_counts():
    """An animated GIF is its first frame."""
    frames = [Image.new("RGB", (4, 4), name) for name in ("red", "blue", "white")]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50)
    assert Image.open(io.BytesIO(data)).n_frames == 3
    assert (pixels(data) == (255, 0, 0)).all()


def test_grey_equals_its_rgb_copy():
    """A greyscale image and the same one saved as RGB have the same pixels."""
    grey = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 4)
    assert np.array_equal(pixels(saved(grey, "PNG")), pixels(saved(grey.convert("RGB"), "PNG")))


@pytest.mark.parametrize("size", [(1, 1), (3, 1), (1, 3)])
def test_the_smallest_images_are_read(size):
    """Images of one and three pixels are images."""
    assert (pixels(saved(Image.new("RGB", size, "teal"), "PNG")) == (0, 128, 128)).all()
    assert open_rgb(Image.new("L", size)).size == size


def test_an_open_image_is_left_as_it_was():
    """An image handed in open is not changed."""
    image = Image.new("RGBA", (2, 2), (90, 0, 0, 128))
    assert pixels(image).max() == 172
    assert (image.mode, image.getpixel((0, 0))) == ("RGBA", (90, 0, 0, 128))


@pytest.mark.skipif(not enable_heif(), reason="pillow-heif is not installed")
def test_heif_is_read():
    """A HEIC photo is read where pillow-heif is installed."""
    got = pixels(saved(Image.new("RGB", (64, 64), (200, 30, 30)), "HEIF"))
    assert np.abs(got.astype(int) - (200, 30, 30)).max() <= 12


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"<html>not found</html>", "not an image that Pillow can read"),
        (saved(quarters().resize((300, 300)), "PNG")[:-900], "can't be decoded"),
        (saved(quarters().resize((300, 300)), "JPEG")[:2000], "can't be decoded"),
        (saved(quarters(), "PNG")[:20], "can't be decoded|not an image"),
        (saved(quarters(), "GIF")[:15], "can't be decoded|not an image"),
    ],
    ids=["empty", "html", "truncated-png", "truncated-jpeg", "png-header", "gif-header"],
)
def test_damaged_files_have_a_reason(tmp_path, content, reason):
    """A damaged file is an ItemError with a readable reason, as bytes and on disk."""
    path = tmp_path / "picture.png"
    path.write_bytes(content)
    for picture in (content, path, str(path)):
        with pytest.raises(ItemError, match=reason):
            open_rgb(picture)


def test_missing_files_and_folders_have_a_reason(tmp_path):
    """A path to nothing, or to a folder, is an ItemError."""
    with pytest.raises(ItemError, match="does not exist"):
        open_rgb(tmp_path / "nothing.png")
    with pytest.raises(ItemError, match="it is a folder"):
        open_rgb(tmp_path)


def test_an_address_of_a_file_is_read_and_no_other(tmp_path):
    """`file:` names a file on this machine, with one slash too; what would have to be fetched says so."""
    path = tmp_path / "my picture.png"
    path.write_bytes(saved(quarters(), "PNG"))
    for name in (path.as_uri(), Path(path.as_uri()), f"FILE://localhost{path}"):
        assert open_rgb(name).size == quarters().size
    with pytest.raises(ItemError, match="a file on another machine"):
        open_rgb("file://server/a.png")
    for name in ("https://example.org/a.png", Path("https://example.org/a.png"), "s3://bucket/a.png"):
        with pytest.raises(ItemError, match="an address, which is not fetched"):
            open_rgb(name)


def test_a_decompression_bomb_is_refused(monkeypatch):
    """An image of more than twice Pillow's limit is refused before it is decoded; one of the limit opens."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert open_rgb(saved(Image.new("1", (20, 10)), "PNG")).size == (20, 10)
    with pytest.raises(ItemError, match="more than 178 megapixels"):
        open_rgb(saved(Image.new("1", (20, 11)), "PNG"))


def test_damage_anywhere_is_an_item_error():
    """A file with bytes flipped at random is read or refused with a reason; nothing else escapes."""
    random = np.random.default_rng(0)
    noise = Image.fromarray(random.integers(0, 256, (24, 24, 3), dtype=np.uint8))
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"):
        whole = saved(noise, kind)
        for _ in range(60):
            damaged = bytearray(whole)
            for at in random.integers(0, len(damaged), 4):
                damaged[at] = random.integers(0, 256)
            try:
                image = open_rgb(bytes(damaged))
            except ItemError as error:
                assert str(error)
            else:
                assert image.mode == "RGB"
