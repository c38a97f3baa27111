"""Names of classes in data sets, where rows hold their numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Namer = Callable[[Any], Any]
_LISTS = ("List", "LargeList", "Sequence")


def namers(features: Any) -> dict[str, Namer]:
    """Return what names the numbers of the columns that hold classes, or lists of them.

    Args:
        features: of a data set, as JSON has them: `{"label": {"names": [...], "_type": "ClassLabel"}}`.
    """
    if not isinstance(features, Mapping):
        return {}
    found = {str(name): _namer(feature) for name, feature in features.items()}
    return {name: namer for name, namer in found.items() if namer is not None}


def features_of(metadata: Mapping[bytes, bytes] | None) -> Any:
    """Return the features that `datasets` writes into the metadata of a Parquet file; None without."""
    try:
        return json.loads((metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return None


def _namer(feature: Any) -> Namer | None:
    if isinstance(feature, list) and len(feature) == 1:  # as older versions write a list
        feature = {"_type": "List", "feature": feature[0]}
    if not isinstance(feature, Mapping):
        return None
    if feature.get("_type") == "ClassLabel" and isinstance(feature.get("names"), list):
        return _class_namer(feature["names"])
    inner = _namer(feature.get("feature")) if feature.get("_type") in _LISTS else None
    return None if inner is None else lambda value: value and [inner(each) for each in value]


def _class_namer(names: Sequence[str]) -> Namer:
    def name_of(value: Any) -> Any:
        return names[value] if isinstance(value, int) and 0 <= value < len(names) else None

    return name_of
