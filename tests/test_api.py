"""The Python functions: what is built from, options, and a counterpart of each command."""

import importlib
import inspect
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import embedsearch as es
from embedsearch.cli import COMMANDS
from embedsearch.cli.search import search_command
from embedsearch.distances.metric import Metric, distances
from embedsearch.errors import QueryError, RecipeError, SourceError, SourceNotFoundError
from embedsearch.query import DEFAULT_K, SearchOptions
from embedsearch.recipe import Recipe, joined
from tests.fakes import FRUITS, letters, text

RNG = np.random.default_rng(0)
IDS = [f"v{number}" for number in range(40)]
VECTORS = RNG.normal(size=(40, 6)).astype(np.float32)
# command -> the method or function that does the same
COUNTERPARTS = {
    "demo": "embedsearch.demo.indexes:make",
    "build": "embedsearch:build",
    "rebuild": "embedsearch:Index.rebuild",
    "watch": "embedsearch.watch:watch",
    "search": "embedsearch:Index.search",
    "explain": "embedsearch:Index.explain",
    "align": "embedsearch:Index.align",
    "list": "embedsearch:list_indexes",
    "info": "embedsearch:Index.info",
    "compare": "embedsearch:compare",
    "versus": "embedsearch:Index.versus",
    "calibrate": "embedsearch:Index.calibrate",
    "eval": "embedsearch:Index.evaluate",
    "dupes": "embedsearch:Index.duplicates",
    "map": "embedsearch:Index.map",
    "verify": "embedsearch:Index.verify",
    "rollback": "embedsearch:Index.rollback",
    "fetch": "embedsearch:open",
    "gc": "embedsearch:Index.gc",
    "models": "embedsearch:list_models",
    "ui": "embedsearch.ui.launch:launch",
    "serve": "embedsearch.serve.http.run:run",
    "mcp": "embedsearch.serve.mcp:make_server",
    "remove": "embedsearch:Index.remove",
}


def test_each_command_has_its_method_or_function():
    """What the command line does, Python does; a new command needs its row here."""
    assert set(COUNTERPARTS) == set(COMMANDS)
    for home in COUNTERPARTS.values():
        module, path = home.split(":")
        value = importlib.import_module(module)
        for name in path.split("."):
            value = getattr(value, name)
        assert callable(value)
        assert inspect.getdoc(value)


def test_one_number_of_hits_is_the_default_everywhere(make_searcher):
    """Python, the command line and the page return as many hits unasked."""
    from embedsearch.ui.url_state import Asked

    option = next(each for each in search_command.params if each.name == "k")
    assert "default: 12;" in option.help
    assert SearchOptions(k=None).most == Asked().count == DEFAULT_K == 12
    searcher = make_searcher([text(str(number), "a" * (number + 1)) for number in range(30)])
    assert len(searcher.search("a")) == len(searcher.similar("0")) == DEFAULT_K


@pytest.mark.usefixtures("letter_model")
def test_a_list_of_texts_is_searched_like_numpy_would():
    """Distances and order are those of exact search; similarity is the cosine."""
    index = es.build(FRUITS, name="pets")
    wanted = distances(letters("berries")[None], np.stack([letters(each) for each in FRUITS]), Metric.COSINE)[
        0
    ]
    results = index.search("berries", k=len(FRUITS))
    assert [hit.text for hit in results] == [FRUITS[at] for at in np.argsort(wanted, kind="stable")]
    assert [hit.distance for hit in results] == pytest.approx(sorted(wanted.tolist()), abs=1e-6)
    assert [hit.similarity for hit in results] == pytest.approx(
        [1 - each for each in sorted(wanted.tolist())]
    )
    assert all(index.get(hit.id).text == FRUITS[hit.row] for hit in results)


@pytest.mark.usefixtures("letter_model")
def test_rows_in_memory_are_built_as_a_file_of_them_is(tmp_path):
    """A list of dicts and a CSV file of the same rows make the same items, fields and vectors."""
    rows = [{"key": f"k{at}", "text": word, "size": len(word)} for at, word in enumerate(FRUITS)]
    file = tmp_path / "rows.csv"
    file.write_text("key,text,size\n" + "".join(f"{r['key']},{r['text']},{r['size']}\n" for r in rows))
    of_list = es.build(rows, name="a", text="text", id="key")
    of_file = es.build(file, name="b", text="text", id="key")
    assert of_list.build.items.equals(of_file.build.items)
    assert np.array_equal(of_list.build.vectors, of_file.build.vectors)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("metric", Metric)
