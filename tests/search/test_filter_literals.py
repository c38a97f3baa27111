"""Every literal against every type of column: coerced as Python compares them, or a FilterError."""

import math
import re
from datetime import UTC, date, datetime, timedelta
from operator import eq, ge, gt, le, lt, ne
from unicodedata import normalize

import numpy as np
import pyarrow as pa
import pytest

from embedsearch.errors import FilterError
from embedsearch.query import Both, Compare, Either, Has, In, IsNull, Like, Not
from embedsearch.search.filters import as_filter
from embedsearch.store.items import FIELD

ZURICH = [normalize(form, "Zürich") for form in ("NFC", "NFD")]
WHOLE = [0, 1, 9, 10, -3, 10_000_000, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), None]
NUMBERS = [0.0, -0.0, 0.5, 9.5, 10.0, 1e7, 2.0**53, 1e18, -1e300, math.inf, -math.inf, 5e-324, None]
TEXTS = ["", "a", "A", "10", "true", *ZURICH, "2024-01-01", "50%", "a_b", "a\nb", "日", None]
DAYS = [date.min, date(2023, 12, 31), date(2024, 1, 1), date(2024, 1, 2), date.max, None]
TIMES = [datetime.min, datetime(2024, 1, 1), datetime(2024, 1, 1, 8, 0, 0, 1), datetime.max, None]
MOMENTS = [datetime(2024, 1, 1, hour, tzinfo=UTC) for hour in (0, 23)] + [datetime(1, 1, 2, tzinfo=UTC), None]
COLUMNS = {
    "whole": (pa.int64(), WHOLE),
    "count": (pa.uint64(), [0, 1, 10, 2**53 + 1, 2**63, 2**64 - 1, None]),
    "number": (pa.float64(), NUMBERS),
    "truth": (pa.bool_(), [True, False, None]),
    "text": (pa.string(), TEXTS),
    "day": (pa.date32(), DAYS),
    "time": (pa.timestamp("us"), TIMES),
    "moment": (pa.timestamp("us", "UTC"), MOMENTS),
    "names": (pa.list_(pa.string()), [[], ["a"], ["a", ZURICH[0]], [ZURICH[1], None], None]),
    "sizes": (pa.list_(pa.int64()), [[], [1, 10], [2**63 - 1], None]),
    "weights": (pa.list_(pa.float64()), [[0.5, 1.0], [], [math.inf], None]),
}
LITERALS = [
    0, 1, 9, 10, -3, 2**53, 2**53 + 1, 2**63, -(2**63) - 1, 2**64, 10**400, -(10**400),
    0.5, 9.5, 1.5e6, 1e7, 2.0**53, 9007199254740993.0, 1e18, 1e19, -1e300, 5e-324, 0.0, -0.0,
    math.inf, -math.inf, math.nan, True, False,
    "", "a", "10", "1.5", "true", "Zürich", normalize("NFD", "Zürich"), "%", "_", "Z%", "日", "\ud800", "\0",
    "2024-01-01", "2024-01-01T08:00", "2024-01-01 08:00:00.000001", "2024-01-01T01:30:00+02:00", "2024-13-01",
    "0001-01-01", "9999-12-31T23:59:59", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "20240101",
    "noon",
]  # fmt: skip
OPERATORS = {"=": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}
LONGEST = max(len(values) for _, values in COLUMNS.values())
ITEMS = pa.table(
    {
        FIELD + name: pa.array([*values, *[None] * (LONGEST - len(values))], kind)
        for name, (kind, values) in COLUMNS.items()
    }
)
TYPES = {name: kind for name, (kind, _) in COLUMNS.items()}


class Unlike(Exception):  # noqa: N818
    """Python can't compare a value with a literal."""


def comparable(kind, value, literal):
    """Return a value and a literal as Python compares them."""
    if isinstance(literal, float) and math.isnan(literal):
        raise Unlike
    if pa.types.is_boolean(kind):
        if not isinstance(literal, bool):
            raise Unlike
        return value, literal
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        if isinstance(literal, bool | str):
            raise Unlike
        return value, literal
    if kind == pa.string():
        if not isinstance(literal, str) or literal == "\ud800":
            raise Unlike
        return normalize("NFC", value), normalize("NFC", literal)
    try:
        moment = datetime.fromisoformat(str(literal))
    except ValueError:
        raise Unlike from None
    if pa.types.is_date(kind):
        if moment.tzinfo:
            raise Unlike
        return datetime(value.year, value.month, value.day), moment
    try:
        moment = moment.astimezone() if kind.tz and not moment.tzinfo else moment
    except (OverflowError, ValueError):  # before the first year, or after the last one
        raise Unlike from None
    return microseconds(value), microseconds(moment)


