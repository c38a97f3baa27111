import pytest

from embedsearch.errors import SourceError, SourceNotFoundError
from embedsearch.records import Modality, Record, content_hash
from embedsearch.sources import lines
from embedsearch.sources.lines import Line, read_lines
from embedsearch.sources.table import Reading
from tests.sources.reading import contents, read, rejected, source


@pytest.fixture
def file(tmp_path):
    """Write a text file and return its path."""

    def write(data, name="notes.txt"):
        path = tmp_path / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    return write


def test_a_text_file_has_nothing_to_report(file):
    """Its lines need no types and no notes, and it passes no file over."""
    opened = source("lines", file("one\n"))
    assert ([each.content for each in opened], opened.reading(), opened.passed_over()) == (
        ["one"],
        Reading(),
        {},
    )


def test_each_line_is_a_text(file):
    """Lines are stripped, blank ones passed over; the id is the hash, the field the line's number."""
    assert read("lines", file("one\n\n  two words \n\t\nthrée", "my nötes.txt")) == [
        Record(content_hash("one")[:16], Modality.TEXT, "one", {"line": 1}),
        Record(content_hash("two words")[:16], Modality.TEXT, "two words", {"line": 3}),
        Record(content_hash("thrée")[:16], Modality.TEXT, "thrée", {"line": 5}),
    ]


def test_equal_lines_are_counted(file):
    """The second equal line gets -2, so ids stay unique."""
    stem = content_hash("same")[:16]
    assert [entry.id for entry in read("lines", file("same\nsame\n same\n"))] == [
        stem,
        f"{stem}-2",
        f"{stem}-3",
    ]


def test_a_line_that_does_not_decode_is_rejected_alone(file):
    """The rest goes on; with the right encoding nothing is rejected."""
    path = file(b"one\ncaf\xe9\nth\0ree\nfour\n")
    entries = read("lines", path)
    assert contents(entries) == ["one", "four"]
    assert rejected(entries) == {
        "notes.txt:2": "the line is not utf-8 text; the file seems to be cp1252: give --encoding cp1252",
        "notes.txt:3": "the line holds a NUL byte: if the file is UTF-16, say so with --encoding utf-16",
    }
    assert contents(read("lines", path, encoding="cp1252")) == ["one", "café", "four"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_line_ends_and_marks_are_no_part_of_a_line(file, encoding):
    r"""``\n``, ``\r\n`` and ``\r`` end a line under any encoding; other Unicode separators do not."""
    path = file("a\r\nb\rc\nd\u2028e".encode(encoding))
    assert [line.text for line in read_lines(path, "utf-8")] == ["a\r\n", "b\r", "c\n", "d\u2028e"]


def test_damaged_utf16_costs_the_line(file):
    """A lone surrogate in UTF-16 is marked, like a wrong byte in UTF-8."""
    path = file("a\nb".encode("utf-16") + b"\x00\xd8" + "\nc".encode("utf-16-le"))
    assert contents(read("lines", path)) == ["a", "c"]
    assert list(rejected(read("lines", path))) == ["notes.txt:2"]


def test_a_line_too_long_is_passed_over(file, monkeypatch):
    """A line over the limit is never held whole; the numbers of later lines are right."""
    monkeypatch.setattr(lines, "LINE_LIMIT", 10)
    path = file("x" * 35 + "\nshort\n" + "y" * 9 + "\n" + "z" * 10)
    assert list(read_lines(path, "utf-8")) == [
        Line(1, "", "is longer than 10 characters"),
        Line(2, "short\n", ""),
        Line(3, "y" * 9 + "\n", ""),
        Line(4, "", "is longer than 10 characters"),
    ]


def test_a_megabyte_line_is_read(file):
    """Long texts are texts."""
    assert contents(read("lines", file("x" * 2**20 + "\ny"))) == ["x" * 2**20, "y"]


def test_a_wrong_place_is_refused(file, tmp_path):
    """Missing, a folder, empty, columns asked for, an unknown encoding: each error says what to do."""
    path = file("a")
    with pytest.raises(SourceNotFoundError, match=r"note\.txt does not exist\. Did you mean 'notes\.txt'\?"):
        source("lines", tmp_path / "note.txt")
    with pytest.raises(SourceNotFoundError, match="does not exist, nor does its folder"):
        source("lines", tmp_path / "no" / "note.txt")
    with pytest.raises(SourceError, match="is a folder; expected a text file"):
        source("lines", tmp_path)
    with pytest.raises(SourceError, match="has no columns: leave out --image"):
        source("lines", path, image="x")
    with pytest.raises(SourceError, match="'latin1x' is not a known text encoding"):
        source("lines", path, encoding="latin1x")
    with pytest.raises(SourceError, match=r"empty\.txt is empty; expected one text on each line"):
        source("lines", file("", "empty.txt"))