def test_vectors_made_elsewhere_are_searched_exactly(metric):
    """Neighbours of a vector and of an item are those of numpy, in each metric."""
    index = es.build((IDS, VECTORS), name="w2v", metric=metric, model="word2vec")
    asked = RNG.normal(size=6).astype(np.float32)
    wanted = distances(asked[None], VECTORS, metric)[0]
    results = index.search(asked, k=5)
    assert [hit.id for hit in results] == [IDS[at] for at in np.argsort(wanted)[:5]]
    assert [hit.distance for hit in results] == pytest.approx(np.sort(wanted)[:5].tolist(), abs=1e-5)
    own = distances(VECTORS[3:4], VECTORS, metric)[0]
    own[3] = np.inf
    assert [hit.id for hit in index.similar("v3", k=4)] == [IDS[at] for at in np.argsort(own)[:4]]
    assert np.array_equal(index.build.vectors, VECTORS)
    assert repr(index) == f"<Index 'w2v': 40 vectors, word2vec, 6-d, {metric}>"


@pytest.mark.usefixtures("here")
def test_vectors_made_elsewhere_take_no_other_query():
    """A text, an image and a word are refused in words; so is an explanation."""
    index = es.build((IDS, VECTORS), name="w2v")
    with pytest.raises(
        QueryError, match=r"no item 'a text' .* where the build names the model that made the vectors"
    ):
        index.search("a text")
    for query in (es.Image(b"x"), es.Word("a text", 1)):
        with pytest.raises(QueryError, match=r"search it with items of it, .* or a vector of the same model"):
            index.search(query)
    with pytest.raises(es.EmbedsearchError, match="made elsewhere"):
        index.explain(VECTORS[0], "v1")


@pytest.mark.usefixtures("here")
def test_a_table_may_hold_the_vectors():
    """A column of lists is the same as (ids, vectors); the other columns are fields."""
    rows = [
        {"id": name, "at": list(map(float, row)), "n": at}
        for at, (name, row) in enumerate(zip(IDS, VECTORS, strict=True))
    ]
    index = es.build(rows, name="table", vector="at")
    beside = es.build((IDS, VECTORS, [{"n": at} for at in range(40)]), name="tuple")
    assert np.array_equal(index.build.vectors, VECTORS)
    assert index.build.items.drop_columns(["hash"]).equals(beside.build.items.drop_columns(["hash"]))
    assert {hit.fields["n"] for hit in index.search(VECTORS[0], where={"n": [1, 2, 99]})} == {1, 2}
    assert index.get("v7").content is None


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_a_file_may_hold_the_vectors(suffix, here):
    """A column of a file on disk serves as one in memory does."""
    rows = [{"id": name, "at": row.tolist()} for name, row in zip(IDS, VECTORS, strict=True)]
    file = here / f"rows{suffix}"
    if suffix == ".jsonl":
        file.write_text("\n".join(map(json.dumps, rows)))
    else:
        pq.write_table(pa.Table.from_pylist(rows), file)
    index = es.build(file, name="file", vector="at", id="id")
    assert np.array_equal(index.build.vectors, VECTORS)
    assert index.build.items["id"].to_pylist() == IDS


@pytest.mark.usefixtures("here")
def test_a_vector_that_cannot_be_used_is_rejected():
    """Missing, ragged, infinite and wordy vectors are listed with their reason, and the rest is built."""
    rows = [
        {"id": str(at), "v": value}
        for at, value in enumerate([[1, 2], None, [1, 2, 3], [1, np.inf], "x", [3, 4]])
    ]
    index = es.build(rows, name="odd", vector="v", max_rejected=0.9)
    assert index.build.items["id"].to_pylist() == ["0", "5"]
    assert sorted(each["reason"] for each in index.rejected()) == [
        "the vector column 'v' holds something that is no list of numbers",
        "the vector column 'v' is empty",
        "the vector column 'v': the vector holds a number that is not finite in float32",
        "the vector has 3 numbers; the index holds vectors of 2: if all changed, build it with --replace",
    ]


@pytest.mark.usefixtures("letter_model")
def test_building_again_from_memory_embeds_what_is_new(letter_model):
    """The same name takes another list without `replace`; an index of files is not replaced by it."""
    es.build(["apple", "pear"], name="pets")
    index = es.build(["apple", "plum"], name="pets")
    assert [encoder.embedded for encoder in letter_model if encoder.embedded] == [["apple", "pear"], ["plum"]]
    assert index.build.items["text"].to_pylist() == ["apple", "plum"]
    assert len(es.build(["apple", "plum"], name="pets").verify()) == 2  # nothing changed: no build was made


