import gzip
import io
import json
import tarfile

import pytest

from embedsearch.errors import SourceError, SourceNotFoundError
from embedsearch.records import Modality, Record
from embedsearch.sources.guess import guess
from tests.sources.places import BLUE, GREEN, GREY, RED, png, served
from tests.sources.reading import contents, fields, read, rejected, source


def tar(path, files):
    """Write a tar archive of names and bytes, in their order; a name with None is a link."""
    with tarfile.open(path, "w") as archive:
        for name, data in files:
            entry = tarfile.TarInfo(name)
            if data is None:
                entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
                archive.addfile(entry)
            else:
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
    return path


def test_the_files_of_a_key_are_one_record(tmp_path):
    """The image is the content, JSON gives fields, .txt the caption, .cls or the key's folder the label."""
    row = {"photographer": "Ada", "size": {"mm": 35}, "tags": ["a", "b"], "n": 3}
    path = tar(
        tmp_path / "a.tar",
        [
            ("0001.jpg", png(RED)),
            ("0001.json", json.dumps(row).encode()),
            ("0001.txt", b"A red one.\n"),
            ("0001.cls", b"pets"),
            ("dogs/0002.png", png(BLUE)),
            ("dogs/0002.npy", b"x"),
        ],
    )
    assert guess(str(path)) == ("webdataset", str(path))
    assert read("webdataset", path) == [
        Record(
            "0001",
            Modality.IMAGE,
            png(RED),
            {"label": "pets", "photographer": "Ada", "size.mm": 35, "tags": ["a", "b"], "n": 3}
            | {"caption": "A red one."},
        ),
        Record("dogs/0002", Modality.IMAGE, png(BLUE), {"label": "dogs"}),
    ]
    opened = source("webdataset", path)
    list(opened)
    assert opened.passed_over() == {".npy": 1}


def test_texts_are_the_content_where_there_are_no_images(tmp_path):
    """Else --text names a suffix, or a key of the JSON."""
    path = tar(
        tmp_path / "a.tar",
        [("a.txt", b"One."), ("a.json", b'{"title": "T", "body": "B"}'), ("b.txt", b"  "), ("b.json", b"{}")],
    )
    entries = read("webdataset", path)
    assert (contents(entries), fields(entries)) == (["One."], [{"label": None, "title": "T", "body": "B"}])
    assert rejected(entries) == {"b": "its .txt is empty"}
    entries = read("webdataset", path, text=("title", "body"))
    assert (contents(entries), fields(entries)) == (["T\nB"], [{"label": None}])
    assert rejected(entries) == {"b": "it has neither a file .title nor a key 'title' in its .json"}


def test_sounds_are_the_content_where_there_are_no_images(tmp_path):
    """Their .txt is the caption; beside images --sound names them."""
    path = tar(tmp_path / "a.tar", [("a.wav", b"RIFF"), ("a.txt", b"A bell."), ("b.flac", b"fLaC")])
    entries = read("webdataset", path)
    assert [(entry.modality, entry.content) for entry in entries] == [
        (Modality.SOUND, b"RIFF"),
        (Modality.SOUND, b"fLaC"),
    ]
    assert fields(entries) == [{"label": None, "caption": "A bell."}, {"label": None}]
    path = tar(tmp_path / "b.tar", [("a.png", png(RED)), ("a.wav", b"RIFF")])
    assert contents(read("webdataset", path)) == [png(RED)]
    assert contents(read("webdataset", path, sound="wav")) == [b"RIFF"]
    with pytest.raises(SourceError, match="give one of --image, --sound and --text"):
        source("webdataset", path, sound="wav", image="png")


def test_one_of_several_images_is_named_by_its_suffix(tmp_path):
    """A key ends at the first dot of a file's name."""
    files = [("a.left.png", png(RED)), ("a.right.png", png(BLUE)), ("b.left.png", png(GREY))]
    path = tar(tmp_path / "a.tar", files)
    assert contents(read("webdataset", path)) == [png(RED), png(GREY)]
    entries = read("webdataset", path, image="right.png")
    assert contents(entries) == [png(BLUE)]
    assert rejected(entries) == {"b": "it has no .right.png; it holds .left.png"}


def test_shards_are_named_by_a_pattern_or_their_folder(tmp_path):
    """Ids are below the archive's name, so that each may count its keys from 0; a missing one is rejected."""
    (tmp_path / "train").mkdir()
    first = tar(tmp_path / "train" / "part-000.tar", [("0.png", png(RED))])
    tar(tmp_path / "train" / "part-002.tar", [("0.png", png(BLUE))])
    pattern = str(tmp_path / "train" / "part-{000..002}.tar")
    assert guess(pattern) == ("webdataset", pattern)
    entries = read("webdataset", pattern)
    assert [entry.id for entry in entries if isinstance(entry, Record)] == ["part-000/0", "part-002/0"]
    missing = tmp_path / "train" / "part-001.tar"
    assert list(rejected(entries)) == ["part-001.tar"]
    assert rejected(entries)["part-001.tar"].startswith(f"{missing} does not exist. Did you mean 'part-00")
    for location in (
        tmp_path / "train",
        tmp_path / "train" / "*.tar",
        tmp_path / "train" / "part-00{0,2}.tar",
    ):
        assert guess(str(location))[0] == "webdataset"
        assert [entry.id for entry in read("webdataset", location)] == ["part-000/0", "part-002/0"]
    assert [entry.id for entry in read("webdataset", tmp_path)] == ["part-000/0", "part-002/0"]
    assert [entry.id for entry in read("webdataset", first)] == ["0"]
    with served(tmp_path / "train") as (address, gets):
        for location in (f"{address}/part-{{000..000}}.tar", f"{address}/part-000.tar"):
            assert guess(location) == ("webdataset", location)
            assert contents(read("webdataset", location)) == [png(RED)]
        assert contents(read("webdataset", f"{address}/*.tar")) == [png(RED), png(BLUE)]
        assert guess(f"{address}/") == ("webdataset", f"{address}/")
        assert [path for path in gets if path.endswith(".tar")] == ["/part-000.tar", "/part-002.tar"]


