"""The Map page in a browser: each of its controls, and 100,000 points."""

import io
import json
import re
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

import embedsearch as es
from embedsearch.artifacts.map import load_map, map_index
from embedsearch.index import open_index
from embedsearch.maps.inputs import Settings
from embedsearch.progress import Silent
from embedsearch.records import Unit
from embedsearch.store.build import open_build
from embedsearch.ui import asset, cached, jobs
from embedsearch.ui.widgets import job_panel
from tests.ui.conftest import HOSTILE, QUESTIONS, _table, html_of, shown

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
expect.set_options(timeout=60_000)
HITS = 12  # as many as the page Search shows


def drawn(page):
    """Wait for the plot, and return it."""
    page.wait_for_selector('.map[data-lit]:not([data-lit=""])', state="attached")
    shown(page)
    return page.locator(".map svg[role=application]")


def lit(page, count):
    """Wait until so many items are neither dimmed nor left out."""
    expect(page.locator(".map")).to_have_attribute("data-lit", str(count))


def errors_of(page):
    """Collect what the page writes to the console as errors from now on."""
    errors = []

    def heard(said):
        probing = "/_stcore/" in said.location["url"]  # Streamlit tries two addresses
        if said.type == "error" and not probing:
            errors.append(said.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: errors.append(str(error)))
    return errors


def drag(page, plot, path):
    """Draw a line over the plot through points given as shares of its width and height."""
    box = plot.bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in path]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=4)
    page.mouse.up()


def parameters(page):
    """Return the parameters of the page's address."""
    return parse_qs(urlsplit(page.url).query)


def test_a_map_is_there_at_once_and_says_what_it_costs(visit, indexes):
    """An index that has no map yet is shown by PCA, all its items, with the share of neighbours kept."""
    page = visit({"index": "questions"}, "map")
    plot = drawn(page)
    lit(page, len(QUESTIONS))
    expect(
        page.get_by_text(
            re.compile(r"\d+\s% of each item’s 10 nearest neighbours are among its 10 nearest here\.")
        )
    ).to_be_visible()
    expect(page.get_by_text("Method: PCA. Its two axes show")).to_be_visible()
    groups = page.locator(".legend button")
    sizes = [int(text) for text in groups.locator("small").all_inner_texts()]
    assert sum(sizes) == len(QUESTIONS)
    assert load_map(open_build(indexes, "questions")) is None
    page.wait_for_timeout(300)  # for the frame that is painted next
    pixels = np.asarray(Image.open(io.BytesIO(plot.screenshot())).convert("RGB"), np.int16)
    coloured = (pixels.max(2) - pixels.min(2) > 60).sum()
    assert coloured > 20 * len(QUESTIONS)  # pixels: each dot is about 7 wide


def test_pointing_tells_and_a_click_chooses(visit):
    """The pointer over a dot tells its text; a click puts it in the address, with lines to its neighbours."""
    text = "Which wine goes with mushrooms?"
    page = visit({"index": "questions"}, "map")
    plot = drawn(page)
    places = page.evaluate(
        """() => {
            const svg = [...document.querySelectorAll("*")].map((each) => each.shadowRoot)
                .find((root) => root?.querySelector(".map")).querySelector("svg");
            const [ring, box, found] = [svg.querySelector(".hover"), svg.getBoundingClientRect(), {}];
            for (let y = 4; y < box.height; y += 6) for (let x = 4; x < box.width; x += 6) {
                const [clientX, clientY] = [box.left + x, box.top + y];
                svg.dispatchEvent(new PointerEvent("pointermove", { clientX, clientY, bubbles: true }));
                const place = [Number(ring.getAttribute("cx")), Number(ring.getAttribute("cy"))];
                if (ring.getAttribute("visibility") === "visible") found[place] = place;
            }
            return Object.values(found);
        }"""
    )
    assert len(places) > len(QUESTIONS) / 2
    tip = page.locator(".map .tip b")
    for x, y in places:
        plot.hover(position={"x": x, "y": y})
        expect(tip).to_be_visible()
        if tip.inner_text() == text:
            break
    expect(tip).to_have_text(text)
    expect(page.locator(".map .tip .note")).to_contain_text("topic: food")
    expect(page.locator(".map .tip .kept")).to_have_text(
        re.compile(r"^\d+ of its 10 nearest are among its 10 nearest here$")
    )
    plot.click(position={"x": x, "y": y})
    expect(page).to_have_url(re.compile("item="))
    expect(page.locator(".st-key-es-card-chosen")).to_contain_text(text)
    expect(page.locator(".map .marks line")).to_have_count(HITS)
    page.get_by_role("link", name="More like this").click()
    expect(page.locator(".es-asked")).to_contain_text(text)
    expect(page).to_have_url(re.compile("index=questions"))


