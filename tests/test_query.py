import io
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import embedsearch as es
from embedsearch.errors import FilterError, ItemError, ModelError, QueryError, RecipeError, UsageError
from embedsearch.query import MoreLike, SearchOptions, Text, Vector, Word, as_query
from tests.fakes import WORD_LIMIT, letters


@pytest.mark.parametrize(
    "kind", [list, tuple, np.asarray, lambda values: np.asarray(values, np.float64)[None]]
)
def test_a_vector_is_a_query(fruits, kind):
    """A list, a tuple, an array (d,) or (1, d) of any float type is taken as a raw vector."""
    assert fruits.search(kind(letters("plum").tolist()), k=1)[0].id == "plum"


@pytest.mark.parametrize(
    "values",
    [
        [1.0] * 25,
        [1.0] * 27,
        [],
        [math.nan] * 26,
        [math.inf] + [0.0] * 25,
        ["a"] * 26,
        np.ones((2, 13)),
        [[1], [1, 2]],
        [1j] * 26,
        [0.0] * 26,
    ],
    ids=["short", "long", "empty", "nan", "inf", "text", "matrix", "ragged", "complex", "zeros"],
)
def test_a_vector_that_does_not_fit_is_told(fruits, values):
    """A vector of another length or shape, or with values that are no finite numbers, is refused."""
    with pytest.raises(QueryError, match=r"26 numbers; got|must be (real )?numbers|not finite|all zeros"):
        fruits.search(Vector(values))


@pytest.mark.parametrize("size", [1e-200, 1e-30, 1e30, 1e200])
def test_by_cosine_a_vectors_length_says_nothing(fruits, size):
    """A vector so short or long that its square leaves float32 finds what its direction finds."""
    vector = letters("pear").astype(np.float64)
    want, found = (fruits.search(Vector(each), k=4) for each in (vector, size * vector))
    assert [hit.id for hit in found] == [hit.id for hit in want]
    assert [hit.distance for hit in found] == pytest.approx([hit.distance for hit in want], abs=1e-6)


@pytest.mark.parametrize(
    "make",
    [lambda: es.MoreLike(42), lambda: es.Text(3), lambda: es.Sound("a.wav"), lambda: es.MoreLike(Path("x"))],
)
def test_what_is_asked_with_has_its_type(make):
    """An id or a text that is no str, and a sound that is no file, are refused at once, in words."""
    with pytest.raises(QueryError, match=r"is a (str|Path or the bytes of a file); got"):
        make()


def test_k_and_filters_have_their_types(fruits):
    """A `k` that is no whole number, and a filter that is no str, are refused in words."""
    for k in ("2", 2.5):
        with pytest.raises(QueryError, match="whole number"):
            fruits.search("apple", k)
    with pytest.raises(FilterError, match="A filter is a str"):
        fruits.search("apple", where=3)


def test_an_image_is_asked_by_path_bytes_or_image(colours, tmp_path):
    """A path, the bytes of a file and an open image find the same neighbours."""
    image = Image.new("RGB", (9, 5), (250, 10, 10))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    path = tmp_path / "asked.png"
    path.write_bytes(buffer.getvalue())
    for query in (path, buffer.getvalue(), image, es.Image(image)):
        assert [hit.id for hit in colours.search(query)] == ["red", "pink", "navy", "white"]


def test_a_bad_image_is_an_item_error(colours, tmp_path):
    """A query image that can't be read says why."""
    with pytest.raises(ItemError, match="not an image"):
        colours.search(b"no picture")
    with pytest.raises(ItemError, match=r"nothing\.png: the file does not exist"):
        colours.search(tmp_path / "nothing.png")
    with pytest.raises(ItemError, match="it is a folder"):
        colours.search(tmp_path)
    with pytest.raises(ItemError, match="no pixels"):
        colours.search(Image.new("RGB", (0, 0)))


def test_a_word_is_asked_by_number_or_by_name(terms):
    """The word of a sentence is named by its place, counted from 1, or by itself, whatever its case."""
    for query in (Word("My cat purrs", 2), Word("My cat purrs", "cat"), Word("My CAT purrs", "Cat"), "cat"):
        hits = terms.search(query, k=2)
        assert {hit.id for hit in hits} == {"a#4", "a#13"}
        assert [hit.distance for hit in hits] == pytest.approx([0, 0], abs=1e-6)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (Word("My cat purrs", 4), "has no word 4; it has 1 My, 2 cat, 3 purrs"),
        (Word("My cat purrs", 0), "has no word 0"),
        (Word("My cat purrs", -1), "has no word -1"),
        (Word("My cat purrs", "dog"), "has no word 'dog'; it has 1 My, 2 cat, 3 purrs"),
        (Word("...", 1), "holds no word"),
        ("two words", "--word NUMBER: 1 two, 2 words"),
        ("...", "holds no word"),
        ("  ", "query is empty"),
    ],
)
def test_a_word_that_is_not_there_is_told(terms, query, message):
    """The sentence's words are listed with their numbers."""
    with pytest.raises(QueryError, match=message):
        terms.search(query)


