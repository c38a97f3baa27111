import re
from dataclasses import replace

import pytest
from PIL import Image

from embedsearch.api import compare
from embedsearch.distances.metric import Metric
from embedsearch.records import Unit
from embedsearch.store.folders import current_build
from embedsearch.store.manifest import Manifest
from embedsearch.ui.pages.relatedness import BUNDLED, _choices, _chosen, _is_plain
from tests.ui.conftest import HOSTILE, shown

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
expect.set_options(timeout=60_000)

A, B, C = "A cat sleeps on the sofa", "The bank raised its rates", "The kitten naps on the couch"
BANKS = ["My bank sent a letter", "The bank gave us a loan", "The bank of the river is steep"]


def number(page):
    """The one distance of two things, as it stands there."""
    answer = page.locator(".es-answer strong")
    expect(answer).to_be_visible()
    return float(answer.inner_text())


def cells(page):
    """The distances of the heat map, row by row; None for things with themselves."""
    expect(page.locator(".es-matrix")).to_be_visible()
    rows = page.locator(".es-matrix tbody tr").all()
    lines = [[cell.split("\n") for cell in row.locator("td").all_inner_texts()] for row in rows]
    return [[None if cell == ["–"] else float(cell[0]) for cell in line] for line in lines]


def test_two_texts_typed_are_compared(visit):
    """Two texts have the distance and percentile of `embedsearch.compare`, and one mark among the pairs."""
    page = visit({"t": A}, "relatedness")
    page.get_by_label("Text 2").fill(B)
    page.get_by_label("Text 2").press("Control+Enter")
    made = compare([A, B])
    assert number(page) == pytest.approx(made.distances[0, 1], abs=1e-4)
    told = r"(\d+)\s% of random pairs of general sentences are closer"
    share = re.search(told, page.locator(".es-answer").inner_text())[1]
    assert float(share) == pytest.approx(100 - made.percentiles[0, 1], abs=1)
    expect(page.locator(".es-pair b")).to_have_text(["1–2"])
    expect(page.get_by_text("all-MiniLM-L6-v2, mean pooling, last hidden layer")).to_be_visible()
    expect(page).to_have_url(re.compile("t=A.cat.*&t=The.bank"))


def test_three_texts_are_a_heat_map(visit):
    """Cells hold the distances, the nearest pair is named and framed, each pair is marked and told."""
    page = visit({"t": [A, B, C]}, "relatedness")
    made = compare([A, B, C])
    assert made.nearest() == (0, 2)
    found = cells(page)
    assert [found[at][at] for at in range(3)] == [None] * 3
    for row, column in ((0, 1), (0, 2), (1, 2), (2, 1)):
        assert found[row][column] == pytest.approx(made.distances[row, column], abs=1e-4)
    expect(page.locator(".es-most")).to_contain_text(f"Most related: 1 “{A}” and 3 “{C}”")
    framed = page.locator(".es-nearest")
    expect(framed).to_have_count(2)
    expect(framed.first).to_have_attribute("title", re.compile(r"^1 and 3: [a-z ]+, 0\.\d{4}, closer than "))
    shades = [
        float(cell.get_attribute("style").split(":")[1].rstrip("%; "))
        for cell in page.locator(".es-matrix td[title]").all()
    ]
    assert max(shades) == shades[1] > shades[0]  # 1 and 3, 1 and 2
    marks = [mark.get_attribute("data-pairs") for mark in page.locator(".es-pair").all()]
    told = [line.split(":")[0] for mark in marks for line in mark.split("\n")]
    assert told[0] == "1–3"
    assert sorted(told) == ["1–2", "1–3", "2–3"]
    expect(page.locator(".es-matrix tbody th").first).to_have_attribute("title", A)


def test_the_list_grows_and_shrinks(visit):
    """Fields are added and taken away, the others keep their texts, and a reload shows the same."""
    page = visit({"t": [A, B]}, "relatedness")
    expect(page.get_by_role("button", name="Remove text 1")).to_have_count(0)
    page.get_by_role("button", name="Add a text").click()
    page.get_by_label("Text 3").fill(C)
    page.get_by_label("Text 3").press("Control+Enter")
    expect(page.locator(".es-matrix")).to_have_count(1)
    shown(page)
    before = cells(page)
    page.reload()
    shown(page)
    assert cells(page) == before
    page.get_by_test_id("stTooltipHoverTarget").locator("button").nth(1).click()
    expect(page.locator(".es-matrix")).to_have_count(0)
    shown(page)
    assert number(page) == before[0][2]
    expect(page.get_by_label("Text 2")).to_have_value(C)
    page.get_by_role("button", name="Start over").click()
    expect(page.get_by_label("Text 1")).to_have_value("")
    page.get_by_role("button", name="Try an example").click()
    expect(page.locator(".es-matrix tbody tr")).to_have_count(5)