def test_the_keyboard_reaches_items(visit):
    """Arrow keys go from item to item, Enter chooses, and the choice can be cleared."""
    page = visit({"index": "senses"}, "map")
    drawn(page).focus()
    tip = page.locator(".map .tip b")
    page.keyboard.press("ArrowRight")
    expect(tip).to_have_text(re.compile(r"\[\w+\]"))  # the word stands in brackets in its sentence
    first = tip.inner_text()
    page.keyboard.press("ArrowLeft")
    expect(tip).not_to_have_text(first)
    page.keyboard.press("Enter")
    expect(page.locator(".map .marks .chosen")).to_have_count(1)
    expect(page.locator(".st-key-es-card-chosen mark")).to_be_visible()
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(".map .marks .chosen")).to_have_count(0)


def test_neighbours_have_their_word_marked_and_a_link(visit, indexes):
    """Of words each neighbour's own one stands out, and its link chooses that neighbour."""
    items = open_index("senses", indexes).build.items
    bank = next(at for at, text in enumerate(items["text"].to_pylist()) if "savings" in text)
    page = visit({"index": "senses", "item": items["id"][bank].as_py(), "colour": "sense"}, "map")
    drawn(page)
    rows = page.locator("[class*=st-key-es-near-]")
    expect(rows).to_have_count(HITS)
    expect(rows.locator("a strong")).to_have_count(HITS)
    assert len({row.locator("a p").inner_html() for row in rows.all()}) == HITS
    word = rows.first.locator("strong").inner_text()
    rows.first.get_by_role("link").click()
    expect(page.locator(".st-key-es-card-chosen mark")).to_have_text(word)
    assert parameters(page)["colour"] == ["sense"]


def test_a_group_is_singled_out_and_the_map_zoomed(visit):
    """A group's button dims the others; nearer and farther zoom, and all of it shows the whole again."""
    page = visit({"index": "images"}, "map")
    drawn(page)
    first = page.locator(".legend button").first
    size = int(first.locator("small").inner_text())
    first.click()
    lit(page, size)
    expect(page).to_have_url(re.compile("only=0"))
    page.reload()
    drawn(page)
    lit(page, size)
    plot = page.locator(".map")
    page.get_by_label("Nearer").click()
    expect(plot).to_have_attribute("data-scale", "1.60")
    page.get_by_label("All of it").click()
    expect(plot).to_have_attribute("data-scale", "1.00")


def test_images_are_seen_when_pointed_at_and_when_near(visit):
    """The tip of an image's dot shows it; few images in view are shown where their dots are."""
    page = visit({"index": "images", "item": "star/green star.png"}, "map")
    drawn(page).focus()
    page.keyboard.press("ArrowRight")  # goes to the chosen one
    expect(page.locator(".map .tip b")).to_have_text("green star.png")
    assert re.search("/_es_media/.+/small$", page.locator(".map .tip img").get_attribute("src"))
    expect(page.locator(".st-key-es-card-chosen").get_by_alt_text("green star.png")).to_be_visible()
    near = page.locator(".map .closeup img")
    expect(near.first).to_be_visible()
    assert near.first.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0


def test_markup_in_texts_is_shown_as_text_on_the_map(visit):
    """A text that holds HTML appears letter by letter in the tip, and runs nothing."""
    page = visit({"index": "images", "item": "star/red star.png"}, "map")
    drawn(page).focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".map .tip b")).to_have_text(HOSTILE)
    assert page.dialogs == []


def test_the_map_of_the_build_is_shown(visit, build, indexes, tmp_path):
    """A map that was made by the command is what the page shows, groups and all."""
    build(
        indexes,
        "mapped",
        _table(tmp_path / "m.csv", ("text", "topic"), [row[:2] for row in QUESTIONS]),
        Unit.TEXT,
    )
    map_index(indexes, "mapped", Settings(clusters=5, names="topic"), Silent())
    page = visit({"index": "mapped"}, "map")
    drawn(page)
    expect(page.locator(".legend button")).to_have_count(5)
    expect(page.locator(".legend")).to_contain_text("delivery")


