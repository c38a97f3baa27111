"""Files that are sent as images to break what reads them."""

import io
import random
import struct
import zlib

import numpy as np
from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "ICO", "PPM", "TGA", "PCX", "SGI", "DDS", "JPEG2000")


def _image(kind, size=(64, 48)):
    """Return the bytes of an image file with some detail."""
    pixels = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def _png(width, height, data, extra=b""):
    """Return a PNG file of greys whose header says what it likes."""

    def chunk(kind, content):
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    packed = zlib.compress(data, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def _text_bomb():
    """Return a PNG file with a text of 100 MB that is packed into 100 kB."""
    content = b"zTXtbomb\0\0" + zlib.compress(b"a" * 100_000_000, 9)
    size = struct.pack(">I", len(content) - 4)
    return _png(1, 1, b"\0\0", size + content + struct.pack(">I", zlib.crc32(content)))


def files():
    """Return 100 files by a name: bombs, programs, pieces of images, and images with wrong bytes."""
    draw = random.Random(0)
    made = {
        "nothing": b"",
        "a zero": b"\0",
        "zeros": bytes(100_000),
        "noise": draw.randbytes(100_000),
        "a text": b"not an image",
        "a page": b"<html><script>alert(1)</script></html>",
        "a drawing": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        "a program": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n{} loop\n",
        "a document": b"%PDF-1.7\n1 0 obj <</Type /Catalog>> endobj\n%%EOF",
        "an archive": b"PK\x03\x04" + bytes(60),
        "a header alone": b"\x89PNG\r\n\x1a\n",
        "a bomb": _png(60_000, 60_000, bytes(1000)),
        "a large black image": _png(8000, 8000, bytes(8000 * 8001)),
        "no pixels": _png(0, 0, b""),
        "negative pixels": _png(2**31 - 1, 2**31 - 1, b""),
        "a line": _png(60_000, 1, bytes(60_001)),
        "a text bomb": _text_bomb(),
        "few data": _png(1000, 1000, bytes(10)),
        "many data": _png(10, 10, bytes(5_000_000)),
    }
    images = {kind: _image(kind) for kind in FORMATS}
    while len(made) < 100:
        kind = FORMATS[len(made) % len(FORMATS)]
        content = bytearray(images[kind])
        for _ in range(draw.choice((0, 1, 8, 64))):
            content[draw.randrange(len(content))] = draw.randrange(256)
        end = draw.choice((len(content), draw.randrange(len(content))))
        made[f"{kind} {len(made)}"] = bytes(content[:end])
    return made
