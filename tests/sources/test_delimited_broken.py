import csv

import pytest

from embedsearch.errors import SourceError
from embedsearch.sources.delimited import rows
from tests.sources.reading import contents, fields, read, rejected, source


def test_rows_that_do_not_decode_are_rejected_alone(table):
    """The reason names the encoding and the option; the rows around go on."""
    path = table(b"body,n\na,1\ncaf\xe9,2\n" + '"x\ny é",3\n'.encode() + b'"x\ny \xe9",4\nz,5\n')
    entries = read("csv", path)
    reason = "the row is not utf-8 text; the file seems to be cp1252: give --encoding cp1252"
    assert rejected(entries) == {"t.csv:3": reason, "t.csv:6": reason}
    assert contents(entries) == ["a", "x\ny é", "z"]
    assert contents(read("csv", path, encoding="cp1252"))[1] == "café"


def test_nul_bytes_reject_their_row(table):
    """The reason says what such bytes mostly are."""
    entries = read("csv", table(b"body,n\na,1\nb\0c,2\nd,3\n"))
    assert rejected(entries) == {
        "t.csv:3": "the row holds a NUL byte: if the file is UTF-16, say so with --encoding utf-16"
    }
    assert contents(entries) == ["a", "d"]


def test_rows_of_another_width_are_rejected_by_their_line(table):
    """The id is file:line, the reason tells both numbers; what a row that ends early lacks is missing."""
    entries = read("csv", table("body,n\na,1\nb\nc,3,4\nd,4\n", "questions.csv"))
    assert fields(entries) == [{"n": 1}, {"n": None}, {"n": 4}]
    assert rejected(entries) == {
        "questions.csv:4": "the row does not fit the header: expected 2 columns, found 3",
    }
    assert contents(entries) == ["a", "b", "d"]


def test_blank_lines_are_skipped_and_empty_rows_rejected(table):
    """A blank line is nothing; a row of empty cells is an item without a text."""
    entries = read("csv", table('\n  \nbody,n\n\na,1\n   \n\r\n,\n"",""\n,5\nb,2\n\n'))
    assert contents(entries) == ["a", "b"]
    assert rejected(entries) == {
        "t.csv:8": "the row is empty: none of its cells is filled",
        "t.csv:9": "the row is empty: none of its cells is filled",
        "t.csv:10": "the text column 'body' is empty",
    }


def test_a_tsv_row_of_tabs_is_an_empty_row(table):
    """Tabs are cells, not blanks."""
    assert list(rejected(read("csv", table("body\tn\n\t\na\t1\n", "t.tsv")))) == ["t.tsv:2"]


def test_loose_quotes_are_read_as_most_programs_do(table):
    """Text after a closing quote, or a quote inside a bare cell, is no reason to lose a row."""
    entries = read("csv", table('body,n\n"Foo" Bar,1\n5" pipe,2\nplain,3\n'))
    assert contents(entries) == ["Foo Bar", '5" pipe', "plain"]


@pytest.mark.parametrize(
    "broken",
    ['"open,1', 'x,"open', '"open,1,2,3', '""",1', ' x,"""a""'],
)
def test_a_quote_left_open_costs_its_own_line(table, broken):
    """However the quote stands, thousands of rows after it are read, quoted ones included."""
    after = [f"text {number}" for number in range(3000)]
    body = "".join(
        f'"{text}",{number}\n' if number % 7 == 3 else f"{text},{number}\n"
        for number, text in enumerate(after)
    )
    entries = read("csv", table(f"body,n\nbefore,1\n{broken}\n{body}"))
    assert contents(entries) == ["before", *after]
    assert list(rejected(entries)) == ["t.csv:3"]
    assert "a quote seems to be left open" in rejected(entries)["t.csv:3"]


