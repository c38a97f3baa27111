"""Every page can be used with a screen reader and with the keyboard, as far as axe-core can tell."""

from pathlib import Path

import pytest

from embedsearch.ui.pages import PAGES
from tests.ui.conftest import shown
from tests.ui.screenshots import VIEWS

sync_api = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.base", reason="axe-core comes with the extra test")
SERIOUS = ("serious", "critical")
OURS = {"exclude": [["[data-testid=stHeader]"]]}  # the menu of Streamlit
OPTIONS = {"resultTypes": ["violations"], "runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "best-practice"]}


def test_every_page_has_its_view():
    """No page is left out by the views that are tested and photographed."""
    assert {path for path, _ in VIEWS.values()} == {row.path for row in PAGES}


@pytest.mark.parametrize("view", VIEWS)
def test_no_view_has_a_serious_violation(visit, view):
    """No serious or critical violation of WCAG 2 A and AA; one heading of level 1; a main landmark."""
    path, parameters = VIEWS[view]
    page = visit(parameters, path)
    shown(page)
    page.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate(
        "async ([context, options]) => (await axe.run(context, options)).violations", [OURS, OPTIONS]
    )
    told = {
        f"{each['id']}: {node['html'][:150]}"
        for each in found
        if each["impact"] in SERIOUS
        for node in each["nodes"]
    }
    assert told == set()
    assert page.locator("h1:visible").count() == 1
    assert page.get_by_role("main").count() == 1
    assert page.get_by_role("navigation").count() >= 1
