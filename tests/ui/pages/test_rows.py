"""Rows of tables, on the page."""

import re

import pytest
from streamlit.testing.v1 import AppTest

import embedsearch as es
from embedsearch.ui.launch import PAGE
from tests.ui.conftest import html_of

ROWS = [
    {
        "id": f"r{at}",
        "price": at,
        "colour": ["red", "green"][at % 2],
        "unit size": None if at == 5 else at % 7,
    }
    for at in range(30)
]


@pytest.fixture
def page(here):  # noqa: ARG001
    """The page of an index of rows."""
    es.build(ROWS, name="things", rows=True, id="id")
    page = AppTest.from_file(str(PAGE), default_timeout=60)
    page.query_params["index"] = "things"
    return page


def ids(page):
    """The ids on the cards, in order."""
    return re.findall(r'es-name">([^<]+)<', html_of(page))


def asked(page):
    """What the address asks for."""
    said = page.query_params.get("q", "")
    return said if isinstance(said, str) else said[-1]


def test_the_form_and_the_typed_row_are_one(page):
    """A field of the form changes what is typed, and what is typed fills the form; an empty field is gone."""
    page.run()
    assert len(ids(page)) == 12  # some items to start from
    page.text_input(key="row-things-price").set_value("11").run()
    assert asked(page) == "price=11"
    assert ids(page)[0] == "r11"
    page.selectbox(key="row-things-colour").set_value("green").run()
    assert asked(page) == "price=11 colour=green"
    assert ids(page)[0] == "r11"
    assert set(ids(page)[1:3]) == {"r9", "r13"}
    assert "Compared by price and colour alone." in html_of(page)
    page.text_input(key="search-text").set_value("'unit size=3' colour=red").run()
    assert page.text_input(key="row-things-unit size").value == "3"
    assert page.text_input(key="row-things-price").value == ""
    assert page.selectbox(key="row-things-colour").value == "red"
    page.text_input(key="row-things-unit size").set_value("").run()
    assert asked(page) == "colour=red"


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("prize=3", "not compared by the column 'prize'"),
        ("price=cheap", "takes a number; got 'cheap'"),
        ("something", "names no column"),
    ],
)
def test_a_row_that_fits_no_column_is_told_in_a_sentence(page, typed, sentence):
    """The field keeps what was typed, and items to start from are shown."""
    page.run()
    page.text_input(key="search-text").set_value(typed).run()
    assert sentence in page.warning[0].value.replace("\\", "")
    assert page.text_input(key="search-text").value == typed
    assert len(ids(page)) == 12


def test_rows_like_this_one_and_queries_to_start_from(page):
    """Asked with an item its values are shown, and the form is empty; starters name values of two columns."""
    page.run()
    starters = [
        button.label.replace("\\", "")
        for button in page.button
        if button.key and button.key.startswith("starter-")
    ]
    assert len(starters) == 3
    assert all("colour=" in label and "price=" in label for label in starters)
    page.query_params["item"] = "r8"
    page.run()
    assert "price 8 | colour red | unit size 1" in html_of(page)
    assert page.text_input(key="row-things-price").value == ""
    assert "r8" not in ids(page)


def _explained():
    """A page that explains the first hit of a row."""
    import embedsearch as es
    from embedsearch.query import Row
    from embedsearch.ui.widgets import why

    index, query = es.open("things"), Row.of("price=11 colour=")
    why.show(index, query, index.search(query, k=1)[0])


def test_why_shows_a_bar_for_each_column_that_counts(page):  # noqa: ARG001
    """Both values, how far apart they are, and the sum, which is the squared distance."""
    shown = html_of(AppTest.from_function(_explained, default_timeout=60).run())
    shown = shown[shown.index("es-columns") :]
    columns = re.findall(r"<dt>([^<]+)</dt><dd>(.*?)<span class=\"es-apart", shown)
    assert dict(columns) == {"price": "11 → 11", "colour": f"<small>missing</small> → {ROWS[11]['colour']}"}
    total = float(re.search(r"together</th><td>([0-9.]+) = distance²", shown)[1])
    distance = float(re.search(r"<th>distance</th><td>([0-9.]+)", shown)[1])
    assert total == pytest.approx(distance**2, abs=1e-3)
