import pytest

from embedsearch.errors import SourceError, SourceNotFoundError
from embedsearch.sources import SOURCES, guess
from embedsearch.sources.guess import guess as guess_kind


def put(path, data=b"x"):
    """Write a file, with the folders that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("t.csv", "csv"),
        ("t.TSV", "csv"),
        ("t.tab", "csv"),
        ("t.jsonl", "jsonl"),
        ("t.ndjson", "jsonl"),
        ("t.parquet", "parquet"),
        ("my nötes.txt", "lines"),
    ],
)
def test_a_file_is_told_by_its_suffix(tmp_path, name, kind):
    """The case of the suffix does not matter."""
    path = put(tmp_path / name)
    assert guess_kind(str(path)) == (kind, str(path))
    assert kind in SOURCES


def test_relative_paths_and_the_home_become_absolute(tmp_path, monkeypatch):
    """What is returned holds wherever it is used from; a link keeps its own name."""
    put(tmp_path / "data" / "t.csv")
    (tmp_path / "now.csv").symlink_to(tmp_path / "data" / "t.csv")
    monkeypatch.chdir(tmp_path / "data")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert guess_kind("t.csv") == ("csv", str(tmp_path / "data" / "t.csv"))
    assert guess_kind("../data/t.csv") == ("csv", str(tmp_path / "data" / "t.csv"))
    assert guess_kind("~/data/t.csv") == ("csv", str(tmp_path / "data" / "t.csv"))
    assert guess_kind("~/now.csv") == ("csv", str(tmp_path / "now.csv"))


def test_a_folder_is_what_most_of_its_files_are(tmp_path):
    """Images or texts, wherever they lie in it; a tie is images, and one document makes texts documents."""
    put(tmp_path / "a" / "b" / "1.jpg")
    put(tmp_path / "a" / "2.txt")
    assert guess_kind(str(tmp_path)) == ("images", str(tmp_path))
    put(tmp_path / "3.rst")
    assert guess_kind(str(tmp_path)) == ("texts", str(tmp_path))
    put(tmp_path / "4.md")
    assert guess_kind(str(tmp_path)) == ("documents", str(tmp_path))


def test_captions_do_not_make_a_folder_one_of_texts(tmp_path):
    """A .txt beside its image is not counted."""
    for number in range(3):
        put(tmp_path / f"{number}.png")
        put(tmp_path / f"{number}.txt")
    put(tmp_path / "readme.txt")
    put(tmp_path / "licence.txt")
    assert guess_kind(str(tmp_path))[0] == "images"


def test_a_folder_of_videos_is_told_by_suffixes(tmp_path):
    """Videos are counted against images and texts; a .txt beside a video is its caption."""
    for number in range(2):
        put(tmp_path / f"{number}.MP4")
        put(tmp_path / f"{number}.txt")
    put(tmp_path / "cover.jpg")
    put(tmp_path / "readme.md")
    assert guess_kind(str(tmp_path)) == ("videos", str(tmp_path))
    assert "videos" in SOURCES
    put(tmp_path / "a.png")
    assert guess_kind(str(tmp_path))[0] == "images"
    with pytest.raises(SourceError, match="is one item; give the folder"):
        guess_kind(str(tmp_path / "0.MP4"))


def test_only_the_first_files_are_looked_at(tmp_path, monkeypatch):
    """A huge folder is not listed to its end."""
    monkeypatch.setattr(guess, "FILES_LOOKED_AT", 3)
    for name in ("a.png", "b.png", "c.txt", "d.txt", "e.txt", "f.txt"):
        put(tmp_path / name)
    assert guess_kind(str(tmp_path))[0] == "images"


@pytest.mark.parametrize("files", [["state.json", "dataset_info.json"], ["dataset_dict.json"]])
def test_a_saved_data_set_is_one_whatever_else_lies_there(tmp_path, files):
    """The files that save_to_disk writes decide."""
    for name in [*files, "a.png"]:
        put(tmp_path / name)
    assert guess_kind(str(tmp_path)) == ("dataset", str(tmp_path))


def test_a_folder_of_nothing_known_is_refused(tmp_path):
    """The error says what was expected, and points to a table if there is one."""
    expected = r"none of these: images \(.*\.jpg.*\), texts \(.*\.txt\), documents \(.*\.pdf.*\), "
    expected += "videos, sounds; and"
    with pytest.raises(SourceError, match=expected):
        guess_kind(str(tmp_path))
    put(tmp_path / "sub" / "questions.csv")
    with pytest.raises(SourceError, match=r"It holds sub/questions\.csv: give that file\."):
        guess_kind(str(tmp_path))


def test_a_file_of_no_known_kind_is_refused(tmp_path):
    """One image, one PDF, a drawing: each error says what to give instead."""
    with pytest.raises(SourceError, match="is one item; give the folder"):
        guess_kind(str(put(tmp_path / "a.png")))
    with pytest.raises(SourceError, match="is one item; give the folder"):
        guess_kind(str(put(tmp_path / "a.pdf")))
    with pytest.raises(SourceError, match=r"a\.dwg is not one of the files that can be read: \.csv, \.tsv"):
        guess_kind(str(put(tmp_path / "a.dwg")))


def test_owner_and_name_without_such_a_path_are_a_hub_id(tmp_path, monkeypatch):
    """A folder of that name comes first; a path that points into one, or to a table, is a typing error."""
    monkeypatch.chdir(tmp_path)
    assert guess_kind("stanfordnlp/imdb") == ("dataset", "stanfordnlp/imdb")
    put(tmp_path / "photos" / "holidays" / "a.png")
    assert guess_kind("photos/holidays") == ("images", str(tmp_path / "photos" / "holidays"))
    with pytest.raises(
        SourceNotFoundError, match=r"photos/holiday does not exist\. Did you mean 'holidays'\?"
    ):
        guess_kind("photos/holiday")
    with pytest.raises(SourceNotFoundError, match=r"data/questions\.csv does not exist"):
        guess_kind("data/questions.csv")
    with pytest.raises(SourceNotFoundError):
        guess_kind("./stanfordnlp/imdb")


def test_a_missing_path_suggests_its_likeliest_sibling(tmp_path):
    """The suggestion is a name that is there."""
    put(tmp_path / "questions.csv")
    with pytest.raises(SourceNotFoundError) as caught:
        guess_kind(str(tmp_path / "question.csv"))
    assert str(caught.value) == f"{tmp_path}/question.csv does not exist. Did you mean 'questions.csv'?"
    with pytest.raises(SourceNotFoundError, match="does not exist, nor does its folder"):
        guess_kind(str(tmp_path / "no" / "question.csv"))
