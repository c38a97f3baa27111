import base64
import csv
import io
import json
import re
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from embedsearch.recipe import SourceRecipe
from embedsearch.records import Unit
from embedsearch.store.judged import Judged
from tests.ui.conftest import HOSTILE, QUESTIONS, _table, shown

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
expect.set_options(timeout=60_000)

NEAREST = re.compile(r"^(The \d+ nearest of |[\d,]+ of [\d,]+( that pass the filter)? (is|are) close)")


def cards(page):
    """The cards of the grid."""
    return page.locator(".es-card")


def texts(page):
    """The texts of the cards, in order."""
    return cards(page).locator(".es-text").all_inner_texts()


def names(page):
    """The alternative texts of the cards' images, in order."""
    return [image.get_attribute("alt") for image in cards(page).locator("img").all()]


def measured(page):
    """The distances on the cards, as they stand there."""
    return cards(page).locator(".es-distance").all_inner_texts()


def answered(page):
    """Wait for the hits of a query."""
    expect(page.get_by_text(NEAREST)).to_be_visible()
    shown(page)


def copied(page, label):
    """What a button of the menu Share leaves in the clipboard."""
    button = page.get_by_role("button", name=label, exact=True)
    button.click()
    expect(button).to_have_count(0)  # it says that it has
    expect(button).to_be_visible()
    return page.evaluate("navigator.clipboard.readText()")


def saved(page, label):
    """The bytes of a file of the menu Share."""
    with page.expect_download() as made:
        page.get_by_role("link", name=label, exact=True).click()
    return made.value.path().read_bytes()


def share(page, menu="Share"):
    """Open the menu Share, or another one beside it."""
    page.locator("summary").get_by_text(menu, exact=True).click()


def announced(page):
    """What the live region holds, as the browser hands it to a screen reader."""
    nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    named = {node["nodeId"]: node for node in nodes}
    regions = [node for node in nodes if node.get("role", {}).get("value") == "status"]
    texts = [named[child]["name"]["value"] for region in regions for child in region.get("childIds", ())]
    return " ".join(filter(None, texts))


def as_png(image, size=None):
    """The bytes of an image file as a PNG of another size."""
    buffer = io.BytesIO()
    image = Image.open(image)
    (image.resize(size) if size else image).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(("index", "count"), [("images", 12), ("questions", 12), ("senses", 12)])
def test_without_a_query_the_page_offers_items(visit, index, count):
    """An index that nothing is asked of shows what it is, and items to start from."""
    page = visit({"index": index})
    expect(cards(page)).to_have_count(count)
    expect(page.get_by_role("button", name="More like this")).to_have_count(count)
    expect(page.locator(".es-facts")).to_contain_text("cosine")
    assert measured(page) == []


def test_a_typed_query_finds_the_right_text(visit):
    """A question in other words finds its neighbour first, with rank and distance; the address holds it."""
    page = visit({"index": "questions"})
    page.get_by_label("What are you looking for?").fill("the package did not come")
    page.get_by_label("What are you looking for?").press("Enter")
    answered(page)
    assert texts(page)[0] == "My parcel has not arrived yet."
    assert cards(page).locator(".es-rank").first.inner_text() == "1"
    assert [float(each) for each in measured(page)] == sorted(float(each) for each in measured(page))
    expect(page).to_have_url(re.compile(r"q=the\+package|q=the%20package"))


def test_a_text_finds_images(visit):
    """An index of images is asked with a text too: the address holds it, and the page says what serves."""
    page = visit({"index": "images"})
    page.get_by_label("What are you looking for?").fill("rings")
    page.get_by_label("What are you looking for?").press("Enter")
    answered(page)
    expect(page.get_by_text("Texts find images by ImageNet class names (ConSE).")).to_be_visible()
    expect(page.locator(".es-facts")).to_contain_text("by text")
    expect(page).to_have_url(re.compile(r"q=rings"))
    assert [float(each) for each in measured(page)] == sorted(float(each) for each in measured(page))


