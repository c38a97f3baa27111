import io
import struct
import sys

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from embedsearch.encoders.vision.decode import decode, open_rgb
from embedsearch.encoders.vision.to_rgb import ALPHA_IGNORED, ON_BLACK, SCALED, UPPER_BYTE, UPPER_BYTE_KEPT


def saved(image, kind, **options):
    """Return the bytes of an image file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def scene():
    """Return grey values of a scene with a slope, a disc and fine detail: (60, 80) float in [0, 1]."""
    y, x = np.mgrid[:60, :80]
    disc = (x - 30) ** 2 + (y - 25) ** 2 < 200
    return np.clip(0.1 + x / 100 + 0.1 * disc + 0.02 * np.sin(x * y), 0, 1)


def off(data):
    """Return how far the RGB image of a file is from the scene's own 8-bit form: the mean of 255 levels."""
    got = np.asarray(open_rgb(data), np.float64)[:, :, 0]
    return float(np.abs(got - scene() * 255).mean())


@pytest.mark.parametrize("most", [255, 1023, 4095, 16383, 65535])
def test_wide_whole_numbers_look_as_their_8_bits(most):
    """Grey of 8, 10, 12, 14 and 16 bits in a 16-bit PNG or TIFF, or in int32, is within 2 of 255 levels."""
    values = np.rint(scene() * most)
    assert off(saved(Image.fromarray(values.astype(np.uint16)), "PNG")) < 2
    assert off(saved(Image.fromarray(values.astype(np.uint16)), "TIFF")) < 2
    assert off(saved(Image.fromarray(values.astype(np.int32)), "TIFF")) < 2


