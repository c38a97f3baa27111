"""Labelled spans in a column: lists, objects or JSON text; each bad span is rejected alone."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embedsearch.errors import SourceError
from embedsearch.records import LabelledSpan, Labels
from embedsearch.sources.spans import labels_of
from tests.sources.reading import fields, read, rejected, source

TEXT = "Anna met IBM."
PER, ORG = LabelledSpan(0, 4, "PER"), LabelledSpan(9, 12, "ORG")


@pytest.mark.parametrize("value", [
    [[0, 4, "PER"], [9, 12, "ORG"]], [(9, 12, "ORG"), (0, 4, " PER ")],
    [{"start": 0, "end": 4, "label": "PER"}, {"label": "ORG", "start": 9, "end": 12, "id": 3}],
    '[[0, 4, "PER"], [9, 12, "ORG"]]',
])  # fmt: skip
def test_spans_in_any_order_and_form(value):
    """Lists, tuples, objects and JSON text mean the same, sorted by their start."""
    assert labels_of(value, TEXT) == Labels((PER, ORG))


@pytest.mark.parametrize(("span", "reason"), [
    ([9, 14, "X"], "the span [9, 14, 'X'] is out of range: the text has 13 characters"),
    ([-1, 3, "X"], "the span [-1, 3, 'X'] is out of range: the text has 13 characters"),
    ([7, 5, "X"], "the span [7, 5, 'X'] is out of range: the text has 13 characters"),
    ([5, 5, "X"], "the span [5, 5, 'X'] is empty"),
    ([8, 9, "X"], "the span [8, 9, 'X'] holds only blanks"),
    ([5, 8, " "], "the span [5, 8, ' '] has an empty label"),
    ([3, 8, "X"], "the span [3, 8, 'X'] overlaps [0, 4, 'PER']"),
    ([5, 8], "the span [5, 8] is not [start, end, label]: two whole numbers and a text"),
    ([5.0, 8, "X"], "the span [5.0, 8, 'X'] is not [start, end, label]: two whole numbers and a text"),
    ([5, True, "X"], "the span [5, True, 'X'] is not [start, end, label]: two whole numbers and a text"),
    ([5, 8, None], "the span [5, 8, None] is not [start, end, label]: two whole numbers and a text"),
    (7, "the span 7 is not [start, end, label]: two whole numbers and a text"),
    ({"start": 5}, "the span {'start': 5} is not [start, end, label]: two whole numbers and a text"),
])  # fmt: skip
def test_a_bad_span_is_rejected_alone(span, reason):
    """Out of range, empty, blank, unlabelled, overlapping, or no span at all: the others stay."""
    assert labels_of([span, list(PER)], TEXT) == Labels((PER,), rejected=(reason,))


@pytest.mark.parametrize(("value", "reason"), [
    (None, "is empty; expected [[start, end, label], ...]"), ("", "is empty; expected"),
    (5, "holds 5; expected"), ('{"a": 1}', "holds {'a': 1}; expected"),
    ("[[0", "holds text that is not JSON ("), ("[" * 100_000, "holds text that is not JSON ("),
])  # fmt: skip
def test_what_is_no_list_of_spans(value, reason):
    """A missing value, a number, an object, text that is no JSON: the reason says what was expected."""
    assert labels_of(value, TEXT).startswith(reason)


def test_a_jsonl_file_with_a_column_of_spans(tmp_path):
    """The column is no field; a column `label` of the file's own makes way for the spans' labels."""
    path = tmp_path / "t.jsonl"
    rows = [
        {"body": TEXT, "ents": [list(PER)], "label": "news", "n": 1}, {"body": "None.", "ents": [], "n": 2},
        {"body": "Bad.", "ents": 3, "n": 3},
    ]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, rows)))
    entries = read("jsonl", path, spans="ents")  # the only other text column that can be meant
    assert [entry.labels for entry in entries[:2]] == [Labels((PER,)), Labels(())]
    assert fields(entries) == [{"label_2": "news", "n": 1}, {"n": 2}]
    assert rejected(entries)["t.jsonl:3"].startswith("the spans column 'ents' holds 3; expected [[start")


def test_a_parquet_file_with_a_column_of_spans(tmp_path):
    """Arrow has no list of mixed types: a list of structs, or JSON text."""
    structs = [[{"start": 0, "end": 4, "label": "PER"}], []]
    table = pa.table({"text": [TEXT, "x"], "a": structs, "b": ['[[9, 12, "ORG"]]', "[]"]})
    pq.write_table(table, tmp_path / "t.parquet")
    for column, span in (("a", PER), ("b", ORG)):
        first, second = read("parquet", tmp_path / "t.parquet", ("text",), spans=column)
        assert (first.labels, second.labels) == (Labels((span,)), Labels(()))


def test_spans_need_a_text(tmp_path):
    """Spans of an image, and a column that is not there, are refused in a sentence."""
    path = tmp_path / "t.jsonl"
    path.write_text('{"text": "a", "picture": "b.png", "spans": []}')
    with pytest.raises(SourceError, match="labelled spans are of a text: give --text COLUMN with --spans"):
        source("jsonl", path, image="picture", spans="spans")
    with pytest.raises(SourceError, match=r"has no column 'span'; .*Did you mean 'spans'"):
        source("jsonl", path, ("text",), spans="span")
