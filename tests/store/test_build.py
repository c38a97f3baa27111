import json
import shutil

import numpy as np
import pytest

from embedsearch.errors import IndexDamagedError, IndexNotFoundError, RecipeError
from embedsearch.recipe import Recipe
from embedsearch.records import Rejected
from embedsearch.store.build import open_build
from embedsearch.store.folders import indexes_folder, list_names
from embedsearch.store.versions import remove
from tests.fakes import letters, text

ENTRIES = [
    text("a", "apple", n=1),
    text("b", "berry", n=2),
    Rejected("c", "no reason"),
    text("d", "date", n=3),
]
FILES = [
    *("items.arrow", "vectors.npy", "ledger.npy", "ids.npy", "index.faiss", "rejected.jsonl", "probes.npz"),
    *(f"lexical.{name}.npy" for name in ("terms", "spans", "rows", "scores", "size")),
]


@pytest.fixture
def build(make_build):
    """A build of three texts."""
    return make_build(ENTRIES)


def test_an_opened_build_holds_what_was_built(build, tmp_path):
    """Items, raw vectors, fields, quarantine and manifest are there; the facts of each file are listed."""
    opened = open_build(tmp_path, "small")
    assert opened.folder == build.folder
    assert opened.items["id"].to_pylist() == ["a", "b", "d"]
    assert np.array_equal(opened.vectors, np.stack([letters(word) for word in ("apple", "berry", "date")]))
    assert {name: str(kind) for name, kind in opened.field_types.items()} == {"n": "int64"}
    assert opened.rejected() == [{"id": "c", "reason": "no reason", "entry": None}]
    manifest = opened.manifest
    assert (manifest.count, manifest.dimension, manifest.metric, manifest.unit) == (3, 26, "cosine", "text")
    assert manifest.fields == {"n": "int64"}
    assert sorted(manifest.files) == sorted(FILES)
    assert manifest.encoder == build.manifest.encoder
    assert manifest.recipe == Recipe.load(tmp_path / "small")
    size = sum(path.stat().st_size for path in opened.folder.iterdir())
    assert len(opened.backend) == 3
    shutil.rmtree(opened.folder)
    assert opened.bytes_on_disk == size


def delete(path):
    """Remove the file."""
    path.unlink()


def truncate(path):
    """Cut the last byte off, or add one to an empty file."""
    content = path.read_bytes()
    path.write_bytes(content[:-1] if content else b"x")


