"""A filter's closed tree as an expression of Milvus.

Nothing of a filter is pasted: fields are columns that are known, texts are quoted, numbers are written anew.
A comparison with a missing value is neither true nor false, as in SQL, so that the expression of a negated
part says where the part is false.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from embedsearch.backends.remote.columns import Column
from embedsearch.backends.remote.server import DEEPEST, NODE, UntranslatableError
from embedsearch.query import Both, Compare, Either, Has, In, IsNull, Like, Literal, Not, Tree

LONGEST = 100_000  # characters
ALL, NONE = f"{NODE} >= 0", f"{NODE} < 0"
_ESCAPED = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r"}  # Lite knows no other escapes


def expression(tree: Tree, columns: Mapping[str, Column]) -> str:
    """Return what a filter is in the server's language.

    Args:
        tree: over columns of the items, its values of their types.
        columns: those that the collection has.

    Raises:
        UntranslatableError: the server can't evaluate it: it asks for a list or a part of a text, or for a
            column that the collection does not have.
    """
    text = _where(tree, columns, True, 0)
    if len(text) > LONGEST:
        raise UntranslatableError
    return text


def quoted(text: str) -> str:
    """Return a text as a literal."""
    return '"' + "".join(_ESCAPED.get(letter, letter) for letter in text) + '"'


def _where(tree: Tree, columns: Mapping[str, Column], wanted: bool, depth: int) -> str:
    """Return where a filter is true, or where it is false."""
    if depth > DEEPEST:
        raise UntranslatableError
    match tree:
        case Not(part):
            return _where(part, columns, not wanted, depth + 1)
        case Both(left, right) | Either(left, right):
            sign = "and" if isinstance(tree, Both) == wanted else "or"
            parts = (_where(part, columns, wanted, depth + 1) for part in (left, right))
            return f"({f' {sign} '.join(parts)})"
    column = columns.get(tree.field)
    if column is None:
        raise UntranslatableError
    if isinstance(tree, IsNull):
        if not column.has:
            return NONE if wanted else ALL
        return f"{column.has} == {'false' if wanted else 'true'}"
    test = _test(tree, column)
    test = test if wanted else f"not ({test})"
    return f"({column.has} == true and {test})" if column.has else test


def _test(tree: Compare | In | Like | Has, column: Column) -> str:
    name = column.name
    match tree:
        case Compare(_, sign, value):
            if column.kind == "BOOL" and sign not in ("=", "!="):
                raise UntranslatableError
            return f"({name} {'==' if sign == '=' else sign} {_literal(value, column.kind)})"
        case In(_, values):
            return _among(name, [_literal(value, column.kind) for value in values], column.kind)
        case Like(_, pattern, any_case):
            start = pattern.removesuffix("%")
            plain = not set(start) & set("%_\\\n\r")
            if any_case or not start or not plain or column.kind != "VARCHAR":
                raise UntranslatableError
            return f"({name} like {quoted(pattern)})" if start != pattern else f"({name} == {quoted(start)})"
    raise UntranslatableError  # a part of a text: servers before 2.4 find none


def _among(name: str, values: Iterable[str], kind: str) -> str:
    values = list(values)
    if not values:
        return f"({NONE})"
    if kind in ("BOOL", "DOUBLE"):
        return f"({' or '.join(f'{name} == {value}' for value in values)})"
    return f"({name} in [{', '.join(values)}])"


def _literal(value: Literal, kind: str) -> str:
    """Return a value as a literal of a column's type."""
    if kind == "BOOL" and isinstance(value, bool):
        return "true" if value else "false"
    if kind == "INT64" and isinstance(value, int) and abs(value) < 2**63:
        return str(value)
    if kind == "DOUBLE" and isinstance(value, int | float) and abs(value) < float("inf"):
        return repr(float(value))
    if kind == "VARCHAR" and isinstance(value, str):
        return quoted(value)
    raise UntranslatableError
