"""What a program has in memory, kept and read as a source."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from embedsearch.errors import ItemNotFoundError, SourceError
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Record, content_hash
from embedsearch.sources import open_source
from embedsearch.sources.memory import keep, with_items, without_items

ASKED = SourceRecipe("", "")
ROWS = [
    {"id": "a", "text": "apple", "price": 1.5, "tags": ["x", "y"]},
    {"id": "b", "text": "bean", "price": None, "tags": None},
]


class Stream:
    """A table of a library that this project does not know: it speaks Arrow alone."""

    def __init__(self, table):
        self._table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self._table.__arrow_c_stream__(requested_schema)


def frame(rows):
    """The rows as a pandas data frame."""
    return pytest.importorskip("pandas").DataFrame(rows)


def records(recipe):
    """The entries of a source, records as (id, content, fields)."""
    return [
        (entry.id, entry.content, dict(entry.fields)) if isinstance(entry, Record) else entry.reason
        for entry in open_source(recipe)
    ]


def png(colour, mode="RGB"):
    """The bytes of a small image file."""
    buffer = io.BytesIO()
    Image.new(mode, (3, 2), colour).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "make",
    [
        list,
        iter,
        frame,
        pa.Table.from_pylist,
        pa.RecordBatch.from_pylist,
        lambda rows: Stream(pa.Table.from_pylist(rows)),
    ],
    ids=["list", "iterator", "pandas", "arrow", "batch", "stream"],
)
def test_every_table_gives_the_same_records(make, tmp_path):
    """The column `id` is the key and `text` the content, as nothing else was asked; the rest are fields."""
    made = keep(make(ROWS), ASKED, tmp_path)
    assert records(made) == [
        ("a", "apple", {"price": 1.5, "tags": ["x", "y"]}),
        ("b", "bean", {"price": None, "tags": None}),
    ]
    assert (made.kind, made.text, made.id) == ("memory", ("text",), "id")
    assert Path(made.location).parent == tmp_path.resolve() / "source"
    assert open_source(made).count() == 2


def test_texts_are_known_by_their_content(tmp_path):
    """Without ids the hash of the text is the id, counted where it comes twice; an empty text is rejected."""
    made = keep(["apple", "apple", None, ""], ASKED, tmp_path)
    own = content_hash("apple")[:16]
    assert [each[0] for each in records(made)[:2]] == [own, f"{own}-2"]
    assert records(made)[2:] == ["the text column 'text' is empty"] * 2


def test_numbers_name_items_as_text(tmp_path):
    """A key of numbers becomes text; an index of a data frame that has a name may be the key."""
    made = keep([{"n": 1, "text": "a"}, {"n": 2, "text": "b"}], SourceRecipe("", "", id="n"), tmp_path)
    assert [each[0] for each in records(made)] == ["1", "2"]
    named = frame({"text": ["a", "b"]}).rename_axis("key")
    assert [each[0] for each in records(keep(named, SourceRecipe("", "", id="key"), tmp_path))] == ["0", "1"]


def test_values_of_several_types_become_text(tmp_path):
    """A field is one column, and a column has one type."""
    made = keep([{"text": "a", "n": 1}, {"text": "b", "n": "two"}], ASKED, tmp_path)
    assert [each[2] for each in records(made)] == [{"n": "1"}, {"n": "two"}]


@pytest.mark.parametrize(
    ("make", "column"),
    [
        (list, ""),
        (lambda images: [png(each.getpixel((0, 0))) for each in images], ""),
        (lambda images: [{"name": "x", "photo": each} for each in images], ""),
        (lambda images: frame({"photo": images, "name": ["x", "x"]}), "photo"),
    ],
    ids=["PIL", "bytes", "dicts", "pandas"],
)
def test_images_keep_their_pixels(make, column, tmp_path):
    """An open image is kept as a file of the same pixels."""
    images = [Image.new("RGB", (3, 2), colour) for colour in ("red", "navy")]
    made = keep(make(images), SourceRecipe("", "", image=column), tmp_path)
    read = [Image.open(io.BytesIO(content)).convert("RGB") for _, content, _ in records(made)]
    assert [each.tobytes() for each in read] == [each.tobytes() for each in images]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "F", "I", "HSV"])
def test_every_mode_of_an_image_is_kept(mode, tmp_path):
    """What PNG can't hold is converted to RGB first."""
    image = Image.new("RGB", (3, 2), "teal").convert(mode)
    ((_, content, _),) = records(keep([image], ASKED, tmp_path))
    assert Image.open(io.BytesIO(content)).size == (3, 2)


def test_paths_of_images_stay_paths(tmp_path, monkeypatch):
    """They are read where they lie, wherever the index is; the path is the id."""
    (tmp_path / "a.png").write_bytes(png("red"))
    monkeypatch.chdir(tmp_path)
    made = keep([Path("a.png")], ASKED, tmp_path / "indexes" / "pets")
    path = tmp_path.resolve() / "a.png"
    assert records(made) == [(str(path), path, {})]
    with pytest.raises(SourceError, match="give only one kind"):
        keep([Path("a.png"), png("red")], ASKED, tmp_path)


def test_vectors_are_kept_to_the_bit(tmp_path):
    """Of float64 what float32 holds; ids of numbers become text."""
    vectors = np.array([[0.1, 2], [3, -4]])
    made = keep(([1, 2], vectors, [{"n": 1}, {"n": None}]), ASKED, tmp_path)
    assert records(made) == [
        (str(number), row.astype("<f4").tobytes(), {"n": n})
        for number, row, n in zip((1, 2), vectors, (1, None), strict=True)
    ]


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ((["a"], np.ones((2, 2))), "2 vectors came with 1 ids"),
        ((["a", "b"], np.ones((2, 2)), [{"n": 1}]), "2 vectors came with 1 values of 'n'"),
        ((["a"], np.ones((1, 2)), [{"vector": 1}]), "no field can be called 'vector'"),
        ([{"a": "x", "b": "y"}], "What was given has the columns 'a', 'b'"),
        (["a", b"b"], "images and texts"),
        ([object()], "items of another kind"),
        ([], "nothing to index"),
    ],
)
def test_what_does_not_fit_is_refused(items, message, tmp_path):
    """The message says what came and what was expected."""
    with pytest.raises(SourceError, match=message):
        keep(items, ASKED, tmp_path)


def test_each_state_is_a_file_of_its_own(tmp_path):
    """The same content is the same file; a change leaves the file before as it was."""
    first = keep(ROWS, ASKED, tmp_path)
    assert keep(ROWS, ASKED, tmp_path) == first
    more = with_items(
        first, [{"id": "b", "text": "beet", "color": "red"}, {"id": "c", "text": "corn"}], tmp_path
    )
    assert [each[:2] for each in records(more)] == [("a", "apple"), ("b", "beet"), ("c", "corn")]
    assert records(more)[1][2] == {"price": None, "tags": None, "color": "red"}
    fewer = without_items(more, ["a", "c"], tmp_path)
    assert [each[0] for each in records(fewer)] == ["b"]
    assert [each[0] for each in records(first)] == ["a", "b"]
    with pytest.raises(ItemNotFoundError, match="'zz'"):
        without_items(more, ["a", "zz"], tmp_path)
