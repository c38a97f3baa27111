"""What the page does without a browser: the address, filters by field, kept images, thumbnails."""

import io
import os

import pyarrow as pa
import pytest
from PIL import Image

from embedsearch.errors import FilterError, ItemError, ItemNotFoundError
from embedsearch.query import DEFAULT_K
from embedsearch.records import Modality
from embedsearch.results import Hit
from embedsearch.search.filters import MAX_CHARACTERS, as_filter
from embedsearch.store.items import FIELD
from embedsearch.ui.url_state import MAX_COUNT, MAX_PARTS, Extra, of_index, parse
from embedsearch.ui.widgets import cards, thumbnails, uploads
from embedsearch.ui.widgets.filters import Choice, Range, condition, ends, find_facets
from embedsearch.ui.widgets.notes import literal

ODD = """it's "odd" \\ %_ -- ; 日本"""


def table(**columns):
    """A table of items with these fields, and the types of the fields."""
    items = pa.table({FIELD + name: values for name, values in columns.items()})
    return items, {name: items.schema.field(FIELD + name).type for name in columns}


def png(size=(40, 30), colour="red", kind="PNG", **options):
    """The bytes of an image file."""
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, kind, **options)
    return buffer.getvalue()


def hit(text, span=None, fields=None, path=None):
    """A hit of rank 1."""
    modality = Modality.IMAGE if path else Modality.TEXT
    return Hit(1, "id", 0, 0.5, 0.5, modality, text, path, span, fields or {})


@pytest.mark.parametrize(
    "parameters",
    [
        {"k": ["abc"]},
        {"k": ["1" * 400]},
        {"k": ["0"]},
        {"k": ["-5"]},
        {"k": ["1e9"]},
        {"word": ["one"]},
        {"image": ["../x"]},
        {"image": ["A" * 32]},
        {"image": ["0" * 33]},
        {"k": ["٣"], "word": ["²"]},
    ],
)
def test_a_wrong_address_is_told_and_never_raises(parameters):
    """What can't be understood is left out, with a sentence."""
    asked = parse(parameters)
    assert asked.problems
    assert 1 <= asked.count <= MAX_COUNT
    assert (asked.word, asked.image) == (0, "")


def test_an_address_is_read_whole():
    """Each part of the address has its place; of a value that stands twice, the last counts."""
    asked = parse({"index": ["a", "b"], "q": ["x"], "word": ["2"], "f.label": ["u", "v"], "where": ["n > 1"]})
    assert (asked.index, asked.text, asked.word, asked.count) == ("b", "x", 2, DEFAULT_K)
    assert (asked.facets, asked.where, asked.problems) == ({"label": ("u", "v")}, "n > 1", ())


def test_parts_count_once_and_eight_of_them():
    """A part that stands twice is one; of more than eight, the ones that are left out are named."""
    asked = parse({"plus": ["a", "a", "b", " "], "minus": ["a"]})
    assert asked.parts == (Extra("plus", "a"), Extra("plus", "b"), Extra("minus", "a"))
    assert asked.problems == ()
    many = parse({"plus": list("abcdefg"), "minus": ["x", "y", "z" * 60]})
    assert [part.value for part in many.parts] == [*"abcdefg", "x"]
    assert len(many.parts) == MAX_PARTS
    assert many.problems == (f"At most 8 parts are added and taken away; left out: − y, − {'z' * 39}….",)


def test_another_index_keeps_the_text_and_drops_the_items():
    """What is asked in words goes along to another index; its items, filters and pages do not."""
    said = {name: ["x"] for name in ("q", "image", "k", "item", "word", "where", "plus", "minusitem", "f.a")}
    assert set(of_index(said)) == {"item", "word", "where", "plus", "minusitem", "f.a"}
    assert set(of_index(said).values()) == {""}


def test_fields_of_few_values_and_of_numbers_can_be_chosen_by():
    """Few different texts and truth values make a list, numbers a range; the rest is left to conditions."""
    items, types = table(
        label=["a", "b", "a", None] * 10,
        id=[str(n) for n in range(40)],
        on=[True, False, None, True] * 10,
        one=["x"] * 40,
        n=range(40),
        price=[float("nan"), 0.5, 12.37, float("inf")] * 10,
        same=[7] * 40,
        huge=[2**62] * 39 + [0],
        long=["y" * 500, "z"] * 20,
        empty=pa.nulls(40, pa.float64()),
    )
    facets = {facet.field: facet for facet in find_facets(items, types)}
    assert set(facets) == {"label", "on", "n", "price"}
    assert facets["label"] == Choice("label", {"a": 20, "b": 10}, False)
    assert facets["on"] == Choice("on", {"false": 10, "true": 20}, True)
    assert (facets["n"].low, facets["n"].high, facets["n"].whole) == (0, 39, True)
    assert facets["price"].low <= 0.5
    assert 12.37 <= facets["price"].high < 12.6


