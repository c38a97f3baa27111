"""The list of hits without a browser: its cards, and what their buttons report."""

from dataclasses import replace

from embedsearch.distances.metric import Metric
from embedsearch.modalities import Card
from embedsearch.ui.widgets import hits
from embedsearch.ui.widgets.hits import Actions, Look
from tests.ui.widgets.test_cards import hit

HOSTILE = """<img src=x onerror="alert(1)">'"""


def drawn(look, actions=Actions(print), each=None):  # noqa: B008
    """The HTML of a card."""
    return hits._card(each or hit(HOSTILE, fields={HOSTILE: HOSTILE, "n": 3}), 0, look, actions, (0.0, 1.0))


def test_a_card_escapes_what_a_source_says():
    """Texts, names and values stay text, also within attributes and addresses."""
    look = Look(Card.TEXT, Metric.COSINE, links={HOSTILE: lambda value: f"?f={value}"})
    shown = drawn(look, Actions(print, print, print, print, print))
    assert "<img" not in shown
    assert 'onerror="' not in shown
    assert shown.count("&lt;img src=x onerror=&quot;alert(1)&quot;&gt;&#x27;") > 6


def test_only_chosen_fields_are_shown():
    """All of them, some, or none; a field that can be filtered by is a link at its value."""
    assert ">3<" in drawn(Look(Card.TEXT))
    assert ">3<" not in drawn(Look(Card.TEXT, only=(" ",)))
    assert 'data-field="n" data-value="3"' in drawn(Look(Card.TEXT, only=("n",), links={"n": "?n={}".format}))


def test_a_mark_shows_its_state():
    """A judged hit has one button pressed; without judgements there are none."""
    actions = Actions(print, mark=print)
    shown = drawn(Look(Card.TEXT, grades={"id": 0}), actions)
    assert 'data-act="wrong" data-pressed="true" aria-pressed="true"' in shown
    assert 'data-act="right" data-pressed="false"' in shown
    assert "es-marks" not in drawn(Look(Card.TEXT))


def test_what_is_reported_is_checked():
    """A report is of a hit of its block that is still in its place, or of nothing."""
    two = [hit("a"), replace(hit("b"), id="b")]
    assert hits._done({"act": "why", "place": 1, "item": "b"}, two) == (two[1], "why")
    assert hits._done({"act": "why", "place": 0, "item": "b"}, two) == (None, "")
    for wrong in (None, "x", {}, *({"place": place, "item": "id"} for place in (2, -1, "0", None))):
        assert hits._done(wrong, two)[0] is None