@pytest.mark.usefixtures("letter_model")
def test_an_index_of_files_is_not_replaced_by_memory(tmp_path):
    """What was made from a file needs `replace`."""
    (tmp_path / "a.txt").write_text("apple\n")
    es.build(tmp_path / "a.txt", name="faq")
    with pytest.raises(RecipeError, match="replace"):
        es.build(["pear"], name="faq")
    assert len(es.build(["pear"], name="faq", replace=True)) == 1


@pytest.mark.usefixtures("letter_model")
@pytest.mark.parametrize("source", [[], ["", "  "]])
def test_a_build_that_did_not_begin_leaves_nothing(source, tmp_path):
    """Nothing to index, or a model that is not there: no folder is left behind."""
    with pytest.raises(es.EmbedsearchError):
        es.build(source, name="pets")
    assert not (tmp_path / "pets").exists() or (tmp_path / "pets" / "recipe.toml").is_file()


def test_a_model_that_is_not_there_leaves_no_folder(here):
    """The source is taken away again when the build did not begin; what was there before stays."""
    with pytest.raises(es.EmbedsearchError):
        es.build(["a"], name="pets", model="no such model")
    assert list(here.iterdir()) == []
    es.build((IDS, VECTORS), name="pets")
    (here / "pets" / "recipe.toml").unlink()
    with pytest.raises(es.EmbedsearchError):
        es.build(["a"], name="pets", model="no such model", replace=True)
    assert len(es.open("pets")) == 40


@pytest.mark.parametrize("source", ["", "  "])
def test_an_empty_source_is_refused(source, here):  # noqa: ARG001
    """A location has a name."""
    with pytest.raises(SourceNotFoundError, match="empty"):
        es.build(source, name="faq")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "source", [42, {"text": ["a"]}, b"a", np.zeros((2, 2)), [1, 2], ["a", {"text": "b"}], [[1, 2]]]
)
def test_what_cannot_be_a_source_is_refused(source):
    """The message lists what can be one."""
    with pytest.raises(SourceError, match="expected a list of texts"):
        es.build(source, name="pets")


@pytest.mark.usefixtures("letter_model")
def test_options_come_as_keywords_or_together(tmp_path):
    """Both ways make one recipe; an option in both places is refused."""
    es.build(FRUITS, name="a", metric="l2", keep=3, unit="word", pooling="mean")
    es.build(
        FRUITS,
        name="b",
        encoder=es.EncoderOptions(unit="word", pooling="mean"),
        index=es.IndexOptions(metric="l2"),
        keep=3,
    )
    first, second = (Recipe.load(tmp_path / name) for name in "ab")
    assert (first.encoder, first.index) == (second.encoder, second.index)
    with pytest.raises(RecipeError, match="'metric' was given twice"):
        es.build(FRUITS, name="c", metric="ip", index=es.IndexOptions(metric="l2"))
    with pytest.raises(RecipeError, match="'layers' was given twice"):
        es.build(FRUITS, name="c", layers=-2, encoder=es.EncoderOptions(layers=(-3,)))


def test_a_keyword_at_its_default_leaves_an_option_alone():
    """Only what differs from the default counts as given."""
    options = es.IndexOptions(metric="l2")
    assert joined(options, metric="", keep=2) == options


@pytest.mark.usefixtures("letter_model")
def test_functions_by_name_do_what_methods_do():
    """An index that can't be opened is listed, verified, rolled back and removed by its name."""
    es.build(["apple"], name="pets")
    es.build(["apple", "pear"], name="pets")
    assert es.list_indexes() == ["pets"]
    assert [fault for _, fault in es.verify("pets")] == ["", ""]
    assert len(es.rollback("pets")) == 1
    assert len(es.gc("pets", keep=1).folders) == 1
    es.remove("pets")
    assert es.list_indexes() == []
    assert es.list_models()[0].name == "all-MiniLM-L6-v2"


@pytest.mark.usefixtures("here")
def test_the_bundled_model_reads_a_list():
    """A name and a list are enough; what is meant is found, not what is spelled alike."""
    index = es.build(["a cat sleeps", "the stock market fell"], name="pets")
    assert [hit.text for hit in index.search("a kitten naps")] == ["a cat sleeps", "the stock market fell"]
    assert index.add(["shares lost value"]).search("a falling bourse", k=1)[0].text != "a cat sleeps"