@pytest.mark.parametrize("name", ["label", 'a "quoted" name', "with space", "select", "a.b", "größe"])
def test_a_choice_keeps_exactly_its_items(name):
    """Whatever quotes a field or a value holds, the filter made of a choice keeps its items and no others."""
    values = [ODD, "plain", ODD, "plain", "'", "'"]
    items, types = table(**{name: values}, n=range(6))
    facets = find_facets(items, types)
    for value in (ODD, "plain", "'"):
        mask = as_filter(condition(facets, {name: [value]}, ""), items, types).mask
        assert mask.tolist() == [each == value for each in values]


def test_choices_ranges_and_a_condition_hold_together():
    """All that was chosen holds at once, whatever OR or comment the written condition has."""
    items, types = table(label=["a", "b"] * 10, n=range(20), x=[each / 8 for each in range(20)])
    facets = find_facets(items, types)
    picked = {"label": ["a", "nope"], "n": ["4..15"], "x": ["0.5..1.75"]}
    filtered = condition(facets, picked, "n = 1 or n >= 8 -- all of it")
    kept = [8, 10, 12, 14]  # the even ones of 4 to 14, of which the condition keeps these
    assert as_filter(filtered, items, types).mask.nonzero()[0].tolist() == kept
    assert condition(facets, {"n": ["0..19"], "label": []}, " ") is None
    with pytest.raises(FilterError, match="'n ='"):
        condition(facets, picked, "n =")


def test_only_what_a_person_wrote_is_counted():
    """A condition as long as one may be passes beside whatever was picked; one character more does not."""
    items, types = table(label=["a", "b"] * 10, n=range(20))
    facets = find_facets(items, types)
    longest = "n >= 8".ljust(MAX_CHARACTERS)
    for picked, kept in (({}, 12), ({"label": ["a"]}, 6)):
        assert as_filter(condition(facets, picked, longest), items, types).count == kept
    with pytest.raises(FilterError, match="has 4,001 characters"):
        condition(facets, {"label": ["a"]}, longest + " ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3..10", (3, 10)),
        ("-99..10", (0, 10)),
        ("5..1e400", (5, 39)),
        ("10..3", (0, 39)),
        ("nan..3", (0, 39)),
        ("x..y", (0, 39)),
        ("", (0, 39)),
        ("50..60", (0, 39)),
    ],
)
def test_a_range_in_an_address_is_held_to_the_field(text, expected):
    """A range that makes no sense asks for all; one that sticks out is cut."""
    assert ends(Range("n", 0, 39, 1, True), [text]) == expected


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


def test_a_card_escapes_what_a_source_says():
    """Tags and quotes in texts and fields stay text, also around a marked word and in a cut text."""
    hostile = '<img src=x onerror="alert(1)">'
    for shown in (
        cards.text(hit(hostile)),
        cards.text(hit(f"a word {hostile}", (2, 6))),
        cards.text(hit(hostile * 400)),
    ):
        assert "<img" not in shown
        assert "&lt;img" in shown
    assert "<mark>word</mark>" in cards.text(hit("a word", (2, 6)))


def test_a_long_sentence_is_cut_around_its_word():
    """The marked word stays in sight however long its sentence is."""
    text = "x " * 5000 + "here" + " y" * 5000
    shown = cards.text(hit(text, (10_000, 10_004)))
    assert "<mark>here</mark>" in shown
    assert len(shown) < 500


def test_a_card_shows_what_folds():
    """A long text and a long list of fields fold, with all of them in the page."""
    assert "<details" in cards.text(hit("word " * 200))
    assert "<details" not in cards.text(hit("short"))
    shown = cards.fields(hit("x", fields={f"f{n}": n for n in range(9)} | {"none": None, "on": True}))
    assert "4 more fields" in shown
    assert "<dt>f8</dt><dd>8</dd>" in shown
    assert "<dt>on</dt><dd>yes</dd>" in shown
    assert "none" not in shown


def test_a_huge_text_is_cut():
    """A text of a megabyte does not travel to the browser."""
    shown = cards.text(hit("z" * 10**6))
    assert len(shown) < 5000
    assert "1,000,000 characters" in shown


@pytest.mark.parametrize(
    "text", ["**b**", "$x$", ":smile:", ":red[x]", "`c`", "# h", "<b>", "a_b_c", "[l](u)", "1. x"]
)
def test_markdown_in_messages_is_disarmed(text):
    """Each mark is escaped or broken; what remains after that is the text itself."""
    shown = literal(text)
    assert shown != text
    assert shown.replace("\\", "").replace("\u2060", "") == text
