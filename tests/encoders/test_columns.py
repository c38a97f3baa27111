"""What is learnt from the columns of a table."""

from datetime import date, datetime

import numpy as np
import pytest

from embedsearch.encoders.columns import FAR, Kind, Learnt, changed, learn, summary
from embedsearch.errors import ItemError

draw = np.random.default_rng(0)
ROWS = [
    {
        "price": float(draw.lognormal(3, 1)),
        "colour": ["red", "green", "blue"][at % 3],
        "born": date(2000 + at % 20, 1 + at % 12, 1 + at % 28),
        "about": f"text number {at}",
    }
    for at in range(200)
]


def embed(texts):
    """Return (n, 100) unit vectors of texts, each another."""
    rows = [np.random.default_rng(len(text) + sum(map(ord, text))).normal(size=100) for text in texts]
    return np.array([row / np.linalg.norm(row) for row in rows], np.float32)


def learnt(rows, weights=None, comma=False):
    """Return what is learnt from rows."""
    return learn(summary(rows, list(rows[0]), weights or {}, comma=comma), embed)


def vectors(known, rows):
    """Return the vectors of rows without texts, (n, d)."""
    parts = []
    for block in known.blocks:
        values = [block.column.parsed(row.get(block.column.name)) for row in rows]
        missing = np.array([value is None for value in values])
        parts.append(block.vectors(block.column.features(values), missing))
    return np.concatenate(parts, 1)


def variances(known, rows):
    """Return the variance of each column's numbers together, by name."""
    made = vectors(known, rows)
    return {c.name: float(made[:, p].var(0).sum()) for c, p in zip(known.columns, known.places, strict=True)}


def test_kinds_are_told_from_values():
    """Numbers, dates, few texts that repeat, and other texts."""
    kinds = {column.name: column.kind for column in learnt(ROWS).columns}
    assert kinds == {"price": Kind.NUMBER, "colour": Kind.CATEGORY, "born": Kind.DATE, "about": Kind.TEXT}


@pytest.mark.parametrize(("values", "kind"), [(50, Kind.CATEGORY), (51, Kind.TEXT)])
def test_categories_beyond_fifty_are_compared_as_text(values, kind):
    """Up to 50 different values have a number each; a note says where there are more."""
    known = learnt([{"a": f"v{at % values}"} for at in range(400)])
    assert known.columns[0].kind is kind
    assert bool(known.notes) == (kind is Kind.TEXT)


def test_ten_thousand_categories_become_sixty_four_numbers():
    """A column of more than 64 numbers is reduced by a PCA of its own."""
    known = learnt([{"a": f"v{at % 10_000}"} for at in range(20_000)])
    assert known.notes == ("Column 'a' has 10,000 different values and is compared as text.",)
    assert known.dimension == 64


def test_a_wide_table_gives_each_column_less():
    """1,024 numbers are shared out among the columns, 4 at least for each."""
    rows = [{f"c{n}": f"v{(at * (n + 1)) % 41}" for n in range(100)} for at in range(200)]
    assert {block.width for block in learnt(rows).blocks} == {10}


def test_each_column_has_the_variance_of_its_weight():
    """Whatever its unit, its kind and its missing values: 1, or the weight."""
    rows = [{name: each[name] for name in ("price", "colour", "born")} for each in ROWS]
    rows = [{**each, "size": None if at % 5 == 0 else 1e9 * at} for at, each in enumerate(rows)]
    found = variances(learnt(rows, {"price": 2.0}), rows)
    assert found == pytest.approx({"price": 2, "colour": 1, "born": 1, "size": 1}, rel=1e-4)


def test_numbers_are_robust():
    """One wild value leaves the distances of all others as they were, but for a share."""
    rows = [{"a": float(at)} for at in range(100)]
    plain, wild = learnt(rows), learnt([*rows, {"a": 1e12}])
    apart = [float(np.ptp(vectors(known, rows[:2]))) for known in (plain, wild)]
    assert apart[1] > apart[0] / 5
    assert float(np.abs(vectors(wild, [{"a": 1e12}])).max()) < FAR + np.log(1e12)


def test_a_missing_value_is_a_value_of_its_own():
    """Two rows that lack it are the same in it, and apart from those that have it."""
    rows = [
        {"n": None if at % 4 == 0 else float(at), "c": None if at % 4 == 0 else "xy"[at % 2]}
        for at in range(100)
    ]
    missing, other, present = vectors(learnt(rows), [{}, {"n": None}, {"n": 50.0, "c": "x"}])
    assert np.array_equal(missing, other)
    assert np.linalg.norm(missing - present) > 1


