"""What readers take from a server: names that lead nowhere else, and no more than the manifest says."""

import base64
import json
import zlib

import pytest

import embedsearch as es
from embedsearch.backends.remote import published
from embedsearch.backends.remote.address import Address


class Hostile:
    """A server that publishes what it likes."""

    uri, backend, longest = "http://host:1", "milvus", 150

    def __init__(self, build, files, sizes):
        facts = {name: {"size": size} for name, size in sizes.items()}
        manifest = json.dumps({"build": build, "files": facts}).encode()
        self._files = [*files.items(), ("manifest.json", zlib.compress(manifest))]

    @staticmethod
    def translate(tree, _columns):
        """Return the condition as it is."""
        return tree

    def alias(self, _name):
        """Return the collection of the current build."""
        return "es_m_b1"

    def rows(self, _collection, condition, _columns):
        """Return all files of the first rows, or the manifest."""
        rows = [
            {"node": at, "name": name, "data": base64.b64encode(data).decode()}
            for at, (name, data) in enumerate(self._files)
        ]
        if getattr(condition, "value", "") == "manifest.json":
            return rows[-1:]
        return rows if condition.left.value == 0 else []


def read(server, folder):
    """Read the index of a server into a folder of builds."""
    return published.fetch(server, "m", folder / "ix" / "m" / "builds")


def test_a_build_is_read(tmp_path):
    """Its files come out as they were packed, in a folder that is called as the build is."""
    whole = Hostile("20261128", {"ids.npy": zlib.compress(b"ids")}, {"ids.npy": 3, "vectors.npy": 99})
    folder = read(whole, tmp_path)
    assert folder.name == "20261128"
    assert (folder / "ids.npy").read_bytes() == b"ids"


def test_a_reader_asks_the_server_at_its_own_uri(tmp_path):
    """Whoever built the index may have reached it under another name, or as another user."""
    theirs = Address("http://localhost:1", "m", "0" * 8, "es_m", 1, "FLAT", {})
    theirs.save(tmp_path / "index", "milvus")
    sent = (tmp_path / "index.milvus.json").read_bytes()
    files = {"index.milvus.json": zlib.compress(sent)}
    folder = read(Hostile("20261128", files, {"index.milvus.json": len(sent)}), tmp_path)
    assert Address.load(folder / "index", "milvus").uri == Hostile.uri
    assert (folder / "index.milvus.json").read_bytes() == sent


@pytest.mark.parametrize(
    ("build", "file"),
    [("../../../out", "a"), ("", "a"), ("20261128", ".."), ("20261128", "a/b"), ("20261128", "")],
)
def test_names_of_a_server_lead_nowhere_else(build, file, tmp_path):
    """A server's names of builds and files write nothing outside the folder that is read into."""
    with pytest.raises(es.errors.ServerError, match="of the name"):
        read(Hostile(build, {file: zlib.compress(b"")}, {file: 1}), tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("data", "size", "sentence"),
    [
        (zlib.compress(bytes(10**8)), 10, "larger than the manifest says"),
        (b"no file", 10, "can't be unpacked"),
        (zlib.compress(b"a"), 10**18, r"GB are free"),
        (zlib.compress(b"a"), "many", "manifest of es_m_b1 on http://host:1 can't be read"),
    ],
)
def test_what_a_server_sends_is_bounded(data, size, sentence, tmp_path):
    """What unpacks to more than the manifest says, or is more than the disk holds, is refused and deleted."""
    with pytest.raises(es.errors.ServerError, match=sentence):
        read(Hostile("20261128", {"a": data}, {"a": size}), tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
