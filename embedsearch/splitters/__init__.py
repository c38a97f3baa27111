"""A record's content to the parts that the encoder reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from importlib import import_module
from typing import Any, cast

from embedsearch.modalities import UNITS
from embedsearch.records import Clip, Sentence, Unit

Splitter = Callable[[Any], Iterable[tuple[int, Sentence | Clip]]]


def splitter_of(unit: Unit, rule: str) -> Splitter | None:
    """Return what splits a content into pairs of a start and a part; None for a unit that is a whole record.

    A text is split into sentences, which start at a character; a sound or a video (a path or bytes) into
    clips, which start at a millisecond. Where a text has labels, the record is given in its place. A splitter
    raises ItemError where it should have found a part.

    Args:
        unit: what gets a vector of its own.
        rule: how it splits; see `EncoderRecipe.splitter`.
    """
    if not UNITS[unit].splitter:
        return None
    module, name = UNITS[unit].splitter.split(":")
    return cast(Splitter, partial(getattr(import_module(module), name), rule=rule))
