import gzip
import json
from datetime import date, datetime

import pytest

from embedsearch.errors import SourceError
from embedsearch.records import Modality, Record
from tests.sources.reading import contents, fields, read, rejected, source


@pytest.fixture
def file(tmp_path):
    """Write a JSON Lines file and return its path."""

    def write(*lines, name="t.jsonl"):
        path = tmp_path / name
        path.write_bytes(b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines))
        return path

    return write


def test_an_object_a_line(file):
    """Values keep their types; each record has the fields that its own line has."""
    path = file(
        '{"id": 7, "text": "é", "n": 1, "ok": true, "tags": ["a", "b"]}',
        '{"id": "x", "text": "two\\nlines", "n": 1.5, "none": null}',
        name="my dätä.ndjson",
    )
    assert read("jsonl", path, ("text",), id="id") == [
        Record("7", Modality.TEXT, "é", {"n": 1, "ok": True, "tags": ["a", "b"]}),
        Record("x", Modality.TEXT, "two\nlines", {"n": 1.5, "none": None}),
    ]


def test_a_bad_line_is_rejected_and_the_rest_goes_on(file):
    """Not JSON, not an object, not decodable, too deep, no text, a key twice: all by their line."""
    entries = read(
        "jsonl",
        file(
            '{"text": "a", "k": 1}', '{"text": "b"', "", '["c"]', '"d"', "5", "null", "true",
            b'{"text": "caf\xe9"}', "[" * 100_000, '{"text": " ", "k": 2}', '{"k": 2}', '{"text": "e"}',
            '{"text": "f", "k": 1}', '{"text": "g", "k": ' + "9" * 5000 + "}", '{"text": "h", "k": 2}',
        ),
        ("text",),
        id="k",
    )  # fmt: skip
    assert contents(entries) == ["a", "h"]
    reasons = rejected(entries)
    assert reasons.pop("t.jsonl:2").startswith("the line is not JSON: Expecting ',' delimiter")
    assert reasons.pop("t.jsonl:15").startswith("the line is not JSON: Exceeds the limit")
    expected = 'expected an object, as in {"text": "..."}'
    assert reasons == {
        "t.jsonl:4": f"the line is a JSON array; {expected}",
        "t.jsonl:5": f"the line is a JSON string; {expected}",
        "t.jsonl:6": f"the line is a JSON number; {expected}",
        "t.jsonl:7": f"the line is a JSON null; {expected}",
        "t.jsonl:8": f"the line is a JSON truth value; {expected}",
        "t.jsonl:9": "the line is not utf-8 text; the file seems to be cp1252: give --encoding cp1252",
        "t.jsonl:10": "the line is nested too deeply to be read",
        "t.jsonl:11": "the text column 'text' is empty",
        "t.jsonl:12": "the text column 'text' is empty",
        "t.jsonl:13": "the key column 'k' is empty",
        "t.jsonl:14": "the key 1 was used by an earlier row".replace("1", "'1'"),
    }


def test_half_a_surrogate_pair_does_not_reach_the_store(file):
    """An escape that stands for no character becomes U+FFFD, in texts, fields and names."""
    entries = read("jsonl", file(r'{"text": "a\ud83d", "b\udc00": "c\ud83d\ude00"}'), ("text",))
    assert contents(entries) == ["a\ufffd"]
    assert fields(entries) == [{"b\ufffd": "c😀"}]


def test_columns_are_the_keys_of_the_first_thousand_lines(file):
    """A column that starts late within them is known; a typing error is told at once."""
    rows = ['{"text": "a"}'] * 998 + ['{"body": "b"}', '{"text": "c"}']
    assert contents(read("jsonl", file(*rows), ("body",))) == ["b"]
    with pytest.raises(SourceError, match=r"t\.jsonl has no column 'boddy'; it has 'text', 'body'\."):
        source("jsonl", file(*rows), ("boddy",))


def test_a_megabyte_text_is_read(file):
    """Long texts are texts."""
    assert contents(read("jsonl", file(json.dumps({"text": "x" * 2**20})))) == ["x" * 2**20]


def test_images_by_path_lie_beside_the_file(tmp_path, file):
    """The image column is relative to the file's folder."""
    (tmp_path / "é 1.png").write_bytes(b"x")
    entries = read("jsonl", file('{"p": "é 1.png"}', '{"p": "2.png"}', '{"p": [1]}'), image="p")
    assert entries[0] == Record("é 1.png", Modality.IMAGE, tmp_path / "é 1.png", {})
    assert rejected(entries)["t.jsonl:2"] == f"there is no file {tmp_path}/2.png"
    assert rejected(entries)["t.jsonl:3"].startswith("the image column 'p' holds a value of type list")


@pytest.mark.parametrize("lines", [[], [""], ["["], ["[]"], ['["a", 5]'], ["not json"], ['"a"']])
def test_a_file_without_objects_is_refused(file, lines):
    """An empty array, say, holds no rows; the error shows what was expected."""
    with pytest.raises(SourceError, match=r"no JSON object in its first 1000 (lines|elements); expected one"):
        source("jsonl", file(*lines))


