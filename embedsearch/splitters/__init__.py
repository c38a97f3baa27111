"""A record's content to the parts that the encoder reads."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any, cast

from embedsearch.modalities import UNITS
from embedsearch.records import Sentence, Unit

Splitter = Callable[[Any], list[tuple[int, Sentence]]]


def splitter_of(unit: Unit, rule: str) -> Splitter | None:
    """Return what splits a text into pairs of a start and a part; None for a unit that is a whole record.

    A splitter raises ItemError where it finds no part.

    Args:
        unit: what gets a vector of its own.
        rule: where words and sentences end; see `EncoderRecipe.splitter`.
    """
    if not UNITS[unit].splitter:
        return None
    module, name = UNITS[unit].splitter.split(":")
    return cast(Splitter, partial(getattr(import_module(module), name), rule=rule))
