"""Files of NumPy that hold vectors, with ids and fields beside them; columns of vectors in tables."""

import hashlib
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embedsearch.errors import RecipeError, SourceError
from embedsearch.records import Block, Modality, Record, Rejected, content_hash
from embedsearch.sources.guess import guess
from tests.sources.reading import read, source

ROWS = np.array([[1, 2, 3], [4, 5, 6], [-1, 0.5, 0]])
BYTES = [row.astype("<f4").tobytes() for row in ROWS]


def saved(path, array=ROWS):
    """Write an array, and return its file."""
    np.save(path, array)
    return path


def contents(entries):
    """Return the contents of the records among entries."""
    return [entry.content for entry in entries if isinstance(entry, Record)]


@pytest.mark.parametrize("kind", ["<f2", "<f4", "<f8", ">f4", "<i4"])
def test_a_npy_gives_its_rows_as_float32(kind, tmp_path):
    """Floats of 2, 4 and 8 bytes of either order, and whole numbers, become the float32 nearest to them."""
    array = (2 * ROWS).astype(kind)
    entries = read("vectors", saved(tmp_path / "v.npy", np.asfortranarray(array)))
    assert contents(entries) == [row.astype("<f4").tobytes() for row in array]
    assert [entry.id for entry in entries] == [content_hash(entry.content)[:16] for entry in entries]
    assert {entry.modality for entry in entries} == {Modality.VECTOR}
    assert guess(str(tmp_path / "v.npy"))[0] == "vectors"


def test_ids_come_from_a_file_with_one_a_line(tmp_path):
    """The id of the same line; one that is empty, or was there before, is rejected with its vector."""
    (tmp_path / "ids.txt").write_text("king\nqueen\nking\n\nman")
    many = saved(tmp_path / "v.npy", np.vstack([ROWS, ROWS[:2]]))
    entries = read("vectors", many, ids=str(tmp_path / "ids.txt"))
    assert [entry.id for entry in entries] == ["king", "queen", "v.npy:3", "v.npy:4", "man"]
    assert [e.reason for e in entries if isinstance(e, Rejected)] == [
        "the id 'king' was used by an earlier vector",
        "its id is empty",
    ]


@pytest.mark.parametrize(
    "ids", [np.array([7, 8, 9]), np.array(["7", "8", "9"]), np.array([b"7", b"8", b"9"])]
)
def test_ids_come_from_an_array(ids, tmp_path):
    """A .npy of whole numbers, texts or bytes serves as ids."""
    entries = read("vectors", saved(tmp_path / "v.npy"), ids=str(saved(tmp_path / "i.npy", ids)))
    assert [entry.id for entry in entries] == ["7", "8", "9"]


@pytest.mark.parametrize("count", [2, 4])
def test_as_many_ids_as_vectors_are_needed(count, tmp_path):
    """One id less or more is an error that states both numbers, not a shift."""
    (tmp_path / "ids.txt").write_text("".join(f"{at}\n" for at in range(count)))
    opened = source("vectors", saved(tmp_path / "v.npy"), ids=str(tmp_path / "ids.txt"))
    with pytest.raises(
        SourceError, match=rf"3 vectors, and there are {'only 2' if count == 2 else 'more'} ids"
    ):
        list(opened)


def test_fields_come_from_a_table_row_by_row(tmp_path):
    """The columns of a table beside are typed fields; --id names its column of ids; a bad row goes alone."""
    (tmp_path / "f.csv").write_text("word,size,ok\na,1,true\nb,2,false\n,3,false\n")
    vectors = saved(tmp_path / "v.npy")
    table = str(tmp_path / "f.csv")
    first, second, third = read("vectors", vectors, fields=table)
    assert first.fields == {"word": "a", "size": 1, "ok": True}
    assert third.fields == {"word": None, "size": 3, "ok": False}
    assert second.id == content_hash(BYTES[1])[:16]
    named = read("vectors", vectors, fields=table, id="word")
    assert [entry.id for entry in named] == ["a", "b", "f.csv:4"]
    assert named[0].fields == {"size": 1, "ok": True}
    assert named[2].reason == "the key column 'word' is empty"
    (tmp_path / "f.csv").write_text("word\na\nb\n")
    with pytest.raises(SourceError, match="only 2 rows of the table of fields"):
        list(source("vectors", vectors, fields=table))