@pytest.mark.parametrize("width", [390, 1300])
def test_nothing_sticks_out(visit, indexes, width):
    """On a phone and on a desk nothing reaches beyond the side, also with an item chosen."""
    looked = {"over": "price", "area": "-9,-9,9,-9,9,9,-9,9"}
    item = open_index("questions", indexes).build.items["id"][3].as_py()
    page = visit({"index": "questions", "item": item, **looked}, "map", width=width)
    plot = drawn(page)
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= width
    assert plot.bounding_box()["width"] <= width


def test_a_wrong_item_is_told(visit):
    """An item that is not there gives a sentence, and the map all the same."""
    page = visit({"index": "questions", "item": "nobody"}, "map")
    expect(page.get_by_role("alert").filter(has_text="There is no item 'nobody'")).to_be_visible()
    drawn(page)
    lit(page, len(QUESTIONS))


def test_a_term_that_is_gone_is_told(visit):
    """A term whose item is not there gives a sentence, and the map all the same."""
    page = visit({"index": "questions", "q": "money", "plusitem": "nobody"}, "map")
    expect(page.get_by_role("alert").filter(has_text="nobody")).to_be_visible()
    drawn(page)


def test_the_keyboard_stays_in_the_group_that_is_singled_out(visit, indexes):
    """With a group singled out, the arrow keys reach its items alone, also from a chosen one of another."""
    item = open_index("questions", indexes).build.items["id"][0].as_py()
    page = visit({"index": "questions", "item": item}, "map")
    plot = drawn(page)
    buttons = page.locator(".legend button")
    for number in range(buttons.count()):
        name = buttons.nth(number).locator("span").inner_text()
        buttons.nth(number).click()
        expect(page).to_have_url(re.compile(f"only={number}"))
        shown(page)
        plot.focus()
        for way in ("Right", "Up", "Left", "Down"):
            page.keyboard.press(f"Arrow{way}")
            expect(page.locator(".map .tip .group")).to_have_text(name)


def test_items_are_coloured_by_a_field(visit):
    """Values have a colour and a count each; numbers a ramp; the tip says the value; nothing is raised."""
    page = visit({"index": "questions"}, "map")
    plot, errors = drawn(page), errors_of(page)
    page.get_by_label("Colour by").select_option("topic")
    expect(page.locator(".legend button")).to_have_count(6)
    refunds = page.locator(".legend button").filter(has_text="refund")
    expect(refunds.locator("small")).to_have_text("4")
    refunds.click()
    lit(page, 4)
    shown(page)
    plot.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".map .tip .group")).to_have_text("topic: refund")
    page.get_by_label("Colour by").select_option("price")
    expect(page.locator(".legend .ramp")).to_be_visible()
    lit(page, len(QUESTIONS))
    page.get_by_label("Colour by").select_option("group")
    expect(page.locator(".legend .ramp")).to_have_count(0)
    expect(page).not_to_have_url(re.compile("colour="))
    assert errors == []


def test_a_slider_leaves_a_range_of_a_field(visit):
    """What lies outside of the range goes; the address keeps it, and the whole range is none."""
    page = visit({"index": "questions"}, "map")
    drawn(page)
    errors = errors_of(page)
    page.get_by_label("Slider for").select_option("price")
    page.get_by_label("price: to").fill("10")
    within = sum(row[2] <= 10 for row in QUESTIONS)
    lit(page, within)
    page.get_by_label("price: to").dispatch_event("change")
    expect(page).to_have_url(re.compile(r"between=1\.\.10"))
    page.reload()
    drawn(page)
    lit(page, within)
    expect(page.locator(".slider output")).to_have_text("1 to 10")
    page.get_by_label("price: to").fill("50")
    lit(page, len(QUESTIONS))
    page.get_by_label("price: to").dispatch_event("change")
    expect(page).not_to_have_url(re.compile("between="))
    assert errors == []


