"""What the page writes is read easily, in the light and in the dark theme."""

from pathlib import Path

import pytest

from tests.ui.conftest import shown

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect

LEAST = 4.5  # WCAG 2.2, success criterion 1.4.3
CONTRAST = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8")
PAGES = {
    "": ({"index": "questions", "q": "the package did not come"}, ".es-chip"),
    "?": ({"index": "questions", "q": "my parcel", "minus": "refund", "versus": "twice"}, ".es-only"),
    "relatedness": ({"t": ["A cat sleeps", "The kitten naps", "The bank raised its rates"]}, ".es-matrix"),
    "map": ({"index": "questions"}, "[role=application]"),
    "indexes": ({}, ".es-index"),
    "duplicates": ({"index": "twice"}, ".es-keep"),
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_every_text_stands_out_from_its_ground(visit, path, scheme):
    """Each text, Streamlit's own too, has the contrast that WCAG asks for, or more."""
    parameters, last = PAGES[path]
    page = visit(parameters, path.strip("?"))
    page.emulate_media(color_scheme=scheme)
    page.reload()
    shown(page)
    expect(page.locator(last).first).to_be_visible()
    refine = page.get_by_role("button", name="Refine")
    if refine.count():
        refine.click()
        expect(page.get_by_label("Less of")).to_be_visible()
    found = page.evaluate(CONTRAST)
    assert len(found) > 5
    assert [each for each in found if each[0] < LEAST] == []