def test_words_are_compared_in_their_sense(visit):
    """The same word in the same sense is nearer than in another; its sentence marks it."""
    page = visit({"kind": "word", "t": BANKS, "w": [2, 2, 2]}, "relatedness")
    found = cells(page)
    assert found[0][1] < min(found[0][2], found[1][2])
    expect(page.locator(".es-matrix tbody mark")).to_have_text(["bank"] * 3)
    expect(page.locator(".es-histogram")).to_contain_text("random pairs of words in general sentences")
    page.get_by_role("radio", name="river", exact=True).click()
    expect(page.locator(".es-matrix tbody mark").last).to_have_text("river")


def test_images_are_compared(visit, images):
    """Several files at once, by an index of the bundled model; one of few images has no random pairs."""
    page = visit({"kind": "image"}, "relatedness")
    files = [images / "disc" / "red disc.png", images / "bars" / "red bars.png"]
    page.locator("input[type=file]").set_input_files(files)
    expect(page.get_by_alt_text("Image 2", exact=True).first).to_be_visible()
    assert number(page) == pytest.approx(compare(files).distances[0, 1], abs=1e-3)
    expect(page.get_by_text("The index images has too few random pairs to compare with.")).to_be_visible()
    shown(page)
    page.locator("input[type=file]").set_input_files(files[:1])
    assert cells(page)[0][2] == 0
    expect(page.locator(".es-matrix thead img")).to_have_count(3)


def test_images_without_an_index_have_no_percentile(visit, serve, tmp_path, images):
    """Where no index of images knows random pairs, the distance stands alone, and the page says so."""
    page = visit({"kind": "image"}, "relatedness", address=serve(tmp_path / "none"))
    files = [images / "disc" / "red disc.png", images / "bars" / "red bars.png"]
    page.locator("input[type=file]").set_input_files(files)
    expect(page.get_by_text("There are no random pairs of images")).to_be_visible()
    expect(page.locator(".es-histogram")).to_have_count(0)


def test_an_example_of_images_comes_from_an_index(visit):
    """Where there is an index of images, one click compares some of them by it."""
    page = visit({"kind": "image"}, "relatedness")
    page.get_by_role("button", name="Try an example").click()
    expect(page.get_by_text("The index images has too few random pairs to compare with.")).to_be_visible()
    assert len(cells(page)) >= 4


def test_hostile_texts_are_shown_as_text(visit):
    """Markup in a text stands in the answer letter by letter, and runs nothing."""
    hostile = f'{HOSTILE} "><img src=x onerror=alert(1)>'
    page = visit({"t": [hostile, A, hostile]}, "relatedness")
    expect(page.locator(".es-matrix tbody th span").first).to_contain_text(
        "<script>alert(1)</script> **bold**"
    )
    expect(page.locator(".es-matrix tbody th").first).to_have_attribute(
        "title", hostile.replace("</", "<\u2060/")
    )
    assert page.dialogs == []


def test_a_phone_scrolls_the_table_alone(visit):
    """At 390 pixels ten things stick out inside their own frame, where the names stay in sight."""
    page = visit({"t": [f"{A} {each}" for each in range(10)]}, "relatedness", width=390)
    assert len(cells(page)) == 10
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390
    scroll = page.locator(".es-scroll")
    assert scroll.evaluate("each => each.scrollWidth > each.clientWidth + 200")
    before = page.locator(".es-matrix tbody th").first.bounding_box()["x"]
    scroll.evaluate("each => { each.scrollLeft = 300 }")
    assert page.locator(".es-matrix tbody th").first.bounding_box()["x"] == pytest.approx(before, abs=3)


def test_links_of_the_compare_page_still_lead_there(visit):
    """An address that version 0.3 made shows its two words on the Relatedness page."""
    page = visit({"kind": "word", "a": BANKS[0], "wa": 2, "b": BANKS[1], "wb": 2}, "compare")
    link = visit({"kind": "word", "t": BANKS[:2], "w": [2, 2]}, "relatedness")
    assert number(page) == number(link)
    expect(page).to_have_url(re.compile("/relatedness[?].*t=My"))


