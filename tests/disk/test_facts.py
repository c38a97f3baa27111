"""Dataclasses to JSON and back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

import pytest

from embedsearch.disk.facts import from_json, stored, to_json


class Colour(StrEnum):
    """A choice."""

    RED = "red"


@dataclass(frozen=True)
class Inner:
    """A part whose keys stand among those of the outer one."""

    wanted: float
    steps: tuple[int, ...] = ()


@dataclass(frozen=True)
class Outer:
    """A field of each kind."""

    name: str
    colour: Colour
    side: Literal["left", "right"]
    rejected: int = field(metadata=stored("left_out"))
    inner: Inner | None = field(default=None, metadata=stored(flat=True))
    by: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    made: str = field(default="", metadata=stored(optional=True))
    limit: float | None = None


FULL = Outer("a", Colour.RED, "left", 3, Inner(0.5, (1, 2)), {"x": (0.5, 1)}, "anew", 2.0)
FULL_JSON = {
    "name": "a", "colour": "red", "side": "left", "left_out": 3, "wanted": 0.5, "steps": [1, 2],
    "by": {"x": [0.5, 1]}, "made": "anew", "limit": 2.0,
}  # fmt: skip


def test_every_kind_of_field_goes_there_and_back():
    """Keys of their own, flat parts, tuples, mappings and choices come back as they were."""
    assert to_json(FULL) == FULL_JSON
    assert from_json(Outer, FULL_JSON) == FULL


def test_an_optional_key_is_left_out_while_it_holds_its_default():
    """None of another field is written; a flat part that is None writes nothing."""
    least = Outer("a", Colour.RED, "left", 3)
    written = {"name": "a", "colour": "red", "side": "left", "left_out": 3, "by": {}, "limit": None}
    assert to_json(least) == written
    assert from_json(Outer, written) == least


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"colours": "red"}, "colours is unknown Did you mean 'colour'"),
        ({"colour": "blue"}, "'blue' is not a valid Colour"),
        ({"side": "up"}, "side is 'up', where one of left, right was expected"),
        ({"left_out": 3.5}, "left_out is 3.5, where a int was expected"),
        ({"left_out": True}, "left_out is True, where a int was expected"),
        ({"by": [1]}, r"by is \[1\], where a dict was expected"),
        ({"by": {"x": 1}}, "by.x is 1, where a list was expected"),
        ({"steps": ["1"]}, r"steps\[0\] is '1', where a int was expected"),
    ],
)
def test_what_does_not_fit_is_named(change, named):
    """The message says where, what came and what was expected."""
    with pytest.raises(ValueError, match=named):
        from_json(Outer, FULL_JSON | change)


def test_a_missing_key_is_named():
    """A key without a default must be there, also that of a flat part which is there in part."""
    for key in ("name", "wanted"):
        with pytest.raises(ValueError, match=f"{key} is missing"):
            from_json(Outer, {name: value for name, value in FULL_JSON.items() if name != key})
