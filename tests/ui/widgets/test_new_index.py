import csv

import pytest

from embedsearch.errors import IndexBusyError, SourceError, SourceNotFoundError
from embedsearch.records import Modality
from embedsearch.ui.widgets import new_index
from embedsearch.ui.widgets.new_index import keep, look, offered, safe_names
from tests.ui.conftest import draw


def test_names_of_uploaded_files_stay_in_their_folder():
    """Whatever a browser sends is a plain name: no folder, no hidden file, and each once."""
    names = ["../../etc/passwd", "a\\b\\c.csv", ".env", "..", "x/y.png", "y.png", "Y.PNG", "é\n<b>.txt"]
    assert safe_names(names) == ["passwd", "c.csv", "env", "file", "y.png", "2-y.png", "3-Y.PNG", "é__b_.txt"]
    assert safe_names(["2-a.txt", "a.txt", "a.txt"]) == ["2-a.txt", "a.txt", "3-a.txt"]


def test_uploaded_files_are_kept_as_they_are(tmp_path, monkeypatch):
    """One table is a file; several files are a folder; a zip is not unpacked; too much is refused."""
    table = keep([("t.csv", b"text\nhello\n")], tmp_path)
    assert (table.name, table.read_bytes()) == ("t.csv", b"text\nhello\n")
    assert keep([("t.csv", b"text\nhello\n")], tmp_path) == table
    folder = keep([("a.png", b"1"), ("../a.png", b"2")], tmp_path)
    assert sorted((each.name, each.read_bytes()) for each in folder.iterdir()) == [
        ("2-a.png", b"2"),
        ("a.png", b"1"),
    ]
    assert keep([("a.zip", b"PK")], tmp_path).name == "a.zip"
    assert {each.parent for each in (folder, table.parent)} == {tmp_path / new_index.INCOMING}
    monkeypatch.setattr(new_index, "MOST_BYTES", 3)
    with pytest.raises(SourceError, match="At most"):
        keep([("a", b"12"), ("b", b"34")], tmp_path)


def test_a_path_is_completed_by_what_is_there(tmp_path):
    """A folder offers what is in it, folders first; the beginning of a name what is beside; hidden is not."""
    for name in ("pictures", "papers", ".hidden"):
        (tmp_path / name).mkdir()
    for name in ("b.csv", "a.CSV.gz", "program.exe"):
        (tmp_path / name).touch()
    inside = [str(tmp_path / name) for name in ("papers", "pictures", "a.CSV.gz", "b.csv")]
    assert offered(str(tmp_path)) == [str(tmp_path), str(tmp_path.parent), *inside]
    assert offered(str(tmp_path / "pic"))[0] == str(tmp_path / "pic")
    assert offered(str(tmp_path / "pic"))[-4:] == inside


def test_texts_in_files_are_shown_by_what_they_hold(tmp_path):
    """A preview of a folder of texts has the beginning of each, Markdown too, and leaves out an empty one."""
    for name, text in (("a.txt", "hello, a note"), ("b.md", "# Head\n\nand text"), ("c.txt", "")):
        (tmp_path / name).write_text(text)
    assert [row["text"] for row in look(str(tmp_path), 0).rows] == ["hello, a note", "# Head and text"]


@pytest.mark.parametrize("path", ["~nobody-of-this-name/pictures", "/tmp/" + "x" * 300])
def test_a_path_that_no_system_knows_is_offered_as_it_is(path):
    """An unknown home folder, or a name too long for a file, is no error while a path is typed."""
    assert offered(path)[0] == path


def test_only_uploaded_files_are_moved_into_the_index(tmp_path, monkeypatch):
    """A folder of a person stays where it is, whatever its name; so do uploads while another job runs."""
    own = tmp_path / new_index.INCOMING / "pictures"
    own.mkdir(parents=True)
    indexes = tmp_path / "indexes"
    commands = []
    monkeypatch.setattr(new_index.job_panel, "may_build", lambda: True)
    monkeypatch.setattr(new_index.job_panel, "begin", lambda *given: commands.append(given[-1]) or True)
    for source in (own, own.parent):
        assert new_index._build(indexes, str(source), "mine", [])
        assert own.is_dir()
        assert commands.pop() == ["build", str(source), "--name=mine"]
    uploaded = keep([("t.csv", b"text\nhello\n")], indexes)

    def busy(_indexes):
        raise IndexBusyError("“Build other” is running.")

    with monkeypatch.context() as patch:
        patch.setattr(new_index.jobs, "check_none_runs", busy)
        assert not new_index._build(indexes, str(uploaded), "mine", [])
    assert uploaded.is_file()
    assert new_index._build(indexes, str(uploaded), "mine", [])
    kept = indexes / "mine" / new_index.KEPT / "t.csv"
    assert commands == [["build", str(kept), "--name=mine"]]
    assert kept.is_file()


def test_a_table_is_looked_at_by_its_columns(tmp_path):
    """The columns, the first rows, and which column would be embedded; none where that can't be told."""
    path = tmp_path / "t.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "price"), ("a coat", 3), ("a hat " * 30, 4)])
    looked = look(str(path), 0)
    assert (looked.kind, looked.modality, looked.columns) == ("csv", Modality.TEXT, ("text", "price"))
    assert looked.texts == ("text",)
    assert looked.rows[0] == {"text": "a coat", "price": "3"}
    assert len(looked.rows[1]["text"]) <= new_index.CELL
    path.write_text("what,who\na long sentence,b\n")
    looked = look(str(path), 1)
    assert (looked.modality, looked.texts) == (None, ("what",))


def test_a_folder_of_images_is_shown_by_some(tmp_path):
    """The count, small copies of the first images, and what is passed over."""
    draw(tmp_path)
    looked = look(str(tmp_path), 0)
    assert (looked.kind, looked.count, looked.columns) == ("images", 21, ())
    assert len(looked.images) == new_index.SMALL
    assert looked.passed_over == {".pdf": 1}
    with pytest.raises(SourceNotFoundError):
        look(str(tmp_path / "none"), 0)
