import fsspec
import pytest

from embedsearch.errors import ItemError, MissingExtraError, SourceError, SourceNotFoundError
from embedsearch.records import Record
from embedsearch.sources import addresses
from embedsearch.sources.guess import guess
from tests.sources.places import BLUE, GREEN, RED, endless, png, served, zipped
from tests.sources.reading import contents, fields, read, rejected, source

FILES = {
    "b.png": png(BLUE),
    "cats/a b.png": png(RED),
    "cats/a b.txt": b"A red cat.",
    "cats/empty.png": b"",
    "x.pdf": b"x",
}


@pytest.fixture
def memory():
    """A folder in fsspec's file system of the memory."""
    files = fsspec.filesystem("memory")
    for name, data in FILES.items():
        files.pipe_file(f"/pets/{name}", data)
    yield files
    files.rm("/pets", recursive=True)


@pytest.fixture
def folder(tmp_path):
    """The same on disk."""
    for name, data in FILES.items():
        path = tmp_path / "pets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "pets"


def check(address):
    """Assert what the folder at an address holds."""
    assert guess(address) == ("images", address)
    opened = source("images", address)
    assert opened.passed_over() == {".pdf": 1}
    entries = read("images", address)
    assert contents(entries) == [png(BLUE), png(RED)]
    assert fields(entries) == [
        {"label": None, "file": "b.png", "caption": None},
        {"label": "cats", "file": "a b.png", "caption": "A red cat."},
    ]
    assert rejected(entries) == {"cats/empty.png": "the file is empty"}


def test_a_folder_in_memory_is_read(memory):  # noqa: ARG001
    """memory:// stands for what lists a folder with sizes and times, as s3:// and gs:// do."""
    check("memory://pets")
    check("memory://pets/")


def test_a_folder_of_file_addresses_is_read(folder):
    """file:// leads to the same files."""
    check(f"file://{folder}")


def test_a_folder_on_a_web_server_is_read(folder):
    """https:// lists by the links of a page; names are decoded."""
    with served(folder) as (address, _):
        check(f"{address}/")


def test_the_version_of_a_file_is_its_source_state(folder):
    """An ETag, or a time of change, tells that a file changed; nothing is read for it."""
    with served(folder) as (address, gets):
        first = [
            entry.content.stat() for entry in source("images", f"{address}/") if isinstance(entry, Record)
        ]
        again = [
            entry.content.stat() for entry in source("images", f"{address}/") if isinstance(entry, Record)
        ]
        (folder / "b.png").write_bytes(png(GREEN))
        later = [
            entry.content.stat() for entry in source("images", f"{address}/") if isinstance(entry, Record)
        ]
        assert not [path for path in gets if path.endswith(".png")]
    assert first == again
    assert all(stamp > 0 for _, stamp in first)
    assert (later[0] != first[0], later[1] == first[1]) == (True, True)


def test_a_file_that_is_gone_when_it_is_read_is_tried_again(memory):
    """What the server can't give is an OSError, which a build rejects until the next one."""
    entry = next(iter(source("images", "memory://pets")))
    memory.rm("/pets/b.png")
    with pytest.raises(OSError, match=r"memory:/+pets/b\.png: FileNotFoundError"):
        entry.content.read()


def test_a_table_or_archive_is_copied_once_for_each_version(tmp_path):
    """It is read again only where the server says that it changed; one copy stays in the cache."""
    zipped(tmp_path / "a.zip", {"a.png": png(RED)})
    (tmp_path / "t.csv").write_text("text\none\n")
    with served(tmp_path) as (address, gets):
        assert guess(f"{address}/t.csv") == ("csv", f"{address}/t.csv")
        assert guess(f"{address}/a.zip") == ("images", f"{address}/a.zip")
        assert contents(read("images", f"{address}/a.zip")) == [png(RED)]
        assert contents(read("csv", f"{address}/t.csv")) == ["one"]
        assert contents(read("csv", f"{address}/t.csv")) == ["one"]
        assert gets == ["/a.zip", "/t.csv"]
        (tmp_path / "t.csv").write_text("text\nother\n")
        assert contents(read("csv", f"{address}/t.csv")) == ["other"]
        assert gets == ["/a.zip", "/t.csv", "/t.csv"]
    copies = [
        path.name for path in (addresses.cache_folder() / addresses.FOLDER).rglob("*.*") if path.is_file()
    ]
    assert sorted(copies) == ["a.zip", "t.csv"]


@pytest.mark.parametrize(
    ("address", "error", "says"),
    [
        ("nowhere://x", SourceError, "nowhere://x can't be read: .* Expected an address such as s3://bucket"),
        (
            "memory://gone",
            SourceNotFoundError,
            "There is no(thing| file) at memory://gone. Check the address.",
        ),
        ("https://me:secret@127.0.0.1/", SourceError, "The address holds a password"),
    ],
)
def test_an_address_that_can_not_be_read_says_why(address, error, says):
    """The message says what to do; a password is not repeated."""
    with pytest.raises(error, match=says) as raised:
        guess(address)
    assert "secret" not in str(raised.value)


def test_without_fsspec_the_extra_is_named(monkeypatch):
    """Addresses need the extra `remote`."""
    monkeypatch.setattr(addresses, "find_spec", lambda _name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'embedsearch\[remote\]'"):
        guess("s3://bucket/x")


@pytest.mark.parametrize(
    "address",
    [
        "ftp://127.0.0.1:1/x.png", "http://[::1/x.png", "zip://x.png", "tar://a", "github://x",
        "jupyter://x", "reference://x", "generic://x", "dir://x",
    ],
)  # fmt: skip
def test_an_address_that_no_file_system_takes_is_a_rejected_row(tmp_path, address):
    """Whatever a file system raises when it is opened, one row is rejected for it; the others are read."""
    (tmp_path / "b.png").write_bytes(png(BLUE))
    (tmp_path / "t.csv").write_text(f"image\n{address}\nb.png\n")
    entries = read("csv", tmp_path / "t.csv", image="image")
    assert contents(entries) == [tmp_path / "b.png"]
    assert next(iter(rejected(entries).values())).startswith(f"{address} can't be read: ")


def test_an_answer_without_an_end_is_refused(monkeypatch):
    """Where a server gives no length, no more is read than a file may have."""
    monkeypatch.setattr(addresses, "MOST_BYTES", 3 * 2**20)
    with endless() as (address, sent), pytest.raises(ItemError, match=r"x\.png is over 3,145,728 bytes"):
        addresses.NamedFiles().at(address).read()
    assert sent[0] < 60 * 2**20  # the buffers of the connection included
