"""Items of a map as files."""

import csv
import json

import numpy as np
import pytest

import embedsearch as es
from embedsearch.artifacts.map import inputs_of
from embedsearch.maps import make_map
from embedsearch.maps.export import save_items
from embedsearch.maps.inputs import Settings
from embedsearch.progress import Silent


@pytest.mark.usefixtures("here")
def test_items_are_saved_with_their_places(tmp_path):
    """CSV and JSON hold id, place, group and fields, one called x beside the place; .txt has ids."""
    fields = [{"x": 7, "topic": "a, b"}, {"x": None, "topic": None}, {"x": 9, "topic": "c"}]
    index = es.build((["p", "q", "r"], np.eye(3), fields), name="three")
    made = make_map(inputs_of(index.build), Settings(), None, Silent())
    hits = index.items([0, 1], [0.0, 0.0])
    for name in ("area.csv", "area.json", "area.txt"):
        save_items(made, hits, tmp_path / name)
    first, second = json.loads((tmp_path / "area.json").read_text(encoding="utf-8"))
    assert first == {
        "id": "p", "x": float(made.points["x"][0]), "y": float(made.points["y"][0]),
        "group": made.facts.clusters[made.points["cluster"][0]].name, "text": None, "path": None,
        "fields.x": 7, "topic": "a, b",
    }  # fmt: skip
    assert (second["id"], second["fields.x"]) == ("q", None)
    with (tmp_path / "area.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["id"], row["fields.x"], row["topic"]) for row in rows] == [("p", "7", "a, b"), ("q", "", "")]
    assert (tmp_path / "area.txt").read_text(encoding="utf-8") == "p\nq\n"


@pytest.mark.usefixtures("here")
def test_numbers_that_are_not_finite_are_left_empty(tmp_path):
    """The JSON has null in their place: NaN and Infinity are no JSON."""
    fields = [{"price": float("nan")}, {"price": float("inf")}, {"price": 2.5}]
    index = es.build((["p", "q", "r"], np.eye(3), fields), name="prices")
    made = make_map(inputs_of(index.build), Settings(), None, Silent())
    save_items(made, iter(index.items([0, 1, 2], [0.0] * 3)), tmp_path / "area.json")
    said = (tmp_path / "area.json").read_text(encoding="utf-8")
    assert "NaN" not in said
    assert "Infinity" not in said
    assert [item["price"] for item in json.loads(said)] == [None, None, 2.5]