def test_a_word_beyond_the_limit_is_told(terms):
    """A word that the model can't see is an error, not a wrong neighbour."""
    with pytest.raises(ItemError):
        terms.search(Word("w " * (WORD_LIMIT + 1), WORD_LIMIT + 1))


@pytest.mark.parametrize(
    ("index", "query", "guidance"),
    [
        ("fruits", b"a picture", "holds texts embedded by letters; search it with a whole text"),
        ("fruits", Word("a cat", 1), "search it with a whole text"),
        ("colours", "red", r"holds images .* search it with an image \(--image FILE\) or an item of it"),
        ("colours", Word("red", 1), "search it with an image"),
        ("terms", b"a picture", "search it with a word in its sentence"),
        ("fruits", "", "query is empty"),
        ("fruits", 7, "can't be a int: give a text"),
        ("fruits", None, "can't be a NoneType"),
        ("fruits", {"text": "x"}, "search it with a whole text"),
    ],
)
def test_a_query_of_the_wrong_kind_is_guided(request, index, query, guidance):
    """What the index can't answer is refused with what it can be asked."""
    with pytest.raises(QueryError, match=guidance):
        request.getfixturevalue(index).search(query)


def test_plain_values_become_queries(tmp_path):
    """A string is a text; a path, bytes or image an image; numbers a vector; queries stay themselves."""
    image = Image.new("L", (1, 1))
    assert as_query("a") == Text("a")
    assert as_query(tmp_path) == es.Image(tmp_path)
    assert as_query(b"a") == es.Image(b"a")
    assert as_query(image) == es.Image(image)
    assert as_query([1.0]).values == [1.0]
    assert as_query(MoreLike("a")) == MoreLike("a")


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: es.build("x.csv", name=None), RecipeError),
        (lambda: es.build(__file__, name="x", kind="lines", text=5), RecipeError),
        (lambda: es.build(__file__, name="x", kind="lines", unit="bogus"), RecipeError),
        (lambda: es.build(__file__, name="x", kind="lines", layers=None), RecipeError),
        (lambda: es.build(__file__, name="x", kind="lines", keep="2"), RecipeError),
        (lambda: es.build(__file__, name="x", kind="lines", memory=5), RecipeError),
        (lambda: es.build(__file__, name="x", kind="lines", batch_tokens=-1), RecipeError),
        (lambda: es.open(None), RecipeError),
        (lambda: es.load_encoder(5), ModelError),
        (lambda: es.load_encoder(layers="a"), RecipeError),
        (lambda: es.load_encoder(unit="foo"), RecipeError),
        (lambda: es.load_encoder(precision=None), RecipeError),
        (lambda: es.Query(5), QueryError),
        (lambda: es.Query(es.WeightedTerm("a")), QueryError),
        (lambda: es.WeightedTerm("a", 10**400), QueryError),
        (lambda: SearchOptions(sort=5), QueryError),
        (lambda: SearchOptions(facets=None), QueryError),
        (lambda: SearchOptions(facets=["year", 1]), QueryError),
    ],
)
def test_what_is_of_a_wrong_type_is_told(call, error):
    """Arguments of the Python face that can't be meant are errors of our own tree."""
    with pytest.raises(error):
        call()


def test_a_weight_may_be_a_number_of_numpy():
    """float32 and int64 are numbers."""
    assert [es.WeightedTerm("a", weight).weight for weight in (np.float32(0.5), np.int64(2))] == [0.5, 2.0]


def test_encode_takes_several_items(small_model):
    """One text is no list of its letters; what is no text, and a role that there is not, are told."""
    encoder = es.load_encoder(str(small_model("bert")), device="cpu", precision="fp32")
    for items, role in (
        ("abc", "query"),
        (None, "query"),
        ([None], "query"),
        ([b"x"], "query"),
        (["a"], "no"),
    ):
        with pytest.raises(UsageError):
            encoder.encode(items, role)
    assert encoder.encode(("a", "b")).shape[0] == 2
