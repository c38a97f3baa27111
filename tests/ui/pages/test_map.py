import re

import pytest

from embedsearch.artifacts.map import inputs_of, load_map, map_index
from embedsearch.index import open_index
from embedsearch.maps import make_map
from embedsearch.maps.inputs import Settings
from embedsearch.progress import Silent
from embedsearch.records import Unit
from embedsearch.store.build import open_build
from embedsearch.ui.widgets.map_data import plot
from tests.ui.conftest import HOSTILE, QUESTIONS, _table, shown

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
expect.set_options(timeout=60_000)


def drawn(page):
    """Wait for the plot, and return it."""
    page.wait_for_selector(".map svg path", state="attached")
    shown(page)
    return page.locator(".map svg")


def dots(page):
    """How many items are drawn."""
    return sum(len(path.get_attribute("d").split("M")) - 1 for path in page.locator(".map .dots").all())


def test_a_map_is_there_at_once_and_says_what_it_costs(visit, indexes):
    """An index that has no map yet is shown by PCA, all its items, with the share of neighbours kept."""
    page = visit({"index": "questions"}, "map")
    drawn(page)
    assert dots(page) == len(QUESTIONS)
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


def test_pointing_tells_and_a_click_chooses(visit):
    """The pointer over a dot tells its text; a click puts it in the address, with lines to 10 neighbours."""
    text = "Which wine goes with mushrooms?"
    page = visit({"index": "questions"}, "map")
    plot = drawn(page)
    found = page.evaluate(
        """(text) => {
            const svg = [...document.querySelectorAll("*")].map((each) => each.shadowRoot)
                .find((root) => root?.querySelector(".map")).querySelector("svg");
            const tip = svg.parentElement.querySelector(".tip");
            const box = svg.getBoundingClientRect();
            for (let y = 4; y < box.height; y += 6) for (let x = 4; x < box.width; x += 6) {
                const [clientX, clientY] = [box.left + x, box.top + y];
                svg.dispatchEvent(new PointerEvent("pointermove", { clientX, clientY, bubbles: true }));
                if (!tip.hidden && tip.querySelector("b").textContent === text) return { x, y };
            }
            return null;
        }""",
        text,
    )
    assert found, "no place on the map tells this text"
    plot.hover(position=found)
    expect(page.locator(".map .tip b")).to_have_text(text)
    expect(page.locator(".map .tip .note")).to_contain_text("topic: food")
    expect(page.locator(".map .tip .kept")).to_have_text(
        re.compile(r"^\d+ of its 10 nearest are among its 10 nearest here$")
    )
    plot.click(position=found)
    expect(page).to_have_url(re.compile("item="))
    expect(page.locator(".st-key-es-card-chosen")).to_contain_text(text)
    expect(page.locator(".map .marks line")).to_have_count(12)
    page.get_by_role("link", name="More like this").click()
    expect(page.locator(".es-asked")).to_contain_text(text)
    expect(page).to_have_url(re.compile("index=questions"))


def test_the_keyboard_reaches_items(visit):
    """Arrow keys go from item to item, Enter chooses, and the choice can be cleared."""
    page = visit({"index": "senses"}, "map")
    drawn(page).focus()
    page.keyboard.press("ArrowRight")
    first = page.locator(".map .tip b").inner_text()
    page.keyboard.press("ArrowLeft")
    assert page.locator(".map .tip b").inner_text() != first
    assert re.search(r"\[\w+\]", first)  # the word stands in brackets in its sentence
    page.keyboard.press("Enter")
    expect(page.locator(".map .marks .chosen")).to_have_count(1)
    expect(page.locator(".st-key-es-card-chosen mark")).to_be_visible()
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(".map .marks .chosen")).to_have_count(0)


