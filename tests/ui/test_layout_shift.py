"""What is on the page stays where it is while the rest arrives."""

import pytest

from tests.ui.conftest import shown

MOST = 0.1  # "good", https://web.dev/articles/cls
WATCH = """
window.shift = 0;
new PerformanceObserver((list) => {
  for (const each of list.getEntries()) if (!each.hadRecentInput) window.shift += each.value;
}).observe({ type: "layout-shift", buffered: true });
"""
PAGES = [
    ("", {"index": "images"}),
    ("", {"index": "images", "item": "star/red star.png"}),
    ("", {"index": "questions", "q": "the package did not come"}),
    ("", {"index": "questions", "q": "my parcel", "minus": "refund", "versus": "twice"}),
    ("duplicates", {"index": "twice"}),
    ("duplicates", {"index": "images", "within": "40"}),
    ("map", {"index": "images"}),
    ("relatedness", {"t": ["a cat", "a dog"]}),
    ("indexes", {}),
]


@pytest.mark.parametrize("width", [390, 1300])
@pytest.mark.parametrize(("path", "parameters"), PAGES)
def test_nothing_moves_while_a_page_loads(visit, path, parameters, width):
    """The sum of all layout shifts from the first byte on is at most 0.1, on a phone too."""
    page = visit(parameters, path, width=width)
    page.add_init_script(WATCH)
    page.reload()
    shown(page)
    page.wait_for_timeout(500)  # for the last images
    assert page.evaluate("window.shift") <= MOST
