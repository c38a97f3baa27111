"""Why: what the page shows of an explanation."""

import re

import pytest

from embedsearch.explain.explanation import Part
from embedsearch.ui.widgets.why import _most, _shaded
from tests.ui.conftest import HOSTILE
from tests.ui.pages.test_search import answered, cards

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect


def opened(page, place=0):
    """Click a card's Why, and return the dialog once it holds the sum."""
    cards(page).nth(place).get_by_role("button", name="Why").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("How the numbers add up").click()
    expect(dialog.locator(".es-total")).to_be_visible()
    return dialog


def test_a_texts_words_are_shaded_and_add_up(visit):
    """The words have shades with their numbers, [CLS] and [SEP] stand as the rest, and all adds up."""
    page = visit({"index": "questions", "q": "the package did not come"})
    answered(page)
    dialog = opened(page)
    assert dialog.locator(".es-shaded").inner_text() == "My parcel has not arrived yet."
    marks = dialog.locator(".es-shaded mark").all()
    scores = [float(mark.get_attribute("title")) for mark in marks]
    table = dialog.locator(".es-sum table").inner_text()
    rest = [float(each) for each in re.findall(r"\[(?:CLS|SEP)\]\s+(-?[\d.]+)", table)]
    assert len(rest) == 2
    total = float(re.search(r"together\s+([\d.]+) = 1 − distance", table)[1])
    assert sum(scores) + sum(rest) == pytest.approx(total, abs=1e-3)
    assert total == pytest.approx(
        1 - float(re.search(r"distance\s+([\d.]+) computed now", table)[1]), abs=2e-4
    )
    assert marks[scores.index(max(scores))].inner_text() in {"parcel", "arrived"}
    dialog.get_by_text("The number of each word").click()
    expect(dialog.locator("details:not(.es-sum) table")).to_contain_text("parcel")
    expect(dialog).to_contain_text("You asked for “the package did not come”")
    expect(dialog).to_contain_text(re.compile(r"comes from (?=.*(parcel|arrived))"))


def test_names_keep_their_capitals():
    """The words that make most of a match are written as the text writes them first."""
    scores = {"Paris": 0.5, "paris": 0.2, "IBM": 0.3, "met": 0.05, "of": 0.01}
    parts = [Part(word, (at, at + 1), score) for at, (word, score) in enumerate(scores.items())]
    assert _most(parts) == "Most of the match comes from <b>Paris, IBM, met</b>. "


def test_an_image_has_its_heat_laid_over(visit):
    """An image's dialog shows one image and what its colours mean, on a narrow screen too."""
    page = visit({"index": "images", "item": "rings/blue rings.png"}, width=390)
    answered(page)
    dialog = opened(page)
    expect(dialog.get_by_role("img", name=re.compile("^Heat over"))).to_be_visible()
    expect(dialog).to_contain_text("Yellow parts fit your query more")
    expect(dialog).to_contain_text("81 patches")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_word_is_framed_among_its_neighbours(visit):
    """A word's dialog frames it, shades the words around it and names those of one sentence alone."""
    page = visit({"index": "senses", "q": "We fished from the bank", "word": "5"})
    answered(page)
    dialog = opened(page)
    assert dialog.locator("mark.es-framed").inner_text() == "bank"
    assert dialog.locator(".es-shaded mark").count() > 3
    expect(dialog).to_contain_text("Only in yours:")


def test_items_that_nothing_was_compared_with_have_no_why(visit):
    """Without a query there is no score to explain."""
    page = visit({"index": "questions"})
    expect(cards(page)).to_have_count(12)
    expect(page.get_by_role("button", name="Why")).to_have_count(0)


def test_a_shaded_text_is_shown_as_it_is():
    """What a source wrote is escaped between, within and behind the marks, and nothing of it is lost."""
    parts = (Part(HOSTILE[:8], (0, 8), 1.0), Part(HOSTILE[9:17], (9, 17), -2.0))
    made = _shaded(HOSTILE, parts)
    assert "<script" not in made
    assert re.sub(r"<[^>]+>", "", made) == HOSTILE.replace("<", "&lt;").replace(">", "&gt;")
    assert made.count('class="es-against"') == 1
    assert '--share: 65%" title="-2.0000"' in made


def test_an_image_that_a_text_found_says_that_it_approximates(visit):
    """What a text found has a heat of its own, compared within the image, and the note that says so."""
    page = visit({"index": "images", "q": "a round thing"})
    answered(page)
    dialog = opened(page)
    expect(dialog.get_by_role("img", name=re.compile("^Heat over"))).to_be_visible()
    expect(dialog).to_contain_text("Yellow marks the parts of this image that fit “a round thing” best")
    expect(dialog).to_contain_text("An approximation: the image was found by its projection among texts.")
    expect(dialog.locator(".es-total")).to_have_text(re.compile(r"^the whole image0\.\d{4} = 1 − distance$"))


@pytest.mark.parametrize("width", [390, 768, 1440, 1920])
def test_a_cards_doors_stand_in_rows(visit, width):
    """More like this, Why, + and − share one row, inside the card, however narrow it is."""
    page = visit({"index": "images", "q": "a round thing"}, width=width)
    answered(page)
    for card in cards(page).all()[:4]:
        actions = card.locator(".es-actions > button, .es-signs button").all()
        boxes = [each.bounding_box() for each in actions]
        middles = [round(box["y"] + box["height"] / 2) for box in boxes]
        assert len(boxes) == 4
        assert max(middles) - min(middles) <= 2
        held = card.bounding_box()
        edges = [edge for box in boxes for edge in (box["x"], box["x"] + box["width"])]
        edges = [held["x"], *edges, held["x"] + held["width"]]
        assert edges == sorted(edges)