def test_an_image_finds_texts(visit, images):
    """An index of texts is asked with an image too, which a text that is typed then replaces."""
    page = visit({"index": "questions"})
    expect(page.get_by_text("Or an image")).to_be_visible()
    page.locator("input[type=file]").set_input_files(
        {
            "name": "a.png",
            "mimeType": "image/png",
            "buffer": as_png(images / "rings" / "blue rings.png", (480, 400)),
        }
    )
    expect(page.get_by_text("What fits your image")).to_be_visible()
    answered(page)
    assert len(texts(page)) > 5
    page.get_by_label("What are you looking for?").fill("the package did not come")
    page.get_by_label("What are you looking for?").press("Enter")
    expect(page.get_by_text("What fits your image")).to_have_count(0)
    answered(page)
    assert texts(page)[0] == "My parcel has not arrived yet."


def test_an_uploaded_image_is_found_and_survives_a_reload(visit, images):
    """An image uploaded at another size finds its original first; a reload shows the same distances."""
    page = visit({"index": "images"})
    data = as_png(images / "rings" / "blue rings.png", (480, 400))
    page.locator("input[type=file]").set_input_files(
        {"name": "mine.png", "mimeType": "image/png", "buffer": data}
    )
    answered(page)
    assert names(page)[0] == "blue rings.png"
    expect(page.get_by_alt_text("Your image")).to_be_visible()
    before = measured(page)
    page.reload()
    answered(page)
    assert (names(page)[0], measured(page)) == ("blue rings.png", before)
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.get_by_text(NEAREST)).to_have_count(0)


def test_an_upload_that_is_no_image_is_told(visit):
    """A file that is no image gives a sentence, and the page goes on."""
    page = visit({"index": "images"})
    page.locator("input[type=file]").set_input_files(
        {"name": "no.png", "mimeType": "image/png", "buffer": b"no image at all"}
    )
    expect(page.get_by_text("not an image that Pillow can read")).to_be_visible()
    shown(page)
    assert cards(page).count() == 12


@pytest.mark.parametrize("way", ["keys", "button"])
def test_a_pasted_image_is_found(visit, images, way):
    """An image in the clipboard is asked with by Ctrl+V anywhere, or by the Paste button."""
    page = visit({"index": "images"})
    data = base64.b64encode(as_png(images / "star" / "green star.png")).decode()
    page.evaluate(
        """async (data) => {
            const image = await (await fetch("data:image/png;base64," + data)).blob();
            await navigator.clipboard.write([new ClipboardItem({"image/png": image})]);
        }""",
        data,
    )
    if way == "keys":
        page.keyboard.press("Control+V")
    else:
        page.get_by_role("button", name="Paste").click()
    answered(page)
    assert names(page)[0] == "green star.png"
    assert float(measured(page)[0]) < 0.001


def test_a_clicked_word_finds_its_own_sense(visit):
    """The same word in two sentences finds neighbours of the sense that it has in each."""
    page = visit({"index": "senses"})
    for sentence, sense in (
        ("The bank lent him money for a house", "money"),
        ("We walked along the bank of the river", "river"),
    ):
        page.get_by_label("A sentence with the word you mean").fill(sentence)
        page.get_by_label("A sentence with the word you mean").press("Enter")
        expect(page.get_by_text(NEAREST)).to_have_count(0)  # a new sentence has no word chosen yet
        page.get_by_role("radio", name="bank", exact=True).click()
        answered(page)
        expect(cards(page).nth(0).locator("mark")).to_have_text("bank")
        senses = cards(page).locator(".es-fields dd").all_inner_texts()[:3]
        assert senses == [sense] * 3


