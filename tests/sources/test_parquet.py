from collections import Counter
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embedsearch.errors import SourceError
from embedsearch.records import Modality, Record, content_hash
from embedsearch.sources import parquet
from embedsearch.sources.arrowrows import rows
from embedsearch.sources.guess import guess
from tests.sources.reading import contents, fields, read, rejected, source

CASES = Path(__file__).parents[2].parent / "shared" / "cases"


def test_types_are_kept(tmp_path):
    """Every Arrow type that a field can hold arrives as its Python value; nanoseconds are cut."""
    moment = 1_700_000_000_123_456_789
    table = pa.table(
        {
            "text": ["a"],
            "int": pa.array([3], pa.int16()),
            "float": pa.array([0.5], pa.float16()),
            "bool": [True],
            "date": [date(2024, 2, 29)],
            "naive": pa.array([moment], pa.timestamp("ns")),
            "aware": pa.array([datetime(2024, 1, 1, 12)], pa.timestamp("us", tz="UTC")),
            "time": [time(1, 2, 3)],
            "duration": pa.array([1_500_000_000], pa.duration("ns")),
            "decimal": [Decimal("1.25")],
            "coded": pa.array(["x"]).dictionary_encode(),
            "list": [[1, 2]],
            "struct": [{"a": "é"}],
            "binary": [b"\xff"],
            "null": pa.nulls(1),
            "nan": [float("nan")],
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    assert read("parquet", tmp_path / "t.parquet") == [
        Record(
            content_hash("a")[:16],
            Modality.TEXT,
            "a",
            {
                "int": 3,
                "float": 0.5,
                "bool": True,
                "date": date(2024, 2, 29),
                "naive": datetime(2023, 11, 14, 22, 13, 20, 123456),
                "aware": datetime(2024, 1, 1, 12, tzinfo=UTC),
                "time": "01:02:03",
                "duration": 1.5,
                "decimal": 1.25,
                "coded": "x",
                "list": [1, 2],
                "struct.a": "é",
                "binary": None,
                "null": None,
                "nan": None,
            },
        )
    ]


def test_nanoseconds_need_no_pandas():
    """Times arrive as Python's own, which Arrow alone refuses to make of nanoseconds."""
    moment = 1_700_000_000_123_456_789
    batch = pa.record_batch({"at": pa.array([moment], pa.timestamp("ns", tz="UTC"))})
    (row,) = rows(batch, ["at"], Counter())
    assert type(row["at"]) is datetime
    assert row["at"].isoformat() == "2023-11-14T22:13:20.123456+00:00"


def test_rows_come_in_order_over_groups_and_batches(tmp_path):
    """A file of several row groups, larger than a batch, is read whole; empty texts are rejected by row."""
    numbers = list(range(1500))
    texts = [None if number % 500 == 7 else f"text {number}" for number in numbers]
    path = tmp_path / "my däta.parquet"
    pq.write_table(pa.table({"text": texts, "n": numbers}), path, row_group_size=600)
    opened = source("parquet", path)
    assert opened.count() == 1500
    entries = read("parquet", path)
    assert [field["n"] for field in fields(entries)] == [number for number in numbers if number % 500 != 7]
    assert rejected(entries) == {
        f"my däta.parquet:{row}": "the text column 'text' is empty" for row in (8, 508, 1008)
    }


def test_batches_are_small(tmp_path, monkeypatch):
    """Rows are asked for a few at a time, and row groups are not loaded ahead."""
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"text": [f"t{number}" for number in range(2000)]}), path)
    sizes = []

    def counted(batch, *rest):
        sizes.append(batch.num_rows)
        return rows(batch, *rest)

    monkeypatch.setattr(parquet, "rows", counted)
    assert len(list(source("parquet", path))) == 2000
    assert max(sizes) == parquet.BATCH_ROWS == 256


def test_a_key_column_is_the_id(tmp_path):
    """Numbers serve as keys; a key used before or missing rejects its row."""
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"k": [5, 5, None, 6], "text": ["a", "b", "c", "d"]}), path)
    entries = read("parquet", path, id="k")
    assert [entry.id for entry in entries] == ["5", "t.parquet:2", "t.parquet:3", "6"]
    assert contents(entries) == ["a", "d"]


@pytest.mark.parametrize("options", [{}, {"image": "image"}])
def test_images_as_data_sets_keep_them(tmp_path, options):
    """A column of {bytes, path} is images, and needs no option where nothing else can be meant."""
    path = tmp_path / "t.parquet"
    images = [{"bytes": b"PNG1", "path": "a.png"}, {"bytes": None, "path": "a.png"}, None]
    pq.write_table(pa.table({"image": images, "label": [0, 1, 2]}), path)
    entries = read("parquet", path, **options)
    assert entries[0] == Record(content_hash(b"PNG1")[:16], Modality.IMAGE, b"PNG1", {"label": 0})
    assert rejected(entries) == {
        "t.parquet:2": f"there is no file {tmp_path}/a.png",
        "t.parquet:3": "the image column 'image' is empty",
    }