@pytest.mark.parametrize("step", [256, 257])
def test_8_bits_in_the_upper_byte_keep_their_values(step):
    """A dark image whose 8-bit values were moved up, or repeated, stays as dark as it was."""
    dark = (np.arange(40, dtype=np.uint16).reshape(5, 8)) * step
    assert np.array_equal(np.asarray(open_rgb(saved(Image.fromarray(dark), "PNG")))[:, :, 0], dark // step)


def test_a_narrow_range_is_stretched():
    """Thermal images, whose values fill a little of 16 bits, use all of 8: their percentiles are the ends."""
    values = np.rint(29000 + scene() * 2500).astype(np.uint16)
    image, notes = decode(saved(Image.fromarray(values), "TIFF"))
    got = np.asarray(image)
    assert (got.min(), got.max(), notes) == (0, 255, (SCALED,))


def test_a_float_of_one_is_white():
    """Floats in [0, 1] and in [0, 255] look as their 8 bits; others run from percentile to percentile."""
    assert off(saved(Image.fromarray(scene().astype(np.float32)), "TIFF")) < 1
    assert off(saved(Image.fromarray((scene() * 255).astype(np.float32)), "TIFF")) < 1
    assert off(saved(Image.fromarray((scene() * 800 - 300).astype(np.float32)), "TIFF")) < 30


@pytest.mark.parametrize("stray", [-9999.0, -3.4028235e38, np.inf, -np.inf, np.nan, 1e30, -32768.0])
@pytest.mark.parametrize("share", [0.002, 0.3])
def test_values_without_a_measurement_do_not_count(stray, share):
    """A few values of no data, or a third of all, leave the others as they are without; they are black."""
    values = (scene() * 40 + 10).astype(np.float32)
    plain = np.asarray(open_rgb(saved(Image.fromarray(values), "TIFF")), int)[:, :, 0]
    lost = np.random.default_rng(0).random(values.shape) < share
    values[lost] = stray
    got = np.asarray(open_rgb(saved(Image.fromarray(values), "TIFF")), int)[:, :, 0]
    assert np.abs(got - plain)[~lost].mean() < 3
    assert (got[lost] == 0).all()


def test_stray_values_of_any_kind_are_cut_off():
    """Values far beyond the others, up to half a percent at each end, become black or white."""
    values = (scene() * 40 + 10).astype(np.float32)
    plain = np.asarray(open_rgb(saved(Image.fromarray(values), "TIFF")), int)[:, :, 0]
    values[0, :10], values[1, :10] = 5e6, -7e5
    got = np.asarray(open_rgb(saved(Image.fromarray(values), "TIFF")), int)[:, :, 0]
    assert np.abs(got - plain)[2:].mean() < 3


def test_what_a_file_declares_is_its_range():
    """The sample range and the no-data value in a TIFF's tags, and a PGM's greatest value, are kept to."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[280], tags[281] = 0, 2000
    tags.tagtype[280] = tags.tagtype[281] = 3
    values = np.rint(scene() * 1000).astype(np.uint16)
    got = np.asarray(open_rgb(saved(Image.fromarray(values), "TIFF", tiffinfo=tags)), int)[:, :, 0]
    assert np.abs(got - scene() * 127.5).mean() < 1
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[42113] = "7"
    floats = (scene() * 40 + 100).astype(np.float32)
    floats[:20] = 7
    got = np.asarray(open_rgb(saved(Image.fromarray(floats), "TIFF", tiffinfo=tags)), int)[:, :, 0]
    assert (got[:20].max(), got[20:].max()) == (0, 255)
    dark = np.arange(30, dtype=">u2").reshape(5, 6)  # of 1000
    pgm = b"P5 6 5 1000\n" + dark.tobytes()
    assert np.asarray(open_rgb(pgm)).max() == round(29 / 1000 * 255)


def test_one_value_and_no_value_are_black():
    """An image of one value, or of nothing but not-a-number, is black and no error."""
    for values in (np.full((4, 4), 7.5), np.full((4, 4), np.nan)):
        assert np.asarray(open_rgb(saved(Image.fromarray(values.astype(np.float32)), "TIFF"))).max() == 0


def icon(colour, ground=(0, 0, 0, 0), size=24):
    """Return an icon: a square of a colour on a ground."""
    image = Image.new("RGBA", (size, size), ground)
    image.paste(colour, (6, 6, 18, 18))
    return image


def test_white_on_transparency_is_laid_on_black():
    """What is white, or nearly, is laid on black and so is seen; what has any colour is laid on white."""
    image, notes = decode(icon((255, 255, 255, 255)))
    assert (image.getpixel((0, 0)), image.getpixel((9, 9)), notes) == ((0,) * 3, (255,) * 3, (ON_BLACK,))
    assert decode(icon((240, 240, 245, 255)))[1] == (ON_BLACK,)
    for colour in ((0, 0, 0, 255), (255, 255, 0, 255), (120, 120, 120, 255)):
        image, notes = decode(icon(colour))
        assert (image.getpixel((0, 0)), notes) == ((255,) * 3, ())
    drawn = icon((255, 255, 255, 255))
    drawn.paste((0, 0, 0, 255), (6, 6, 18, 7))  # an outline
    assert decode(drawn)[1] == ()


def test_white_icons_differ(shared_data):
    """The four white icons of the cases are four different images."""
    paths = sorted((shared_data.parent / "cases" / "white_icons").glob("*.png"))
    assert len({np.asarray(open_rgb(path)).tobytes() for path in paths}) == len(paths) == 4


def test_an_alpha_that_hides_everything_is_ignored():
    """A photo whose alpha is 0 throughout is its own colours; two such photos differ."""
    photo = Image.effect_noise((20, 20), 80).convert("RGB")
    hidden = photo.copy()
    hidden.putalpha(0)
    image, notes = decode(saved(hidden, "PNG"))
    assert np.array_equal(np.asarray(image), np.asarray(photo))
    assert notes == (ALPHA_IGNORED,)


def test_version_1_is_what_0_6_did():
    """Of version 1, transparency is laid on white, and 16-bit grey divided by 257 whatever it holds."""
    assert np.asarray(decode(icon((255, 255, 255, 255)), preparation=1)[0]).min() == 255
    values = np.array([[0, 300, 1023, 65535]], np.uint16)
    image, notes = decode(saved(Image.fromarray(values), "PNG"), preparation=1)
    assert (np.asarray(image)[0, :, 0].tolist(), notes) == ([0, 1, 4, 255], ())


def coloured(most, kind=".png", alpha=False):
    """Return the bytes of a file of 16-bit colours up to `most`: the scene, its negative, a grey."""
    cv2 = pytest.importorskip("cv2")
    channels = [np.full((60, 80), 0.5), 1 - scene(), scene()]  # OpenCV writes blue first
    values = np.rint(np.stack(channels, 2) * most).astype(np.uint16)
    if alpha:
        values = np.concatenate([values, np.full((60, 80, 1), 65535, np.uint16)], 2)
    return cv2.imencode(kind, values)[1].tobytes()


@pytest.mark.parametrize("kind", [".png", ".tiff"])
@pytest.mark.parametrize("most", [255, 1023, 4095, 16383, 65535])
@pytest.mark.parametrize("alpha", [False, True])
def test_wide_colours_look_as_their_8_bits(kind, most, alpha):
    """Colours of 8, 10, 12, 14 and 16 bits in 16 are within 2 of 255 levels, with or without alpha."""
    image, notes = decode(coloured(most, kind, alpha))
    red, green, _ = np.moveaxis(np.asarray(image, np.float64), 2, 0)
    assert np.abs(red - scene() * 255).mean() < 2
    assert np.abs(green - (1 - scene()) * 255).mean() < 2
    assert notes == ()


def test_wide_colours_of_a_narrow_range_are_told():
    """Colours that fill few of 16 bits far from black are stretched, which is noted."""
    cv2 = pytest.importorskip("cv2")
    values = np.rint(np.stack([scene()] * 3, 2) * 3000 + 40000).astype(np.uint16)
    image, notes = decode(cv2.imencode(".png", values)[1].tobytes())
    assert notes == (SCALED,)
    grey = np.asarray(image, np.float64)[:, :, 0]
    low, high = np.percentile(scene(), [0.5, 99.5])
    assert np.abs(grey - ((scene() - low) / (high - low)).clip(0, 1) * 255).mean() < 2


def test_without_opencv_the_upper_byte_is_read_and_said(monkeypatch):
    """Where OpenCV is missing, 16-bit colours are read as Pillow does, and the note names the extra."""
    data = coloured(1023)
    monkeypatch.setitem(sys.modules, "cv2", None)
    image, notes = decode(data)
    assert (np.asarray(image).max(), notes) == (3, (UPPER_BYTE,))
    assert "embedsearch[copies]" in UPPER_BYTE
    assert UPPER_BYTE.endswith("then run: embedsearch rebuild NAME --full")  # a rebuild keeps dark vectors


def test_what_opencv_can_not_read_is_read_by_its_upper_byte():
    """OpenCV raises at a million columns; Pillow reads them, and the note names no extra to install."""
    pytest.importorskip("cv2")
    width, offset = 1_100_000, 8 + 2 + 9 * 12 + 4
    tags = (  # number, type (3: 16 bits, 4: 32), count, value
        (256, 4, 1, width), (257, 4, 1, 1), (258, 3, 3, offset), (259, 3, 1, 1), (262, 3, 1, 2),
        (273, 4, 1, offset + 6), (277, 3, 1, 3), (278, 4, 1, 1), (279, 4, 1, 6 * width),
    )  # fmt: skip
    held = struct.pack("<2sHIH", b"II", 42, 8, len(tags))
    held += b"".join(struct.pack("<HHII", *tag) for tag in tags)
    held += struct.pack("<I3H", 0, 16, 16, 16) + (np.arange(3 * width) % 4000).astype("<u2").tobytes()
    image, notes = decode(held)
    assert (image.size, notes) == ((width, 1), (UPPER_BYTE_KEPT,))
    assert "pip" not in UPPER_BYTE_KEPT


def test_version_2_reads_the_upper_byte_of_colours():
    """Indexes made before are still asked with images read as theirs were."""
    image, notes = decode(coloured(1023), preparation=2)
    assert (np.asarray(image).max(), notes) == (3, ())


def test_wide_colours_are_upright():
    """The orientation that a TIFF file declares holds for 16-bit colours too."""
    values = np.arange(48, dtype=np.uint16).reshape(4, 4, 3) * 20
    tags = struct.pack("<H", 11)
    ifd = [
        (256, 3, 1, 4), (257, 3, 1, 4), (258, 3, 3, 150), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 156),
        (274, 3, 1, 3), (277, 3, 1, 3), (278, 3, 1, 4), (279, 4, 1, 96), (284, 3, 1, 1),
    ]  # fmt: skip
    body = b"".join(struct.pack("<HHII", *each) for each in ifd)
    head = b"II*\0" + struct.pack("<I", 8) + tags + body + struct.pack("<I", 0)
    data = head.ljust(150, b"\0") + struct.pack("<3H", 16, 16, 16) + values.tobytes()
    image, _ = decode(data)
    got = np.asarray(image)  # turned by 180 degrees
    assert got[0, 0].tolist() == got.reshape(-1, 3).max(0).tolist()
    assert got[3, 3].tolist() == got.reshape(-1, 3).min(0).tolist()
    exif = Image.Exif()
    exif[274] = 3
    start = io.BytesIO()
    Image.new("RGB", (1, 1)).save(start, "PNG", exif=exif)
    chunk = start.getvalue()[33:].split(b"IDAT")[0][:-4]  # eXIf, behind the header of 33 bytes
    plain = coloured(1023)
    turned = np.asarray(decode(plain[:33] + chunk + plain[33:])[0])
    np.testing.assert_array_equal(turned, np.asarray(decode(plain)[0])[::-1, ::-1])
