"""Vectors made elsewhere through a build and its rebuilds, and all that works on an index of them."""

import io
import json

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import embedsearch as es
from embedsearch.disk import checksums
from embedsearch.distances.metric import Metric, distances
from embedsearch.errors import (
    EncoderMismatchError,
    RecipeError,
    SourceError,
    SourceNotFoundError,
    TooManyRejectedError,
)
from embedsearch.indexing import shards

RNG = np.random.default_rng(3)
IDS = [f"v{at:02}" for at in range(30)]
ROWS = RNG.normal(size=(30, 6)).astype(np.float32)


def write_npy(folder, ids, rows):
    """Write a .npy with ids beside it."""
    np.save(folder / "v.npy", rows)
    (folder / "ids.txt").write_text("\n".join(ids))
    return "v.npy", {"ids": folder / "ids.txt"}


def write_fields(folder, ids, rows):
    """Write a .npy with a table beside it that has the ids."""
    np.save(folder / "v.npy", rows)
    (folder / "f.csv").write_text("key,first\n" + "".join(f"{i},{i[1]}\n" for i in ids))
    return "v.npy", {"fields": folder / "f.csv", "id": "key"}


def write_npz(folder, ids, rows):
    """Write a .npz of both."""
    np.savez(folder / "v.npz", vectors=rows, ids=ids)
    return "v.npz", {}


def write_parquet(folder, ids, rows):
    """Write a Parquet file."""
    pq.write_table(pa.table({"id": ids, "v": list(rows)}), folder / "v.parquet")
    return "v.parquet", {"vector": "v", "id": "id"}


def write_arrow(folder, ids, rows):
    """Write an Arrow file."""
    table = pa.table({"id": ids, "v": list(rows)})
    with pa.ipc.new_file(folder / "v.arrow", table.schema) as writer:
        writer.write_table(table)
    return "v.arrow", {"vector": "v", "id": "id"}


def write_jsonl(folder, ids, rows):
    """Write JSON Lines."""
    lines = (json.dumps({"id": i, "embedding": row.tolist()}) for i, row in zip(ids, rows, strict=True))
    (folder / "v.jsonl").write_text("\n".join(lines))
    return "v.jsonl", {"id": "id"}


def write_words(folder, ids, rows):
    """Write a text file of word vectors."""
    lines = (f"{i} {' '.join(map(repr, row.tolist()))}\n" for i, row in zip(ids, rows, strict=True))
    (folder / "v.vec").write_text(f"{len(ids)} 6\n" + "".join(lines))
    return "v.vec", {}


def write_binary(folder, ids, rows):
    """Write a binary file of word vectors."""
    data = b"".join(i.encode() + b" " + row.astype("<f4").tobytes() for i, row in zip(ids, rows, strict=True))
    (folder / "v.bin").write_bytes(f"{len(ids)} 6\n".encode() + data)
    return "v.bin", {}


def write_dataset(folder, ids, rows):
    """Save a data set."""
    datasets = pytest.importorskip("datasets")
    saved = datasets.Dataset.from_dict({"id": ids, "v": rows.tolist()})
    saved.save_to_disk(folder / f"saved{len(ids)}")
    link = folder / "saved"
    link.unlink(missing_ok=True)
    link.symlink_to(folder / f"saved{len(ids)}")
    return "saved", {"vector": "v", "id": "id"}


WRITERS = (
    write_npy, write_fields, write_npz, write_parquet, write_arrow, write_jsonl, write_words, write_binary,
)  # fmt: skip


