import json

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
        Record("7", Modality.TEXT, "é", {"n": 1, "ok": True, "tags": '["a", "b"]'}),
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
        "t.jsonl:9": "the line is not utf-8 text: name the file's encoding, as in --encoding cp1252",
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


def test_pictures_by_path_lie_beside_the_file(tmp_path, file):
    """The image column is relative to the file's folder."""
    (tmp_path / "é 1.png").write_bytes(b"x")
    entries = read("jsonl", file('{"p": "é 1.png"}', '{"p": "2.png"}', '{"p": [1]}'), image="p")
    assert entries[0] == Record("é 1.png", Modality.IMAGE, tmp_path / "é 1.png", {})
    assert rejected(entries)["t.jsonl:2"] == f"there is no file {tmp_path}/2.png"
    assert rejected(entries)["t.jsonl:3"].startswith("the image column 'p' holds a value of type list")


@pytest.mark.parametrize("lines", [[], [""], ["[", '{"a": 1},', "]"][:1], ['[{"text": "a"}]'], ["not json"]])
def test_a_file_without_objects_is_refused(file, lines):
    """A JSON array, say, is no JSON Lines; the error shows what was expected."""
    with pytest.raises(SourceError, match=r"no JSON object in its first 1000 lines; expected one a line"):
        source("jsonl", file(*lines))
