"""A filter from text to a closed tree to a mask of rows: `label = 'dress' and price < 40`.

sqlglot parses the text. Only comparisons, IN, BETWEEN, AND, OR, NOT and IS NULL over the index's fields pass,
so what a person types never reaches an engine that can do more. As in SQL, a comparison with a missing value
is neither true nor false, and keeps nothing.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import sqlglot
from sqlglot import expressions as sql
from sqlglot.errors import SqlglotError

from embedsearch.backends import Filter, Mask
from embedsearch.errors import FilterError, nearest
from embedsearch.query import Both, Compare, Either, In, IsNull, Literal, Not, Tree
from embedsearch.store.items import FIELD

MAX_CHARACTERS = 4000

_OPERATORS: dict[type[sql.Expression], str] = {
    sql.EQ: "=", sql.NEQ: "!=", sql.LT: "<", sql.LTE: "<=", sql.GT: ">", sql.GTE: ">=",
}  # fmt: skip
_COMPUTE: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le,
    ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_FLIPPED = {"=": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


def parse(text: str) -> Tree:
    """Return the tree of a filter.

    Raises:
        FilterError: the text is no such filter.
    """
    if len(text) > MAX_CHARACTERS:
        raise FilterError(f"The filter has {len(text):,} characters; at most {MAX_CHARACTERS:,} are read.")
    try:
        # As a SELECT's condition, so that a second statement or a clause behind it is no expression.
        return _tree(sqlglot.parse_one(text, into=sql.Condition))
    except (SqlglotError, RecursionError, ValueError):
        raise FilterError(
            f"The filter {text!r} can't be understood. Write it like: label = 'dress' and price < 40"
        ) from None


def conditions(wanted: Mapping[str, Any]) -> Tree | None:
    """Return the tree of a dict from fields to values; all of its conditions hold together.

    A value is equality, a list is IN, None is IS NULL: ``{"topic": "payments", "year": [2023, None]}``. A
    date may be a `date` or a `datetime`. An empty list keeps nothing, an empty dict everything (None).

    Raises:
        FilterError: a field is no str, or a value is none of these.
    """
    tree: Tree | None = None
    for field, value in wanted.items():
        if not isinstance(field, str):
            raise FilterError(f"The name of a field is a str; got {field!r:.80}.")
        several = isinstance(value, list | tuple | set | frozenset)
        condition = _one_of(field, [_value(field, each) for each in (value if several else [value])])
        tree = condition if tree is None else Both(tree, condition)
    return tree


def _one_of(field: str, values: list[Literal | None]) -> Tree:
    """Return the tree that keeps these values of a field, None for a missing one."""
    known = tuple(value for value in values if value is not None)
    if not values:
        return Both(IsNull(field), Not(IsNull(field)))  # nothing
    if not known:
        return IsNull(field)
    same = Compare(field, "=", known[0]) if len(known) == 1 else In(field, known)
    return same if len(known) == len(values) else Either(same, IsNull(field))


def _value(field: str, value: Any) -> Literal | None:
    if isinstance(value, date):
        return value.isoformat()
    value = value.item() if hasattr(value, "item") else value  # of numpy
    if value is None or isinstance(value, Literal):
        return value
    raise FilterError(
        f"The field {field!r} can't be compared with {value!r:.80}: give a str, a number, a bool, a date, "
        "None, or a list of these."
    )


def _tree(node: Any) -> Tree:
    if isinstance(node, sql.Paren):
        return _tree(node.this)
    if isinstance(node, sql.And):
        return Both(_tree(node.left), _tree(node.right))
    if isinstance(node, sql.Or):
        return Either(_tree(node.left), _tree(node.right))
    if isinstance(node, sql.Not):
        return Not(_tree(node.this))
    if isinstance(node, sql.Between) and not node.args.get("symmetric"):
        field = _field(node.this)
        low, high = _literal(node.args["low"]), _literal(node.args["high"])
        return Both(Compare(field, ">=", low), Compare(field, "<=", high))
    if isinstance(node, sql.In) and node.expressions and not node.args.get("query"):
        return In(_field(node.this), tuple(_literal(value) for value in node.expressions))
    if isinstance(node, sql.Is) and isinstance(node.expression, sql.Null):
        return IsNull(_field(node.this))
    if type(node) in _OPERATORS:
        sign = _OPERATORS[type(node)]
        if isinstance(node.expression, sql.Column) and not isinstance(node.this, sql.Column):
            return Compare(_field(node.expression), _FLIPPED[sign], _literal(node.this))
        return Compare(_field(node.this), sign, _literal(node.expression))
    if isinstance(node, sql.Column):
        return Compare(_field(node), "=", True)
    raise FilterError(
        f"A filter can't hold {_show(node)}; it may hold =, !=, <, <=, >, >=, IN, BETWEEN, AND, OR, NOT and "
        "IS NULL over fields and plain values."
    )


def _field(node: Any) -> str:
    if isinstance(node, sql.Column) and isinstance(node.this, sql.Identifier):
        return ".".join(part.name for part in node.parts)
    raise FilterError(f"A field was expected where the filter has {_show(node)}, as in: price < 40")


def _literal(node: Any) -> Literal:
    if isinstance(node, sql.Neg):
        value = _literal(node.this)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return -value
    if isinstance(node, sql.Boolean):
        return bool(node.this)
    if isinstance(node, sql.Literal):
        if node.is_string:
            return str(node.this)
        number = str(node.this)
        return int(number) if number.isdigit() else float(number)
    if isinstance(node, sql.Column):
        raise FilterError(
            f"A value was expected where the filter has {_show(node)}: texts go in single quotes."
        )
    raise FilterError(f"A plain value was expected where the filter has {_show(node)}.")


def _show(node: Any) -> str:
    return repr(node.sql()) if isinstance(node, sql.Expression) else repr(node)


def as_filter(where: str | Tree, items: pa.Table, types: Mapping[str, pa.DataType]) -> Filter:
    """Return a filter for a backend; its mask is computed when it is asked for.

    Args:
        where: a filter as text or as a tree.
        items: the items of the index, a row for each vector.
        types: Arrow type of each field, by name.

    Raises:
        FilterError: the text is no filter, or the filter names an unknown field, or compares a field with a
            value of another type.
    """
    tree = parse(where) if isinstance(where, str) else where
    wanted = _expression(tree, types)

    def mask() -> Mask:
        kept = ds.dataset(items).to_table(columns={"keep": wanted})["keep"]
        return pc.fill_null(kept, False).to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]

    return Filter(mask, tree)


def _expression(tree: Tree, types: Mapping[str, pa.DataType]) -> pc.Expression:
    match tree:
        case Both(left, right):
            return _expression(left, types) & _expression(right, types)
        case Either(left, right):
            return _expression(left, types) | _expression(right, types)
        case Not(part):
            return ~_expression(part, types)
        case IsNull(field):
            _type(field, types)
            return pc.field(FIELD + field).is_null()
        case In(field, values):
            kind = _type(field, types)
            parts = [pc.field(FIELD + field) == _scalar(field, kind, value) for value in values]
            joined = parts[0]
            for part in parts[1:]:
                joined = joined | part
            return joined
        case Compare(field, sign, value):
            kind = _type(field, types)
            return _COMPUTE[sign](pc.field(FIELD + field), _scalar(field, kind, value))


def _type(field: str, types: Mapping[str, pa.DataType]) -> pa.DataType:
    if field not in types:
        has = f"it has {', '.join(types)}" if types else "it has none"
        raise FilterError(f"The index has no field {field!r} ({has}).{nearest(field, types)}")
    return types[field]


def _scalar(field: str, kind: pa.DataType, value: Literal) -> Any:
    """Return `value` as a scalar that compares with a column of type `kind`."""
    try:
        if pa.types.is_boolean(kind):
            accepted = isinstance(value, bool)
        elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
            accepted = isinstance(value, (int, float)) and not isinstance(value, bool)
            if accepted and pa.types.is_floating(kind):
                return pa.scalar(float(value), kind)
        elif pa.types.is_date(kind):
            return pa.scalar(date.fromisoformat(str(value)), kind)
        elif pa.types.is_timestamp(kind):
            moment = datetime.fromisoformat(str(value))
            return pa.scalar(moment.astimezone() if kind.tz and moment.tzinfo is None else moment, kind)
        else:
            accepted = isinstance(value, str)
        if accepted:
            return pa.scalar(value)
    except (ValueError, OverflowError, pa.ArrowInvalid):  # no such date; a whole number over 64 bits
        pass
    raise FilterError(f"The field {field!r} holds values of type {kind}, which {value!r} is not.")