def test_neighbours_have_their_word_marked_and_a_link(visit, indexes):
    """Of words each neighbour's own one stands out, and its link chooses that neighbour."""
    items = open_index("senses", indexes).build.items
    bank = next(at for at, text in enumerate(items["text"].to_pylist()) if "savings" in text)
    page = visit({"index": "senses", "item": items["id"][bank].as_py()}, "map")
    drawn(page)
    rows = page.locator("[class*=st-key-es-near-]")
    expect(rows).to_have_count(12)
    expect(rows.locator("a strong")).to_have_count(12)
    assert len({row.locator("a p").inner_html() for row in rows.all()}) == 12  # one sentence may stand twice
    word = rows.first.locator("strong").inner_text()
    rows.first.get_by_role("link").click()
    expect(page.locator(".st-key-es-card-chosen mark")).to_have_text(word)


def test_a_group_is_singled_out_and_the_map_zoomed(visit):
    """A group's button dims the others; nearer and farther zoom, and all of it shows the whole again."""
    page = visit({"index": "images"}, "map")
    drawn(page)
    page.locator(".legend button").first.click()
    faint = [path.get_attribute("opacity") for path in page.locator(".map .dots").all()]
    assert sorted(faint)[-1] == "0.85"
    assert set(sorted(faint)[:-1]) == {"0.1"}
    world = page.locator(".map svg g").first
    page.get_by_label("Nearer").click()
    assert "scale(1.6)" in world.get_attribute("transform")
    page.get_by_label("All of it").click()
    assert "scale(1)" in world.get_attribute("transform")


def test_images_are_seen_when_pointed_at(visit):
    """The tip of an image's dot shows it."""
    page = visit({"index": "images", "item": "star/green star.png"}, "map")
    drawn(page).focus()
    page.keyboard.press("ArrowRight")  # goes to the chosen one
    expect(page.locator(".map .tip b")).to_have_text("green star.png")
    assert page.locator(".map .tip img").get_attribute("src").startswith("data:image/webp;base64,")
    expect(page.locator(".st-key-es-card-chosen").get_by_alt_text("green star.png")).to_be_visible()


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
def test_nothing_sticks_out(visit, width):
    """On a phone and on a desk nothing reaches beyond the side, also with an item chosen."""
    page = visit({"index": "images", "item": "star/red star.png"}, "map", width=width)
    plot = drawn(page)
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= width
    assert plot.bounding_box()["width"] <= width


def test_a_wrong_item_is_told(visit):
    """An item that is not there gives a sentence, and the map all the same."""
    page = visit({"index": "questions", "item": "nobody"}, "map")
    expect(page.get_by_role("alert").filter(has_text="There is no item 'nobody'")).to_be_visible()
    drawn(page)
    assert dots(page) == len(QUESTIONS)


def test_the_keyboard_stays_in_the_group_that_is_singled_out(visit, indexes):
    """With a group singled out, the arrow keys reach its items alone, also from a chosen one of another."""
    item = open_index("questions", indexes).build.items["id"][0].as_py()
    page = visit({"index": "questions", "item": item}, "map")
    plot = drawn(page)
    buttons = page.locator(".legend button")
    for number in range(buttons.count()):
        name = buttons.nth(number).locator("span").inner_text()
        buttons.nth(number).click()
        plot.focus()
        for way in ("Right", "Up", "Left", "Left", "Down", "Down", "Right"):
            page.keyboard.press(f"Arrow{way}")
            expect(page.locator(".map .tip .group")).to_have_text(name)


def test_of_many_items_a_sample_and_the_chosen_are_drawn(indexes):
    """What is drawn are the rows given, and the chosen item and its neighbours in any case."""
    searcher = open_index("questions", indexes)
    made = make_map(inputs_of(searcher.build), Settings(), None, Silent())
    data = plot(searcher, made, made.measured[:5], 7, [3, 9])
    assert data["row"] == [0, 1, 2, 3, 4, 7, 9]
    assert (data["chosen"], data["neighbours"]) == (5, [3, 6])
    assert len(data["title"]) == len(data["x"]) == len(data["group"]) == 7