def test_more_like_this_and_back(visit):
    """An item is asked with by its button, is not among its own hits, and the way back leads to the query."""
    page = visit({"index": "questions", "q": "refund"})
    answered(page)
    first, before = texts(page)[0], texts(page)
    cards(page).first.get_by_role("button", name="More like this").click()
    expect(page.locator(".es-asked")).to_contain_text(first)
    answered(page)
    assert first not in texts(page)
    topics = {text: topic for text, topic, *_ in QUESTIONS}
    assert {topics[text] for text in texts(page)[:2]} == {"refund"}
    page.get_by_role("button", name="Back to “refund”").click()
    expect(page.locator(".es-asked")).to_have_count(0)
    answered(page)
    assert texts(page) == before
    page.go_back()  # the browser's own way back leads through the same states
    expect(page.locator(".es-asked")).to_contain_text(first)


def test_a_chosen_value_filters_and_stays_in_the_address(visit):
    """A ticked value keeps only its items, quotes and all, after a reload too; a second one adds its own."""
    page = visit({"index": "questions", "q": "film", "close": "no"})
    answered(page)
    topic = page.get_by_role("group", name="topic")
    topic.get_by_role("checkbox", name='it\'s "odd"').check()
    expect(page.get_by_text("The 2 nearest of 2 that pass the filter")).to_be_visible()
    page.reload()
    expect(page.get_by_text("The 2 nearest of 2 that pass the filter")).to_be_visible()
    shown(page)
    assert texts(page)[0] == "The script of the film shows a bold smile."
    counted = [int(each) for each in topic.locator("b").all_inner_texts()]
    assert (counted[0], sum(counted)) == (1, 12)  # of the 12 nearest, as if none were ticked
    topic.get_by_role("checkbox", name="food").check()
    expect(page.get_by_text("The 6 nearest of 6 that pass the filter")).to_be_visible()
    cards(page).first.get_by_role("link").first.click()  # a value on a card is picked, too
    expect(page.get_by_text("The 6 nearest of 6 that pass the filter")).to_be_visible()


def test_a_condition_and_a_range_filter_together(visit):
    """A typed condition and a range in the address hold at once."""
    page = visit({"index": "questions", "q": "food", "f.price": "10..30", "k": 50})
    answered(page)
    expected = sum(10 <= price <= 30 for _, _, price, _ in QUESTIONS)
    expect(page.get_by_text(f"The {expected} nearest of {expected} that pass")).to_be_visible()
    page.get_by_label("Condition", exact=True).fill("topic = 'food' and not asked")
    page.get_by_label("Condition", exact=True).press("Enter")
    expect(page.get_by_text("The 2 nearest of 2 that pass")).to_be_visible()
    page.get_by_label("Condition", exact=True).fill("topic = 'nothing'")
    page.get_by_label("Condition", exact=True).press("Enter")
    expect(page.get_by_text("No item passes the filter.")).to_be_visible()


def test_the_address_alone_shows_the_result(visit):
    """A link with index, sentence, word and number of results shows what another visitor saw."""
    link = {"index": "senses", "q": "a bank with a vault", "word": 2, "k": 5}
    one, other = visit(link), visit(link)
    answered(one)
    answered(other)
    assert (texts(one), measured(one)) == (texts(other), measured(other))
    assert len(texts(one)) == 5


def test_markup_in_texts_is_shown_as_text(visit):
    """Texts, captions and messages that hold HTML or Markdown appear letter by letter, and run nothing."""
    page = visit({"index": "questions", "q": HOSTILE, "k": 3, "where": f"topic != '{HOSTILE}'"})
    answered(page)
    assert texts(page)[0] == HOSTILE
    page.get_by_role("button", name="More like this").first.click()
    expect(page.locator(".es-asked p")).to_have_text(HOSTILE)
    image = visit({"index": "images", "item": "star/red star.png"})
    expect(image.locator(".es-asked p")).to_have_text(HOSTILE)
    message = visit({"index": "questions", "where": f"'{HOSTILE}"})
    alert = message.get_by_role("alert").first
    expect(alert).to_be_visible()
    assert HOSTILE in alert.inner_text().replace("\u2060", "")
    words = visit({"index": "senses", "q": "the __init__ of a *class*"})
    expect(words.get_by_text("__init__", exact=True)).to_be_visible()
    assert page.dialogs == image.dialogs == message.dialogs == []


