"""From page to page, and within one: what stays, and where a person finds herself."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from embedsearch.records import Unit
from embedsearch.ui.after_run import asked
from embedsearch.ui.navigation import onward
from tests.ui.conftest import QUESTIONS, _table, shown
from tests.ui.pages.test_search import answered, cards, texts
from tests.ui.widgets.test_why import opened

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
expect.set_options(timeout=60_000)

LIKE, ADD = "[data-act=like]", "[data-act=plus]"


def go(page, name):
    """Click a page's link at the top, and wait until that page is shown."""
    page.locator(".st-key-es-nav").get_by_role("link", name=name).click()
    expect(page).to_have_title(f"{name} · embedsearch")
    shown(page)


def said(page):
    """The path and the parameters of the page's address."""
    address = urlsplit(page.url)
    return address.path, parse_qs(address.query)


def is_at(page, path, query):
    """Wait until the page has an address of this path and these parameters."""
    for _ in range(300):
        if said(page) == (path, query):
            return
        page.wait_for_timeout(100)
    assert said(page) == (path, query)


@pytest.mark.parametrize(
    ("last", "index", "there"),
    [
        ({}, "", {}),
        ({}, "b", {"index": ["b"]}),
        ({"index": ["b"], "item": ["1"]}, "b", {"index": ["b"], "item": ["1"]}),
        ({"index": ["a"], "q": ["x"], "item": ["1"], "f.n": ["1..2"]}, "b", {"index": ["b"], "q": ["x"]}),
        ({"t": ["x", "y"]}, "", {"t": ["x", "y"]}),
    ],
)
def test_a_page_is_found_as_it_was_left(last, index, there):
    """A page's last address holds in its own index; in another one, what means nothing there is dropped."""
    assert onward(last, index) == there


def test_what_is_asked_is_not_how_much_of_it_is_shown():
    """Filters and the number of results change nothing of what is asked; a part, an item, a page does."""
    base = {"index": ["a"], "q": ["x"]}
    assert asked("", base) == asked("", {**base, "k": ["6"], "where": ["n > 1"], "f.n": ["1..2"]})
    for more in ({"item": ["1"]}, {"minusitem": ["1"]}, {"q": ["y"]}, {"image": ["0"]}):
        assert asked("", base) != asked("", {**base, **more})
    assert asked("duplicates", base) != asked("duplicates", {**base, "page": ["2"]})
    assert asked("map", base) == asked("map", {**base, "item": ["1"]}) != asked("", base)


def test_the_way_round_the_pages_keeps_index_and_query(visit):
    """Map and Duplicates open the index one is in, Search and Relatedness hold what was asked there."""
    page = visit({"t": ["a cat", "a kitten"]}, "relatedness")
    go(page, "Search")
    is_at(page, "/", {})
    page = visit({"index": "questions", "q": "refund", "k": 6, "close": "no"})
    answered(page)
    go(page, "Map")
    is_at(page, "/map", {"index": ["questions"]})
    go(page, "Relatedness")
    page.get_by_label("Text 1").fill("a cat")
    page.get_by_label("Text 1").press("Tab")
    expect(page).to_have_url(re.compile("t=a"))
    shown(page)
    go(page, "Duplicates")
    is_at(page, "/duplicates", {"index": ["questions"]})
    go(page, "Search")
    is_at(page, "/", {"index": ["questions"], "q": ["refund"], "k": ["6"], "close": ["no"]})
    answered(page)
    assert cards(page).count() == 6
    go(page, "Relatedness")
    expect(page.get_by_label("Text 1")).to_have_value("a cat")
    for path in ("/", "/duplicates", "/relatedness", "/map", "/"):  # the browser's way back, a page a step
        page.go_back()
        expect(page).to_have_url(re.compile(rf"//[^/]+{path}(\?|$)"))
        shown(page)
        page.wait_for_timeout(500)  # nobody goes on before a page's script has set its own address
        if path == "/relatedness":  # where the text was entered
            page.go_back()
            expect(page.get_by_label("Text 1")).not_to_have_value("a cat")  # the example
            shown(page)
    answered(page)
    assert said(page)[1]["q"] == ["refund"]


def test_an_index_chosen_elsewhere_goes_along(visit):
    """Choosing another index on the map moves Search there, with the text and without the item."""
    page = visit({"index": "questions", "q": "refund", "where": "price > 3"})
    answered(page)
    go(page, "Map")
    page.locator("[data-testid=stSelectbox] input").click()
    page.get_by_role("option", name="twice · texts").click()
    expect(page).to_have_url(re.compile("index=twice"))
    shown(page)
    go(page, "Search")
    is_at(page, "/", {"index": ["twice"], "q": ["refund"]})
    go(page, "Duplicates")
    assert said(page)[1]["index"] == ["twice"]


def test_an_index_without_copies_is_not_carried_to_duplicates(visit):
    """From an index of words, Duplicates opens what it can show."""
    page = visit({"index": "senses"})
    go(page, "Duplicates")
    is_at(page, "/duplicates", {})
    expect(page.get_by_text(re.compile(r"Look-alikes \(\d+\)"))).to_be_visible()


def test_an_item_has_a_door_to_the_map(visit):
    """Where an item is asked with, a link leads to it on the map."""
    page = visit({"index": "questions", "q": "refund"})
    answered(page)
    first = texts(page)[0]
    cards(page).first.get_by_role("button", name="More like this").click()
    page.get_by_role("link", name="On the map").click()
    expect(page.locator(".st-key-es-card-chosen")).to_contain_text(first)


