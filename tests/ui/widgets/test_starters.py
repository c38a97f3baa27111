"""Queries to start from."""

from types import SimpleNamespace

import pytest

from embedsearch.modalities import UNITS
from embedsearch.records import Modality, Unit
from embedsearch.results import Hit
from embedsearch.ui.cached import first_index
from embedsearch.ui.widgets.filters import Choice, Range
from embedsearch.ui.widgets.starters import beginning, starters


def searcher(unit, asks=None):
    """What of a searcher counts here."""
    crossmodal = SimpleNamespace(asks=asks) if asks else None
    recipe = SimpleNamespace(encoder=SimpleNamespace(own=""))
    manifest, queries = SimpleNamespace(unit=unit, recipe=recipe), SimpleNamespace(form=UNITS[unit].form)
    return SimpleNamespace(manifest=manifest, queries=queries, crossmodal=crossmodal)


def item(text=None, span=None, **fields):
    """An item of an index."""
    return Hit(1, "id", 0, 0.0, 1.0, Modality.TEXT if text else Modality.IMAGE, text, None, span, fields)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("A frog.", "A frog"),
        ("## Frogs\n\nThey jump.", "Frogs"),
        ("Join two paths, then normalise them.", "Join two paths"),
        ("os.path.split  splits\na path", "os.path.split splits"),
        ("word " * 40, ("word " * 12).strip()),
        ("x" * 90, ""),
        (" ", ""),
    ],
)
def test_a_text_begins_with_its_first_clause(text, said):
    """The first clause, or as many whole words as 60 characters hold."""
    assert beginning(text) == said


def test_queries_are_drawn_from_what_an_index_is_asked_with():
    """Texts give beginnings, images captions or labels, words their sentence; three, each once."""
    texts = [item(text) for text in ("One.", "one!", "Two.", "Three.", "Four.")]
    assert starters(searcher(Unit.TEXT), (), texts) == [{"q": "One"}, {"q": "Two"}, {"q": "Three"}]
    named = [item(text) for text in ("ctypes.CDLL", "os.remove: Remove a file path.", "Join two paths.")]
    assert [each["q"] for each in starters(searcher(Unit.TEXT), (), named)] == [
        "Remove a file path",
        "Join two paths",
        "ctypes.CDLL",
    ]
    facets = (Range("n", 0, 1, 1, True), Choice("label", {"star": 2, "disc": 1}, False))
    images = [item(label="star"), item(label="star", caption="A red star."), item(), item(label="disc")]
    found = starters(searcher(Unit.IMAGE, Modality.TEXT), facets, images)
    assert found == [{"q": "star"}, {"q": "A red star"}, {"q": "disc"}]
    words = [item("It rained. We sat on the bank.", (25, 29)), item("y " * 100 + "bank", (200, 204))]
    assert starters(searcher(Unit.WORD), (), words) == [{"q": "We sat on the bank.", "word": "5"}]


def test_images_that_no_text_finds_give_no_queries():
    """Nothing is offered that the index can't be asked with."""
    assert starters(searcher(Unit.IMAGE), (), [item(caption="A star.")]) == []


def test_images_are_opened_first():
    """Where no index is named, one of images is the one; a damaged one is no obstacle."""
    text, image = (SimpleNamespace(unit=unit) for unit in (Unit.TEXT, Unit.IMAGE))
    assert first_index({"a": None, "b": text, "c": image, "d": image}) == "c"
    assert first_index({"a": text, "b": None}) == "a"
    assert first_index({}) == ""
