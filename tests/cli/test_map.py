import csv
import json
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def drawn(run, sources):
    """A runner on the index faq, of its own."""
    assert run("build", sources / "questions.csv", "--text", "question", "--name", "faq").exit_code == 0
    return run


def test_a_map_is_told_and_saved(drawn, tmp_path):
    """Method, variance, the share of neighbours kept, groups with sizes, and where the coordinates are."""
    done = drawn("map", "faq", "--method", "pca", "--clusters", "3", "--save", tmp_path / "faq.csv")
    assert done.exit_code == 0, done.stderr
    told = done.stdout.splitlines()
    assert told[0] == "map          faq: 6 texts by PCA"
    assert told[1].startswith("variance")
    assert told[2].startswith("kept         100.0% of each item's 10 nearest neighbours")  # there are but 5
    coordinates = Path(told[-1].removeprefix("coordinates").strip())
    points = np.load(coordinates)
    with (tmp_path / "faq.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["id", "x", "y", "cluster", "name", "kept"]
    np.testing.assert_allclose([float(row["x"]) for row in rows], points["x"], rtol=1e-5)
    assert [int(row["cluster"]) for row in rows] == points["cluster"].tolist()
    assert {row["kept"] for row in rows} == {"1"}
    hit = drawn.json("search", "faq", "--item", rows[0]["id"])["hits"][0]
    assert hit["id"] in {row["id"] for row in rows[1:]}


def test_the_object_of_a_map(drawn):
    """--json prints the documented keys; a rebuild carries the map on, and info names its build."""
    told = drawn.json("map", "faq", "--method", "pca", "--names", "topic")
    assert list(told) == [
        "schema", "index", "build", "coordinates", "method", "explained", "laid_out", "preserved",
        "neighbours", "measured", "moved", "clusters",
    ]  # fmt: skip
    assert set(told["clusters"][0]) == {"name", "words", "size", "x", "y"}
    assert sum(each["size"] for each in told["clusters"]) == 6
    assert drawn.json("info", "faq")["build"] == told["build"]
    assert drawn.json("rebuild", "faq")["published"] is False  # a map changes nothing that was indexed
    again = drawn.json("rebuild", "faq", "--full")
    folder = drawn.indexes / "faq" / "builds" / again["build"]
    carried = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["additions"]["map"]
    assert carried["settings"] == {"method": "pca", "clusters": 0, "names": "topic"}
    assert carried["moved"]["kept"] == 6
    assert carried["moved"]["p95"] < 1e-3


def test_a_map_that_cant_be_made_is_one_line(drawn):
    """An unknown index, a field without texts and a wrong number are told, and nothing is changed."""
    before = drawn.json("info", "faq")["build"]
    assert drawn("map", "fag").exit_code == 1
    refused = drawn("map", "faq", "--names", "weight")
    assert refused.exit_code == 1
    assert "those with texts are topic" in refused.stderr
    assert drawn("map", "faq", "--clusters", "0").exit_code == 2
    assert drawn("map", "faq", "--method", "tsne").exit_code == 2
    assert drawn.json("info", "faq")["build"] == before