def microseconds(moment):
    """Return the time since 1970 in UTC; a moment without a zone is in UTC."""
    offset = moment.utcoffset() or timedelta()
    return (moment.replace(tzinfo=None) - datetime(1970, 1, 1) - offset) // timedelta(microseconds=1)


def holds(tree, name, value):
    """Return whether a value fits a condition, as plain Python says; None for a missing one."""
    kind = TYPES[name]
    if isinstance(tree, IsNull):
        return value is None
    if pa.types.is_list(kind):
        if not isinstance(tree, Has):
            raise Unlike
        comparable(kind.value_type, SAMPLE[str(kind.value_type)], tree.value)
        if value is None:
            return None
        pairs = [comparable(kind.value_type, each, tree.value) for each in value if each is not None]
        return any(left == right for left, right in pairs)
    sample = SAMPLE[str(kind)]
    if isinstance(tree, Has | Like):
        if kind != pa.string():
            raise Unlike
        asked = tree.pattern if isinstance(tree, Like) else tree.value
        _, wanted = comparable(kind, sample, asked)
        if value is None:
            return None
        text = normalize("NFC", value)
        if isinstance(tree, Has):
            return wanted in text
        pattern = "".join({"%": ".*", "_": "."}.get(sign, re.escape(sign)) for sign in wanted)
        return bool(re.fullmatch(pattern, text, re.DOTALL | (re.IGNORECASE if tree.any_case else 0)))
    wanted = tree.values if isinstance(tree, In) else (tree.value,)
    for each in wanted:
        comparable(kind, sample, each)
    if value is None:
        return None
    if isinstance(tree, In):
        return any(eq(*comparable(kind, value, each)) for each in wanted)
    return OPERATORS[tree.operator](*comparable(kind, value, tree.value))


SAMPLE = {
    "int64": 1, "uint64": 1, "double": 1.0, "bool": True, "string": "a", "date32[day]": date(2024, 1, 1),
    "timestamp[us]": datetime(2024, 1, 1), "timestamp[us, tz=UTC]": datetime(2024, 1, 1, tzinfo=UTC),
}  # fmt: skip


def answer(tree):
    """Return the rows that the filter keeps, or FilterError."""
    try:
        return np.flatnonzero(as_filter(tree, ITEMS, TYPES).mask).tolist()
    except FilterError as error:
        assert str(error)
        return FilterError


def expected(tree, name):
    """Return the rows that plain Python keeps, or FilterError."""
    try:
        return [row for row, value in enumerate(ITEMS[FIELD + name].to_pylist()) if holds(tree, name, value)]
    except Unlike:
        return FilterError


@pytest.mark.parametrize("name", COLUMNS)
def test_every_literal_compares_as_in_python_or_is_refused(name):
    """Six operators, IN, LIKE and 'x' in field, with each literal: the rows of Python, or FilterError."""
    for literal in LITERALS:
        trees = [Compare(name, sign, literal) for sign in OPERATORS]
        trees += [In(name, (literal,)), In(name, (literal, literal)), Has(name, literal)]
        if isinstance(literal, str):
            trees += [Like(name, literal), Like(name, literal, any_case=True)]
        for tree in trees:
            assert answer(tree) == expected(tree, name), tree


def test_joined_conditions_keep_what_three_valued_logic_keeps():
    """Random trees of AND, OR, NOT and IS NULL over random conditions, evaluated row by row in Python."""
    random = np.random.default_rng(0)
    fitting = [
        Compare(name, sign, literal)
        for name in COLUMNS
        for sign in OPERATORS
        for literal in LITERALS
        if answer(Compare(name, sign, literal)) is not FilterError
    ]
    rows = ITEMS.to_pylist()

    def grow(depth):
        pick = random.integers(5) if depth else 4
        if pick == 0:
            return Not(grow(depth - 1))
        if pick in (1, 2):
            return (Both if pick == 1 else Either)(grow(depth - 1), grow(depth - 1))
        return IsNull(random.choice(list(COLUMNS))) if pick == 3 else fitting[random.integers(len(fitting))]

    def value(tree, row):
        if isinstance(tree, Not):
            inner = value(tree.part, row)
            return None if inner is None else not inner
        if isinstance(tree, Both | Either):
            sides = [value(tree.left, row), value(tree.right, row)]
            decisive = isinstance(tree, Either)
            if decisive in sides:
                return decisive
            return None if None in sides else not decisive
        return holds(tree, tree.field, row[FIELD + tree.field])

    for _ in range(300):
        tree = grow(4)
        assert answer(tree) == [number for number, row in enumerate(rows) if value(tree, row)], tree
