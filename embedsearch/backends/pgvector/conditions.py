"""A filter's closed tree as a condition of SQL.

Nothing of a filter is pasted: fields are columns that are known, and values are parameters, which are sent
beside the condition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from psycopg import sql

from embedsearch.backends.remote.columns import Column
from embedsearch.backends.remote.server import DEEPEST, UntranslatableError
from embedsearch.query import Both, Compare, Either, Has, In, IsNull, Like, Literal, Not, Tree

_SIGNS = {"=": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


@dataclass(slots=True)
class Where:
    """A condition of SQL.

    Attributes:
        text: the condition, with a placeholder for each value.
        values: by the name of their placeholder.
    """

    text: sql.Composable
    values: dict[str, Any] = field(default_factory=dict)


def condition(tree: Tree, columns: Mapping[str, Column]) -> Where:
    """Return what a filter is in SQL.

    A comparison with a missing value is neither true nor false there too.

    Args:
        tree: over columns of the items, its values of their types.
        columns: those that the table has.

    Raises:
        UntranslatableError: PostgreSQL can't evaluate it as it is meant: it asks for a list, for a column
            that the table does not have, or for texts whatever their case.
    """
    values: dict[str, Any] = {}
    return Where(_where(tree, columns, values, 0), values)


def _where(tree: Tree, columns: Mapping[str, Column], values: dict[str, Any], depth: int) -> sql.Composable:
    if depth > DEEPEST:
        raise UntranslatableError
    match tree:
        case Not(part):
            return sql.SQL("(not {})").format(_where(part, columns, values, depth + 1))
        case Both(left, right) | Either(left, right):
            sign = sql.SQL(" and " if isinstance(tree, Both) else " or ")
            parts = [_where(part, columns, values, depth + 1) for part in (left, right)]
            return sql.SQL("({})").format(sign.join(parts))
    column = columns.get(tree.field)
    if column is None:
        raise UntranslatableError
    if isinstance(tree, IsNull):
        return sql.SQL("({} is null)").format(sql.Identifier(column.name))
    return _test(tree, column, values)


def _test(tree: Compare | In | Like | Has, column: Column, values: dict[str, Any]) -> sql.Composable:
    name = sql.Identifier(column.name)

    def with_value(text: str, value: Any) -> sql.Composable:
        key = f"value{len(values)}"
        values[key] = value
        return sql.SQL(text).format(name, sql.Placeholder(key))

    match tree:
        case Compare(_, sign, value) if column.kind != "BOOL" or sign in ("=", "!="):
            return with_value(f"({{}} {_SIGNS[sign]} {{}})", _typed(value, column.kind))
        case In(_, ()):
            return sql.SQL("nullif({} is null, true)").format(name)  # false, or unknown
        case In(_, several):
            return with_value("({} = any({}))", [_typed(value, column.kind) for value in several])
        case Like(_, pattern, False) if column.kind == "VARCHAR":
            if (len(pattern) - len(pattern.rstrip("\\"))) % 2:
                raise UntranslatableError
            return with_value("({} like {})", _typed(pattern, "VARCHAR"))
        case Has(_, value) if column.kind == "VARCHAR":
            return with_value("(strpos({}, {}) > 0)", _typed(value, "VARCHAR"))
    raise UntranslatableError


def _typed(value: Literal, kind: str) -> Literal:
    """Return a value as a column of a type is compared with it."""
    if kind == "BOOL" and isinstance(value, bool):
        return value
    if kind == "INT64" and isinstance(value, int) and abs(value) < 2**63:
        return int(value)
    if kind == "DOUBLE" and isinstance(value, int | float):
        return float(value)
    if kind == "VARCHAR" and isinstance(value, str) and "\0" not in value:
        return value
    raise UntranslatableError
