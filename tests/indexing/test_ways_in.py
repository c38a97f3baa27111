"""A rebuild of each way in, with one record added, one changed and one removed: only what is new is read."""

import io
import os

import fsspec
import numpy as np
import pytest
from PIL import Image

import embedsearch as es
from embedsearch.encoders.vision import kept
from embedsearch.indexing.build import build_index
from embedsearch.recipe import EncoderRecipe, IndexOptions, Recipe, SourceRecipe
from embedsearch.records import Unit
from embedsearch.sources.addresses import RemoteFile
from embedsearch.sources.files.zipped import ZipMember
from embedsearch.sources.shards import TarMember
from tests.fakes import LetterEncoder, colour
from tests.sounds import noise, packed, tone
from tests.sources.places import BLUE, GREEN, GREY, RED, bucket, png, served, zipped
from tests.sources.test_webdataset import tar

FIRST = {"same.png": png(RED), "changed.png": png(GREEN), "removed.png": png(BLUE)}
SECOND = {"same.png": png(RED), "changed.png": png(GREY), "added.png": png((1, 2, 3))}


@pytest.fixture
def build(tmp_path, monkeypatch):
    """Return a function that builds an index of colours; `read` holds what the last call read."""
    read = []
    for kind in (ZipMember, TarMember, RemoteFile):
        original = kind.read

        def noted(self, original=original):
            name = getattr(self, "name", None) or self.address.rpartition("/")[2]
            if name.endswith(".png"):
                read.append(name)
            return original(self)

        monkeypatch.setattr(kind, "read", noted)

    def run(location, kind="images", **columns):
        read.clear()
        source = SourceRecipe(kind, str(location), **columns)
        recipe = Recipe("small", source, EncoderRecipe(Unit.IMAGE), IndexOptions(metric="l2"))
        return build_index(
            recipe,
            tmp_path / "indexes",
            allow_removal=True,
            load=LetterEncoder,
            describe=lambda recipe: LetterEncoder(recipe).spec,
        )

    run.read = read
    return run


def counts(build):
    """Return what a build says became of its source."""
    return [getattr(build.manifest.changes, kind) for kind in ("added", "changed", "removed", "unchanged")]


def check(build, put, location):
    """Assert that a second build reads and embeds only what is new; a third does nothing.

    Args:
        build: the fixture.
        put: writes the files of the source.
        location: of the source.
    """
    put(FIRST)
    first = build(location)
    assert sorted(build.read) == sorted(FIRST)
    put(SECOND)
    second = build(location)
    assert counts(second) == [1, 1, 1, 1]
    assert sorted(build.read) == ["added.png", "changed.png"]
    rows = second.read(range(3), ["id", "picture"])
    assert dict(zip(rows["id"], rows["picture"], strict=True)) == SECOND  # the kept one is still shown
    for name, vector in zip(rows["id"], second.vectors, strict=True):
        assert np.array_equal(vector, colour(SECOND[name]))
    assert build(location).manifest.build == second.manifest.build != first.manifest.build
    assert build.read == []


def test_a_zip_archive(build, tmp_path):
    """What did not change is known by its checksum in the archive, though the archive is a new one."""
    check(build, lambda files: zipped(tmp_path / "a.zip", files), tmp_path / "a.zip")


def test_a_folder_in_memory(build):
    """What did not change is known by its size and time."""
    memory = fsspec.filesystem("memory")

    def put(files):
        for name in {*FIRST, *SECOND}:
            path = f"/ways/{name}"
            if memory.exists(path) and memory.cat_file(path) != files.get(name):
                memory.rm(path)
            if name in files and not memory.exists(path):
                memory.pipe_file(path, files[name])

    check(build, put, "memory://ways")


def test_a_folder_on_a_web_server(build, tmp_path):
    """What did not change is known by its ETag; the server is not asked for it again."""
    folder = tmp_path / "served"

    def put(files):
        folder.mkdir(exist_ok=True)
        for path in folder.iterdir():
            if files.get(path.name) != path.read_bytes():
                path.unlink()
        for name, data in files.items():
            if not (folder / name).exists():
                (folder / name).write_bytes(data)

    with served(folder) as (address, gets):
        check(build, put, f"{address}/")
    read = [path for path in gets if path.endswith(".png")]
    assert sorted(read) == ["/added.png", "/changed.png", "/changed.png", "/removed.png", "/same.png"]


@pytest.fixture(scope="module", params=["s3", "gs"])
def store(request):
    """An object store that speaks its service's own protocol: the name of the protocol, and its files."""
    with bucket(request.param) as files:
        yield request.param, files


def test_a_folder_of_an_object_store(build, store):
    """What did not change is known by what S3 and Google say of its version."""
    kind, files = store

    def put(wanted):
        for name in {*FIRST, *SECOND}:
            path = f"pets/folder/{name}"
            if files.exists(path) and files.cat_file(path) != wanted.get(name):
                files.rm(path)
            if name in wanted and not files.exists(path):
                files.pipe_file(path, wanted[name])

    check(build, put, f"{kind}://pets/folder")


