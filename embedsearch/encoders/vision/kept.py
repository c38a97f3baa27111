"""What an index keeps of an image that lies in an archive or at an address, so that it can be shown."""

from __future__ import annotations

import io

from embedsearch.encoders.vision.decode import open_rgb
from embedsearch.errors import ItemError

MOST_BYTES = 256 * 2**10  # of an image that is kept as it is
SIDE, QUALITY = 1024, 90  # of the smaller copy of a larger one: pixels of its longer side, and of JPEG


def kept(content: bytes) -> bytes:
    """Return an image file's bytes, or those of a smaller copy as JPEG where they are many.

    What can't be decoded is returned as it is: the encoder says why it is rejected.
    """
    if len(content) <= MOST_BYTES:
        return content
    try:
        image = open_rgb(content, 2 * SIDE)
    except (ItemError, OSError):
        return content
    image.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return min(content, buffer.getvalue(), key=len)