def test_a_value_that_python_can_not_hold_costs_its_cell(tmp_path):
    """A year beyond 9999 is missing, and said; a text that is no UTF-8 rejects its row, with that reason."""
    path = tmp_path / "t.parquet"
    odd = pa.Array.from_buffers(
        pa.string(), 3, [None, *pa.array([b"a", b"\xff", b"c"], pa.binary()).buffers()[1:]]
    )
    seconds = pa.array([0, 0, 10**12], pa.timestamp("s"))
    pq.write_table(pa.table({"text": odd, "when": seconds, "n": [1, 2, 3]}), path)
    entries = read("parquet", path)
    assert contents(entries) == ["a", "c"]
    assert [(each["when"], each["n"]) for each in fields(entries)] == [(datetime(1970, 1, 1), 1), (None, 3)]
    assert rejected(entries) == {"t.parquet:2": "the text column 'text' holds bytes that are not UTF-8 text"}
    opened = source("parquet", path)
    list(opened)
    assert opened.reading().notes == [
        f"Column {name!r}: 1 values read as missing (a date after the year 9999, or no UTF-8 text)."
        for name in ("text", "when")
    ]


def test_a_damaged_row_group_is_rejected_row_by_row(tmp_path):
    """The share of what was lost stays honest, and the other groups are read."""
    path = tmp_path / "t.parquet"
    texts = [f"text {number}" for number in range(300)]
    pq.write_table(
        pa.table({"text": texts}), path, row_group_size=100, compression="none", use_dictionary=False
    )
    column = pq.ParquetFile(path).metadata.row_group(1).column(0)
    data = bytearray(path.read_bytes())
    data[column.data_page_offset : column.data_page_offset + column.total_compressed_size] = (
        b"\xff" * column.total_compressed_size
    )
    path.write_bytes(data)
    entries = read("parquet", path)
    assert contents(entries) == texts[:100] + texts[200:]
    assert list(rejected(entries)) == [f"t.parquet:{row}" for row in range(101, 201)]
    assert rejected(entries)["t.parquet:101"].startswith("row group 1 of the file is damaged: ")


@pytest.mark.parametrize("data", [b"", b"text\na\n", b"PAR1" + b"x" * 100 + b"PAR1"])
def test_what_is_no_parquet_is_refused(tmp_path, data):
    """The error says what was expected and what to do."""
    path = tmp_path / "t.parquet"
    path.write_bytes(data)
    with pytest.raises(
        SourceError, match=r"t\.parquet can't be read as Parquet: .*Expected a \.parquet file"
    ):
        source("parquet", path)


def test_a_wrong_column_is_refused(tmp_path):
    """The columns that there are come with the error."""
    pq.write_table(pa.table({"body": ["a"], "n": [1]}), tmp_path / "t.parquet")
    with pytest.raises(SourceError, match=r"t\.parquet has no column 'text'; it has 'body', 'n'\."):
        source("parquet", tmp_path / "t.parquet", ("text",))


def test_a_folder_of_parts_is_one_table(tmp_path):
    """Sorted by path, in folders too; columns may differ; a damaged part costs itself."""
    (tmp_path / "deep").mkdir()
    pq.write_table(pa.table({"text": ["a", "b"], "n": [1, 2]}), tmp_path / "part-0.parquet")
    pq.write_table(pa.table({"text": ["c"], "m": ["x"]}), tmp_path / "deep" / "part-1.parquet")
    (tmp_path / "part-2.parquet").write_bytes(b"PAR1 cut off")
    (tmp_path / "_SUCCESS").write_text("")
    assert guess(str(tmp_path)) == ("parquet", str(tmp_path))
    entries = read("parquet", tmp_path)
    assert contents(entries) == ["c", "a", "b"]
    assert fields(entries) == [{"m": "x"}, {"n": 1}, {"n": 2}]
    assert list(rejected(entries)) == ["part-2.parquet"]
    assert "can't be read as Parquet" in rejected(entries)["part-2.parquet"]
    assert source("parquet", tmp_path).passed_over() == {"without a suffix": 1}


def test_two_columns_of_one_name_are_two_fields():
    """The second gets a number; in 0.6 the first was lost."""
    entries = read("parquet", CASES / "two_columns_one_name.parquet")
    assert contents(entries) == ["first", "one"]
    assert fields(entries) == [{"text_2": "second"}, {"text_2": "two"}]


def test_bytes_that_are_no_text_are_not_called_empty(tmp_path):
    """The reason says what they are, of a text and of a key."""
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"text": [b"ok", b"\xff\xfe"], "key": [b"\xff", b"k"]}), path)
    assert rejected(read("parquet", path, ("text",))) == {
        "t.parquet:2": "the text column 'text' holds bytes that are not UTF-8 text"
    }
    assert (
        "'key' holds bytes that are not UTF-8"
        in rejected(read("parquet", path, ("text",), id="key"))["t.parquet:1"]
    )


def test_a_text_inside_a_struct_is_asked_for_with_a_dot(tmp_path):
    """`--text data.text`; what else is in the struct becomes fields."""
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"data": [{"text": "a", "n": 1}, {"text": "b", "n": 2}]}), path)
    entries = read("parquet", path, ("data.text",))
    assert contents(entries) == ["a", "b"]
    assert fields(entries) == [{"data.n": 1}, {"data.n": 2}]