def test_a_npz_holds_vectors_ids_and_fields(tmp_path):
    """The only array (n, d) is the vectors, `ids` the ids, other arrays (n,) fields; the rest is named."""
    np.savez(tmp_path / "v.npz", at=ROWS, ids=["a", "b", "c"], year=[1, 2, 3], bias=np.zeros(5))
    entries = read("vectors", tmp_path / "v.npz")
    assert [entry.id for entry in entries] == ["a", "b", "c"]
    assert contents(entries) == BYTES
    assert entries[1].fields == {"year": 2}
    assert source("vectors", tmp_path / "v.npz").reading().notes == [
        "The array 'bias' of the shape (5,) and the type float64 is not read."
    ]
    np.savez(tmp_path / "two.npz", a=ROWS, b=2 * ROWS, key=["x", "y", "z"])
    chosen = read("vectors", tmp_path / "two.npz", vector="b", id="key")
    assert [entry.id for entry in chosen] == ["x", "y", "z"]
    assert contents(chosen) == [(2 * row).astype("<f4").tobytes() for row in ROWS]
    with pytest.raises(SourceError, match="Say which with --vectors NAME"):
        source("vectors", tmp_path / "two.npz")


def test_stretches_are_what_iteration_yields(tmp_path):
    """A stretch of records alone is a block of columns; where one entry is rejected, entries come."""
    rows = np.arange(40, dtype="<f4").reshape(10, 4)  # the first of ten is no zero: 0, 1, 2, 3
    rows[5] = np.nan
    opened = source("vectors", saved(tmp_path / "v.npy", rows))
    found = list(opened.stretches(3, 2**20))
    assert [len(stretch) for stretch in found] == [3, 3, 3, 1]
    assert [isinstance(stretch, Block) for stretch in found] == [True, False, True, True]
    assert [entry for stretch in found for entry in stretch] == list(opened)
    assert found[0].digests[1] == hashlib.sha256(rows[1].tobytes()).digest()
    assert [len(stretch) for stretch in opened.stretches(100, 40)] == [3, 3, 3, 1]  # 48 bytes reach 40
    assert len(list(opened.stretches(100, 0))) == 10


def test_rows_that_hold_no_vector_are_rejected(tmp_path):
    """NaN, infinity, what float32 can't hold, and zeros, each with its place and reason."""
    odd = np.array([[1, np.nan], [np.inf, 1], [1e300, 1], [0, 0], [1, 0]])
    entries = read("vectors", saved(tmp_path / "v.npy", odd))
    reasons = [entry.reason for entry in entries[:4]]
    assert reasons == [*["the vector holds a number that is not finite in float32"] * 3,
                       "the vector is all zeros: it has no direction"]  # fmt: skip
    assert [entry.id for entry in entries[:4]] == [f"v.npy:{at}" for at in (1, 2, 3, 4)]
    assert contents(entries) == [np.array([1, 0], "<f4").tobytes()]


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.array([[1], [1, 2]], object), r"in dtype\. It holds Python objects, as .* lists of different"),
        (np.zeros(3), r"shape \(n, d\)"),
        (np.zeros((2, 2), complex), r"shape \(n, d\)"),
        (np.zeros((0, 4)), r"shape \(n, d\)"),
        (np.array([["a", "b"]]), r"shape \(n, d\)"),
    ],
)
def test_a_file_of_something_else_is_refused(array, said, tmp_path):
    """Objects, a single vector, complex numbers, nothing and texts: a sentence with what was expected."""
    with pytest.raises(SourceError, match=said):
        source("vectors", saved(tmp_path / "v.npy", array))


def test_a_damaged_file_is_refused(tmp_path):
    """A file cut off, and one that is no array, are named in a sentence."""
    path = saved(tmp_path / "v.npy", np.ones((100, 3)))
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(SourceError, match=r"v\.npy can't be read as an array of NumPy"):
        source("vectors", path)
    (tmp_path / "v.npz").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(SourceError, match=r"v\.npz can't be read as an array of NumPy"):
        source("vectors", tmp_path / "v.npz")


def test_options_that_do_not_belong_are_refused(tmp_path):
    """--text, both kinds of ids, and files beside a table are refused in words."""
    path = saved(tmp_path / "v.npy")
    with pytest.raises(SourceError, match="leave out --text"):
        source("vectors", path, text=("a",))
    with pytest.raises(SourceError, match="--ids and from --id"):
        source("vectors", path, ids="i.txt", id="x")
    with pytest.raises(RecipeError, match="--ids and --fields belong"):
        source("csv", path, ids="i.txt")
    with pytest.raises(RecipeError, match="--rows and --columns are of a table"):
        source("vectors", path, rows=True)
    with pytest.raises(RecipeError, match="--rows and --columns are of a table"):
        source("vectors", path, columns=("a",))


