"""Thumbnails."""

import io

from PIL import Image

from embedsearch.ui.widgets import thumbnails


def png(size=(40, 30), colour="red", kind="PNG", **options):
    """The bytes of an image file."""
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, kind, **options)
    return buffer.getvalue()


def test_a_thumbnail_is_small_and_none_where_there_is_no_image(tmp_path):
    """Large images shrink to 400 pixels; what can't be read has no thumbnail."""
    path = tmp_path / "large.jpg"
    path.write_bytes(png((3000, 1500), kind="JPEG"))
    with Image.open(io.BytesIO(thumbnails.of_file(str(path)))) as image:
        assert image.size == (400, 200)
    (tmp_path / "bad.png").write_bytes(png()[:50])
    assert thumbnails.of_file(str(tmp_path / "bad.png")) is None
    assert thumbnails.of_file(str(tmp_path / "none.png")) is None
    assert thumbnails.of_file(str(tmp_path)) is None
    assert thumbnails.of_file("") is None
    assert thumbnails.of_file("\0") is None
    assert thumbnails.of_bytes(b"no") is None