def test_a_box_becomes_a_list_that_is_saved_and_searched(visit):
    """All that lies in the box is listed and in its files; a search among these finds no other."""
    page = visit({"index": "questions", "only": "1"}, "map")
    plot, errors = drawn(page), errors_of(page)
    size = int(page.locator(".legend button").nth(1).locator("small").inner_text())
    page.get_by_label("Select a box").click()
    drag(page, plot, [(0.01, 0.01), (0.99, 0.99)])
    expect(page.get_by_role("heading", name=f"{size} of 22 texts in the area")).to_be_visible()
    expect(page.locator(".es-hits .es-card")).to_have_count(size)  # those that are dimmed are not selected
    with page.expect_download() as saved:
        page.get_by_role("link", name="JSON").click()
    items = json.loads(saved.value.path().read_text(encoding="utf-8"))
    assert len(items) == size
    assert list(items[0]) == ["id", "x", "y", "group", "text", "path", "topic", "price", "asked"]
    page.get_by_role("link", name="Search these").click()
    expect(page.get_by_text("Only the items of the area chosen on the map are searched.")).to_be_visible()
    field = page.get_by_label("What are you looking for?")
    field.fill("money")
    field.press("Enter")
    expect(page.locator(".st-key-es-count")).to_contain_text(f"of {size} that pass the filter")
    found = set(page.locator(".es-hits .es-text").all_inner_texts())
    assert found
    assert found <= {each["text"] for each in items}
    page.get_by_role("button", name="Search all items").click()
    expect(page).not_to_have_url(re.compile("area="))
    expect(page.locator(".st-key-es-count")).to_contain_text("of 22")
    page.go_back()
    assert errors == []


def test_a_lasso_takes_what_it_goes_around(visit):
    """A lasso around half of the map takes a part, and a button what is in view."""
    page = visit({"index": "questions"}, "map")
    plot = drawn(page)
    page.get_by_label("Lasso").click()
    drag(page, plot, [(0.3, 0.02), (0.02, 0.02), (0.02, 0.98), (0.5, 0.98), (0.5, 0.02)])
    heading = page.get_by_role("heading", name=re.compile(r"^\d+ of 22 texts in the area$"))
    expect(heading).to_be_visible()
    count = int(heading.inner_text().split()[0])
    assert 0 < count < 22
    expect(page.locator(".map .marks .area")).to_have_count(1)
    page.locator(".es-hits [data-act=like]").first.click()
    expect(page.locator(".st-key-es-card-chosen")).to_be_visible()
    shown(page)
    page.get_by_label("Select all in view").click()
    expect(page.get_by_role("heading", name="22 of 22 texts in the area")).to_be_visible()
    page.get_by_role("button", name="Clear the area").click()
    expect(page.locator(".map .marks .area")).to_have_count(0)
    expect(page.get_by_role("heading", name="in the area")).to_have_count(0)