def test_bad_files_and_samples_are_rejected_and_the_rest_is_read(tmp_path):
    """Names that lead out, links, doubled files and keys, and samples that are broken are listed."""
    path = tar(
        tmp_path / "a.tar",
        [
            ("a.png", png(RED)),
            ("a.png", png(GREEN)),
            ("../out.png", png(RED)),
            ("/root.png", png(RED)),
            ("link.png", None),
            ("._a.png", b"x"),
            ("b.json", b"{"),
            ("b.png", png(RED)),
            ("c.json", b"[1]"),
            ("c.png", png(RED)),
            ("d.txt", b"no image"),
            ("e.png", b""),
            ("a.png", png(BLUE)),
            ("f.png", png(GREY)),
        ],
    )
    entries = read("webdataset", path)
    assert contents(entries) == [png(RED), png(GREY)]
    reasons = rejected(entries)
    assert reasons.pop("b").startswith("b.json is not JSON: ")
    assert reasons == {
        "a.png": "an earlier file of the sample has this name",
        "../out.png": "its name leads out of the archive",
        "/root.png": "its name leads out of the archive",
        "link.png": "it is a link or a device, not a file",
        "c": "c.json is JSON, but not an object",
        "d": "it has no image; it holds .txt",
        "e": "its .png is empty",
        "a-2": "an earlier sample of the archive has this key",
    }


@pytest.mark.parametrize(
    ("cut", "says"),
    [
        (3000, "it is cut off after 1 files, within b.png; the sample a is not read"),
        (1024, "it is cut off or damaged after 1 files; the sample a is not read"),
        (100, "it can't be read as a tar archive after 0 files: "),
    ],
)
def test_an_archive_that_is_cut_off_is_rejected_and_the_others_are_read(tmp_path, cut, says):
    """The sample that may be incomplete is named."""
    path = tar(tmp_path / "0.tar", [("a.png", png(RED)), ("b.png", bytes(9000))])
    path.write_bytes(path.read_bytes()[:cut])
    tar(tmp_path / "1.tar", [("a.png", png(BLUE))])
    entries = read("webdataset", tmp_path)
    assert contents(entries) == [png(BLUE)]
    assert list(rejected(entries)) == ["0.tar"]
    assert rejected(entries)["0.tar"].startswith(says)


@pytest.mark.parametrize("name", ["p.tar.gz", "P.TGZ", "p.tar.zst"])
def test_a_packed_archive_says_to_unpack_it(tmp_path, name):
    """By itself, in a folder alone, and beside others, of which it is the one that is rejected."""
    (tmp_path / name).write_bytes(gzip.compress(tar(tmp_path / "x", [("a.png", png(RED))]).read_bytes()))
    (tmp_path / "x").unlink()
    for path in (tmp_path / name, tmp_path):
        assert guess(str(path))[0] == "webdataset"
        with pytest.raises(SourceError, match=r"it is packed \(\..*unpack it to a plain \.tar first"):
            source("webdataset", path)
    tar(tmp_path / "a.tar", [("a.png", png(BLUE))])
    assert list(rejected(read("webdataset", tmp_path))) == [name]
    assert contents(read("webdataset", tmp_path)) == [png(BLUE)]


def test_what_is_no_data_set_says_so(tmp_path):
    """The message says what was found, and what to do."""
    path = tar(tmp_path / "a.tar", [("a.npy", b"x")])
    with pytest.raises(SourceError, match=r"holds no images, sounds or texts\. Its samples hold \.npy\."):
        source("webdataset", path)
    (tmp_path / "b.tar").write_bytes(b"x" * 2000)
    with pytest.raises(
        SourceError, match=r"no images, sounds or texts\. b\.tar: it can't be read as a tar archive"
    ):
        source("webdataset", tmp_path / "b.tar")
    with pytest.raises(SourceNotFoundError, match="does not exist"):
        source("webdataset", tmp_path / "c.tar")
    with pytest.raises(SourceError, match="names no tar archive"):
        source("webdataset", tmp_path / "x*.tar")
    with pytest.raises(SourceError, match="names too many archives"):
        source("webdataset", tmp_path / "{0..999999}.tar")


def test_a_file_is_not_read_out_of_an_archive_that_changed(tmp_path):
    """Its bytes would be of another file; it is tried again in the next build."""
    path = tar(tmp_path / "a.tar", [("a.png", png(RED))])
    (entry,) = source("webdataset", path)
    tar(path, [("b.txt", b"x" * 999), ("a.png", png(BLUE))])
    with pytest.raises(OSError, match="changed while it was read"):
        entry.content.read()