def test_a_wrong_address_gives_a_sentence(visit):
    """What an address says wrongly is told above what can be shown; see test_address for the many ways."""
    page = visit({"index": "questions", "q": "refund", "k": "abc", "word": "x"})
    alert = page.get_by_role("alert").filter(has_text="k=abc, which is not a whole number")
    expect(alert).to_be_visible()
    answered(page)


def test_a_missing_image_is_a_placeholder(visit):
    """An item whose file is gone keeps its card, with the name."""
    page = visit({"index": "images", "item": "star/red star.png", "k": 30})
    answered(page)
    expect(page.get_by_role("img", name="gone.png: The file is gone")).to_be_visible()
    assert cards(page).count() == 20


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("", {"index": "images", "item": "star/red star.png"}),
        ("", {"index": "questions", "q": "refund"}),
        ("", {"index": "questions", "q": "refund", "plus": "a parcel", "minus": "login", "versus": "twice"}),
        ("", {"index": "senses", "q": "a bank with a vault and a door and a long corridor", "word": 2}),
        ("relatedness", {"t": ["a cat", "a dog"]}),
        ("relatedness", {"t": [text for text, *_ in QUESTIONS[12:22]]}),
        ("relatedness", {"kind": "image"}),
    ],
)
def test_a_phone_shows_all_of_it(visit, path, parameters):
    """At 390 pixels nothing sticks out to the side."""
    page = visit(parameters, path, width=390)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390


def test_every_button_names_its_item(visit):
    """Each button of a card has a name of its own, which says what it is for; the page shows it short."""
    page = visit({"index": "questions", "item": "", "q": "refund", "close": "no"})
    answered(page)
    buttons = cards(page).get_by_role("button").all()
    names = [button.text_content() for button in buttons]
    assert len(names) == len(set(names)) == 6 * 12
    first = texts(page)[0][:20]
    for name in ("More like this", "Why was", "add", "subtract"):
        expect(
            cards(page).first.get_by_role("button", name=re.compile(f"{name}.*{re.escape(first)}"))
        ).to_have_count(1)


def test_an_image_is_enlarged_from_its_file(visit, build, indexes, tmp_path):
    """Enlarge shows what the file holds, not the thumbnail: all its pixels, or 1460 on its longer side."""
    (tmp_path / "photos").mkdir()
    for name, size in (("wide", (3200, 800)), ("small", (900, 700))):
        Image.effect_mandelbrot(size, (-3, -2.5, 2, 2.5), 50).save(tmp_path / "photos" / f"{name}.png")
    build(indexes, "photos", SourceRecipe("images", str(tmp_path / "photos")), Unit.IMAGE)
    page = visit({"index": "photos"})
    for name, size in (("wide", [1460, 365]), ("small", [900, 700])):
        page.get_by_role("button", name=f"Enlarge {name}.png").click()
        image = page.get_by_role("dialog").get_by_role("img", name=f"{name}.png")
        expect(image).to_be_visible()
        page.wait_for_function("document.querySelector('[role=dialog] img')?.naturalWidth > 0")
        assert image.evaluate("(image) => [image.naturalWidth, image.naturalHeight]") == size
        page.get_by_role("dialog").get_by_role("button", name="Close").click()
        expect(page.get_by_role("dialog")).to_have_count(0)


@pytest.mark.parametrize("door", ["More like this", "add", "subtract"])
def test_the_focus_stays_with_the_results_and_they_are_announced(visit, door):
    """After a card's button the focus is on what was found, not on nothing, and a live region says it."""
    page = visit({"index": "questions", "q": "refund", "close": "no"})
    answered(page)
    page.wait_for_timeout(2000)  # it is announced after the hits are drawn
    button = cards(page).nth(3).get_by_role("button", name=door)
    button.focus()
    before = announced(page)
    button.press("Enter")
    expect(page).to_have_url(re.compile("item="))
    answered(page)
    page.wait_for_timeout(1000)
    assert "The 12 nearest of 22." in before
    assert re.match(r"The 1[12] nearest of 22\.", announced(page))
    page.wait_for_function("document.activeElement !== document.body && document.activeElement.isConnected")


