"""Names of classes, in data sets and in Parquet files that `datasets` wrote."""

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from tests.sources.reading import fields, read

NAMES = ["cat", "dog"]
CLASSES = datasets.ClassLabel(names=NAMES)


def labelled():
    """A data set with a class, and with lists of classes."""
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": CLASSES, "labels": datasets.List(CLASSES)}
    )
    rows = {"text": ["a", "b"], "label": [1, None], "labels": [[0, 1], None]}
    return datasets.Dataset.from_dict(rows, features=features)


EXPECTED = [{"label": "dog", "labels": ["cat", "dog"]}, {"label": None, "labels": None}]


def test_classes_of_a_data_set_come_by_name(tmp_path):
    """A class, and a list of classes."""
    labelled().save_to_disk(str(tmp_path / "d"))
    assert fields(read("dataset", tmp_path / "d")) == EXPECTED


def test_classes_of_a_parquet_file_come_by_name(tmp_path):
    """From the metadata that `datasets` writes, without that library."""
    labelled().to_parquet(str(tmp_path / "t.parquet"))
    assert fields(read("parquet", tmp_path / "t.parquet")) == EXPECTED


def test_metadata_that_says_nothing_changes_nothing(tmp_path):
    """Metadata that is no JSON, or of another shape, is passed over; a number without a name is missing."""
    for number, text in enumerate([b"{", b"[]", b'{"info": null}', b'{"info": {"features": {"label": 5}}}']):
        table = pa.table({"text": ["a"], "label": [1]}).replace_schema_metadata({"huggingface": text})
        pq.write_table(table, tmp_path / f"{number}.parquet")
        assert fields(read("parquet", tmp_path / f"{number}.parquet")) == [{"label": 1}]
    wrong = b'{"info": {"features": {"label": {"names": ["x"], "_type": "ClassLabel"}}}}'
    table = pa.table({"text": ["a", "b"], "label": [0, 7]}).replace_schema_metadata({"huggingface": wrong})
    pq.write_table(table, tmp_path / "w.parquet")
    assert fields(read("parquet", tmp_path / "w.parquet")) == [{"label": "x"}, {"label": None}]
