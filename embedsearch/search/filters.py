"""A filter from text to a closed tree to a mask of rows: `label = 'dress' and price < 40`.

sqlglot parses the text. Only comparisons, IN, BETWEEN, LIKE, AND, OR, NOT and IS NULL over the index's fields
pass, so what a person types never reaches an engine that can do more. As in SQL, a comparison with a missing
value is neither true nor false, and keeps nothing. Texts are compared in Unicode's form NFC, so that "ü" is
one character however it was typed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, cast
from unicodedata import normalize

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlglot
from sqlglot import expressions as sql
from sqlglot.errors import SqlglotError

from embedsearch.backends import Filter, Mask
from embedsearch.errors import FilterError, nearest
from embedsearch.query import Both, Compare, Either, Has, In, IsNull, Like, Literal, Not, Tree
from embedsearch.search.literals import around, is_text
from embedsearch.store.items import FIELD

MAX_CHARACTERS = 4000
COLUMNS = ("id", "text", "path")  # what each item has beside its fields; a field of that name comes first
SHOWN_FIELDS = 30

_OPERATORS: dict[type[sql.Expression], str] = {
    sql.EQ: "=", sql.NEQ: "!=", sql.LT: "<", sql.LTE: "<=", sql.GT: ">", sql.GTE: ">=",
}  # fmt: skip
_FLIPPED = {"=": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")
_COMPUTE: dict[str, Callable[[Any, Any], Any]] = {
    "=": pc.equal, "!=": pc.not_equal, "<": pc.less, "<=": pc.less_equal,
    ">": pc.greater, ">=": pc.greater_equal,
}  # fmt: skip
# true, false or null for each row, (n,), from the items or from a column of them
_Step = Callable[[pa.Table], pa.ChunkedArray]
_Test = Callable[[pa.ChunkedArray], pa.ChunkedArray]


def parse(text: str, fields: Iterable[str] = ()) -> Tree:
    """Return the tree of a filter.

    Args:
        text: what a person wrote.
        fields: names of the index's fields; an error says which of them need double quotes.

    Raises:
        FilterError: the text is no such filter.
    """
    if len(text) > MAX_CHARACTERS:
        raise FilterError(f"The filter has {len(text):,} characters; at most {MAX_CHARACTERS:,} are read.")
    try:
        # As a SELECT's condition, so that a second statement or a clause behind it is no expression.
        return _tree(sqlglot.parse_one(text, into=sql.Condition))
    except FilterError as error:
        raise _hinted(str(error), text, fields) from None
    except (SqlglotError, RecursionError, ValueError):
        said = f"The filter {text!r} can't be understood. Write it like: label = 'dress' and price < 40"
        raise _hinted(said, text, fields) from None


def _hinted(said: str, text: str, fields: Iterable[str]) -> FilterError:
    """Return an error that also names a field that stands in a filter without the double quotes it needs."""
    bare = _QUOTED.sub(" ", text)
    for field in fields:
        if re.search(rf"(?<!\w){re.escape(field)}(?!\w)", bare) and not _is_plain(field):
            quoted = field.replace('"', '""')
            return FilterError(f'{said.rstrip(".")}. The field {field!r} needs double quotes: "{quoted}".')
    return FilterError(said)


def _is_plain(field: str) -> bool:
    """Whether a field's name is understood without quotes."""
    try:
        return _tree(sqlglot.parse_one(f"{field} = 1", into=sql.Condition)) == Compare(field, "=", 1)
    except (SqlglotError, FilterError, ValueError):
        return False


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
    if isinstance(node, sql.In) and isinstance(node.args.get("field"), sql.Column):
        return Has(_field(node.args["field"]), _literal(node.this))
    if isinstance(node, sql.In) and node.expressions and not node.args.get("query"):
        return In(_field(node.this), tuple(_literal(value) for value in node.expressions))
    if isinstance(node, sql.Is) and isinstance(node.expression, sql.Null):
        return IsNull(_field(node.this))
    if isinstance(node, sql.Like | sql.ILike | sql.StartsWith | sql.EndsWith | sql.Contains):
        return _like(node)
    if type(node) in _OPERATORS:
        sign = _OPERATORS[type(node)]
        if isinstance(node.expression, sql.Column) and not isinstance(node.this, sql.Column):
            return Compare(_field(node.expression), _FLIPPED[sign], _literal(node.this))
        return Compare(_field(node.this), sign, _literal(node.expression))
    if isinstance(node, sql.Column):
        return Compare(_field(node), "=", True)
    raise FilterError(
        f"A filter can't hold {_show(node)}; it may hold =, !=, <, <=, >, >=, IN, BETWEEN, LIKE, AND, OR, "
        "NOT and IS NULL over fields and plain values."
    )


