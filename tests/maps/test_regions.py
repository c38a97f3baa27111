"""Names of parts of a map."""

import numpy as np
import pyarrow as pa

from embedsearch.distances.metric import Metric
from embedsearch.maps import regions as rooms
from embedsearch.maps.inputs import POINT, MapInputs
from embedsearch.maps.regions import regions


def test_parts_are_named_where_they_lie(monkeypatch):
    """Nine islands with a word each are nine parts with that word; few items have none."""
    monkeypatch.setattr(rooms, "LEVELS", (9, 100))
    words = ["apple", "bridge", "cloud", "door", "engine", "forest", "guitar", "harbour", "island"]
    draw, kinds = np.random.default_rng(0), np.arange(450) % 9
    points = np.zeros(450, POINT)
    points["x"], points["y"] = kinds % 3 * 10, kinds // 3 * 10
    points["x"] += draw.normal(scale=0.1, size=450)
    ids = pa.array([str(at) for at in range(450)])
    items = pa.table(
        {
            "id": ids,
            "text": [f"the {words[kind]} {at % 7}" for at, kind in enumerate(kinds)],
            "path": pa.nulls(450, pa.string()),
            "start": pa.nulls(450, pa.int64()),
            "end": pa.nulls(450, pa.int64()),
        }
    )
    inputs = MapInputs(
        np.zeros((450, 1), np.float32), None, Metric.L2, items, np.arange(450, dtype=np.uint64)
    )
    (level,) = regions(inputs, points, "")
    assert sorted(each.name for each in level) == words
    for each in level:
        kind = words.index(each.name)
        assert each.size == 50
        assert abs(each.x - kind % 3 * 10) < 0.1
        assert each.y == kind // 3 * 10
    assert regions(inputs, points[:200], "") == []
