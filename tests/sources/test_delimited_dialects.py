"""CSV files as programs write them: Excel, R, MySQL, and people."""

import gzip
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from embedsearch.errors import SourceError
from embedsearch.sources.table import MOST_COLUMNS
from tests.sources.reading import contents, fields, read, rejected, source

CASES = Path(__file__).parents[2].parent / "shared" / "cases"


def notes(path, **options):
    """Return what a reading says of the file."""
    opened = source("csv", path, **options)
    list(opened)
    return opened.reading().notes


def test_excels_first_line_names_the_separator(table):
    """`sep=;` is no header, whatever else the header could be split at."""
    entries = read("csv", table('sep=;\r\nid;text;a,b\r\n1;"red, shoes";2\r\n'))
    assert contents(entries) == ["red, shoes"]
    assert fields(entries) == [{"id": 1, "a,b": 2}]
    assert contents(read("csv", table('"sep=|"\ntext|n\nx|1\n'))) == ["x"]


def test_a_header_one_name_short_is_shifted(table):
    """R's write.table names no column for the row names: the others keep theirs, and it is said."""
    path = table('"text","year"\n"a","red shoes",2024\n"b","blue hat",2025\n')
    entries = read("csv", path, text=("text",))
    assert contents(entries) == ["red shoes", "blue hat"]
    assert fields(entries) == [{"column_1": "a", "year": 2024}, {"column_1": "b", "year": 2025}]
    assert len([note for note in notes(path, text=("text",)) if "one name less" in note]) == 1


def test_one_row_that_is_too_long_shifts_nothing(table):
    """A header fits where any row has as many cells; the longer row is rejected."""
    path = table("text,year\na,red shoes,2024\nblue hat,2025\n")
    assert contents(read("csv", path, text=("text",))) == ["blue hat"]
    assert notes(path, text=("text",)) == []


@pytest.mark.parametrize(
    ("head", "comments"),
    [
        ("# exported 2024\n", 1),
        ("# exported 2024, by a program\n#\n// more\n\n", 3),
        ("sep=,\n# exported\n", 1),
    ],
)
def test_comments_before_the_header_are_passed_over_and_said(table, head, comments):
    """Lines that begin with # or // before the header are no header; the report counts them."""
    path = table(f"{head}id,text\n1,a\n# 2,b\n")
    entries = read("csv", path)
    assert contents(entries) == ["a", "b"]
    assert [field["id"] for field in fields(entries)] == ["1", "# 2"]
    assert [note for note in notes(path) if "comment" in note] == [
        f"{comments} comment line{'s' * (comments > 1)} before the header: passed over."
    ]


def test_a_header_may_begin_with_the_sign_of_a_comment(table):
    """`#id,text` has as many names as the rows have cells."""
    assert fields(read("csv", table("#id,text\n1,a\n"))) == [{"#id": 1}]


@pytest.mark.parametrize("cell", ["NA", "N/A", "null", "NULL", "None", "nan", "NaN", "\\N", " NA "])
def test_what_stands_for_no_value_is_missing(table, cell):
    """It is no text to embed, and does not make a column of numbers one of texts."""
    path = table(f"text,n,label\na,1.5,x\n{cell},{cell},{cell}\nb,2,{cell}\n")
    entries = read("csv", path)
    assert contents(entries) == ["a", "b"]
    assert fields(entries) == [{"n": 1.5, "label": "x"}, {"n": 2.0, "label": None}]
    assert rejected(entries) == {"t.csv:3": "the text column 'text' is empty"}


def test_texts_that_are_read_as_missing_are_reported(table):
    """Which column lost what, how often, and the option that keeps it; a column of numbers loses nothing."""
    path = table("text,n,country\na,NA,NA\nb,2,DE\nc,3,NA\nd,4,null\n")
    assert notes(path) == [
        "Column 'country': 2 x NA, 1 x null read as missing. To read it as text, give --keep-na."
    ]
    kept = read("csv", path, keep_na=True)
    assert [field["country"] for field in fields(kept)] == ["NA", "DE", "NA", "null"]
    assert [field["n"] for field in fields(kept)] == ["NA", "2", "3", "4"]


def test_backslashes_before_quotes_are_escapes(table):
    r"""As MySQL and others write: \" in quotes, a line end after a backslash, \N for no value."""
    path = table("").parent / "t.csv"
    shutil.copy(CASES / "backslash_quotes.csv", path)
    entries = read("csv", path)
    assert contents(entries) == ['she said "hi" and left', 'a "b", c', "line one\nline two"]
    assert fields(entries) == [
        {"id": number, "topic": topic} for number, topic in ((1, "a"), (2, "b"), (3, "c"))
    ]
    assert list(rejected(entries)) == ["t.csv:6"]
    assert "Backslashes before quotes are read as escapes." in notes(path)


def test_a_backslash_that_escapes_nothing_stays(table):
    """A path of Windows keeps its backslashes where quotes are doubled."""
    entries = read("csv", table('text,n\n"C:\\new\\dir\\",1\n"a ""b""",2\n\\x,3\n'))
    assert contents(entries) == ["C:\\new\\dir\\", 'a "b"', "\\x"]


def test_a_delimiter_at_the_end_of_every_row_is_no_column(table):
    """With it in the header or without, a last column that holds nothing is none."""
    for head in ("text,n,", "text,n"):
        assert fields(read("csv", table(f"{head}\na,1,\nb,2,\n"))) == [{"n": 1}, {"n": 2}]
    assert fields(read("csv", table("text,n,\na,1,\nb,2,x\n"))) == [
        {"n": 1, "column_3": None},
        {"n": 2, "column_3": "x"},
    ]