def test_a_table_of_an_object_store(store, letter_model, here):  # noqa: ARG001
    """It is fetched where its version is new; what its rows say decides what is embedded."""
    kind, files = store
    files.pipe_file("pets/t.csv", b"id,text\na,one\nb,two\nc,three\n")
    first = es.build(f"{kind}://pets/t.csv", name="table", text="text", id="id")
    files.pipe_file("pets/t.csv", b"id,text\na,one\nb,other\nd,four\n")
    second = first.rebuild(allow_removal=True)
    assert (counts(second.build), second.manifest.changes.to_embed) == ([1, 1, 1, 1], 2)
    assert [hit.id for hit in second.search("four", k=1)] == ["d"]
    assert second.rebuild().manifest.build == second.manifest.build


def test_shards_of_an_object_store(build, store, tmp_path, monkeypatch):
    """A pattern names the archives of a bucket; one whose version is the same is not fetched again."""
    monkeypatch.setattr("embedsearch.store.source_state.RACY", 0)  # the copies in the cache are of just now
    kind, files = store
    location = f"{kind}://pets/part-{{0..1}}.tar"

    def put(number, *held):
        data = tar(tmp_path / "part.tar", held).read_bytes()
        files.pipe_file(f"pets/part-{number}.tar", data)

    put(0, ("same.png", png(RED)))
    put(1, ("changed.png", png(GREEN)), ("removed.png", png(BLUE)))
    build(location, "webdataset")
    put(1, ("added.png", png((1, 2, 3))), ("changed.png", png(GREY)))
    second = build(location, "webdataset")
    assert counts(second) == [1, 1, 1, 1]
    assert sorted(build.read) == ["added.png", "changed.png"]
    assert second.read(range(3), ["id"])["id"] == ["part-0/same", "part-1/added", "part-1/changed"]
    assert build(location, "webdataset").manifest.build == second.manifest.build
    assert build.read == []


def test_addresses_in_a_column(build, tmp_path):
    """Each file is fetched once for each version; one that is gone is rejected and tried again."""
    folder, table = tmp_path / "served", tmp_path / "t.csv"
    folder.mkdir()
    for name, data in {**FIRST, "added.png": png((1, 2, 3))}.items():
        (folder / name).write_bytes(data)
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/held/here.png", png(GREY))

    def rows(*names):
        table.write_text("\n".join(("at", *names, "memory://held/here.png", "nowhere://x.png")))

    with served(folder) as (address, gets):
        rows(f"{address}/same.png", f"{address}/changed.png", f"{address}/removed.png")
        first = build(table, "csv", image="at")
        ids = [f"{address}/{name}" for name in FIRST]
        assert first.read(range(4), ["id"])["id"] == [*ids, "memory://held/here.png"]
        assert first.read([0], ["picture"])["picture"] == [png(RED)]
        (lost,) = first.rejected()
        assert lost["id"] == "t.csv:6"
        assert "nowhere://x.png can't be read: Protocol not known" in lost["reason"]
        (folder / "changed.png").write_bytes(png(GREY))
        gets.clear()
        rows(f"{address}/same.png", f"{address}/changed.png", f"{address}/added.png", f"{address}/gone.png")
        second = build(table, "csv", image="at")
        assert counts(second) == [1, 1, 1, 2]
        assert sorted(build.read) == ["added.png", "changed.png", "gone.png"]
        assert set(gets) == {"/added.png", "/changed.png", "/gone.png"}
        reasons = {each["id"]: each["reason"] for each in second.rejected()}
        assert "gone.png: FileNotFoundError" in reasons[f"{address}/gone.png"]
        (folder / "gone.png").write_bytes(png(GREEN))
        third = build(table, "csv", image="at")
        assert (counts(third), build.read) == ([0, 1, 0, 4], ["gone.png"])
    memory.rm_file("/held/here.png")


def test_a_file_whose_version_is_not_known_is_read_again(build, monkeypatch):
    """Where a server tells neither time nor ETag nor size, nothing says that a file is as it was."""
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/bare/a.png", png(RED))
    monkeypatch.setattr(
        type(memory), "find", lambda *_args, **_more: {"/bare/a.png": {"name": "/bare/a.png"}}
    )
    monkeypatch.setattr(type(memory), "info", lambda *_args, **_more: {"name": "/bare/a.png", "type": "file"})
    first = build("memory://bare")
    assert build("memory://bare").manifest.build == first.manifest.build
    assert build.read == ["a.png"]  # and not embedded again
    memory.pipe_file("/bare/a.png", png(BLUE))
    assert counts(build("memory://bare")) == [0, 1, 0, 0]
    memory.rm_file("/bare/a.png")


