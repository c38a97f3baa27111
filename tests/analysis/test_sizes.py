"""Sizes by which the best of duplicates is chosen."""

from pathlib import Path

from PIL import Image

from embedsearch.analysis.sizes import characters, pixels


def test_an_image_is_sized_by_its_pixels_then_by_its_bytes(tmp_path):
    """A file and its bytes have one size; what is missing or no image has none."""
    path = tmp_path / "a.png"
    Image.new("RGB", (30, 20)).save(path)
    assert pixels(path) == pixels(path.read_bytes()) == (600, path.stat().st_size)
    assert pixels(Path("missing.png")) == (0, 0)
    assert pixels(b"none") == (0, 4)


def test_a_text_is_sized_by_its_characters():
    """Characters count, not bytes."""
    assert characters("naïve") == (5,)
