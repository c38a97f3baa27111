"""What a browser fetches of a map."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime

import numpy as np
import pytest

import embedsearch as es
from embedsearch.artifacts.map import inputs_of
from embedsearch.errors import IndexDamagedError
from embedsearch.maps import make_map
from embedsearch.maps.inputs import Method, Settings
from embedsearch.progress import Silent
from embedsearch.ui import map_files
from embedsearch.ui.map_files import DrawnMap
from embedsearch.ui.widgets.filters import find_facets

COUNT = 40
FIELDS = [
    {
        "kind": f"kind {at % 20}" if at % 20 < 10 else "most" if at % 2 else None,
        "fine": at % 3 == 0,
        "price": at / 4 if at else None,
        "day": date(2024, 1, 1 + at % 28),
        "moment": datetime(2024, 1, 1 + at % 28, 12),
    }
    for at in range(COUNT)
]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The map of 40 vectors with fields of all kinds, of which the even rows are drawn."""
    ids, vectors = [f"v{at}" for at in range(COUNT)], np.random.default_rng(0).normal(size=(COUNT, 4))
    index = es.build((ids, vectors, FIELDS), name="fields", indexes=tmp_path_factory.mktemp("map"))
    made = make_map(inputs_of(index.build), Settings(Method.PCA), None, Silent())
    facets = {facet.field: facet for facet in find_facets(index.build.items, index.build.field_types)}
    return DrawnMap(index, made, np.arange(0, COUNT, 2), False, facets)


def answered(path):
    """Return the answer to a path, from a thread: a browser of other tests keeps this one's event loop."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, map_files.answer(path)).result()


def fetch(drawn, file):
    """Return the status and the content of a file of the map."""
    response = answered(map_files.address(drawn).removeprefix(".") + f"/{file}")
    return response.status_code, response.body


def test_points_come_one_column_after_the_other(drawn):
    """x, y, row, group and neighbours kept of each drawn item, 14 bytes in all."""
    status, content = fetch(drawn, "points")
    count = COUNT // 2
    assert (status, len(content)) == (200, 14 * count)
    points = drawn.map.points[::2]
    np.testing.assert_array_equal(np.frombuffer(content, "<f4", count), points["x"])
    np.testing.assert_array_equal(np.frombuffer(content, "<f4", count, 4 * count), points["y"])
    assert np.frombuffer(content, "<u4", count, 8 * count).tolist() == list(range(0, COUNT, 2))
    assert np.frombuffer(content, "u1", count, 12 * count).tolist() == points["cluster"].tolist()
    np.testing.assert_allclose(
        np.frombuffer(content, "u1", count, 13 * count) / 10, points["kept"], atol=1e-6
    )


def test_values_of_a_field(drawn):
    """Numbers and days are themselves; others their place by frequency, rare ones the last; NaN is none."""
    names = drawn.names(drawn.facets["kind"])
    assert len(names) == 7
    assert names[0] == "most"
    said = [row["kind"] for row in FIELDS]
    expected = [np.nan if each is None else names.index(each) if each in names else 7 for each in said]
    np.testing.assert_array_equal(drawn.values("kind"), expected)
    truth = drawn.names(drawn.facets["fine"])
    assert [truth[int(code)] for code in drawn.values("fine")] == [str(row["fine"]).lower() for row in FIELDS]
    np.testing.assert_array_equal(drawn.values("price"), [row["price"] or np.nan for row in FIELDS])
    days = [(row["day"] - date(1970, 1, 1)).days for row in FIELDS]
    np.testing.assert_array_equal(drawn.values("day"), days)
    np.testing.assert_array_equal(drawn.values("moment"), np.array(days) + 0.5)
    status, content = fetch(drawn, "values/price")
    assert status == 200
    np.testing.assert_array_equal(np.frombuffer(content), drawn.values("price")[::2])


def test_items_are_described(drawn):
    """Each item has its row, a line and some fields; rows that are not there are left out."""
    status, content = fetch(drawn, "items/3,38,40,x,-1")
    assert status == 200
    assert json.loads(content) == [
        {"row": 3, "title": "v3", "note": "kind: kind 3 · fine: True · price: 0.75", "image": None},
        {"row": 38, "title": "v38", "note": "fine: False · price: 9.5 · day: 2024-01-11", "image": None},
    ]


def test_what_is_not_there(drawn):
    """Another name, file or field is not found; few items have no finer names."""
    assert fetch(drawn, "values/none")[0] == 404
    assert fetch(drawn, "vectors")[0] == 404
    assert answered(f"{map_files.PATH}abc/points").status_code == 404
    assert fetch(drawn, "regions") == (200, b"[]")


def test_what_can_not_be_read_any_more_is_not_found(drawn, monkeypatch):
    """The items of a build that was damaged meanwhile have status 404, and no traceback in the terminal."""

    def damaged(*_):
        raise IndexDamagedError("a file was truncated")

    monkeypatch.setattr(type(drawn.searcher), "items", damaged)
    assert fetch(drawn, "items/3")[0] == 404