def test_the_page_scrolls_up_when_something_else_is_asked(visit):
    """A card's buttons below the fold lead to the top; a filter and the number of results move nothing."""
    page = visit({"index": "questions", "q": "refund"}, width=700)
    answered(page)
    top = "document.querySelector('[data-testid=stMain]').scrollTop"
    for door in (LIKE, ADD):
        last = cards(page).last
        last.scroll_into_view_if_needed()
        assert page.evaluate(top) > 300
        last.locator(door).click()
        page.wait_for_function(f"{top} === 0")
        answered(page)
    cards(page).last.scroll_into_view_if_needed()
    before = page.evaluate(top)
    cards(page).last.get_by_role("button", name="Why").click()
    page.get_by_text("How the numbers add up").wait_for()
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    shown(page)
    assert page.evaluate(top) == before


def test_a_ninth_part_is_told_and_not_added(visit):
    """A card's button says that eight parts are all, and leaves the address alone."""
    parts = ["red", "blue", "green", "grey", "tea", "milk", "soup", "wine"]
    page = visit({"index": "questions", "q": "refund", "plus": parts})
    answered(page)
    before = page.url
    cards(page).first.locator(ADD).click()
    expect(page.get_by_role("alert").filter(has_text="A query takes at most 8 terms")).to_be_visible()
    shown(page)
    assert page.url == before


def test_a_click_on_a_starter_asks_it(visit):
    """Without a query three of the index itself are offered, and a click asks one."""
    page = visit({"index": "questions"})
    buttons = page.locator(".st-key-es-starters button")
    expect(buttons).to_have_count(3)
    label = buttons.first.inner_text()
    buttons.first.click()
    answered(page)
    expect(page.get_by_label("What are you looking for?")).to_have_value(label)
    expect(buttons).to_have_count(0)


def test_no_load_leaves_the_machine(visit, browser, site):
    """Every request of every page goes to the server itself, the icon of the tab too."""
    seen = []
    browser.on("request", lambda request: seen.append(request.url))
    for path in ("", "relatedness", "map", "duplicates"):
        page = visit({}, path)
        assert page.locator("link[rel='shortcut icon']").get_attribute("href").startswith("data:image/svg")
    assert len(seen) > 4
    own = (site, site.replace("http", "ws"), "data:", "blob:")
    assert [url for url in seen if not url.startswith(own)] == []


@pytest.mark.parametrize("path", ["foo", "foo/bar", "map/x"])
def test_an_address_of_no_page_is_answered(browser, site, path):
    """An address that names no page has status 404, says so and leads to the pages."""
    page = browser.new_page()
    assert page.goto(f"{site}{path}").status == 404
    expect(page.get_by_text(f"embedsearch has no page /{path}.")).to_be_visible()
    page.get_by_role("link", name="Search").click()
    expect(page).to_have_title("Search · embedsearch")
    page.close()


@pytest.mark.parametrize("path", ["", "relatedness", "map", "duplicates", "indexes"])
@pytest.mark.parametrize("width", [390, 1300])
def test_the_pages_name_is_readable(visit, path, width):
    """The names of all pages stand beside each other, over nothing else, on a phone too."""
    page = visit({}, path, width=width)
    links = page.locator(".st-key-es-nav a")
    boxes = [link.bounding_box() for link in links.all()]
    assert links.all_inner_texts()[-1].endswith("Indexes")
    assert len({round(box["y"]) for box in boxes}) == 1
    ends = [box["x"] + box["width"] for box in boxes]
    assert all(box["x"] >= end - 1 for box, end in zip(boxes[1:], ends, strict=False))
    assert ends[-1] <= width
    logo = page.locator("[data-testid=stHeaderLogo]")
    if logo.count():
        box = logo.bounding_box()
        assert box["x"] + box["width"] <= boxes[0]["x"] or box["y"] + box["height"] <= boxes[0]["y"]


@pytest.mark.parametrize("path", ["map", "duplicates"])
def test_every_page_follows_a_rebuild(visit, build, indexes, tmp_path, path):
    """Map and Duplicates show a new build by themselves, as Search does."""
    name = f"live-{path}"
    table = _table(tmp_path / "live.csv", ("text",), [(text,) for text, *_ in QUESTIONS[:6]])
    build(indexes, name, table, Unit.TEXT)
    page = visit({"index": name}, path)
    before = {"map": ("svg[aria-label^='Map of 6 items']"), "duplicates": "text=Near copies (0)"}[path]
    expect(page.locator(before)).to_be_visible()
    rows = [(text,) for text, *_ in QUESTIONS[:12]] + [(f"{text}!",) for text, *_ in QUESTIONS[:2]]
    _table(tmp_path / "live.csv", ("text",), rows)
    build(indexes, name, table, Unit.TEXT)
    after = {"map": ("svg[aria-label^='Map of 14 items']"), "duplicates": "text=Near copies (2)"}[path]
    expect(page.locator(after)).to_be_visible()


def test_a_rebuild_leaves_an_open_dialog_alone(visit, build, indexes, tmp_path):
    """While a Why is read the page stays; once it is closed, the new build is shown."""
    table = _table(tmp_path / "read.csv", ("text",), [(text,) for text, *_ in QUESTIONS[:6]])
    build(indexes, "read", table, Unit.TEXT)
    page = visit({"index": "read", "q": "refund"})
    answered(page)
    dialog = opened(page)
    _table(tmp_path / "read.csv", ("text",), [(text,) for text, *_ in QUESTIONS[:14]])
    build(indexes, "read", table, Unit.TEXT)
    page.wait_for_timeout(11_000)  # two looks at the folder
    expect(dialog.locator(".es-total")).to_be_visible()
    dialog.get_by_role("button", name="Close").click()
    expect(page.locator(".es-facts")).to_contain_text("14 texts")