def test_only_what_is_close_is_shown_until_it_is_switched_off(visit):
    """Where the verdict is clear, the switch is on, and the hits end at the limit; off stays off."""
    page = visit({"index": "questions", "q": "refund"})
    answered(page)
    close = page.get_by_role("switch", name="Only what is close")
    expect(close).to_be_checked()
    expect(page.get_by_text(re.compile(r"^\d of 22 are close\."))).to_be_visible()
    assert 0 < cards(page).count() < 12
    page.get_by_text("Only what is close").click()
    expect(cards(page)).to_have_count(12)
    expect(close).not_to_be_checked()
    expect(page).to_have_url(re.compile("close=no"))


def test_the_menu_names_the_order_of_hits_that_were_re_ranked(visit):
    """The menu, which is mounted when it is opened, says the order of the address, not the first of all."""
    page = visit({"index": "questions", "q": "refund", "order": "tokens"})
    expect(page.get_by_text("The first hits are re-ranked by their tokens.")).to_be_visible()
    shown(page)
    page.get_by_role("button", name="Order").click()
    expect(page.get_by_role("combobox", name="Order")).to_have_value("Re-ranked by tokens")


@pytest.mark.parametrize("width", [700, 1000, 1300, 1700])
def test_twelve_results_leave_no_holes(visit, width):
    """The grids have 1, 2, 3, 4 or 6 columns, so that the 12 cards fill their rows."""
    for parameters in ({"index": "images", "item": "star/red star.png"}, {"index": "questions"}):
        page = visit(parameters, width=width)
        expect(cards(page)).to_have_count(12)
        tops = [round(card.bounding_box()["y"]) for card in cards(page).all()]
        assert len({tops.count(top) for top in tops}) == 1


def test_a_new_build_is_picked_up(visit, build, indexes, tmp_path):
    """An index that was built again shows its new items at the next visit, without a new server."""
    for count in (3, 4):
        rows = [(text,) for text, *_ in QUESTIONS[:count]]
        build(indexes, "growing", _table(tmp_path / "growing.csv", ("text",), rows), Unit.TEXT)
        page = visit({"index": "growing"})
        expect(cards(page)).to_have_count(count)
    (indexes / "growing" / "current").write_text("gone\n")
    page = visit({"index": "growing"})
    expect(page.get_by_role("alert").filter(has_text="embedsearch rebuild growing")).to_be_visible()


def test_an_open_page_follows_a_rebuild(visit, build, indexes, tmp_path):
    """A page that nobody touches shows a new build within seconds, with the same query."""
    table = _table(tmp_path / "live.csv", ("text",), [(text,) for text, *_ in QUESTIONS[:6]])
    build(indexes, "live", table, Unit.TEXT)
    page = visit({"index": "live", "q": "Which wine goes with mushrooms?"})
    answered(page)
    assert "Which wine goes with mushrooms?" not in texts(page)
    expect(page.locator(".es-facts")).to_contain_text("6 texts")
    _table(tmp_path / "live.csv", ("text",), [(text,) for text, *_ in QUESTIONS[:14]])
    build(indexes, "live", table, Unit.TEXT)
    expect(page.locator(".es-facts")).to_contain_text("14 texts")
    shown(page)
    assert texts(page)[0] == "Which wine goes with mushrooms?"


def test_without_indexes_the_page_says_how_to_make_one(visit, serve, tmp_path):
    """A folder without indexes shows the command that makes one."""
    page = visit(address=serve(tmp_path / "none"))
    expect(page.get_by_text("embedsearch demo")).to_be_visible()


