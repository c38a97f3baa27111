"""The entries of a recipe: what a person gives for one, and whether it is of its type."""

from __future__ import annotations

from collections.abc import Iterable
from operator import index
from typing import Any, get_args, get_type_hints

from embedsearch.errors import RecipeError, nearest
from embedsearch.records import Unit


def unit_of(value: Any) -> Unit:
    """Return the unit of that name.

    Raises:
        RecipeError: there is none.
    """
    try:
        return Unit(value)
    except ValueError:
        raise RecipeError(
            f"Unknown unit {value!r:.60}; there are {', '.join(Unit)}.{nearest(str(value), Unit)}"
        ) from None


def layers_of(value: Any) -> tuple[int, ...]:
    """Return hidden layers, one or several, as numbers.

    Raises:
        RecipeError: they are none.
    """
    try:
        return tuple(index(each) for each in (value if isinstance(value, Iterable) else (value,)))
    except TypeError:
        raise RecipeError(f"Layers are whole numbers, as in -1 or (-1, -2); got {value!r:.60}.") from None


def columns_of(value: Any) -> tuple[str, ...]:
    """Return the names of columns, one or several.

    Raises:
        RecipeError: they are no names.
    """
    if not isinstance(value, Iterable) or isinstance(value, bytes):
        raise RecipeError(f"A column's name is a str, and several are a list of them; got {value!r:.60}.")
    return (value,) if isinstance(value, str) else tuple(value)


def check_types(part: Any) -> None:
    """See that a part of a recipe holds what it is declared to hold.

    Raises:
        RecipeError: it does not.
    """
    for name, kind in get_type_hints(type(part)).items():
        value = getattr(part, name)
        if any(
            isinstance(each, str) and "\0" in each
            for each in (value if isinstance(value, tuple) else (value,))
        ):
            raise RecipeError(f"the entry {name!r} holds a null character.")
        if not _fits(value, kind):
            inner = get_args(kind)
            wanted = f"list of {inner[0].__name__}" if inner else kind.__name__
            raise RecipeError(f"the entry {name!r} is {value!r:.80}, where a {wanted} was expected.")


def _fits(value: Any, kind: Any) -> bool:
    """Whether a TOML value is of the type of a recipe's entry; a truth value is no whole number."""
    if inner := get_args(kind):  # tuple[X, ...]
        return isinstance(value, tuple) and all(_fits(each, inner[0]) for each in value)
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    return isinstance(value, kind) or (kind is float and isinstance(value, int))