def test_dates_go_round():
    """The last day of a year is nearer to the first of the next than to midsummer; a Sunday to a Monday."""
    rows = [{"d": date(2020, 1, 1 + at % 28).replace(month=1 + at // 28 % 12)} for at in range(336)]
    known = learnt(rows)
    assert known.columns[0].cycles == ("year", "week")
    new_year, december, june = vectors(
        known, [{"d": date(2020, *day)} for day in ((1, 1), (12, 31), (6, 30))]
    )
    year = slice(1, 3)
    assert np.linalg.norm((new_year - december)[year]) < 0.1 * np.linalg.norm((new_year - june)[year])
    times = [{"d": datetime(2020, 1, 1, at % 24)} for at in range(48)]
    assert learnt(times).columns[0].cycles == ("day",)


@pytest.mark.parametrize(
    ("values", "note"),
    [
        ([None, None], "holds nothing"),
        ([7, 7], "holds the same value in every row"),
        (["", " "], "holds nothing"),
    ],
)
def test_what_tells_nothing_does_not_count(values, note):
    """A column that is empty or constant is left out, and a note says so."""
    known = learnt([{"a": value, "b": at} for at, value in enumerate(values)])
    assert [column.name for column in known.columns] == ["b"]
    assert known.notes == (f"Column 'a' {note} and is not used.",)


def test_values_are_read_as_the_kind_of_their_column():
    """Typed texts become numbers and dates; what is none is refused, infinity too."""
    price, colour, born, _ = learnt(ROWS).columns
    assert price.parsed(" 2.5 ") == 2.5
    assert price.parsed("") is None
    assert price.parsed(float("nan")) is None
    assert born.parsed("1970-01-02") == 1.0
    assert colour.parsed(True) == "true"
    comma = learnt([{"a": float(at)} for at in range(9)], comma=True).columns[0]
    assert (comma.parsed("1.234,5"), comma.parsed("1.234"), comma.parsed("20.5")) == (1234.5, 1234.0, 20.5)
    for column, value, message in (
        (price, "red", "'price' takes a number; got 'red'"),
        (born, "soon", "'born' takes a date as in 2026-11-27; got 'soon'"),
        (price, float("inf"), "'price' holds a number that is not finite"),
        (price, "1e999", "not finite"),
        (price, 10**400, "takes a number"),
    ):
        with pytest.raises(ItemError, match=message):
            column.parsed(value)


def test_what_was_learnt_survives_the_disk(tmp_path):
    """Saved and loaded it has the same digest, and another weight or another table another one."""
    known = learnt(ROWS)
    known.save(tmp_path / "columns.npz")
    assert Learnt.load(tmp_path / "columns.npz").digest == known.digest
    assert len({known.digest, learnt(ROWS, {"price": 2.0}).digest, learnt(ROWS[:150]).digest}) == 3


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda row, _at: row, ""),
        (lambda row, _at: {**row, "price": row["price"] + 1}, ""),
        (lambda row, at: {**row, "colour": "pink"} if at % 10 == 0 else row, ""),
        (lambda row, _at: {**row, "price": row["price"] + 100}, "the column 'price' has another median"),
        (lambda row, _at: {**row, "price": 22 + 5 * (row["price"] - 22)}, "has another spread"),
        (lambda row, at: {**row, "colour": "pink"} if at % 4 == 0 else row, "has many new values"),
        (lambda row, at: {**row, "price": None} if at % 4 == 0 else row, "has many missing values"),
        (lambda row, at: {**row, "price": f"p{at}"}, "holds values of the kind text, not number"),
        (lambda row, at: {**row, "size": at}, "the column 'size' is new"),
        (lambda row, _at: {"price": row["price"]}, "the column 'colour' is no longer used"),
    ],
)
def test_a_table_is_learnt_again_where_much_has_changed(change, why):
    """Few changes keep what was learnt; else a sentence says which column has changed, and how."""
    rows = [{name: each[name] for name in ("price", "colour")} for each in ROWS]
    now = [change(row, at) for at, row in enumerate(rows)]
    found = changed(learnt(rows), summary(now, list(dict.fromkeys(n for row in now for n in row)), {}))
    assert why in found
    assert bool(why) == bool(found)