def test_equal_texts_are_one_card(visit):
    """Texts of the same content are one card that counts the others; the switch shows each of them."""
    page = visit({"index": "twice", "q": QUESTIONS[0][0]})
    expect(page.get_by_text("and 1 more with the same content")).to_have_count(1)
    page = visit({"index": "twice", "q": QUESTIONS[0][0], "fold": "no"})
    expect(page.locator(".es-text").get_by_text(QUESTIONS[0][0], exact=True)).to_have_count(2)
    expect(page.get_by_text("more with the same content")).to_have_count(0)


def test_keys_lead_through_the_hits_and_an_opened_image(visit):
    """/ leads to the field, arrows to a card, Enter opens its image, arrows go on; ? lists keys, w is why."""
    page = visit({"index": "images", "item": "star/red star.png", "k": 5, "close": "no"})
    answered(page)
    page.keyboard.press("/")
    expect(page.get_by_label("What are you looking for?")).to_be_focused()
    cards(page).first.focus()
    page.keyboard.press("ArrowRight")
    expect(cards(page).nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    box = page.get_by_role("dialog")
    expect(box.get_by_role("img", name=names(page)[1])).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(box.get_by_role("img", name=names(page)[2])).to_be_visible()
    expect(box.get_by_role("link", name="Open file")).to_have_attribute("href", re.compile("_es_media/"))
    box.get_by_role("button", name="Copy path").click()
    expect(box.get_by_role("button", name="Copied")).to_be_visible()
    assert Path(page.evaluate("navigator.clipboard.readText()")).name == names(page)[2]
    page.keyboard.press("Escape")
    expect(box).to_have_count(0)
    cards(page).first.focus()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    share(page)
    with zipfile.ZipFile(io.BytesIO(saved(page, "Images (zip)"))) as file:
        assert [name.split(" ", 1)[1] for name in file.namelist()] == names(page)
    page.keyboard.press("Escape")
    cards(page).first.focus()
    page.keyboard.press("w")
    expect(page.get_by_role("dialog").get_by_text("How the numbers add up")).to_be_visible()


def test_hits_are_marked_saved_and_more_are_shown(visit, indexes):
    """A mark is kept in the index's folder until it is taken back; a file holds what is shown, then more."""
    page = visit({"index": "questions", "q": "refund", "close": "no"})
    answered(page)
    right = cards(page).nth(1).get_by_role("button", name=re.compile("is right$"))
    judged = Judged(indexes / "questions")
    for pressed, grades in (("true", [1]), ("false", [])):
        right.click()
        expect(right).to_have_attribute("aria-pressed", pressed)
        shown(page)
        assert list(judged.grades("refund").values()) == grades
    for count in (12, 22):
        expect(cards(page)).to_have_count(count)
        shown(page)
        share(page)
        rows = csv.DictReader(io.StringIO(saved(page, "CSV").decode(), newline=""))
        assert [row["text"] for row in rows] == texts(page)
        if count == 12:
            page.get_by_role("button", name="Show 10 more").click()
    expect(page.get_by_role("button", name=re.compile(r"Show \d+ more"))).to_have_count(0)


def test_hits_are_looked_at_in_other_ways(visit, build, indexes, tmp_path):
    """As a list, dense, with chosen fields, in the order of a field, within dates and numbers, by hand."""
    rows = [(text, f"2024-01-{at + 1:02}", 10 * at) for at, (text, *_) in enumerate(QUESTIONS[:20])]
    build(indexes, "dated", _table(tmp_path / "dated.csv", ("text", "day", "price"), rows), Unit.TEXT)
    page = visit({"index": "dated", "q": "refund", "close": "no"})
    answered(page)
    page.get_by_role("button", name="View").click()
    page.get_by_role("radio", name="List").click()
    expect(page.locator(".es-hits.es-rows")).to_be_visible()
    page.get_by_text("Dense", exact=True).click()
    expect(page.locator(".es-hits.es-dense")).to_be_visible()
    shown(page)
    page.go_back()  # what a menu showed before does not come back with the next change
    expect(page.locator(".es-hits.es-dense")).to_have_count(0)
    shown(page)
    expect(cards(page).first.locator("dt")).to_have_text(["day", "price"])
    page.get_by_role("button", name="day").locator("[role=presentation], svg").last.click()
    expect(cards(page).first.locator("dt")).to_have_text(["price"])
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Order").click()
    page.get_by_role("combobox", name="Order").click()
    page.get_by_role("option", name="By price, descending").click()
    expect(cards(page).first.locator("dd")).to_have_text(["190"])
    page.keyboard.press("Escape")
    page.get_by_role("slider", name="price").last.press("ArrowLeft")
    expect(cards(page).first.locator("dd")).not_to_have_text(["190"])
    expect(page).to_have_url(re.compile(r"f\.price=0\.\.1"))
    shown(page)
    page.get_by_role("slider", name="day").first.press("ArrowRight")
    expect(page).to_have_url(re.compile(r"f\.day=2024-01-02\.\.2024-01-20"))
    expect(page.get_by_text("The first 12 of 18 that pass the filter")).to_be_visible()
    expect(page.locator(".es-hits.es-rows:not(.es-dense)")).to_be_visible()


def test_what_is_set_at_the_left_and_in_the_order_is_asked(visit):
    """The number of hits, copies, what is searched by, and the first hits as part of the query, by hand."""
    page = visit({"index": "twice", "q": QUESTIONS[0][0], "close": "no"})
    answered(page)
    page.get_by_role("slider", name="Number of results").press("ArrowLeft")
    expect(cards(page)).to_have_count(6)
    shown(page)
    folded = page.get_by_text("more with the same content")
    expect(folded).to_have_count(1)
    page.get_by_text("Fold copies", exact=True).click()
    expect(folded).to_have_count(0)
    shown(page)
    page.get_by_role("button", name="Order").click()
    page.get_by_text("Add the first 3 hits to the query").click()
    expect(page).to_have_url(re.compile("feedback=yes"))
    shown(page)
    page.keyboard.press("Escape")
    page.get_by_role("combobox", name="Search by").click()
    page.get_by_role("option", name="Words", exact=True).click()
    expect(page).to_have_url(re.compile("mode=lexical"))
    expect(cards(page).first).to_contain_text("BM25")


def test_a_search_is_taken_along_and_found_again(visit):
    """Link, command, Python and files hold it; a saved search stays, a recent one leads back, both can go."""
    page = visit({"index": "questions", "q": "refund", "close": "no"})
    page.evaluate("localStorage.clear()")  # of other tests
    page.reload()
    answered(page)
    found = texts(page)
    share(page)
    assert copied(page, "Link") == page.url
    assert copied(page, "Command line").startswith("embedsearch search questions refund -k 12 ")
    assert "ix.search('refund', k=12)" in copied(page, "Python")
    assert [hit["text"] for hit in json.loads(saved(page, "JSON"))["hits"]] == found
    assert len(saved(page, "Ids").split()) == 12
    share(page, "Searches")
    page.get_by_role("button", name="Save this search").click()
    expect(page.get_by_role("button", name="★ Saved")).to_be_visible()
    page.get_by_label("What are you looking for?").fill("soup")
    page.get_by_label("What are you looking for?").press("Enter")
    expect(page).to_have_url(re.compile("q=soup"))
    answered(page)
    page.reload()
    answered(page)
    searches = page.locator(".es-menu-searches .es-search")
    share(page, "Searches")
    expect(searches.filter(has_text="refund")).to_have_count(2)  # it is saved, and recent
    searches.filter(has_text="refund").first.get_by_role("button").first.click()
    expect(page).to_have_url(re.compile("q=refund"))
    answered(page)
    assert texts(page) == found
    share(page, "Searches")
    expect(searches.filter(has_text="soup")).to_have_count(1)
    for text in ("refund", "soup"):
        searches.filter(has_text=text).get_by_role("button", name="Forget").click()
    expect(searches.filter(has_text=re.compile("refund|soup"))).to_have_count(0)
    expect(page.get_by_role("button", name="Save this search")).to_be_visible()
