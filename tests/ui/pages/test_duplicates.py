import re

import numpy as np
import pytest
from PIL import Image, ImageDraw

from embedsearch.recipe import SourceRecipe
from embedsearch.records import Unit
from tests.analysis.test_same_image import photo
from tests.ui.conftest import HOSTILE, QUESTIONS, shown

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
expect.set_options(timeout=60_000)


def groups(page):
    """The groups on the page."""
    return page.locator("[class*=st-key-es-pair-], [class*=st-key-es-row-]")


def test_near_copies_stand_in_groups_by_their_distance(visit):
    """Each question and its shouted twin are a group, nearest first; the longer one is to be kept."""
    page = visit({"index": "twice"}, "duplicates")
    expect(page.get_by_text(f"Near copies ({len(QUESTIONS)})")).to_be_visible()
    expect(groups(page)).to_have_count(20)
    first = groups(page).first
    expect(first.locator(".es-keep")).to_have_count(1)
    texts = first.locator(".es-text").all_inner_texts()
    assert texts[0] == texts[1] + "!"
    ties = [float(each) for each in page.locator("[class*=st-key-es-copy-] .es-distance").all_inner_texts()]
    assert ties == sorted(ties)
    expect(page.get_by_text(re.compile("automatic"))).to_be_visible()


def test_what_differs_is_marked(visit):
    """Of two near copies what the other lacks is marked; a caution says to read it."""
    page = visit({"index": "twice"}, "duplicates")
    assert groups(page).first.locator("mark").all_inner_texts() == ["!"]
    expect(page.get_by_text("One word can change what a text says")).to_be_visible()


def test_the_other_pages_and_choices_are_in_the_address(visit):
    """The second page shows the rest, a reload too; what is kept changes the first of a group."""
    page = visit({"index": "twice"}, "duplicates")
    page.get_by_role("button", name="Page 2").click()
    expect(groups(page)).to_have_count(len(QUESTIONS) - 20)
    expect(page).to_have_url(re.compile("page=2"))
    page.reload()
    expect(groups(page)).to_have_count(len(QUESTIONS) - 20)
    page.get_by_role("radio", name="the first").click()
    expect(page).to_have_url(re.compile("keep=first"))
    shown(page)
    texts = groups(page).first.locator(".es-text").all_inner_texts()
    assert texts[1] == texts[0] + "!"


def test_exact_copies_stand_apart(visit):
    """The one question that is there twice is the only exact copy, and has no distance."""
    page = visit({"index": "twice", "kind": "exact"}, "duplicates")
    expect(groups(page)).to_have_count(1)
    expect(groups(page)).to_contain_text("The same content")
    assert groups(page).locator(".es-text").all_inner_texts() == [QUESTIONS[0][0]] * 2


def test_a_narrow_threshold_leaves_identical_vectors(visit):
    """The slider moves what says the same, not copies; a step that is none is reported and ignored."""
    page = visit({"index": "twice", "within": "0"}, "duplicates")
    expect(page.get_by_text("Say the same (0)")).to_be_visible()
    expect(page.get_by_text(f"Near copies ({len(QUESTIONS)})")).to_be_visible()
    page = visit({"index": "twice", "within": "99"}, "duplicates")
    expect(page.get_by_text("not a step of the slider")).to_be_visible()
    expect(page.get_by_text(f"Near copies ({len(QUESTIONS)})")).to_be_visible()


def test_the_list_of_what_is_not_kept_can_be_saved(visit):
    """The downloaded list has an id a line: one of each group, and the exact copy."""
    page = visit({"index": "twice"}, "duplicates")
    with page.expect_download() as download:
        page.get_by_role("button", name=f"List of the {len(QUESTIONS) + 1} not kept").click()
    lines = download.value.path().read_text().splitlines()
    assert len(lines) == len(set(lines)) == len(QUESTIONS) + 1


def test_images_are_shown(visit):
    """An index of images says that it has no copies, or shows them; nothing is raised."""
    page = visit({"index": "images"}, "duplicates")
    expect(page.get_by_text(re.compile(r"Look-alikes \(\d+\)"))).to_be_visible()
    assert (
        page.locator("[class*=st-key-es-copy-] img").count()
        == page.locator("[class*=st-key-es-copy-]").count()
    )


@pytest.fixture(scope="module")
def photos(tmp_path_factory, build, serve):
    """The address of a page on the index `photos`: two photos, and the first one with a square on it."""
    pytest.importorskip("cv2")
    folder = tmp_path_factory.mktemp("photos")
    for name, seed in (("one", 0), ("other", 1), ("square", 0)):
        image = photo(seed)
        if name == "square":
            ImageDraw.Draw(image).rectangle((40, 40, 100, 100), fill="white")
        image.save(folder / f"{name}.png")
    root = folder / "indexes"
    build(root, "photos", SourceRecipe("images", str(folder)), Unit.IMAGE)
    return serve(root)


def test_the_pixels_that_differ_are_red(visit, photos, tmp_path):
    """Of two near copies among images the page shows the place where their pixels differ, in red."""
    page = visit({"index": "photos"}, "duplicates", address=photos)
    expect(groups(page)).to_have_count(1)
    page.get_by_text("What differs").click()
    image = groups(page).locator("[data-testid=stImage] img").last
    expect(image).to_be_visible()
    page.wait_for_function("each => each.complete && each.naturalWidth > 0", arg=image.element_handle())
    image.screenshot(path=tmp_path / "shown.png")
    shown_pixels = np.asarray(Image.open(tmp_path / "shown.png").convert("RGB")).astype(int)
    red = (shown_pixels[:, :, 0] - shown_pixels[:, :, 1]) > 100
    high, wide = red.shape
    down, across = np.nonzero(red)
    assert 0.01 < red.mean() < 0.05  # the square is 2.1 percent
    assert (across.min() / wide, down.min() / high) == pytest.approx((40 / 480, 40 / 360), abs=0.03)
    assert (across.max() / wide, down.max() / high) == pytest.approx((100 / 480, 100 / 360), abs=0.03)


@pytest.mark.parametrize(("index", "said"), [("senses", "--unit text"), ("none", "no index 'none'")])
def test_what_has_no_duplicates_is_told(visit, index, said):
    """An index of words, and one that there is not, give a sentence."""
    expect(visit({"index": index}, "duplicates").get_by_text(said)).to_be_visible()


def test_hostile_texts_are_shown_as_they_are(visit):
    """Markup in a text is shown, not run."""
    page = visit({"index": "twice", "page": "1"}, "duplicates")
    found = page.get_by_text(HOSTILE, exact=False)
    if not found.count():
        page = visit({"index": "twice", "page": "2"}, "duplicates")
        found = page.get_by_text(HOSTILE, exact=False)
    assert found.count() == 2
    assert page.dialogs == []


def test_nothing_overflows_on_a_phone(visit):
    """At 360 pixels nothing is wider than the window."""
    page = visit({"index": "twice"}, "duplicates", width=360)
    expect(groups(page)).to_have_count(20)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