@pytest.mark.parametrize("write", WRITERS)
def test_a_rebuild_takes_in_what_changed(write, tmp_path):
    """One added, one changed and one removed: the changes are counted, and the rest is kept."""
    name, options = write(tmp_path, IDS, ROWS)
    build = es.build(tmp_path / name, name="v", indexes=tmp_path / "indexes", **options)
    assert np.array_equal(build.build.vectors, ROWS)
    ids, rows = [*IDS[1:], "new"], np.vstack([ROWS[1:], [[1, 2, 3, 4, 5, 6]]]).astype(np.float32)
    rows[4] = -rows[4]
    write(tmp_path, ids, rows)
    changes = es.changes("v", indexes=tmp_path / "indexes")
    assert (changes.added, changes.changed, changes.removed, changes.to_embed) == (1, 1, 1, 2)
    again = build.rebuild()
    assert again.build.items["id"].to_pylist() == ids
    assert np.array_equal(again.build.vectors, rows)
    assert again.manifest.report.reused == 28
    assert again.rebuild().manifest.build == again.manifest.build


def test_a_column_of_a_data_set_through_a_rebuild(tmp_path):
    """The same of a data set that was saved again."""
    name, options = write_dataset(tmp_path, IDS, ROWS)
    index = es.build(tmp_path / name, name="v", indexes=tmp_path / "indexes", **options)
    assert np.array_equal(index.build.vectors, ROWS)


def write_some(folder):
    """Write vectors of which some are equal, one is NaN, and one id came before; with fields beside them."""
    rows = RNG.normal(size=(9000, 4)).astype(np.float32)
    rows[[100, 4500, 8000]] = rows[[5, 7, 7]]
    rows[5000] = np.nan
    np.save(folder / "clean.npy", np.nan_to_num(rows, nan=1.0))
    np.save(folder / "v.npy", rows)
    (folder / "ids.txt").write_text("\n".join("é3" if at == 77 else f"é{at}" for at in range(9000)))
    lines = (f"k{at},{at / 2 if at % 3 else at},{'' if at % 5 else at}\n" for at in range(9000))
    (folder / "f.csv").write_text("key,half,some\n" + "".join(lines))
    keyed = {"fields": folder / "f.csv", "id": "key"}
    pq.write_table(pa.table({"id": [f"é{at}" for at in range(9000)], "v": list(rows)}), folder / "v.parquet")
    table = ("v.parquet", {"vector": "v", "id": "id"})
    return [("clean.npy", {}), ("v.npy", {"ids": folder / "ids.txt"}), ("clean.npy", keyed), table]


def test_columns_make_the_same_index_as_records(tmp_path, monkeypatch):
    """Items, source state, vectors and rejections are the same by column and by record, rebuilt too."""
    monkeypatch.setattr(shards, "SHARD_VECTORS", 3000)
    given, made = write_some(tmp_path), []
    clean = np.load(tmp_path / "clean.npy")
    for folder in ("columns", "records"):
        if folder == "records":
            monkeypatch.setattr("embedsearch.indexing.read.Columnar", ())  # which no source is
            monkeypatch.setattr("embedsearch.indexing.read._by_column", lambda entries: entries)
        for number, (name, options) in enumerate(given):
            build = es.build(tmp_path / name, name=f"v{number}", indexes=tmp_path / folder, **options).build
            made.append((build.items, build.source_state.entries, build.vectors, build.rejected()))
        np.save(tmp_path / "clean.npy", np.vstack([clean[:50], -clean[50:51], clean[52:], clean[:1] * 2]))
        again = es.open("v0", tmp_path / folder).rebuild().build
        assert again.manifest.report.reused == 8998
        made.append((again.items, again.source_state.entries, again.vectors, again.rejected()))
        np.save(tmp_path / "clean.npy", clean)
    for by_column, by_record in zip(made[:5], made[5:], strict=True):
        assert by_column[0].equals(by_record[0])
        assert np.array_equal(by_column[1], by_record[1])
        assert np.array_equal(by_column[2], by_record[2])
        assert by_column[3] == by_record[3]
    assert [len(rejected) for *_, rejected in made[:5]] == [0, 2, 0, 1, 0]


class Picky:
    """An encoder that gives vectors with a negative first number nothing finite."""

    name = "picky"

    def encode(self, items):
        """Return the vectors as they are, or NaN."""
        rows = np.stack(items)
        return np.where(rows[:, :1] < 0, np.nan, rows)


