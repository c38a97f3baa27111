"""The terms of a query as chips, a part of an image as a query, and two indexes side by side."""

import io
import json
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from PIL import Image

from tests.ui.conftest import shown
from tests.ui.pages.test_search import answered, cards, copied, measured, names, saved

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
expect.set_options(timeout=60_000)


def slide(page, name, weight):
    """Move the slider of a term to a weight, as a pointer does."""
    page.get_by_role("slider", name=f"Weight of {name}").evaluate(
        """(range, weight) => {
            range.value = weight;
            for (const kind of ["input", "change"]) range.dispatchEvent(new Event(kind, { bubbles: true }));
        }""",
        weight,
    )


def test_each_term_is_a_chip_with_its_weight(visit):
    """A slider sets the weight, in the address too; across 0 the sign turns; a cross removes the term."""
    page = visit({"index": "questions", "q": "my card", "minus": "refund", "close": "no"})
    answered(page)
    before = measured(page)
    less = page.get_by_role("slider", name="Weight of refund")
    assert [less.get_attribute(each) for each in ("min", "max", "aria-valuetext")] == ["-1", "2", "−0.25"]
    less.focus()
    less.press("ArrowLeft")
    expect(page).to_have_url(re.compile(r"weight\.minus\.refund=0\.3(&|$)"))
    answered(page)
    expect(less).to_be_focused()
    assert measured(page) != before
    slide(page, "refund", 0.4)
    expect(page).to_have_url(re.compile(r"plus=refund.*weight\.plus\.refund=0\.4"))
    assert "minus" not in page.url
    slide(page, "my card", 0.5)
    expect(page).to_have_url(re.compile(r"[?&]weight=0\.5"))
    page.reload()
    answered(page)
    expect(page.locator(".es-term output")).to_have_text(["+0.50", "+0.40"])
    page.get_by_role("button", name="Remove my card").click()
    expect(page.locator(".es-term")).to_have_count(1)
    expect(page.get_by_label("What are you looking for?")).to_have_value("")
    page.get_by_role("button", name="Remove refund").click()
    expect(page.locator(".es-term")).to_have_count(0)


def upload(page, image):
    """Give the page's first field for files an image."""
    file = io.BytesIO()
    image.save(file, "PNG")
    page.locator("input[type=file]").last.set_input_files(
        {"name": "mine.png", "mimeType": "image/png", "buffer": file.getvalue()}
    )


def test_an_image_is_added_as_a_term(visit, images):
    """An uploaded image can stand beside a text, as a chip that the address holds."""
    page = visit({"index": "images", "item": "disc/red disc.png"})
    answered(page)
    page.get_by_role("button", name="Refine").click()
    expect(page.get_by_label("Less of")).to_be_visible()
    upload(page, Image.open(images / "bars" / "blue bars.png"))
    expect(page).to_have_url(re.compile("plusimage=[0-9a-f]{32}"))
    answered(page)
    expect(page.locator(".es-term-name")).to_have_text(["red disc.png", "an image"])
    slide(page, "red disc.png", 0.1)
    expect(page).to_have_url(re.compile(r"[?&]weight=0\.1"))
    answered(page)
    assert names(page)[0] == "blue bars.png"


def drag(page, start, end):
    """Draw a frame over the enlarged image, between two points as shares of it."""
    box = page.locator(".es-crop-over").bounding_box()
    (x, y), (to_x, to_y) = (
        (box["x"] + a * box["width"], box["y"] + b * box["height"]) for a, b in (start, end)
    )
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move((x + to_x) / 2, (y + to_y) / 2)
    page.mouse.move(to_x, to_y)
    page.mouse.up()


def test_a_part_of_an_image_finds_what_is_in_it(visit, images):
    """Of an upload that holds two things, each half finds its own, as the query and as a term of it."""
    two = Image.new("RGB", (480, 200), "white")
    two.paste(Image.open(images / "disc" / "red disc.png"), (0, 0))
    two.paste(Image.open(images / "bars" / "blue bars.png"), (240, 0))
    page = visit({"index": "images"})
    upload(page, two)
    answered(page)
    for start, end, first in (
        ((0.02, 0.02), (0.48, 0.98), "red disc.png"),
        ((0.98, 0.98), (0.51, 0.01), "blue bars.png"),
    ):
        page.get_by_role("button", name="Enlarge Your image").click()
        page.get_by_role("button", name="Search with a part").click()
        drag(page, start, end)
        page.get_by_role("button", name="Search with this part").click()
        expect(page.get_by_role("dialog")).to_have_count(0)
        edge = f"{min(start[0], end[0]):.2f}"[:4]
        expect(page).to_have_url(re.compile(rf"crop={edge}"))
        answered(page)
        expect(page.get_by_text("Like this part of your image")).to_be_visible()
        assert names(page)[0] == first
    page.reload()
    answered(page)
    assert names(page)[0] == "blue bars.png"
    page.get_by_role("button", name="Whole image").click()
    expect(page).not_to_have_url(re.compile("crop="))
    answered(page)
    page.get_by_role("button", name="Enlarge Your image").click()
    page.get_by_role("button", name="Search with a part").click()
    drag(page, (0.02, 0.02), (0.48, 0.98))
    page.get_by_role("button", name="Add this part to the query").click()
    expect(page.locator(".es-term-name")).to_have_text(["your image", "an image"])
    slide(page, "your image", 0.1)
    expect(page).to_have_url(re.compile(r"[?&]weight=0\.1"))
    answered(page)
    assert names(page)[0] == "red disc.png"


