"""A part of an image that is searched with. Pillow is loaded when there is one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from embedsearch.query import Image

if TYPE_CHECKING:
    from embedsearch.encoders.vision.decode import ImageSource

ROUNDING = 1e-6  # pixels, of a share times a width


def asked_image(query: Image) -> ImageSource:
    """Return the image that a query asks with, upright and cut out where it asks with a part.

    Raises:
        ItemError: a part is asked with, and the image can't be read, has over 50 megapixels, or the part is
            too thin.
    """
    if query.crop is None:
        return query.source
    from embedsearch.encoders.vision.decode import UPLOADED_PIXELS, check_shape, open_rgb

    image = open_rgb(query.source, most=UPLOADED_PIXELS)
    (width, height), (left, top, right, bottom) = image.size, query.crop
    part = image.crop(  # every pixel that the part touches
        (
            math.floor(left * width + ROUNDING),
            math.floor(top * height + ROUNDING),
            math.ceil(right * width - ROUNDING),
            math.ceil(bottom * height - ROUNDING),
        )
    )
    check_shape(part)
    return part
