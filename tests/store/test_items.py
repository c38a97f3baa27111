from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from embedsearch.sources.text_cells import DATES, CellType, parsers
from embedsearch.store.items import FIELD, Item, by_column, merge, to_table, write_table


def item(identity="a", **fields):
    """Return an item of a text with these fields."""
    return Item(identity, "the text", None, None, "0" * 32, fields)


def column(*values):
    """Return the Arrow type and the values of a field that held `values`."""
    table = to_table(by_column([item(str(at), x=value) for at, value in enumerate(values)]))
    return table[FIELD + "x"].type, table[FIELD + "x"].to_pylist()


def read(path):
    """Return the table in an Arrow file."""
    return pa.ipc.open_file(path).read_all()


def merged(tmp_path, *shards):
    """Return the type and values of field `x` after shards that each hold the values given are joined."""
    paths = []
    for number, values in enumerate(shards):
        paths.append(tmp_path / f"{number}.arrow")
        items = [
            item(f"{number}-{at}", **({} if value is ... else {"x": value}))
            for at, value in enumerate(values)
        ]
        write_table(to_table(by_column(items)), paths[-1])
    schema = merge(paths, tmp_path / "all.arrow", {})
    table = read(tmp_path / "all.arrow")
    assert table.schema.equals(schema)
    return table[FIELD + "x"].type, table[FIELD + "x"].to_pylist()


MOMENT = datetime(2024, 5, 17, 8, 30, 15, 250000)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", None, "ü"], pa.string()),
        ([1, None, -(2**63)], pa.int64()),
        ([1.5, None, float("inf")], pa.float64()),
        ([True, None, False], pa.bool_()),
        ([date(2024, 5, 17), None], pa.date32()),
        ([MOMENT, None], pa.timestamp("us")),
        ([MOMENT.replace(tzinfo=UTC), None], pa.timestamp("us", "UTC")),
        ([None, None], pa.null()),
        ([["a", "b"], [], None], pa.list_(pa.string())),
        ([[1], [2, None]], pa.list_(pa.int64())),
    ],
    ids=lambda value: str(value) if isinstance(value, pa.DataType) else "",
)
def test_the_type_of_a_field_is_kept(values, kind):
    """Text, whole numbers, floats, truth values, dates, moments and nothing come back as they were."""
    assert column(*values) == (kind, values)


@pytest.mark.parametrize(
    ("values", "kind", "want"),
    [
        ([1, 2.5], pa.float64(), [1.0, 2.5]),
        ([1, "a", None], pa.string(), ["1", "a", None]),
        ([True, 2], pa.string(), ["True", "2"]),
        ([2**70, 1], pa.string(), [str(2**70), "1"]),
        ([2**53 + 1, 0.5], pa.string(), [str(2**53 + 1), "0.5"]),
        ([date(2024, 5, 17), MOMENT], pa.string(), ["2024-05-17", str(MOMENT)]),
    ],
)
def test_values_of_several_types_take_one_that_holds_them(values, kind, want):
    """Whole numbers and floats become floats where none is rounded, all else becomes text."""
    assert column(*values) == (kind, want)


