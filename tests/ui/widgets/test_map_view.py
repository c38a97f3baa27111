"""How a map is looked at, and what an area holds."""

import numpy as np
import pytest

from embedsearch.ui.widgets import map_view
from embedsearch.ui.widgets.map_view import inside, selected, view_of
from tests.ui.test_map_files import FIELDS, drawn

__all__ = ["drawn"]
SQUARE = np.array([[0, 0], [4, 0], [4, 4], [0, 4]], float)
NOTCHED = np.array([[0, 0], [4, 0], [4, 4], [2, 1], [0, 4]], float)


@pytest.mark.parametrize(
    ("corners", "point", "lies"),
    [
        (SQUARE, (2, 2), True), (SQUARE, (5, 2), False), (SQUARE, (-1, 2), False), (SQUARE, (2, 4.1), False),
        (NOTCHED, (2, 3), False), (NOTCHED, (0.5, 2), True), (NOTCHED, (3.5, 2), True),
        (NOTCHED, (2, 0.5), True),
    ],
)  # fmt: skip
def test_a_point_lies_in_a_polygon(corners, point, lies):
    """It does within its sides, also beside a notch, whichever way the corners go around."""
    assert inside(np.array([point]), corners).tolist() == [lies]
    assert inside(np.array([point]), corners[::-1]).tolist() == [lies]


@pytest.mark.filterwarnings("error")
def test_huge_corners_print_no_warning():
    """An area of the address may have any finite corners."""
    corners = np.array([[-1e308, -1e308], [1e308, -1e308], [1e308, 1e308], [-1e308, 1e308]])
    assert inside(np.array([[0.5, 0.5]]), corners).shape == (1,)


def test_nonsense_in_the_address_is_ignored(drawn):
    """Fields that are not there, a slider over words, and areas that are none leave the plain map."""
    said = {"colour": ["none"], "only": ["-1x"], "over": ["kind"], "between": ["1..2"]}
    for area in ("1,2,3", "1,2,3,4", "a,b,c,d,e,f", "nan,1,2,3,4,5", "1," * 500):
        assert view_of({**said, "area": [area]}, drawn.facets) == map_view.View()


def test_an_area_takes_what_is_neither_dimmed_nor_left_out(drawn):
    """All of the map, then only a value of the field that colours it, then also a range of another field."""
    everywhere = {"area": ["-99,-99,99,-99,99,99,-99,99"]}

    def taken(**said):
        parameters = {**everywhere, **{name: [value] for name, value in said.items()}}
        return selected(drawn, view_of(parameters, drawn.facets)).tolist()

    assert taken() == list(range(40))
    truth = drawn.names(drawn.facets["fine"]).index("true")
    fine = [at for at, row in enumerate(FIELDS) if row["fine"]]
    assert taken(colour="fine", only=str(truth)) == fine
    cheap = [at for at in fine if at and FIELDS[at]["price"] <= 2.5]
    assert taken(colour="fine", only=str(truth), over="price", between="0.25..2.5") == cheap
    days = [at for at, row in enumerate(FIELDS) if 3 <= row["moment"].day <= 4]
    assert taken(over="moment", between="2024-01-03..2024-01-04") == days
    group = [at for at, each in enumerate(drawn.map.points["cluster"]) if each == 1]
    assert taken(only="1") == group
    assert taken(area="") == []
