"""A map as a table for other programs."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from embedsearch.maps import Map
from embedsearch.records import as_text
from embedsearch.results import Hit

COLUMNS = ("id", "x", "y", "cluster", "name", "kept")
OF_ITEM = ("id", "x", "y", "group", "text", "path")  # beside its fields


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


def save_items(made: Map, hits: Iterable[Hit], path: Path) -> None:
    """Write some items of a map (UTF-8): id, place, name of the group, text, path and fields.

    A field of such a name is called `fields.NAME`; a number that is not finite is left empty.

    Args:
        made: the map.
        hits: the items.
        path: the file, which is replaced; .csv and .json have all of it, .txt an id a line.
    """
    points, groups = made.points, made.facts.clusters
    items = [
        {
            "id": hit.id,
            "x": float(points["x"][hit.row]),
            "y": float(points["y"][hit.row]),
            "group": groups[points["cluster"][hit.row]].name,
            "text": hit.text,
            "path": hit.path,
            **{
                f"fields.{name}" if name in OF_ITEM else name: _finite(value)
                for name, value in hit.fields.items()
            },
        }
        for hit in hits
    ]
    if path.suffix == ".txt":
        path.write_text("".join(f"{item['id']}\n" for item in items), encoding="utf-8")
    elif path.suffix == ".json":
        text = json.dumps(items, ensure_ascii=False, indent=1, default=str)
        path.write_text(text, encoding="utf-8")
    else:
        names = list(dict.fromkeys(name for item in items for name in item))
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(names)
            for item in items:
                values = [item.get(name) for name in names]
                writer.writerow("" if value is None else as_text(value) for value in values)


def _finite(value: object) -> object:
    """Return a field's value; None for NaN and infinity, which JSON does not have."""
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
