from datetime import date

from embedsearch.records import Record
from tests.sources.reading import fields, read, rejected, source
from tests.sources.test_folder import put


def test_the_columns_of_metadata_csv_are_fields_of_their_types(tmp_path):
    """A row belongs to the file that `file_name` names; a column is of numbers if all its cells are."""
    put(tmp_path / "a.png")
    put(tmp_path / "x" / "b.png")
    table = "file_name,price,day,note,label\na.png,3,2026-01-02,NA,pets\n./x/b.png,4.5,2026-01-03,7,\n"
    put(tmp_path / "metadata.csv", table.encode())
    entries = read("images", tmp_path)
    assert fields(entries) == [
        {
            "label": "pets",
            "file": "a.png",
            "caption": None,
            "price": 3.0,
            "day": date(2026, 1, 2),
            "note": None,
        },
        {"label": None, "file": "b.png", "caption": None, "price": 4.5, "day": date(2026, 1, 3), "note": 7},
    ]
    assert source("images", tmp_path).passed_over() == {}


def test_rows_without_a_file_and_files_without_a_row_are_rejected(tmp_path):
    """Both are listed, a second row of a file and a broken line too, and the rest is read."""
    for name in ("a.png", "b.png"):
        put(tmp_path / name)
    lines = [
        '{"file_name": "a.png", "n": 1}',
        '{"file_name": "gone.png", "n": 2}',
        "{",
        '{"file_name": "a.png", "n": 3}',
        '{"n": 4}',
    ]
    put(tmp_path / "metadata.jsonl", "\n".join(lines).encode())
    entries = list(source("images", tmp_path))
    assert [(entry.id, entry.fields["n"]) for entry in entries if isinstance(entry, Record)] == [("a.png", 1)]
    reasons = rejected(entries)
    assert reasons.pop("metadata.jsonl:3").startswith("the line is not JSON: ")
    assert reasons == {
        "b.png": "metadata.jsonl has no row for it",
        "gone.png (row)": "there is no such file for this row of metadata",
        "a.png (second row)": "an earlier row of metadata.jsonl is of this file",
        "metadata.jsonl:5": "the text column 'file_name' is empty",
    }


def test_metadata_of_a_sub_folder_is_of_the_files_in_it(tmp_path):
    """Files outside of it need no row."""
    put(tmp_path / "free.png")
    put(tmp_path / "train" / "cats" / "a.png")
    put(tmp_path / "train" / "metadata.csv", b"file_name,n\ncats/a.png,1\n")
    assert [each.get("n") for each in fields(read("images", tmp_path))] == [None, 1]


def test_metadata_without_file_names_is_rejected_and_the_images_are_read(tmp_path):
    """The reason names the columns that the table has; no image is rejected for it."""
    put(tmp_path / "a.png")
    put(tmp_path / "metadata.csv", b"name,n\na.png,1\n")
    entries = list(source("images", tmp_path))
    assert [entry.id for entry in entries if isinstance(entry, Record)] == ["a.png"]
    assert rejected(entries) == {
        "metadata.csv": "its rows are not used: metadata.csv has no column 'file_name'; it has 'name', 'n'."
    }