def test_a_npz_without_a_usable_array_is_refused(tmp_path):
    """The message names no array where none was asked for."""
    with pytest.raises(SourceError, match="expected an array of numbers of the shape"):
        source("vectors", saved(tmp_path / "v.npy", np.zeros((0, 8))))


LISTS = (pa.list_(pa.float32()), pa.list_(pa.float64()), pa.list_(pa.float16(), 3), pa.large_list(pa.int32()))


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_a_column_of_lists_holds_vectors(kind, suffix, tmp_path):
    """Lists of fixed size or not, of floats and whole numbers, in Parquet and Arrow; one missing."""
    number = kind.value_type.to_pandas_dtype()
    values = [np.asarray(row, number) for row in 2 * ROWS]
    column = pa.array([*values[:2], None, values[2]], kind)
    table = pa.table({"id": ["a", "b", "n", "c"], "embedding": column})
    path = tmp_path / f"t{suffix}"
    if suffix == ".parquet":
        pq.write_table(table, path)
    else:
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)
    entries = read(guess(str(path))[0], path, vector="embedding", id="id")
    assert [entry.id for entry in entries] == ["a", "b", f"t{suffix}:3", "c"]
    assert entries[2].reason == "the vector column 'embedding' is empty"
    assert contents(entries) == [np.asarray(row, "<f4").tobytes() for row in values]


def test_a_missing_number_in_a_list_is_not_finite(tmp_path):
    """A list with a hole is rejected; the lists around it keep their own numbers."""
    table = pa.table({"v": pa.array([[1.0, 2.0], [3.0, None], None, [], [5.0, 6.0]])})
    pq.write_table(table, tmp_path / "t.parquet")
    entries = read("parquet", tmp_path / "t.parquet", vector="v")
    assert contents(entries) == [np.array(row, "<f4").tobytes() for row in ([1, 2], [5, 6])]
    assert [e.reason.split(": ")[-1] for e in entries if isinstance(e, Rejected)] == [
        "the vector holds a number that is not finite in float32",
        "the vector column 'v' is empty",
        "the vector column 'v' holds something that is no list of numbers",
    ]


def test_json_lines_with_an_embedding_need_no_option(tmp_path):
    """A key `embedding` beside the id is the vector; where there is a text, the text is embedded."""
    path = tmp_path / "t.jsonl"
    path.write_text(
        "".join(json.dumps({"id": at, "embedding": row}) + "\n" for at, row in enumerate(ROWS.tolist()))
    )
    assert contents(read("jsonl", path, id="id")) == BYTES
    path.write_text(json.dumps({"text": "a", "embedding": [1, 2]}) + "\n")
    assert contents(read("jsonl", path)) == ["a"]
    assert contents(read("jsonl", path, vector="embedding")) == [np.array([1, 2], "<f4").tobytes()]


def test_a_table_of_text_may_write_lists_as_json(tmp_path):
    """A CSV cell such as [0.1, 0.2] is a vector; one that is no list is rejected."""
    (tmp_path / "t.csv").write_text('id,embedding\na,"[1, 2.5]"\nb,"[1, x]"\n')
    entries = read("csv", tmp_path / "t.csv", id="id", vector="embedding")
    assert contents(entries) == [np.array([1, 2.5], "<f4").tobytes()]
    assert entries[1].reason.endswith("holds something that is no list of numbers")


def test_a_column_of_a_saved_data_set_holds_vectors(tmp_path):
    """A `datasets` column of lists is read as one of Parquet is."""
    datasets = pytest.importorskip("datasets")
    data = datasets.Dataset.from_dict({"id": ["a", "b", "c"], "v": ROWS.tolist()})
    data.save_to_disk(tmp_path / "saved")
    entries = read("dataset", tmp_path / "saved", vector="v", id="id")
    assert contents(entries) == BYTES
    assert [entry.id for entry in entries] == ["a", "b", "c"]


def test_an_arrow_stream_is_read_as_a_file_is(tmp_path):
    """A stream of Arrow batches serves too; what is neither is refused in words."""
    table = pa.table({"text": ["a", "b"], "n": [1, 2]})
    with pa.ipc.new_stream(tmp_path / "s.arrow", table.schema) as writer:
        writer.write_table(table)
    assert [entry.fields["n"] for entry in read("arrow", tmp_path / "s.arrow", ("text",))] == [1, 2]
    (tmp_path / "x.arrow").write_bytes(b"no arrow at all")
    with pytest.raises(SourceError, match="can't be read as Arrow"):
        source("arrow", tmp_path / "x.arrow", ("text",))