def flip(path):
    """Turn one bit in the middle of the file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("damage", "said"), [(delete, "is missing"), (truncate, "bytes where"), (flip, "was altered")]
)
def test_a_damaged_file_is_found_when_the_index_is_opened(build, tmp_path, name, damage, said):
    """A file deleted, cut or changed by one bit is named, with the command that mends it."""
    damage(build.folder / name)
    with pytest.raises(IndexDamagedError, match=rf"{name} {said}|{name} has .*{said}") as caught:
        open_build(tmp_path, "small")
    assert str(caught.value).endswith("Build it again: embedsearch rebuild small")


@pytest.mark.parametrize(
    "damage",
    [
        lambda values: values | {"unit": "sound"},
        lambda values: values | {"metric": "hamming"},
        lambda values: values | {"surprise": 1},
        lambda values: values | {"files": None},
        lambda values: values | {"files": {}},
        lambda values: {name: value for name, value in values.items() if name != "count"},
        list,
        lambda values: None,  # noqa: ARG005
    ],
    ids=["unit", "metric", "unknown", "no-files", "empty-files", "missing", "list", "null"],
)
def test_a_damaged_manifest_is_told(build, tmp_path, damage):
    """A manifest with entries missing or impossible is named with the command."""
    path = build.folder / "manifest.json"
    path.write_text(json.dumps(damage(json.loads(path.read_text()))))
    with pytest.raises(IndexDamagedError, match=r"manifest\.json.*embedsearch rebuild small"):
        open_build(tmp_path, "small")


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff\xfe\x00"])
def test_a_manifest_that_is_no_json_is_told(build, tmp_path, content):
    """A missing, empty, cut or binary manifest is named with the command."""
    path = build.folder / "manifest.json"
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(IndexDamagedError, match=r"manifest\.json can't be read: .*embedsearch rebuild small"):
        open_build(tmp_path, "small")


@pytest.mark.parametrize(
    "content", ["", "\n", "no-such-build", ".", "..", "../..", "/etc", "a\0b", "x" * 5000, "\ud800", "a/b"]
)
def test_a_damaged_pointer_is_told(build, tmp_path, content):
    """`current` that names no build of this index is told with the command, and leads nowhere else."""
    assert build.folder.is_dir()
    (tmp_path / "small" / "current").write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(IndexDamagedError, match=r"current names the build .*embedsearch rebuild small$"):
        open_build(tmp_path, "small")


def test_a_build_folder_that_was_deleted_is_told(build, tmp_path):
    """A pointer to a build that is gone is a damaged index, not a missing one."""
    shutil.rmtree(build.folder)
    with pytest.raises(IndexDamagedError, match="which does not exist"):
        open_build(tmp_path, "small")


def test_a_missing_index_suggests_the_nearest(build, tmp_path):
    """A wrong name is answered with the names that exist and the nearest of them."""
    assert build.manifest.name == "small"
    with pytest.raises(IndexNotFoundError, match=r"no index 'smal' .*it holds small.*Did you mean 'small'"):
        open_build(tmp_path, "smal")
    with pytest.raises(IndexNotFoundError, match="it holds none"):
        open_build(tmp_path / "nowhere", "small")


@pytest.mark.parametrize("name", ["../small", "a b", "", "small/builds", ".", ".."])
def test_a_name_never_leads_out_of_the_folder(build, tmp_path, name):
    """An impossible name is refused before anything is opened or removed."""
    for act in (open_build, remove):
        with pytest.raises(RecipeError, match="can't name an index"):
            act(tmp_path, name)
    assert build.folder.is_dir()


def test_only_published_indexes_are_listed(make_build, tmp_path):
    """Names are sorted; an unfinished index and a stray folder are not among them."""
    make_build(ENTRIES, name="zebra")
    make_build(ENTRIES, name="ant")
    (tmp_path / "stray").mkdir()
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "recipe.toml").write_text("")
    (tmp_path / "a file").write_text("")
    assert list_names(tmp_path) == ["ant", "zebra"]
    assert list_names(tmp_path / "nowhere") == []
    with pytest.raises(IndexNotFoundError, match="never finished: embedsearch rebuild unfinished"):
        open_build(tmp_path, "unfinished")


def test_a_renamed_index_opens(build, tmp_path):
    """An index may be renamed and moved: nothing in it holds its path, and the hint has the new name."""
    assert build.manifest.count == 3
    (tmp_path / "elsewhere").mkdir()
    shutil.move(tmp_path / "small", tmp_path / "elsewhere" / "large")
    opened = open_build(tmp_path / "elsewhere", "large")
    assert opened.items["id"].to_pylist() == ["a", "b", "d"]
    (opened.folder / "vectors.npy").unlink()
    with pytest.raises(IndexDamagedError, match="embedsearch rebuild large"):
        open_build(tmp_path / "elsewhere", "large")


def test_the_folder_of_indexes(monkeypatch, tmp_path):
    """An argument wins over $EMBEDSEARCH_INDEXES, which wins over ./indexes; the path is absolute."""
    monkeypatch.chdir(tmp_path)
    assert indexes_folder() == tmp_path / "indexes"
    monkeypatch.setenv("EMBEDSEARCH_INDEXES", "from-env")
    assert indexes_folder() == tmp_path / "from-env"
    assert indexes_folder("given") == tmp_path / "given"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert indexes_folder("~/mine") == tmp_path / "mine"


@pytest.mark.parametrize("left", [b"", b'{"schema": 2, ', b"\xff\xfe", b"[]", b"{}", b"[" * 10_000])
def test_a_damaged_manifest_is_told_without_the_words_of_a_parser(make_build, tmp_path, left):
    """A cut, emptied or foreign manifest is reported in plain words, with what to do."""
    build = make_build([text("a", "apple")])
    (build.folder / "manifest.json").write_bytes(left)
    with pytest.raises(IndexDamagedError) as error:
        open_build(tmp_path, "small")
    said = str(error.value)
    assert "it was truncated or altered" in said or "it was altered" in said
    assert "embedsearch rebuild small" in said
    assert not [
        word for word in ("Expecting", "char", "codec", "'", "recursion") if word in said.split("read")[1]
    ]