def test_what_an_encoder_rejects_of_a_block_is_listed(tmp_path):
    """A vector that the encoder can't use is rejected, and so is a later copy of it; the rest is built."""
    rows = np.abs(RNG.normal(size=(6000, 3))).astype(np.float32)
    rows[7] *= -1
    rows[5000] = rows[7]
    np.save(tmp_path / "v.npy", rows)
    index = es.build(tmp_path / "v.npy", name="v", indexes=tmp_path / "indexes", encoder=Picky())
    assert len(index) == 5998
    assert len({each["reason"] for each in index.build.rejected()}) == 1
    assert [each["entry"] for each in index.build.rejected()] == [7, 5000]


@pytest.mark.parametrize("dimension", [1, 65_536])
def test_any_dimension_is_built_and_searched(dimension, here):
    """One number and 65,536: the neighbours are those of numpy, and a rebuild keeps the vectors."""
    rows = RNG.normal(size=(40, dimension)).astype(np.float32)
    np.save(here / "v.npy", rows)
    index = es.build(here / "v.npy", name="v", metric="l2")
    wanted = distances(rows[:1], rows, Metric.L2)[0]
    hits = index.search(rows[0], k=5)
    assert [hit.row for hit in hits] == np.argsort(wanted, kind="stable")[:5].tolist()
    assert [hit.distance for hit in hits] == pytest.approx(np.sort(wanted)[:5].tolist(), rel=1e-4, abs=1e-3)
    mapped = index.map()
    assert len(mapped.layout.points) == 40