def test_two_things_have_a_word_for_it(visit):
    """The word stands above the number; for the same text twice it is `the same`."""
    page = visit({"t": [A, A]}, "relatedness")
    assert number(page) == 0
    expect(page.locator(".es-word")).to_have_text("the same")
    page = visit({"t": [A, B]}, "relatedness")
    expect(page.locator(".es-word")).to_have_text("unrelated")


def test_words_not_picked_are_asked_for(visit):
    """Sentences without a picked word are not asked for again: their words are."""
    page = visit({"kind": "word", "t": BANKS}, "relatedness")
    expect(page.get_by_text("Click a word in two or more of the sentences")).to_be_visible()


def test_bad_files_are_named_and_the_others_compared(visit, images, tmp_path):
    """Of several files each refused one is named with its reason, and what can be read is compared."""
    fake, thin, empty = tmp_path / "fake.png", tmp_path / "thin.png", tmp_path / "empty.jpg"
    fake.write_text("no image")
    empty.write_bytes(b"")
    Image.new("RGB", (3000, 2)).save(thin)
    good = [images / "disc" / "red disc.png", images / "bars" / "red bars.png"]
    page = visit({"kind": "image"}, "relatedness")
    page.locator("input[type=file]").set_input_files([fake, good[0], thin, good[1], empty])
    expect(page.locator(".es-answer strong")).to_be_visible()
    told = page.get_by_role("alert").all_inner_texts()
    said = " ".join(told)
    for name in ("fake.png", "thin.png", "empty.jpg"):
        assert f"{name} can't be used: " in said


def test_images_are_measured_by_a_plain_index_and_the_model_can_be_chosen_back(indexes):
    """An index comes first only where it measures as the bundled model does, which stays a choice."""
    choices = _choices(Unit.IMAGE, indexes)
    assert list(choices) == ["images", BUNDLED]
    assert [_chosen(asked, choices)[0] for asked in (None, BUNDLED, "images", "nope")] == [
        "images",
        BUNDLED,
        "images",
        "images",
    ]
    assert next(iter(_choices(Unit.TEXT, indexes))) == BUNDLED
    manifest = Manifest.load(current_build(indexes / "images"))
    assert _is_plain(manifest)
    assert not _is_plain(replace(manifest, metric=Metric.L2))
    made = manifest.encoder
    for spec in (replace(made.spec, model="another"), replace(made.spec, layers=(-2,))):
        assert not _is_plain(replace(manifest, encoder=replace(made, spec=spec)))


def test_the_page_begins_with_an_example_and_shows_layers(visit):
    """Without anything asked the example is compared; each layer is a small map; no error is logged."""
    page = visit({}, "relatedness")
    assert len(cells(page)) == 5
    expect(page.get_by_label("Text 1")).to_have_value("A cat is asleep on the sofa.")
    page.get_by_text("Compare them by each layer").click()
    expect(page.locator(".es-multiples figure")).to_have_count(14)
    page.get_by_role("radio", name="Words").click()
    expect(page.locator(".es-matrix tbody mark")).to_have_text(["bank"] * 4)


def test_a_guess_is_followed_by_the_answer(visit):
    """Distances are hidden until a guess; then one is the nearest, and the next round has other items."""
    page = visit({"kind": "play", "with": "questions"}, "relatedness")
    expect(page.get_by_role("heading", name="Which of these three is nearest?")).to_be_visible()
    expect(page.locator(".es-told")).to_have_count(0)
    first = page.locator(".st-key-es-play-first").inner_text()
    page.get_by_role("button", name="Guess 2").click()
    expect(page.locator(".es-told")).to_have_count(3)
    expect(page.locator(".es-told.es-right b")).to_have_text("nearest")
    expect(page.locator(".es-most")).to_contain_text(re.compile("[01] of 1 right"))
    page.get_by_role("button", name="Next").click()
    expect(page.locator(".es-told")).to_have_count(0)
    assert page.locator(".st-key-es-play-first").inner_text() != first


def test_texts_and_images_are_compared_by_an_index(visit, images):
    """Where texts find images, a text has a distance to an image: that of `compare` by the index."""
    page = visit({"kind": "both", "t": ["a red disc", "bars"]}, "relatedness")
    page.locator("input[type=file]").set_input_files([images / "disc" / "red disc.png"])
    expect(page.locator(".es-matrix tbody tr")).to_have_count(3)
    expect(page.get_by_text("Image 3", exact=True)).to_be_visible()
    found = cells(page)
    assert found[0][2] > 0
    assert found[0][2] == found[2][0]