def test_a_query_and_its_hits_are_lit(visit):
    """What is typed stands between its hits, with a line to each; the list beside the map has them too."""
    page = visit({"index": "questions"}, "map")
    drawn(page)
    errors = errors_of(page)
    field = page.get_by_label("What are you looking for?")
    field.fill("the package did not come")
    field.press("Enter")
    expect(page.locator(".map .marks .query")).to_have_count(1)
    expect(page.locator(".map .marks .near")).to_have_count(HITS)
    expect(page.locator(".map .marks line")).to_have_count(HITS)
    expect(page.locator("[class*=st-key-es-near-]").first).to_contain_text("My parcel has not arrived yet.")
    page.get_by_role("link", name="On the page Search").click()
    expect(page.locator(".es-hits .es-card").first).to_contain_text("My parcel has not arrived yet.")
    assert errors == []


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A folder with the index `many`: 100,000 vectors around 40 centres, and their map."""
    folder, draw = tmp_path_factory.mktemp("many"), np.random.default_rng(0)
    kinds = np.arange(100_000) % 40
    vectors = (draw.normal(size=(40, 8))[kinds] + draw.normal(scale=0.2, size=(100_000, 8))).astype(
        np.float32
    )
    fields = [{"kind": f"kind{kind}", "year": 1900 + at % 120} for at, kind in enumerate(kinds.tolist())]
    es.build(
        ([str(at) for at in range(100_000)], vectors, fields), name="many", indexes=folder, backend="exact"
    )
    map_index(folder, "many", Settings(names="kind"), Silent())
    return folder


# how many dots are painted in the frame after a click on "Nearer"
MOVED = """() => new Promise((done) => {
    const root = [...document.querySelectorAll("*")].map((each) => each.shadowRoot)
        .find((each) => each?.querySelector(".map")).querySelector(".map");
    new MutationObserver(() => done(Number(root.dataset.painted)))
        .observe(root, { attributeFilter: ["data-painted"] });
    root.querySelector("[data-zoom=in]").click();
})"""


def test_a_beginning_of_the_dots_is_spread_over_all(visit):
    """The dots are drawn each once; of 40 kinds that take turns, each has its share of the first thousand."""
    source = asset("map_painter.js")
    order = np.array(visit({}, "relatedness").evaluate(f"() => {{ {source}\nreturn [...spread(100000)]; }}"))
    assert np.array_equal(np.sort(order), np.arange(100_000))
    assert set(np.bincount(order[:1000] % 40)) == {25}
    assert np.abs(np.histogram(order[:1000], 10)[0] - 100).max() <= 1


def test_a_hundred_thousand_points(visit, serve, many):
    """All are drawn, a sample while they move; named by nearness, described, slid over and selected."""
    page = visit({"index": "many"}, "map", address=serve(many))
    plot, errors = drawn(page), errors_of(page)
    lit(page, 100_000)
    root = page.locator(".map")
    expect(root).to_have_attribute("data-level", "0")
    expect(root).to_have_attribute("data-painted", "100000")
    assert 15_000 <= page.evaluate(MOVED) < 20_000
    expect(root).to_have_attribute("data-painted", "100000")
    for _ in range(2):
        page.get_by_label("Nearer").click()
    expect(root).to_have_attribute("data-level", "1")
    expect(page.locator(".map .labels text").first).to_have_text(re.compile("kind"))
    for _ in range(2):
        page.get_by_label("Nearer").click()
    expect(root).to_have_attribute("data-level", "2")
    page.get_by_label("All of it").click()
    page.get_by_label("Slider for").select_option("year")
    page.get_by_label("year: from").fill("2000")
    lit(page, sum(at % 120 >= 100 for at in range(100_000)))
    page.get_by_label("year: from").dispatch_event("change")
    expect(page).to_have_url(re.compile("between=2000"))
    page.get_by_label("Select a box").click()
    drag(page, plot, [(0.01, 0.01), (0.99, 0.99)])
    expect(page.get_by_role("heading", name="16,660 of 100,000")).to_be_visible()
    expect(page.get_by_text("48 of them, spread over the index")).to_be_visible()
    plot.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".map .tip .note")).to_have_text(re.compile(r"kind: kind\d+ · year: 20[01]\d"))
    assert errors == []


def _map_page():
    from embedsearch.ui.pages.map import map_page

    map_page()


@pytest.mark.usefixtures("here")
def test_of_more_items_a_sample_is_drawn_and_said(monkeypatch):
    """Beyond the number that is drawn a sample is, which the page says."""
    monkeypatch.setattr(cached, "DRAWN", 9)
    vectors = np.random.default_rng(0).normal(size=(30, 4))
    es.build(([f"v{at}" for at in range(30)], vectors), name="w2v")
    page = AppTest.from_function(_map_page, default_timeout=60).run()
    assert "A sample of 9 of 30 is drawn." in html_of(page)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("installed", [True, False])
def test_a_map_by_pca_says_how_to_get_a_better_one(monkeypatch, installed):
    """Where the extra is there, a button makes the map by UMAP, in the background; else a line says how."""
    from embedsearch.ui.pages import map as map_page

    started = []
    monkeypatch.setattr(map_page, "is_installed", lambda: installed)
    monkeypatch.setattr(job_panel, "may_build", lambda: True)
    monkeypatch.setattr(jobs, "start", lambda *said: started.append(said))
    es.build((["a", "b", "c"], np.eye(3)), name="w2v")
    page = AppTest.from_function(_map_page, default_timeout=60).run()
    if installed:
        page.button(key="map-better").click().run()
        assert started[0][1:] == ("Map w2v", "w2v", ["map", "w2v", "--method=umap"])
    else:
        assert "pip install 'embedsearch[umap]', then embedsearch map w2v" in html_of(page)
