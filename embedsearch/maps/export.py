"""A map as a table for other programs."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pyarrow as pa

from embedsearch.maps import Map

COLUMNS = ("id", "x", "y", "cluster", "name", "kept")


def save_csv(made: Map, ids: pa.ChunkedArray, path: Path) -> None:
    """Write a map as CSV (UTF-8): `id`, `x`, `y`, `cluster` from 0, its `name`, and the share `kept`.

    `kept` is empty where it was not measured.

    Args:
        made: the map.
        ids: (n,) of the items.
        path: the file, which is replaced.
    """
    names = [each.name for each in made.facts.clusters]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        start = 0
        for chunk in ids.chunks:
            points = made.points[start : start + len(chunk)].tolist()
            for identity, (x, y, cluster, kept) in zip(chunk.to_pylist(), points, strict=True):
                share = "" if math.isnan(kept) else f"{kept:.3g}"
                writer.writerow((identity, f"{x:.6g}", f"{y:.6g}", cluster, names[cluster], share))
            start += len(chunk)