def test_every_part_of_an_item_is_kept():
    """Id, text, path, span, hash and bytes have columns of their own; a field may have any name."""
    word = Item("r#4", "the word", None, (4, 8), "a" * 32, {"id": "field", "a b.c": 1})
    image = Item("p", None, "/tmp/ü.png", None, "b" * 32, {}, b"\x00\xff")
    assert to_table(by_column([word, image])).to_pylist() == [
        {
            "id": "r#4", "text": "the word", "path": None, "start": 4, "end": 8, "hash": "a" * 32,
            "picture": None, "field:id": "field", "field:a b.c": 1,
        },
        {
            "id": "p", "text": None, "path": "/tmp/ü.png", "start": None, "end": None, "hash": "b" * 32,
            "picture": b"\x00\xff", "field:id": None, "field:a b.c": None,
        },
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("shards", "kind", "want"),
    [
        ([[1], [2]], pa.int64(), [1, 2]),
        ([[1], [2.5]], pa.float64(), [1.0, 2.5]),
        ([[1], ["a"]], pa.string(), ["1", "a"]),
        ([[None], [3], [...]], pa.int64(), [None, 3, None]),
        ([[None], [...]], pa.string(), [None, None]),
        ([[...], [date(2024, 5, 17)]], pa.date32(), [None, date(2024, 5, 17)]),
        ([[True], ["no"]], pa.string(), ["True", "no"]),
        ([[True], [2]], pa.string(), ["True", "2"]),
        ([[1.5], ["x"], [2.0]], pa.string(), ["1.5", "x", "2.0"]),
        ([[MOMENT], ["later"]], pa.string(), [str(MOMENT), "later"]),
        ([[date(2024, 5, 17)], [MOMENT]], pa.string(), ["2024-05-17", str(MOMENT)]),
        ([[2**53 + 1], [0.5]], pa.string(), [str(2**53 + 1), "0.5"]),
        ([[2**70], [0.5]], pa.string(), [str(2**70), "0.5"]),
        ([[["a"]], ["b"], [None], [[]]], pa.list_(pa.string()), [["a"], ["b"], None, []]),
        ([[[1]], [["x"], 2.5]], pa.list_(pa.string()), [["1"], ["x"], ["2.5"]]),
        ([[[]], [...], [None]], pa.list_(pa.string()), [[], None, None]),
    ],
)
def test_shards_of_different_types_join_like_values_of_one_shard(tmp_path, shards, kind, want):
    """Where a source changes its mind between shards, the field is what one shard would have made of it."""
    assert merged(tmp_path, *shards) == (kind, want)
    together = column(*(None if value is ... else value for shard in shards for value in shard))
    assert together[1] == want


def test_single_values_among_lists_are_lists():
    """In one shard as over several: a tag beside lists of tags is a list of one."""
    assert column(["a"], "b", None, 5) == (pa.list_(pa.string()), [["a"], ["b"], None, ["5"]])


def test_cells_of_text_become_values_of_their_column(tmp_path):
    """Over all shards: only fields that are texts everywhere, by the type that all their cells have."""
    shards = [[("1", "x", "2024-01-01"), ("2", None, "y")], [(None, "3", 5)]]
    names, paths = ("n", "t", "d"), []
    cells = {"n": CellType(parsers(".")), "t": CellType(parsers(".")), "d": CellType(DATES)}
    for number, rows in enumerate(shards):
        for row in rows:
            for name, cell in zip(names, row, strict=True):
                cells[name].see(cell) if isinstance(cell, str) else None
        paths.append(tmp_path / f"{number}.arrow")
        items = [item(str(at), **dict(zip(names, row, strict=True))) for at, row in enumerate(rows)]
        write_table(to_table(by_column(items)), paths[-1])
    merge(paths, tmp_path / "all.arrow", cells)
    table = read(tmp_path / "all.arrow")
    assert table[FIELD + "n"].type == pa.int64()
    assert {name: table[FIELD + name].to_pylist() for name in names} == {
        "n": [1, 2, None],
        "t": ["x", None, "3"],
        "d": ["2024-01-01", "y", "5"],
    }


def test_joining_keeps_the_order_of_items(tmp_path):
    """Rows follow the shards, and rows of a shard their order; shards without a row are passed over."""
    paths = []
    for number, count in enumerate((3, 0, 2)):
        paths.append(tmp_path / f"{number}.arrow")
        write_table(to_table(by_column([item(f"{number}-{at}", n=at) for at in range(count)])), paths[-1])
    merge(paths, tmp_path / "all.arrow", {})
    table = read(tmp_path / "all.arrow")
    assert table["id"].to_pylist() == ["0-0", "0-1", "0-2", "2-0", "2-1"]
    assert table[FIELD + "n"].to_pylist() == [0, 1, 2, 0, 1]
