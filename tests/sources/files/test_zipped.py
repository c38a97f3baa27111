import zipfile

import pytest

from embedsearch.errors import SourceError
from embedsearch.records import Modality, Record
from embedsearch.sources.guess import guess
from tests.sources.places import BLUE, GREEN, RED, png, zipped
from tests.sources.reading import contents, fields, read, rejected, source


def test_images_in_a_zip_are_records_as_in_a_folder(tmp_path):
    """The id is the name in the archive, the sub-folder the label, a .txt of the same name the caption."""
    path = zipped(
        tmp_path / "a.zip",
        {"b.png": png(BLUE), "cats/a.png": png(RED), "cats/a.txt": b"A red cat.", "cats/notes.pdf": b"x"},
    )
    assert guess(str(path)) == ("images", str(path))
    assert read("images", path) == [
        Record("b.png", Modality.IMAGE, png(BLUE), {"label": None, "file": "b.png", "caption": None}),
        Record(
            "cats/a.png",
            Modality.IMAGE,
            png(RED),
            {"label": "cats", "file": "a.png", "caption": "A red cat."},
        ),
    ]
    assert source("images", path).passed_over() == {".pdf": 1}


def test_texts_in_a_zip_are_read_when_they_are_asked_for(tmp_path):
    """A zip that holds more texts than images is one of texts."""
    path = zipped(tmp_path / "a.zip", {"x/a.txt": b"One.", "b.txt": b"Two.", "c.txt": b" "})
    assert guess(str(path)) == ("texts", str(path))
    entries = read("texts", path)
    assert contents(entries) == ["Two.", "One."]
    assert rejected(entries) == {"c.txt": "the file is empty"}


def test_what_is_hidden_excluded_or_of_thumbnails_is_passed_over(tmp_path):
    """What macOS adds to archives is no image, and --exclude leaves out what it names."""
    names = ("a.png", "__MACOSX/._a.png", ".hidden/b.png", "@eaDir/c.png", "old/d.png")
    path = zipped(tmp_path / "a.zip", dict.fromkeys(names, png(RED)))
    opened = source("images", path, exclude=("old",))
    assert [entry.id for entry in opened] == ["a.png"]
    assert opened.passed_over() == {"@eaDir/": 1, "--exclude old": 1}


def test_bad_members_are_rejected_and_the_rest_is_read(tmp_path):
    """Encrypted, empty, doubled and damaged files, and names that lead out, are listed with the reason."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("a.png", "../out.png", "/root.png", "C:\\x.png", "locked.png", "torn.png"):
            archive.writestr(name, png(RED))
        archive.writestr("empty.png", b"")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.png", png(BLUE))
        locked, torn = archive.getinfo("locked.png"), archive.getinfo("torn.png")
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02", 0, data.rindex(b"locked.png"))
    data[at + 8] |= 1  # the flag of an encrypted file, in the archive's directory
    data[torn.header_offset + 30 + len("torn.png") + 40] ^= 255
    path.write_bytes(data)
    assert locked.header_offset < torn.header_offset
    entries = read("images", path)
    assert contents(entries) == [png(RED)]
    assert rejected(entries) == {
        "../out.png": "its name leads out of the archive",
        "/root.png": "its name leads out of the archive",
        "C:\\x.png": "its name leads out of the archive",
        "locked.png": "it is encrypted: unpack the archive, and give the folder",
        "torn.png": "it can't be read out of the archive: Bad CRC-32 for file 'torn.png'",
        "empty.png": "the file is empty",
        "a.png-2": "an earlier file is named a.png, too",
    }


def test_a_zip_that_is_cut_off_says_so(tmp_path):
    """The directory of a zip stands at its end: without it nothing can be read."""
    path = zipped(tmp_path / "a.zip", {"a.png": png(RED)})
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(SourceError, match=r"a\.zip can't be read as a zip archive: .* It may be cut off"):
        source("images", path)


def test_a_zip_of_neither_images_nor_texts_says_so(tmp_path):
    """The message names what was expected."""
    path = zipped(tmp_path / "a.zip", {"a.blend": b"x"})
    with pytest.raises(SourceError, match=r"holds none of these: images .*, texts"):
        guess(str(path))
    with pytest.raises(SourceError, match=r"holds no images; expected .* It holds 1 \.blend\."):
        source("images", path)


def test_metadata_in_a_zip_gives_fields(tmp_path):
    """A metadata.jsonl in the archive is read like one in a folder."""
    rows = b'{"file_name": "a.png", "price": 3}\n{"file_name": "b.png", "price": 4}\n'
    path = zipped(tmp_path / "a.zip", {"metadata.jsonl": rows, "a.png": png(RED), "b.png": png(GREEN)})
    assert [each["price"] for each in fields(read("images", path))] == [3, 4]