def _like(node: Any) -> Tree:
    """Return the tree of LIKE, ILIKE, starts_with, ends_with or contains."""
    field, text = _field(node.this), _text(node.expression)
    if isinstance(node, sql.Contains):
        return Has(field, text)
    if isinstance(node, sql.Like | sql.ILike):
        like = Like(field, text, isinstance(node, sql.ILike))
        return Not(like) if node.args.get("negate") else like
    plain = re.sub(r"([\\%_])", r"\\\1", text)
    return Like(field, f"{plain}%" if isinstance(node, sql.StartsWith) else f"%{plain}")


def _text(node: Any) -> str:
    value = _literal(node)
    if isinstance(value, str):
        return value
    raise FilterError(f"A text in single quotes was expected where the filter has {_show(node)}.")


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
    tree = parse(where, types) if isinstance(where, str) else where
    program: list[_Step | _Join] = []
    try:
        _compile(tree, types, program)
        settled = _settled(tree, types)
    except FilterError as error:
        raise _hinted(str(error), where if isinstance(where, str) else "", types) from None
    except RecursionError:
        raise FilterError("The filter is nested too deeply. Write it with fewer brackets.") from None

    def mask() -> Mask:
        held: list[pa.ChunkedArray] = []
        for step in program:
            if isinstance(step, _Join):
                held.append(step.join(*[held.pop() for _ in range(step.parts)]))
            else:
                held.append(step(items))
        return pc.fill_null(held.pop(), False).to_numpy()  # type: ignore[no-any-return]

    return Filter(mask, settled)


def _settled(tree: Tree, types: Mapping[str, pa.DataType]) -> Tree:
    """Return a filter over columns of the items, whose values have the types of the columns.

    A comparison that has the same outcome for every value is `IN ()`, or not that.
    """
    match tree:
        case Both(left, right) | Either(left, right):
            return type(tree)(_settled(left, types), _settled(right, types))
        case Not(part):
            return Not(_settled(part, types))
    column, kind = _column(tree.field, types)
    if isinstance(tree, IsNull) or pa.types.is_list(kind):
        return replace(tree, field=column)
    if isinstance(tree, In):
        pairs = [around(tree.field, kind, value) for value in tree.values]
        exact = (_plain(kind, below) for below, above in pairs if below is not None and below == above)
        return In(column, tuple(exact))
    if isinstance(tree, Like):
        return replace(tree, field=column, pattern=normalize("NFC", tree.pattern))
    if isinstance(tree, Has):
        return Has(column, normalize("NFC", str(tree.value)))
    found = _compared(tree.field, kind, tree.operator, tree.value)
    if isinstance(found, bool):
        return Not(In(column, ())) if found else In(column, ())
    return Compare(column, found[0], _plain(kind, found[1]))


def _plain(kind: pa.DataType, value: Any) -> Literal:
    """Return a value of a type as a filter holds it: a day or a moment as a whole number."""
    if not pa.types.is_temporal(kind):
        return cast(Literal, value)
    whole = pa.int32() if kind.bit_width == 32 else pa.int64()
    # not by way of Python, whose dates end with the year 9999
    held = value.cast(kind) if isinstance(value, pa.Scalar) else pa.scalar(value, kind)
    return int(held.cast(whole).as_py())


@dataclass(frozen=True, slots=True)
class _Join:
    """What makes one condition of several before it: how many, and by which function."""

    parts: int
    join: Callable[..., pa.ChunkedArray]


_AND, _OR, _NOT = _Join(2, pc.and_kleene), _Join(2, pc.or_kleene), _Join(1, pc.invert)


def _compile(tree: Tree, types: Mapping[str, pa.DataType], program: list[_Step | _Join]) -> None:
    """Append a tree to a program, parts first, so that evaluating needs no recursion."""
    match tree:
        case Both(left, right) | Either(left, right):
            _compile(left, types, program)
            _compile(right, types, program)
            program.append(_AND if isinstance(tree, Both) else _OR)
        case Not(part):
            _compile(part, types, program)
            program.append(_NOT)
        case _:
            program.append(_condition(tree, types))