def test_long_vectors_are_read_in_bounded_pieces(here):
    """A stretch of the source holds at most 128 MiB of vectors, however long they are."""
    from embedsearch.indexing.read import HELD, walk
    from embedsearch.recipe import SourceRecipe
    from embedsearch.records import Unit
    from embedsearch.sources import open_source

    shape = (1200, 65_536)
    np.lib.format.open_memmap(here / "v.npy", "w+", np.float32, shape)[:, 0] = 1  # sparse on disk
    source = open_source(SourceRecipe("vectors", str(here / "v.npy")))
    sizes = []
    for walked in walk(source, Unit.VECTOR):
        sizes.append(len(walked.entries))
        if len(sizes) == 2:
            break
    assert sizes == [HELD // (4 * 65_536)] * 2


def test_a_shard_of_long_vectors_is_closed_by_its_size(here, monkeypatch):
    """What is staged in memory is written when it reaches a number of bytes, not of vectors alone."""
    closed = []
    monkeypatch.setattr(shards, "SHARD_BYTES", 40 * 4 * 512)
    monkeypatch.setattr("embedsearch.indexing.read.HELD", 20 * 4 * 512)
    close = shards.Staging.close_shard
    monkeypatch.setattr(
        shards.Staging, "close_shard", lambda self: closed.append(self._open.items) or close(self)
    )
    np.save(here / "v.npy", RNG.normal(size=(100, 512)))
    assert len(es.build(here / "v.npy", name="v")) == 100
    assert closed == [40, 40, 20]


def test_ragged_vectors_from_memory_are_rejected(here):  # noqa: ARG001
    """A list of lists of several lengths: those of another length than most are rejected, the rest built."""
    index = es.build((["a", "b", "c", "d"], [[1, 2], [1, 2, 3], [3, 4], [0, 0]]), name="r")
    assert index.build.items["id"].to_pylist() == ["a", "c"]
    assert sorted(each["reason"] for each in index.rejected()) == [
        "the vector column 'vector': the vector is all zeros: it has no direction",
        "the vector has 3 numbers; the index holds vectors of 2: if all changed, build it with --replace",
    ]


def test_the_first_vector_does_not_set_the_length(here):
    """Where the first row is the odd one, it is rejected, and not all others."""
    (here / "v.jsonl").write_text('{"embedding": [1]}\n' + '{"embedding": [1, 2]}\n{"embedding": [2, 1]}\n')
    index = es.build(here / "v.jsonl", name="v")
    assert len(index) == 2
    assert [each["reason"] for each in index.rejected()] == [
        "the vector has 1 numbers; the index holds vectors of 2: if all changed, build it with --replace"
    ]


def test_a_file_without_one_good_vector_is_refused(here):
    """The reasons stand in the sentence."""
    np.save(here / "v.npy", np.zeros((5, 3)))
    with pytest.raises(SourceError, match="no vector that can be used: the vector is all zeros"):
        es.build(here / "v.npy", name="v")


@pytest.mark.scale
def test_all_verbs_work_on_vectors(here):
    """Maps, copies, diagnostics, filters and calibration answer as for anything else."""
    rows = np.vstack([RNG.normal(size=(60, 8)), RNG.normal(size=(60, 8)) + 8]).astype(np.float32)
    rows[119] = rows[3]
    np.savez(here / "v.npz", vectors=rows, ids=[f"v{at}" for at in range(120)], group=[0] * 60 + [1] * 60)
    index = es.build(here / "v.npz", name="v")
    assert {hit.fields["group"] for hit in index.search("v0", k=30, where="group = 1")} == {1}
    copies = [group for group in index.duplicates().groups if group.exact]
    assert [[each.id for each in group.members] for group in copies] == [["v3", "v119"]]
    assert index.diagnostics()["duplicates"]["exact"] == round(1 / 120, 4)
    assert len(index.map().layout.points) == 120
    assert index.calibrate().search("v0", k=1)[0].percentile is not None
    np.save(here / "foreign.npy", RNG.normal(size=(200, 8)) - 8)
    judged = index.calibrate(background=here / "foreign.npy")
    assert [judged.search(each).verdict for each in (rows[5], -rows[70])] == ["close", "nothing_close"]
    (here / "foreign.txt").write_text("a text\n" * 120)
    with pytest.raises(SourceError, match="holds texts; queries of vectors were expected"):
        index.calibrate(background=here / "foreign.txt")


@pytest.mark.parametrize("metric", Metric)
def test_the_metric_is_the_users_choice(metric, here):
    """The neighbours of a file's vectors are those of numpy in each metric."""
    np.save(here / "v.npy", ROWS.astype(np.float16))
    index = es.build(here / "v.npy", name="v", metric=metric)
    wanted = distances(ROWS[:1], ROWS.astype(np.float16).astype(np.float32), metric)[0]
    assert [hit.row for hit in index.search(ROWS[0], k=4)] == np.argsort(wanted)[:4].tolist()


@pytest.fixture(scope="module")
def sentences():
    """Texts, and the bundled model's vectors of them."""
    texts = ["I want my money back.", "The parcel has not arrived.", "I forgot my password."]
    return texts, es.load_encoder(precision="fp32", engine="torch").encode(texts)


def test_texts_are_asked_through_the_model_that_made_the_vectors(sentences, here, monkeypatch):
    """--query-model embeds texts; another dimension is refused, and so is the model with other files."""
    texts, vectors = sentences
    index = es.build((texts, vectors), name="s", query_model="all-MiniLM-L6-v2")
    assert [hit.id for hit in index.search("a refund please", k=1)] == texts[:1]
    assert es.open("s").search("my login does not work", k=1)[0].id == texts[2]
    assert index.search(vectors[1], k=1)[0].id == texts[1]
    assert index.similar(texts[0], k=1)[0].id in texts[1:]
    (here / "foreign.txt").write_text("".join(f"The zebra number {at} runs.\n" for at in range(120)))
    judged = index.calibrate(background=here / "foreign.txt")
    assert judged.search("The zebra sleeps.").verdict == "nothing_close"
    with pytest.raises(RecipeError, match=r"makes vectors of 384 numbers, and those of .* have 3"):
        es.build((["a", "b"], [[1, 2, 3], [3, 2, 1]]), name="other", query_model="all-MiniLM-L6-v2")
    assert not (here / "other").exists()
    monkeypatch.setattr("embedsearch.models.spec.content_hashes", lambda *_, **__: {"weights": "others"})
    with pytest.raises(EncoderMismatchError, match="holds 384-d vectors of all-MiniLM-L6-v2"):
        es.open("s").search("a refund please")


def test_no_model_is_run_on_vectors(tmp_path):
    """`--model` is refused for a file of them, and the option that is meant is named."""
    np.save(tmp_path / "v.npy", np.eye(3, dtype=np.float32))
    with pytest.raises(RecipeError, match=r"no model is run: leave out --model\. With --query-model MODEL"):
        es.build(tmp_path / "v.npy", name="v", model="all-MiniLM-L6-v2", indexes=tmp_path / "ix")


def test_vectors_of_another_length_say_how_to_build_again(tmp_path):
    """Where all of a source's vectors changed their length, the rebuild fails and names --replace."""
    (tmp_path / "ids.txt").write_text("a\nb\nc\n")
    options = {"name": "v", "ids": tmp_path / "ids.txt", "indexes": tmp_path / "ix"}
    np.save(tmp_path / "v.npy", np.eye(3, dtype=np.float32))
    index = es.build(tmp_path / "v.npy", **options)
    np.save(tmp_path / "v.npy", np.eye(3, 4, dtype=np.float32))
    with pytest.raises(TooManyRejectedError, match="if all changed, build it with --replace"):
        index.rebuild()
    again = es.build(tmp_path / "v.npy", **options, replace=True)
    assert again.manifest.dimension == 4


def test_a_query_model_belongs_to_vectors(here):  # noqa: ARG001
    """For texts it is refused in words."""
    with pytest.raises(RecipeError, match="belongs to vectors made elsewhere"):
        es.build(["a"], name="t", query_model="all-MiniLM-L6-v2")


def test_a_build_reads_its_vectors_once_for_their_checksum(tmp_path, monkeypatch):
    """Neither publishing nor the first opening reads the large file again, though its staging is deleted."""
    np.save(tmp_path / "v.npy", RNG.normal(size=(1500, 256)).astype(np.float32))
    read = []
    checksum = checksums.sha256_of
    monkeypatch.setattr(checksums, "sha256_of", lambda path: read.append(path.name) or checksum(path))
    es.build(tmp_path / "v.npy", name="own", indexes=tmp_path)
    assert es.open("own", tmp_path).search(es.Vector(RNG.normal(size=256)), 3)
    assert read.count("vectors.npy") == 1


def test_vectors_at_addresses_are_read_through_rebuilds(tmp_path):
    """A .npy with its ids and fields, and a text file of words, are read at addresses as in a folder."""
    place = fsspec.filesystem("memory")

    def put(name, content):
        place.pipe_file(f"/vectors/{name}", content)

    def as_npy(rows):
        file = io.BytesIO()
        np.save(file, rows)
        return file.getvalue()

    put("v.npy", as_npy(ROWS))
    put("ids.txt", "\n".join(IDS).encode())
    put("f.csv", "\n".join(["first", *(each[1] for each in IDS)]).encode())
    at = "memory://vectors/"
    index = es.build(at + "v.npy", name="far", indexes=tmp_path, ids=at + "ids.txt", fields=at + "f.csv")
    assert index.get("v12").fields == {"first": 1}
    assert index.search(es.MoreLike("v03"), 2)[0].id in IDS
    put("v.npy", as_npy(np.concatenate([ROWS[1:], RNG.normal(size=(1, 6)).astype(np.float32)])))
    put("ids.txt", "\n".join([*IDS[1:], "v90"]).encode())
    put("f.csv", "\n".join(["first", *(each[1] for each in IDS[1:]), "9"]).encode())
    changes = index.rebuild().manifest.changes
    assert (changes.added, changes.changed, changes.removed, changes.unchanged) == (1, 0, 1, 29)
    lines = (f"{each} {' '.join(map(str, row))}" for each, row in zip(IDS, ROWS.tolist(), strict=True))
    put("glove.txt", "\n".join(lines).encode())
    assert es.build(at + "glove.txt", name="words", indexes=tmp_path).get("v12").id == "v12"
    with pytest.raises(SourceNotFoundError, match=r"nothing at memory://vectors/none\.npy"):
        es.build(at + "none.npy", name="none", indexes=tmp_path)