@pytest.mark.parametrize("name", ["t.json", "t.jsonl"])
def test_an_array_of_objects_is_read(file, name, monkeypatch):
    """However it is broken into lines, and whatever stands in it; a bad element costs itself."""
    monkeypatch.setattr("embedsearch.sources.jsonl.PIECE", 7)
    path = file(
        '  [{"text": "a, ]", "n": 1},',
        '  {"text": "b\\"}", "n": {"x": [1, 2]}} , 5, {"text": "',
        'no line end in a text"}',
        name=name,
    )
    entries = read("jsonl", path)
    assert contents(entries) == ["a, ]", 'b"}']
    assert list(rejected(entries)) == ["t.json:3".replace("t.json", name), "t.json:4".replace("t.json", name)]
    assert "is not JSON: Invalid control character" in list(rejected(entries).values())[1]
    path.write_text(json.dumps([{"text": f"text {number}", "n": number} for number in range(300)], indent=2))
    assert [field["n"] for field in fields(read("jsonl", path))] == list(range(300))


def test_an_array_that_is_cut_off_says_so(file):
    """What came before is read."""
    entries = read("jsonl", file('[{"text": "a"}, {"text": "b"}', name="t.json"))
    assert contents(entries) == ["a", "b"]
    assert rejected(entries) == {"t.json:3": "the array has no end: the file is cut off"}
    entries = read("jsonl", file('[{"text": "a"}, {"text": "b', name="u.json"))
    assert contents(entries) == ["a"]
    assert list(rejected(entries)) == ["u.json:2"]


def test_nested_objects_become_fields(file):
    """With a dot between the names; lists of plain values stay lists, lists of objects are JSON."""
    path = file(
        '{"text": "a", "meta": {"author": "Ada", "at": {"page": 1}}, "tags": ["x", "y"], "p": [{"n": 1}]}',
        '{"text": "b", "meta": {}, "tags": []}',
        '{"text": "c", "meta": {"author": null}, "tags": "z"}',
    )
    assert fields(read("jsonl", path)) == [
        {"meta.author": "Ada", "meta.at.page": 1, "tags": ["x", "y"], "p": '[{"n": 1}]'},
        {"tags": []},
        {"meta.author": None, "tags": "z"},
    ]


def test_a_nested_text_is_asked_for_with_a_dot(file):
    """`--text data.text`; the object as a whole is JSON text, as it was in 0.6."""
    path = file('{"data": {"text": "a", "n": 1}}', '{"data": {"n": 2}}')
    entries = read("jsonl", path, ("data.text",))
    assert contents(entries) == ["a"]
    assert fields(entries) == [{"data.n": 1}]
    assert contents(read("jsonl", path, ("data",))) == ['{"text": "a", "n": 1}', '{"n": 2}']
    with pytest.raises(SourceError, match=r"has no column 'data\.txt'; .* Did you mean 'data\.text'\?"):
        source("jsonl", path, ("data.txt",))


def test_an_object_of_very_many_keys_does_not_become_as_many_fields(file):
    """After the first 100 keys the rest is kept as JSON."""
    lines = [json.dumps({"text": f"t{row}", "counts": {f"k{row}": row}}) for row in range(150)]
    found = fields(read("jsonl", file(*lines)))
    assert found[99] == {"counts.k99": 99}
    assert found[100] == {"counts": '{"k100": 100}'}


def test_dates_are_dates(file):
    """A column whose texts are all dates, or all times, in ISO's form; other texts stay as they are."""
    path = file(
        '{"text": "a", "day": "2024-01-01", "at": "2024-01-01T10:00:00", "zip": "7", "mixed": "2024-01-01"}',
        '{"text": "b", "day": null, "at": "2024-01-02", "zip": "8", "mixed": 5}',
    )
    assert fields(read("jsonl", path)) == [
        {"day": date(2024, 1, 1), "at": datetime(2024, 1, 1, 10), "zip": "7", "mixed": "2024-01-01"},
        {"day": None, "at": datetime(2024, 1, 2), "zip": "8", "mixed": 5},
    ]


def test_keys_with_half_characters_are_kept_apart(file):
    """Two keys that UTF-8 can't hold become two fields, and no value is lost."""
    path = file('{"text": "a", "\\ud83d": 1, "\\ud83e": 2, "x\\udc00": 3}')
    assert fields(read("jsonl", path)) == [{"\ufffd": 1, "\ufffd_2": 2, "x\ufffd": 3}]


def test_a_packed_file_is_read(file):
    """A .jsonl.gz is read like the file in it."""
    path = file(gzip.compress(b'{"text": "a"}\n{"text": "b"}\n'), name="t.jsonl.gz")
    assert contents(read("jsonl", path)) == ["a", "b"]


def test_rows_that_bring_ever_new_columns_are_refused(file, monkeypatch):
    """A key of its own in each row makes too many columns, found beyond the first rows too."""
    monkeypatch.setattr("embedsearch.sources.table.MOST_COLUMNS", 1500)
    opened = source("jsonl", file(*(f'{{"text": "t", "k{row}": 1}}' for row in range(2000))))
    with pytest.raises(SourceError, match="The table has 1,501 columns; at most 1,500 can be read"):
        list(opened)