def _condition(tree: Compare | In | IsNull | Like | Has, types: Mapping[str, pa.DataType]) -> _Step:
    field = tree.field
    column, kind = _column(field, types)
    if isinstance(tree, IsNull):
        return lambda items: pc.is_null(items[column])
    lists = pa.types.is_list(kind)
    if isinstance(tree, Has) and lists:
        inside = _test(field, kind.value_type, "=", tree.value)
        return lambda items: _any_element(items[column], inside)
    if lists:
        raise FilterError(f"The field {field!r} holds lists. Ask for a value in them, as in: 'a' in {field}")
    if isinstance(tree, In):
        equal = _one_of_test(field, kind, tree.values)
        return lambda items: equal(items[column])
    if isinstance(tree, Compare):
        test = _test(field, kind, tree.operator, tree.value)
        return lambda items: test(items[column])
    if not is_text(kind):
        raise FilterError(f"The field {field!r} holds values of type {kind}; only texts can be searched for.")
    text, _ = around(field, kind, tree.pattern if isinstance(tree, Like) else tree.value)
    if isinstance(tree, Like):
        return lambda items: pc.match_like(_texts(items[column]), text, ignore_case=tree.any_case)
    return lambda items: pc.match_substring(_texts(items[column]), text)


def _column(field: str, types: Mapping[str, pa.DataType]) -> tuple[str, pa.DataType]:
    """Return the column of the items that a filter means, and its type."""
    known = field if field in types else _typed_otherwise(field, types)
    if known is not None:
        return FIELD + known, types[known]
    if field in COLUMNS:
        return field, pa.string()
    has = f"it has {_listing(types)}" if types else "it has none"
    raise FilterError(
        f"The index has no field {field!r} ({has}; each item also has {', '.join(COLUMNS)})."
        f"{nearest(field, (*types, *COLUMNS))}"
    )


def _typed_otherwise(field: str, types: Iterable[str]) -> str | None:
    """Return the field that has the same name in Unicode's form NFC."""
    wanted = normalize("NFC", field)
    return next((name for name in types if normalize("NFC", name) == wanted), None)


def _listing(names: Iterable[str]) -> str:
    names = list(names)
    more = len(names) - SHOWN_FIELDS
    return ", ".join(names[:SHOWN_FIELDS]) + (f" and {more:,} more" if more > 0 else "")


def _test(field: str, kind: pa.DataType, sign: str, value: Literal) -> _Test:
    """Return what compares values of a type with a literal."""
    found = _compared(field, kind, sign, value)
    if isinstance(found, bool):
        return lambda column: _constant(column, found)
    compute, bound = _COMPUTE[found[0]], pa.scalar(found[1], kind)
    return lambda column: compute(_texts(column), bound)


def _compared(field: str, kind: pa.DataType, sign: str, value: Literal) -> tuple[str, Any] | bool:
    """Return the operator and the value of a type that mean the same as those given.

    True or False where the outcome is the same for every value of the type.
    """
    if sign not in _COMPUTE:
        raise FilterError(f"{sign!r:.20} compares nothing; there are {', '.join(_COMPUTE)}.")
    below, above = around(field, kind, value)
    if below is not None and below == above:
        return sign, below
    if sign in ("=", "!="):
        return sign == "!="
    bound, sign = (below, "<=") if sign in ("<", "<=") else (above, ">=")
    return False if bound is None else (sign, bound)


def _one_of_test(field: str, kind: pa.DataType, values: Iterable[Literal]) -> _Test:
    pairs = [around(field, kind, value) for value in values]
    exact = [below for below, above in pairs if below is not None and below == above]
    if pa.types.is_floating(kind) and 0 in exact:
        exact += [0.0, -0.0]  # which `is_in` tells apart
    known = pa.array(exact, kind)

    def test(column: pa.ChunkedArray) -> pa.ChunkedArray:
        found = pc.is_in(_texts(column), value_set=known)
        return pc.if_else(pc.is_valid(column), found, pa.scalar(None, pa.bool_()))

    return test


def _constant(column: pa.ChunkedArray, value: bool) -> pa.ChunkedArray:
    return pc.if_else(pc.is_valid(column), pa.scalar(value), pa.scalar(None, pa.bool_()))


def _texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return texts in Unicode's form NFC, and other values as they are."""
    if not is_text(column.type) or pc.all(pc.string_is_ascii(column)).as_py() in (True, None):
        return column
    return pc.utf8_normalize(column, "NFC")


def _any_element(column: pa.ChunkedArray, test: _Test) -> pa.ChunkedArray:
    """Return whether a list has an element that fits, null for no list."""
    parts = []
    for lists in column.chunks:
        fits = pc.fill_null(test(pa.chunked_array([pc.list_flatten(lists)])), False)
        found = np.zeros(len(lists), np.bool_)
        found[pc.list_parent_indices(lists).to_numpy()[fits.to_numpy()]] = True
        parts.append(pa.array(found, mask=pc.is_null(lists).to_numpy(zero_copy_only=False)))
    return pa.chunked_array(parts, pa.bool_())
