from datetime import UTC, date, datetime
from itertools import islice

import pytest

from embedsearch.errors import SourceError, SourceNotFoundError
from embedsearch.records import Modality, Record
from embedsearch.sources.delimited import dialect
from tests.sources.reading import contents, fields, read, rejected, source


def test_a_row_becomes_a_record(table):
    """Text and key as they are written, the other cells by the type of their column."""
    path = table('id,body,price,label\n007,12,3,a\n008,"x, y",4.5,\n', "my täble.csv")
    assert read("csv", path, ("body",), id="id") == [
        Record("007", Modality.TEXT, "12", {"price": 3.0, "label": "a"}),
        Record("008", Modality.TEXT, "x, y", {"price": 4.5, "label": None}),
    ]


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1", "-2", "", "0"], [1, -2, None, 0]),
        (["1", "2.5", " 3e2 ", "NaN"], [1.0, 2.5, 300.0, None]),
        (["1", "x"], ["1", "x"]),
        (["1", "007"], ["1", "007"]),
        (["+49", "1"], ["+49", "1"]),
        (["1", "9223372036854775808"], ["1", "9223372036854775808"]),
        (["9223372036854775807"], [2**63 - 1]),
        (["1", "-9223372036854775808", "2.5"], [1.0, -(2.0**63), 2.5]),
        (
            ["2024-01-01", "2024-01-01", "2024-01-03 10:00"],
            [datetime(2024, 1, 1)] * 2 + [datetime(2024, 1, 3, 10)],
        ),
        (["1", "1_000"], ["1", "1_000"]),
        (["١", "٢"], ["١", "٢"]),
        (["true", "False", ""], [True, False, None]),
        (["true", "1"], ["true", "1"]),
        (["2024-02-29", ""], [date(2024, 2, 29), None]),
        (["2023-02-29"], ["2023-02-29"]),
        (["2024-01-01", "2024-01-01 10:30"], [datetime(2024, 1, 1), datetime(2024, 1, 1, 10, 30)]),
        (
            ["2024-01-01T10:00:00Z", "2024-01-01T10:00:00.5+02:00"],
            [datetime(2024, 1, 1, 10, tzinfo=UTC), datetime(2024, 1, 1, 8, 0, 0, 500000, tzinfo=UTC)],
        ),
        (["2024-01-01T10:00", "2024-01-01T10:00Z"], ["2024-01-01T10:00", "2024-01-01T10:00Z"]),
        (["", " "], [None, None]),
    ],
)
def test_the_type_of_a_column_is_told_by_all_its_cells(table, cells, values):
    """The narrowest type that holds every filled cell; empty cells are None."""
    path = table("body,n\n" + "".join(f"text,{cell}\n" for cell in cells))
    found = [field["n"] for field in fields(read("csv", path))]
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


def test_times_with_a_zone_become_utc(table):
    """One column has one zone, however its cells are written."""
    values = [field["at"] for field in fields(read("csv", table("body,at\nx,2024-01-01T10:00+02:00\n")))]
    assert [value.isoformat() for value in values] == ["2024-01-01T08:00:00+00:00"]


def test_one_late_cell_decides_the_type(table):
    """A word in the last of many rows makes the column text, from the first row on."""
    path = table("body,n\n" + "text,1\n" * 5000 + "text,one\n")
    found = [field["n"] for field in fields(read("csv", path))]
    assert found == ["1"] * 5000 + ["one"]


def test_a_rejected_row_does_not_decide_a_type(table):
    """Cells of rows that are not used do not count."""
    path = table("body,n\nx,1\ny,two,three\n")
    assert fields(read("csv", path)) == [{"n": 1}]


@pytest.mark.parametrize(
    ("name", "separator"),
    [("t.csv", ","), ("t.csv", ";"), ("t.csv", "|"), ("t.csv", "\t"), ("t.tsv", "\t"), ("t.TAB", "\t")],
)
def test_the_separator_is_told_from_the_suffix_or_the_header(table, name, separator):
    """A tab for .tsv and .tab; in .csv whichever of , ; | tab the header has."""
    path = table(
        separator.join(["body", "n", "m"]) + "\n" + separator.join(["a.b: c", "1", "2"]) + "\n", name
    )
    assert read("csv", path)[0].content == "a.b: c"
    assert fields(read("csv", path)) == [{"n": 1, "m": 2}]


def test_a_single_column_is_separated_by_commas(table):
    """A header of one name has no separator to tell; a row with a bare comma says what was expected."""
    entries = read("csv", table('question\nwhat?\n"who, me?"\nwho, me?\n'))
    assert contents(entries) == ["what?", "who, me?"]
    assert rejected(entries) == {"t.csv:4": "the row does not fit the header: expected 1 column, found 2"}


def test_a_tsv_with_commas_in_its_header_is_split_at_tabs(table):
    """The suffix .tsv decides."""
    assert fields(read("csv", table("body\ta,b,c\nx\t1\n", "t.tsv"))) == [{"a,b,c": 1}]


