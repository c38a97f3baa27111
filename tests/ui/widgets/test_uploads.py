"""Images that visitors searched with."""

import io
import os
import struct
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from embedsearch.errors import ItemError, ItemNotFoundError
from embedsearch.ui.widgets import uploads


def png(size=(40, 30), colour="red", kind="PNG", **options):
    """The bytes of an image file."""
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, kind, **options)
    return buffer.getvalue()


def test_a_kept_image_is_upright_small_and_named_by_its_content(tmp_path):
    """The copy is what is searched with: RGB, upright, at most 1024 pixels, named by its pixels."""
    exif = Image.Exif()
    exif[0x0112] = 6
    name = uploads.keep(png((2000, 1000), exif=exif.tobytes(), kind="JPEG"), tmp_path)
    with Image.open(uploads.find(name, tmp_path)) as image:
        assert (image.mode, image.size, image.format) == ("RGB", (512, 1024), "PNG")
    assert uploads.keep(png(), tmp_path) == uploads.keep(png(), tmp_path) != name


def test_kept_images_are_bounded(tmp_path, monkeypatch):
    """Only the newest stay; one asked for again counts as new."""
    monkeypatch.setattr(uploads, "KEEP", 3)
    kept = []
    for place, colour in enumerate(("red", "green", "blue")):
        kept.append(uploads.keep(png(colour=colour), tmp_path))
        os.utime(tmp_path / uploads.FOLDER / f"{kept[-1]}.png", (place, place))
    uploads.find(kept[0], tmp_path)
    kept.append(uploads.keep(png(colour="black"), tmp_path))
    with pytest.raises(ItemNotFoundError, match="Upload it again"):
        uploads.find(kept[1], tmp_path)
    assert {path.stem for path in (tmp_path / uploads.FOLDER).iterdir()} == {kept[0], kept[2], kept[3]}


@pytest.mark.parametrize("name", ["", "../x", "0" * 31, "/etc/passwd", "G" * 32, "0" * 32 + "\n"])
def test_a_kept_name_is_never_a_path(tmp_path, name):
    """Only 32 hexadecimal digits are looked for."""
    with pytest.raises(ItemNotFoundError):
        uploads.find(name, tmp_path)


def test_what_is_no_image_is_not_kept(tmp_path):
    """An upload that can't be read raises, and leaves nothing behind."""
    with pytest.raises(ItemError):
        uploads.keep(b"no image", tmp_path)
    assert not (tmp_path / uploads.FOLDER).exists()


def huge(side):
    """The bytes of a black PNG, which takes a thousandth of its pixels."""
    squeeze = zlib.compressobj(9)
    row = bytes(1 + (side + 7) // 8)  # a filter byte, and a bit a pixel
    data = b"".join([*(squeeze.compress(row) for _ in range(side)), squeeze.flush()])
    parts = [(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)), (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in parts
    )


def test_an_upload_of_too_many_pixels_is_refused(tmp_path):
    """A small file of 13,000 x 13,000 pixels is refused by its header, before a pixel is decoded."""
    data = huge(13_000)
    assert len(data) < 50_000
    started = time.perf_counter()
    with pytest.raises(ItemError, match="13,000 x 13,000 pixels, more than 50 megapixels; make it smaller"):
        uploads.keep(data, tmp_path)
    assert time.perf_counter() - started < 1
    assert uploads.keep(huge(7_000), tmp_path)


def test_uploads_are_decoded_one_at_a_time(tmp_path, monkeypatch):
    """Of three uploads at once one is decoded, and the others wait; each is kept."""
    at_once, most = [], []
    decode = uploads.open_rgb

    def slow(*arguments, **options):
        at_once.append(1)
        most.append(len(at_once))
        time.sleep(0.1)
        image = decode(*arguments, **options)
        at_once.pop()
        return image

    monkeypatch.setattr(uploads, "open_rgb", slow)
    with ThreadPoolExecutor(3) as pool:
        images = [png(colour=colour) for colour in ("red", "green", "blue")]
        names = list(pool.map(lambda image: uploads.keep(image, tmp_path), images))
    assert most == [1, 1, 1]
    assert len(set(names)) == 3


def test_a_large_jpeg_is_drafted(tmp_path, monkeypatch):
    """A JPEG of 40 megapixels is decoded at a fraction of its size, still at least as large as its copy."""
    sizes = []
    monkeypatch.setattr(uploads, "check_shape", lambda image: sizes.append(image.size))
    uploads.keep(png((8000, 5000), kind="JPEG"), tmp_path)
    assert sizes == [(2000, 1250)]
