"""Workbooks: what a sheet's cells become."""

from datetime import date, datetime

import openpyxl
import pytest

from embedsearch.errors import MissingExtraError, SourceError
from tests.sources.reading import contents, fields, read, rejected, source


@pytest.fixture
def workbook(tmp_path):
    """Write a workbook of sheets, each a list of rows, and return its path."""

    def write(name="t.xlsx", **sheets):
        book = openpyxl.Workbook()
        book.remove(book.active)
        for title, rows in sheets.items():
            sheet = book.create_sheet(title)
            for row in rows:
                sheet.append(row)
        book.save(tmp_path / name)
        return tmp_path / name

    return write


def test_cells_keep_their_types(workbook):
    """Numbers, truth values, dates and times; whole numbers are whole; blank cells and NA are missing."""
    path = workbook(
        Data=[
            ["text", "n", "price", "ok", "day", "at", "zip", None],
            ["a", 1, 2.5, True, date(2024, 1, 1), datetime(2024, 1, 1, 8), "007", None],
            [],
            ["b", None, 3, False, None, None, "NA", "x"],
            ["NA", 1, 1, None, None, None, None, None],
        ]
    )
    entries = read("excel", path)
    assert contents(entries) == ["a", "b"]
    assert fields(entries) == [
        {"n": 1, "price": 2.5, "ok": True, "day": date(2024, 1, 1), "at": datetime(2024, 1, 1, 8),
         "zip": "007", "column_8": None},
        {"n": None, "price": 3, "ok": False, "day": None, "at": None, "zip": None, "column_8": "x"},
    ]  # fmt: skip
    assert rejected(entries) == {"t.xlsx:5": "the text column 'text' is empty"}


def test_one_sheet_is_read(workbook):
    """The first, said where there are several; another by --split; an unknown one is refused."""
    path = workbook(One=[["text"], ["a"]], Two=[["text"], ["b"]])
    assert contents(read("excel", path)) == ["a"]
    assert contents(read("excel", path, split="Two")) == ["b"]
    opened = source("excel", path)
    list(opened)
    assert opened.reading().notes == ["The sheet 'One' is read. For Two, give --split SHEET."]
    with pytest.raises(SourceError, match=r"has no sheet 'Tw'; it has One, Two\. Did you mean 'Two'\?"):
        source("excel", path, split="Tw")


def test_a_sheet_without_a_header_is_read_whole(workbook):
    """As a CSV file without one."""
    path = workbook(Data=[[1, "red shoes"], [2, "blue hat"]])
    assert contents(read("excel", path, ("column_2",))) == ["red shoes", "blue hat"]


def test_what_is_no_workbook_is_refused(workbook, tmp_path, monkeypatch):
    """An empty sheet, another file, and a missing library: each error says what to do."""
    with pytest.raises(SourceError, match="is empty; expected a header"):
        source("excel", workbook(Data=[]))
    (tmp_path / "u.xlsx").write_text("text\na\n")
    with pytest.raises(SourceError, match=r"u\.xlsx can't be read as a workbook: .*Save it again as \.xlsx"):
        source("excel", tmp_path / "u.xlsx")
    monkeypatch.setattr("embedsearch.sources.excel.find_spec", lambda _name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'embedsearch\[excel\]'"):
        source("excel", workbook(Data=[["text"], ["a"]]))
