"""Images that visitors searched with."""

import io
import os

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
