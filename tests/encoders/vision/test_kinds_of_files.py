"""Each kind of image file that a folder is searched for is decoded; odd files say nothing on the terminal."""

import io
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from embedsearch.encoders.vision.decode import open_rgb
from embedsearch.errors import ItemError


def psd(width=16, height=8, colour=(200, 30, 60)):
    """Return a minimal Photoshop file of one colour, which Pillow can't write."""
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, height, width, 8, 3)
    return head + b"\0" * 12 + struct.pack(">H", 0) + b"".join(bytes([c]) * width * height for c in colour)


def written(kind):
    """Return the bytes of an image of one colour in a kind of file."""
    if kind == "PSD":
        return psd()
    buffer = io.BytesIO()
    image = Image.new("1" if kind == "XBM" else "RGB", (16, 8), (200, 30, 60) if kind != "XBM" else 1)
    if kind == "MPO":
        image.save(buffer, kind, save_all=True, append_images=[Image.new("RGB", (16, 8))])
    else:
        image.save(buffer, kind, **({"sizes": [(16, 8)]} if kind == "ICO" else {}))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "kind",
    [
        "TGA", "DDS", "PSD", "ICO", "JPEG2000", "MPO", "QOI", "PPM", "PCX", "SGI", "DIB", "AVIF",
        "JPEG", "WEBP", "TIFF", "GIF", "BMP",
    ],
)  # fmt: skip
def test_each_kind_of_file_is_decoded(kind):
    """A file of one colour comes back in it, of lossy kinds nearly so."""
    got = np.asarray(open_rgb(written(kind)))
    assert got.shape == (8, 16, 3)
    assert np.abs(got.astype(int) - (200, 30, 60)).max() <= 8


@pytest.mark.parametrize("address", ["https://example.com/cat.jpg", "HTTP://example.com/cat.jpg"])
def test_a_web_address_is_not_fetched(address):
    """An image given by its web address is refused in words, as a text and as a path."""
    for given in (address, Path(address)):
        with pytest.raises(ItemError, match="an address, which is not fetched: download"):
            open_rgb(given)


def test_libtiff_says_nothing_on_the_terminal():
    """A damaged TIFF is an error with its reason, and libtiff itself prints nothing."""
    code = """
import io
import numpy as np
from PIL import Image
from embedsearch.encoders.vision.decode import open_rgb
from embedsearch.errors import ItemError
buffer = io.BytesIO()
noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
Image.fromarray(noise).save(buffer, "TIFF", compression="tiff_lzw")
damaged = bytearray(buffer.getvalue())
for at in range(100, 3000, 7):
    damaged[at] ^= 0x55
try:
    open_rgb(bytes(damaged))
except ItemError as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "can't be decoded" in ran.stdout
    assert ran.stderr == ""