def test_a_quote_left_open_costs_one_line_with_no_quote_after_it(table):
    """Where nothing closes the quote before the end of the file, the last cell does not swallow it."""
    body = "".join(f"text {number},{number}\n" for number in range(3000))
    entries = read("csv", table(f'body,n\nx,"open\n{body}'))
    assert len(contents(entries)) == 3000
    assert rejected(entries) == {
        "t.csv:2": "the row can't be read: unexpected end of file; a quote seems to be left open"
    }


def test_a_wide_row_over_several_lines_costs_its_first_line(table):
    """A row of the wrong width is given back from its second line on."""
    entries = read("csv", table('body,n\n"a\nb",1,2\nc,3\n'))
    assert contents(entries) == ["c"]
    assert rejected(entries) == {
        "t.csv:2": "the row does not fit the header: expected 2 columns, found 3; "
        "a quote seems to be left open",
        "t.csv:3": "the row does not fit the header: expected 2 columns, found 3",
    }


def test_a_file_of_open_quotes_is_read_in_bounded_work(table, monkeypatch):
    """Where every line opens a quote that none closes, each is tried once with a few lines, not with all."""
    monkeypatch.setattr(rows, "REREAD_LIMIT", 1000)
    monkeypatch.setattr(rows, "FEW_LINES", 5)
    fed = 0
    feed = rows._Feed._from

    def counted(self, first):
        nonlocal fed
        for text in feed(self, first):
            fed += 1
            yield text

    monkeypatch.setattr(rows._Feed, "_from", counted)
    opened = source("csv", table("body,n,m\n" + 'a","b\n' * 400 + "x,1,2\n"))
    assert contents(list(opened)) == ["x"]
    assert opened.count() == 401
    assert fed < 2 * (400 + 402 * 6)


def test_a_cell_over_the_limit_costs_its_row(table):
    """The limit holds for one cell; the next rows are read."""
    limit = max(csv.field_size_limit(), rows.CELL_LIMIT)
    entries = read("csv", table("body,n\na,1\n" + "x" * (limit + 1) + ",2\nb,3\n"))
    assert contents(entries) == ["a", "b"]
    assert list(rejected(entries)) == ["t.csv:3"]
    assert "field larger than field limit" in rejected(entries)["t.csv:3"]


def test_the_csv_limit_of_the_process_is_never_lowered(table):
    """Another reader in the process may have asked for more."""
    before = csv.field_size_limit(2**24)
    try:
        read("csv", table("body\nx\n"))
        assert csv.field_size_limit() == 2**24
    finally:
        csv.field_size_limit(before)


def test_a_line_without_end_is_passed_over(table, monkeypatch):
    """A line too long to hold costs itself, wherever it stands."""
    monkeypatch.setattr("embedsearch.sources.lines.LINE_LIMIT", 100)
    entries = read("csv", table("body,n\n" + "x" * 350 + ',1\na,2\n"b\n' + "y" * 101 + "\nc,3\n"))
    assert contents(entries) == ["a", "c"]
    assert rejected(entries) == {
        "t.csv:2": "the row is longer than 100 characters",
        "t.csv:4": "the row can't be read: line 5 is longer than 100 characters; "
        "a quote seems to be left open",
        "t.csv:5": "the row is longer than 100 characters",
    }


def test_duplicate_keys_are_rejected(table):
    """The first row keeps the key."""
    entries = read("csv", table("id,body\nx,one\nx,two\n,three\n"), id="id")
    assert contents(entries) == ["one"]
    assert rejected(entries) == {
        "t.csv:3": "the key 'x' was used by an earlier row",
        "t.csv:4": "the key column 'id' is empty",
    }


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "is empty; expected a header"),
        ("\n\n", "is empty; expected a header"),
        (b"caf\xe9,body\nx,y\n", "the header, line 1, is not utf-8 text"),
        ('"body,n\nx,1\n', "the header, line 1, can't be read"),
        (",,\nx,1,2\n", "the header, line 1, is empty"),
    ],
)
def test_a_header_that_can_not_be_read_is_refused(table, data, message):
    """Without a header nothing else makes sense."""
    with pytest.raises(SourceError, match=message):
        source("csv", table(data))