def test_a_folder_with_metadata(build, tmp_path):
    """A row that changed changes the record, and embeds nothing; a row that is gone removes it."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name, data in {**FIRST, "added.png": png(GREY)}.items():
        (folder / name).write_bytes(data)
    (folder / "metadata.csv").write_text("file_name,n\nsame.png,1\nchanged.png,2\nremoved.png,3\n")
    first = build(folder)
    assert first.manifest.report.rejected == 1  # the image without a row
    (folder / "metadata.csv").write_text("file_name,n\nsame.png,1\nchanged.png,5\nadded.png,4\n")
    second = build(folder)
    assert (counts(second), second.manifest.changes.to_embed) == ([1, 1, 1, 1], 1)
    assert second.manifest.fields["n"] == "int64"
    rows = second.read(range(3), ["id", "field:n"])
    assert dict(zip(rows["id"], rows["field:n"], strict=True)) == {
        "added.png": 4,
        "changed.png": 5,
        "same.png": 1,
    }
    assert [each["reason"] for each in second.rejected()] == ["metadata.csv has no row for it"]


def test_of_a_large_image_a_smaller_copy_is_kept(build, tmp_path):
    """The vector is made of the whole image; what is kept to be shown is at most 1024 pixels wide."""
    noise = np.random.default_rng(0).integers(0, 255, (1200, 2400, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    made = build(zipped(tmp_path / "a.zip", {"a.png": buffer.getvalue()}))
    picture = made.read([0], ["picture"])["picture"][0]
    assert Image.open(io.BytesIO(picture)).size == (1024, 512)
    assert len(picture) < len(buffer.getvalue()) / 4
    assert np.array_equal(made.vectors[0], colour(buffer.getvalue()))
    assert made.read([0], ["field:width"])["field:width"] == [2400]
    assert kept.kept(b"no image" * kept.MOST_BYTES) == b"no image" * kept.MOST_BYTES


def test_an_archive_that_is_gone_does_not_take_its_images_from_the_page(build, tmp_path):
    """What an index shows of an archive lies in the index."""
    made = build(zipped(tmp_path / "a.zip", FIRST))
    (tmp_path / "a.zip").unlink()
    assert sorted(made.read(range(3), ["picture"])["picture"]) == sorted(FIRST.values())


def test_webdataset_shards(build, tmp_path):
    """Files of an archive that did not change are not read; what moved to another place keeps its vectors."""
    folder = tmp_path / "shards"
    folder.mkdir()
    tar(folder / "0.tar", [("same.png", png(RED)), ("same.json", b'{"n": 1}')])
    tar(folder / "1.tar", [("changed.png", png(GREEN)), ("removed.png", png(BLUE))])
    for path in folder.iterdir():
        os.utime(path, (10**9, 10**9))  # not just now
    build(folder, "webdataset")
    assert sorted(build.read) == ["changed.png", "removed.png", "same.png"]
    tar(folder / "1.tar", [("added.png", png((1, 2, 3))), ("changed.png", png(GREY))])
    os.utime(folder / "1.tar", (10**9 + 1, 10**9 + 1))
    second = build(folder, "webdataset")
    assert counts(second) == [1, 1, 1, 1]
    assert sorted(build.read) == ["added.png", "changed.png"]
    rows = second.read(range(3), ["id", "picture", "field:n"])
    assert rows["id"] == ["0/same", "1/added", "1/changed"]
    assert rows["picture"] == [png(RED), png((1, 2, 3)), png(GREY)]
    assert rows["field:n"] == [1, None, None]
    assert build(folder, "webdataset").manifest.build == second.manifest.build
    assert build.read == []


def test_sounds_of_a_webdataset_are_built_and_rebuilt(tmp_path):
    """A sound in an archive is decoded out of its bytes, cut into windows, and still there to be played."""
    bell, noisy = (packed(each, 16000) for each in (tone(2, 440, rate=16000), noise(2, rate=16000)))
    path = tar(tmp_path / "a.tar", [("bell.wav", bell), ("bell.txt", b"a bell"), ("noise.wav", noisy)])
    made = es.build(path, name="small", indexes=tmp_path / "indexes")
    assert made.manifest.unit == "sound"
    assert [hit.id for hit in made.similar("bell", 1)] == ["noise"]
    assert {hit.id: hit.content for hit in made.similar("bell", 1)} == {"noise": noisy}
    tar(
        path,
        [
            ("bell.wav", bell),
            ("bell.txt", b"a small bell"),
            ("low.wav", packed(tone(2, 110, rate=16000), 16000)),
        ],
    )
    again = es.rebuild("small", indexes=tmp_path / "indexes", allow_removal=True)
    assert counts(again.build) == [1, 1, 1, 0]
    assert again.manifest.changes.to_embed == 1
