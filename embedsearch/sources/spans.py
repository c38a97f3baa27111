"""Labelled spans of a text, as a cell of a table holds them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from operator import index
from typing import Any

from embedsearch.records import LabelledSpan, Labels
from embedsearch.sources.typed_cells import clean

EXPECTED = 'expected [[start, end, label], ...] in characters, as in [[0, 5, "PER"]]'


def labels_of(value: Any, text: str) -> Labels | str:
    """Return the labelled spans of a text, or why a cell holds none: the end of a sentence.

    A span that is empty or blank, leaves the text, or overlaps one before it is rejected alone.

    Args:
        value: a list of `[start, end, label]`, or of objects with these keys; or the JSON text of either.
        text: that they are of.
    """
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            return f"holds text that is not JSON ({error}); {EXPECTED}"
    if value is None or value == "":
        return f"is empty; {EXPECTED}, or [] for a text without any"
    if not isinstance(value, list | tuple):
        return f"holds {value!r:.60}; {EXPECTED}"
    spans: list[LabelledSpan] = []
    rejected: list[str] = []
    for each in value:
        span = _span(each, text)
        if isinstance(span, str):
            rejected.append(span)
        else:
            spans.append(span)
    kept: list[LabelledSpan] = []
    for span in sorted(spans):
        if kept and span.start < kept[-1].end:
            rejected.append(f"the span {list(span)} overlaps {list(kept[-1])}")
        else:
            kept.append(span)
    return Labels(tuple(kept), rejected=tuple(rejected))


def _span(value: Any, text: str) -> LabelledSpan | str:
    """Return one span, or why it can't be used."""
    shown = f"the span {value!r:.80}"
    if isinstance(value, Mapping):
        value = [value.get(name) for name in ("start", "end", "label")]
    try:
        start, end, label = value
        if isinstance(start, bool) or isinstance(end, bool) or not isinstance(label, str):
            raise TypeError
        start, end, label = index(start), index(end), clean(label).strip()
    except (TypeError, ValueError):
        return f"{shown} is not [start, end, label]: two whole numbers and a text"
    if not label:
        return f"{shown} has an empty label"
    if not 0 <= start <= end <= len(text):
        return f"{shown} is out of range: the text has {len(text):,} characters"
    if not text[start:end].strip():
        return f"{shown} holds only blanks" if start < end else f"{shown} is empty"
    return LabelledSpan(start, end, label)