def test_columns_without_a_name_or_with_a_used_one_get_their_own(table):
    """An empty name becomes column_N, a second `a` the first free a_N; names are stripped."""
    path = table("text, a ,a,,a_2,a\nx,1,2,3,4,5\n")
    assert fields(read("csv", path)) == [{"a": 1, "a_3": 2, "column_4": 3, "a_2": 4, "a_4": 5}]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_tells_the_encoding(table, encoding):
    """The mark is no part of the first name, and it overrules `--encoding`."""
    path = table("body,n\ncafé,1\n".encode(encoding))
    for asked in ("utf-8", "latin-1"):
        entries = read("csv", path, encoding=asked)
        assert contents(entries) == ["café"]
        assert fields(entries) == [{"n": 1}]


def test_a_multi_byte_encoding_is_read_as_asked(table):
    """`--encoding` reaches encodings in which a byte of a character may look like another."""
    path = table("body,n\n表示|ソ,1\n".encode("shift_jis"))
    assert contents(read("csv", path, encoding="shift_jis")) == ["表示|ソ"]


def test_an_unknown_encoding_is_refused(table):
    """The error suggests the likeliest name; codecs that are no text encodings are unknown too."""
    with pytest.raises(SourceError, match=r"'utf9' is not a known text encoding\. Did you mean 'utf-8'\?"):
        source("csv", table("body\nx\n"), encoding="utf9")
    with pytest.raises(SourceError, match="'hex' is not a known text encoding"):
        source("csv", table("body\nx\n"), encoding="hex")


def test_quoted_cells_may_hold_line_ends_quotes_and_separators(table):
    """What RFC 4180 allows is read as it means; a rejected row after it has its own line."""
    entries = read("csv", table('body,n\n"a\n""b"", c\r\nd",1\n\n"e",2\nf,3,4\n'))
    assert contents(entries) == ['a\n"b", c\r\nd', "e"]
    assert list(rejected(entries)) == ["t.csv:7"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_line_end_will_do(table, end):
    """Unix, Windows and old Mac files, with or without the last line end."""
    for last in ("", end):
        assert contents(read("csv", table(end.join(["body,n", "a,1", "b,2"]) + last))) == ["a", "b"]


def test_a_megabyte_cell_is_read(table):
    """Cells far over the csv module's own limit are fine, and eight of them in a row."""
    big = "x" * 2**20
    assert contents(read("csv", table(f'body,n\n{big},1\n"{big}\n{big}",2\n'))) == [big, f"{big}\n{big}"]
    path = table(",".join(["body", *"abcdefg"]) + "\n" + ",".join([big] * 8) + "\n")
    assert [len(str(cell)) for cell in fields(read("csv", path))[0].values()] == [2**20] * 7


def test_the_file_is_streamed(table, monkeypatch):
    """The file is read once, and the first record comes before the rest is read."""
    path = table("body\n" + "x\n" * 10_000)
    opened = source("csv", path)
    assert opened.count() == pytest.approx(10_000, rel=0.01)
    taken = 0
    read_lines = dialect.read_lines

    def counted(*arguments):
        nonlocal taken
        for line in read_lines(*arguments):
            taken += 1
            yield line

    monkeypatch.setattr(dialect, "read_lines", counted)
    assert len(list(islice(opened, 5))) == 5
    assert taken == 6


def test_images_lie_beside_the_table(tmp_path, table):
    """A path in the image column is relative to the table's folder, spaces and dots included."""
    (tmp_path / "my pics").mkdir()
    (tmp_path / "my pics" / "1.png").write_bytes(b"x")
    path = table("file,label\nmy pics/1.png,a\nmy pics/2.png,b\n")
    entries = read("csv", path, image="file")
    assert entries[0] == Record(
        "my pics/1.png", Modality.IMAGE, tmp_path / "my pics" / "1.png", {"label": "a"}
    )
    assert rejected(entries) == {"t.csv:3": f"there is no file {tmp_path}/my pics/2.png"}


def test_a_header_alone_is_an_empty_table(table):
    """No rows are no error of the source."""
    assert read("csv", table("body,n\n")) == []


def test_a_wrong_place_or_column_is_refused(tmp_path, table):
    """Missing files, folders and columns: each error says what to do."""
    table("headline,n\na,1\n")
    with pytest.raises(SourceNotFoundError, match=r"T\.csv does not exist\. Did you mean 't\.csv'\?"):
        source("csv", tmp_path / "T.csv")
    with pytest.raises(SourceError, match="is a folder; expected a CSV or TSV file"):
        source("csv", tmp_path)
    with pytest.raises(SourceError, match=r"t\.csv has no column 'headlines'; .* Did you mean 'headline'\?"):
        source("csv", tmp_path / "t.csv", ("headlines",))
