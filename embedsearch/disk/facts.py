"""Frozen dataclasses to JSON values and back.

A field's JSON key is its name, unless its metadata, made by `stored`, give another. Reading is strict: an
unknown key, a missing one without a default and a value of another type are errors.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from embedsearch.errors import nearest

T = TypeVar("T")


def stored(key: str = "", *, optional: bool = False, flat: bool = False) -> dict[str, Any]:
    """Return the metadata of a field that is stored in another way than under its own name.

    Args:
        key: its JSON key; the field's name without one.
        optional: leave the key out while the field holds its default.
        flat: the field holds a dataclass whose keys stand among those of the outer one; None where none does.
    """
    return {"key": key, "optional": optional, "flat": flat}


def to_json(part: Any) -> Any:
    """Return a dataclass, and all that it holds, as JSON values."""
    if is_dataclass(part):
        values: dict[str, Any] = {}
        for each in fields(part):
            value = getattr(part, each.name)
            if each.metadata.get("flat"):
                values |= {} if value is None else to_json(value)
            elif not each.metadata.get("optional") or value != _default(each):
                values[_key(each)] = to_json(value)
        return values
    if isinstance(part, Mapping):
        return {str(key): to_json(value) for key, value in part.items()}
    if isinstance(part, (list, tuple)):
        return [to_json(each) for each in part]
    return part.value if isinstance(part, Enum) else part


def from_json(kind: type[T], values: Any) -> T:
    """Return the dataclass `kind` that `to_json` made `values` of.

    Raises:
        ValueError: a key is unknown or missing, or a value is not of the declared type.
    """
    return cast(T, _read(kind, values, ""))


def _default(each: Field[Any]) -> Any:
    return each.default if each.default_factory is MISSING else each.default_factory()


def _key(each: Field[Any]) -> str:
    return each.metadata.get("key") or each.name


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


@cache
def _keys(kind: Any) -> tuple[str, ...]:
    """Return the JSON keys of a dataclass, those of its flat fields among them."""
    keys: list[str] = []
    for each in fields(kind):
        keys += _keys(_flat(kind, each)) if each.metadata.get("flat") else [_key(each)]
    return tuple(keys)


def _flat(kind: Any, part: Field[Any]) -> Any:
    """Return the dataclass that a flat field of the dataclass `kind` holds."""
    hint = _hints(kind)[part.name]
    return hint if is_dataclass(hint) else get_args(hint)[0]


def _read(kind: Any, value: Any, at: str) -> Any:
    """Return what `value` stands for; `at` is its path in the document."""
    if is_dataclass(kind):
        return _part(kind, value, at)
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):  # X | None
        return None if value is None else _read(inner[0], value, at)
    if origin is tuple:  # tuple[X, ...]
        return tuple(_read(inner[0], each, f"{at}[{n}]") for n, each in enumerate(_of(list, value, at)))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {
            _read(inner[0], key, at): _read(inner[1], each, f"{at}.{key}")
            for key, each in _of(dict, value, at).items()
        }
    if origin is Literal:
        if value not in inner:
            raise ValueError(f"{at} is {value!r:.60}, where one of {', '.join(inner)} was expected")
        return value
    if issubclass(kind, Enum):
        return kind(value)
    return _of(kind, value, at)


def _part(kind: Any, values: Any, at: str) -> Any:
    """Return a dataclass of a JSON object."""
    values, known = _of(dict, values, at), _keys(kind)
    within = f"{at}." if at else ""
    for key in values:
        if key not in known:
            raise ValueError(f"{within}{key} is unknown{nearest(key, known)}")
    read: dict[str, Any] = {}
    for each in fields(kind):
        hint, key = _hints(kind)[each.name], _key(each)
        if each.metadata.get("flat"):
            inner = _flat(kind, each)
            own = {name: values[name] for name in _keys(inner) if name in values}
            read[each.name] = _part(inner, own, at) if own or hint is inner else None
        elif key in values:
            read[each.name] = _read(hint, values[key], f"{within}{key}")
        elif each.default is MISSING and each.default_factory is MISSING:
            raise ValueError(f"{within}{key} is missing")
    return kind(**read)


def _of(kind: type[Any], value: Any, at: str) -> Any:
    """Return `value` where it is of a plain type; a whole number is a float too, a truth value no number."""
    fits = isinstance(value, kind) or (kind is float and isinstance(value, int))
    if not fits or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{at or 'it'} is {value!r:.60}, where a {kind.__name__} was expected")
    return value