def test_a_row_that_ends_early_has_missing_cells(table):
    """As in other programs; more cells than columns are rejected, unless these are empty."""
    entries = read("csv", table("text,n,m\na\nb,1\nc,1,2\nd,1,2,\ne,1,2,3\n"))
    assert fields(entries) == [
        {"n": None, "m": None}, {"n": 1, "m": None}, {"n": 1, "m": 2}, {"n": 1, "m": 2}
    ]  # fmt: skip
    assert rejected(entries) == {"t.csv:6": "the row does not fit the header: expected 3 columns, found 4"}


def test_a_quote_left_open_makes_no_short_row(table):
    """A row whose quote swallows the next line is broken, not one that ends early."""
    entries = read("csv", table('text,n,m\n"a,1,2\nb",3\nc,4,5\n'))
    assert contents(entries) == ["c"]
    assert list(rejected(entries)) == ["t.csv:2", "t.csv:3"]


@pytest.mark.parametrize("name", ["t.csv.gz", "T.TSV.GZ", "packed.csv"])
def test_a_file_packed_by_gzip_is_read(table, name):
    """Its name without .gz says how it is separated; the bytes tell that it is packed."""
    sign = "\t" if "TSV" in name else ","
    path = table(gzip.compress(f"text{sign}n{sign}a,b\nx{sign}1{sign}2\n".replace("a,b", "c").encode()), name)
    assert fields(read("csv", path)) == [{"n": 1, "c": 2}]


def test_a_damaged_gzip_file_says_so(table):
    """What could be unpacked is read, the rest is one rejected row; nothing at all is an error."""
    packed = gzip.compress(b"text,n\n" + b"".join(b"%d word,1\n" % number for number in range(100_000)))
    path = table(packed[: len(packed) // 2], "t.csv.gz")
    entries = read("csv", path)
    assert len(contents(entries)) > 10_000
    (reason,) = rejected(entries).values()
    assert "can't be unpacked" in reason
    with pytest.raises(SourceError, match="is a damaged gzip file"):
        source("csv", table(b"\x1f\x8bnonsense", "u.csv.gz"))


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"PK\x03\x04rest", r"t\.csv is a zip archive, as Excel workbooks are; .* Name a workbook \.xlsx"),
        (b"PAR1rest", r"t\.csv is a Parquet file; .* Name it \.parquet"),
        (b"BZh9rest", r"t\.csv is packed by bzip2"),
        (b"%PDF-1.7", r"t\.csv is a PDF"),
        (b"\x89PNG\r\n", r"t\.csv is an image"),
    ],
)
def test_another_kind_of_file_is_named(table, data, what):
    """The reason names what the file is, and never sends people to --encoding."""
    with pytest.raises(SourceError, match=what):
        source("csv", table(data))


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "Müller sagte: „schön“ – 5 €"),
        ("cp1252", "déjà vu, garçon, être"),
        ("cp1251", "Съешь же ещё этих мягких французских булок, да выпей чаю"),
        (
            "shift_jis",
            "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。何でも薄暗いじめじめした所で"
            "ニャーニャー泣いていた事だけは記憶している。吾輩はここで始めて人間というものを見た。",
        ),
    ],
)
def test_an_encoding_that_is_likely_is_named(table, encoding, text):
    """The option that the reason names reads the row."""
    path = table(f'text,n\nplain,1\n"{text}",2\n'.encode(encoding))
    (reason,) = rejected(read("csv", path)).values()
    named = reason.rpartition("--encoding ")[2]
    assert reason == f"the row is not utf-8 text; the file seems to be {named}: give --encoding {named}"
    assert contents(read("csv", path, encoding=named)) == ["plain", text]


def test_numbers_with_a_decimal_comma(table):
    """With --decimal , they are numbers, with dots between thousands too; else a note names the option."""
    path = table("text;price;count\na;3,50;1\nb;-1.234,5;2\nc;;3\nd;1.000.000,25;4\n")
    read_so = fields(read("csv", path, decimal=","))
    assert [field["price"] for field in read_so] == [3.5, -1234.5, None, 1000000.25]
    assert [field["count"] for field in read_so] == [1, 2, 3, 4]
    assert [field["price"] for field in fields(read("csv", path))] == [
        "3,50",
        "-1.234,5",
        None,
        "1.000.000,25",
    ]
    assert notes(path) == ["Column 'price' is read as text. If its commas are decimal, give --decimal ,"]
    with pytest.raises(SourceError, match=r"--decimal is \. or , and not ';'"):
        source("csv", path, decimal=";")


def test_times_with_offsets_are_moments():
    """In CSV and in JSONL, under whatever name."""
    moments = [datetime(2024, 3, 2, 4, 30, tzinfo=UTC), datetime(2024, 3, 2, 1, tzinfo=UTC)]
    moments.append(datetime(2024, 3, 5, tzinfo=UTC))
    for kind, name in (("csv", "times.csv"), ("jsonl", "reserved_field_times.jsonl")):
        assert [field["when"] for field in fields(read(kind, CASES / name))] == moments


def test_more_columns_than_can_be_read_are_refused(table):
    """A million columns are refused at once, in a sentence; the most that can be read are read."""
    with pytest.raises(SourceError, match="has 1,000,000 columns; at most 20,000 can be read"):
        source("csv", table("," * 999_999 + "\n"))
    path = table(",".join(["text", *["a"] * (MOST_COLUMNS - 1)]) + "\nx" + ",1" * (MOST_COLUMNS - 1) + "\n")
    (field,) = fields(read("csv", path))
    assert list(field) == ["a", *(f"a_{number}" for number in range(2, MOST_COLUMNS))]