def test_a_frame_is_moved_by_keys(visit):
    """From a hit: arrows move the frame, Shift and arrows size it, Escape ends it, Enter searches."""
    page = visit({"index": "images", "k": "6"})
    cards(page).first.get_by_role("button", name="Enlarge").click()
    start = page.get_by_role("button", name="Search with a part")
    start.click()
    frame = page.locator(".es-crop-frame")
    expect(frame).to_be_focused()
    page.keyboard.press("Escape")
    expect(frame).to_have_count(0)
    expect(start).to_be_focused()
    page.keyboard.press("Enter")
    for key in ("ArrowRight", "ArrowDown", "Shift+ArrowLeft", "Shift+ArrowUp"):
        page.keyboard.press(key)
    expect(frame).to_have_attribute("aria-label", re.compile("from 27 to 75 % of its width and 27 to 75 %"))
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"item=.*crop=0\.27%2C0\.27%2C0\.75%2C0\.75"))
    answered(page)
    expect(page.get_by_text("Like this part of")).to_be_visible()


def test_two_indexes_stand_side_by_side(visit):
    """Lines join what both find, the rest is marked; it is shared, and each index can be the first."""
    page = visit({"index": "questions", "q": "refund", "close": "no", "where": "price > 0"})
    answered(page)
    page.get_by_role("button", name="Side by side").click()
    expect(page.get_by_role("radio", name="twice")).to_have_count(1)
    for other in ("images", "senses"):
        expect(page.get_by_role("radio", name=other, exact=True)).to_have_count(0)
    page.get_by_text("twice", exact=True).click()
    expect(page).to_have_url(re.compile("versus=twice"))
    expect(page.locator(".es-beside")).to_have_count(24)
    shown(page)
    lines, alone = page.locator(".es-lines-between line"), page.locator(".es-alone")
    both = lines.count()
    assert both >= 1
    assert alone.count() == 24 - 2 * both
    expect(page.get_by_text(f"Both find {both} of 12: overlap@12 is {both / 12:.2f}")).to_be_visible()
    left, right = page.locator("[data-side=left]"), page.locator("[data-side=right]")
    line = lines.last
    a, b = int(line.get_attribute("data-left")), int(line.get_attribute("data-right"))
    assert left.nth(a).locator("p").inner_text() == right.nth(b).locator("p").inner_text()
    left.nth(a).hover()
    expect(page.locator(".es-beside.es-lit")).to_have_count(2)
    ends = line.bounding_box()
    middles = sorted(
        box["y"] + box["height"] / 2 for box in (left.nth(a).bounding_box(), right.nth(b).bounding_box())
    )
    assert ends["y"] == pytest.approx(middles[0], abs=3)
    assert ends["y"] + ends["height"] == pytest.approx(middles[1], abs=3)
    page.get_by_text("Share", exact=True).click()
    assert "embedsearch versus questions twice refund -k 12" in copied(page, "Command line")
    assert "ix.versus(" in copied(page, "Python")
    assert len(json.loads(saved(page, "JSON of both"))["pairs"]) == both
    page.keyboard.press("Escape")
    left.nth(a).get_by_role("button", name="More like").click()
    expect(page).to_have_url(re.compile("item="))
    expect(page.locator(".es-beside")).to_have_count(24)
    shown(page)
    shouted = right.and_(page.locator(".es-alone")).filter(has_text=re.compile("!")).first
    shouted.get_by_role("button", name="More like").click()
    expect(page).to_have_url(re.compile("index=twice"))
    assert "where" not in parse_qs(urlsplit(page.url).query)  # of a field that only the other index has
    expect(page.locator(".es-side h2")).to_have_text(["twice", "questions"])
    shown(page)
    page.get_by_role("combobox", name="Index", exact=True).click()
    page.get_by_role("option", name="questions · texts").click()
    expect(page.locator(".es-side h2")).to_have_text(["questions", "twice"])  # they change places
    shown(page)
    page.get_by_role("button", name="Side by side with twice").click()
    page.get_by_text("No other index").click()
    answered(page)
    expect(page.locator(".es-beside")).to_have_count(0)
