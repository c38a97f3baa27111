"""An open index: its verbs, and what they return."""

import shutil
import warnings
from datetime import date

import numpy as np
import pytest
from PIL import Image

import embedsearch as es
from embedsearch.errors import ItemNotFoundError, QueryError, RecipeError, SourceError
from tests.fakes import FRUITS
from tests.test_api import IDS, VECTORS

TEXTS = ["apple", "pear", "plum"]


def texts(index):
    """The texts of an index, in its order."""
    return index.build.items["text"].to_pylist()


def test_a_list_is_several_queries_unless_it_is_all_numbers(fruits):
    """Each query has its own results, those that it has alone; numbers are one vector."""
    several = fruits.search(["apple", es.MoreLike("plum"), es.Vector(np.ones(26))], k=3)
    assert several == [
        fruits.search(each, k=3) for each in ("apple", es.MoreLike("plum"), es.Vector(np.ones(26)))
    ]
    assert fruits.search([1.0] * 26, k=3) == fruits.search(np.ones(26), k=3)
    assert fruits.search([np.float32(1)] * 26, k=3) == fruits.search(np.ones(26), k=3)
    assert [len(each) for each in fruits.search([[1.0] * 26, [2] * 26], k=2)] == [2, 2]
    assert fruits.search([]) == []
    with pytest.raises(QueryError, match="takes vectors of 26 numbers"):
        fruits.search([1, 2])


def test_a_filter_may_be_a_dict(make_searcher):
    """A dict keeps what the same filter as text keeps: equality, IN, IS NULL, all together."""
    from tests.fakes import text

    entries = [
        text("a", "apple", topic="fruit", year=2020, day=date(2020, 1, 2)),
        text("b", "bean", topic="pulse", year=2021, day=date(2021, 1, 2)),
        text("c", "cherry", topic="fruit", year=None, day=None),
        text("d", "date", topic=None, year=2021, day=date(2021, 1, 2)),
    ]
    index = make_searcher(entries)
    for where, same in [
        ({"topic": "fruit"}, "topic = 'fruit'"),
        ({"topic": "fruit", "year": [2020, 2021]}, "topic = 'fruit' and year in (2020, 2021)"),
        ({"topic": None}, "topic is null"),
        ({"topic": ["pulse", None]}, "topic = 'pulse' or topic is null"),
        ({"year": np.int64(2021)}, "year = 2021"),
        ({"day": date(2021, 1, 2)}, "day = '2021-01-02'"),
        ({"year": (2021,)}, "year = 2021"),
        ({}, None),
    ]:
        kept = {hit.id for hit in index.search("a", where=where)}
        assert kept == {hit.id for hit in index.search("a", where=same)}, where
        assert kept
    assert index.search("a", where={"topic": []}).hits == []
    for where in ({"topic": {"a": 1}}, {3: "a"}, {"tropic": "fruit"}, {"topic": b"fruit"}):
        with pytest.raises(es.EmbedsearchError, match="field"):
            index.search("a", where=where)


@pytest.mark.usefixtures("letter_model")
def test_adding_embeds_the_new_items_alone(letter_model):
    """What was there keeps its vector, an id that is there is replaced, and the old index stays as it is."""
    first = es.build([{"id": text[0], "text": text, "n": 1} for text in TEXTS[:2]], name="pets")
    second = first.add([{"id": "g", "text": "grape", "n": 2}, {"id": "p", "text": "prune", "n": 3}])
    assert [each.embedded for each in letter_model if each.embedded] == [
        ["apple", "pear"],
        ["grape", "prune"],
    ]
    assert texts(second) == ["apple", "grape", "prune"]
    assert second.get("p").fields == {"n": 3}
    assert texts(first) == ["apple", "pear"]
    assert first.search("pear", k=1)[0].text == "pear"


@pytest.mark.usefixtures("letter_model")
def test_two_changes_of_one_open_index_are_both_kept():
    """A change starts from what the index holds now, not from what it held when it was opened."""
    index = es.build(TEXTS[:1], name="pets")
    index.add(TEXTS[1:2])
    assert texts(index.add(TEXTS[2:])) == TEXTS


@pytest.mark.usefixtures("letter_model")
def test_the_same_text_added_again_is_one_item():
    """Without ids the content is the identity; twice in one list it is two items."""
    index = es.build(["apple", "apple", "pear"], name="pets")
    assert len(index) == 3
    assert texts(index.add(["pear", "plum"])) == ["apple", "apple", "pear", "plum"]


@pytest.mark.usefixtures("letter_model")
def test_deleting_takes_items_away():
    """Ids that are not there delete nothing, and an index does not become empty."""
    index = es.build([{"id": text[:2], "text": text} for text in FRUITS if text != "apples"], name="pets")
    rest = index.delete(["ap", "fi"])
    assert "apple" not in texts(rest)
    assert len(rest) == len(index) - 2
    with pytest.raises(ItemNotFoundError, match="'zz'"):
        rest.delete(["be", "zz"])
    assert len(es.open("pets")) == len(rest)
    with pytest.raises(SourceError, match="can't be empty"):
        rest.delete(rest.build.items["id"].to_pylist())
    assert len(rest.delete("be")) == len(rest) - 1


@pytest.mark.usefixtures("letter_model")
def test_what_is_added_has_the_form_of_the_index():
    """Images for texts, other columns and other types are refused; nothing changes."""
    index = es.build([{"id": "a", "text": "apple", "n": 1}], name="pets")
    for items in ([Image.new("RGB", (2, 2))], (["b"], np.ones((1, 3))), [{"id": "b", "body": "bean"}]):
        with pytest.raises(SourceError):
            index.add(items)
    with pytest.raises(SourceError, match="another type"):
        index.add([{"id": "b", "text": "bean", "n": "many"}])
    assert len(es.open("pets")) == 1


@pytest.mark.usefixtures("letter_model")
def test_an_index_of_files_takes_no_items(tmp_path):
    """The message says what to do instead."""
    (tmp_path / "a.txt").write_text("apple\npear\n")
    index = es.build(tmp_path / "a.txt", name="faq")
    for change in (lambda: index.add(["plum"]), lambda: index.delete(["a"])):
        with pytest.raises(RecipeError, match=r"a\.txt: change that, then call rebuild"):
            change()


@pytest.mark.usefixtures("letter_model")
def test_an_index_from_memory_takes_changes_where_its_folder_was_moved_to(tmp_path):
    """Added to, deleted from, rebuilt and rolled back there; what stays at the old place is not read."""
    es.build(TEXTS[:2], name="pets", indexes=tmp_path / "here").add(["fig"])
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    shutil.rmtree(tmp_path / "here")
    moved = es.open("pets", indexes=tmp_path / "there").rollback()
    assert texts(moved.rebuild()) == TEXTS[:2]
    more = moved.add(TEXTS[2:])
    assert texts(more) == TEXTS
    assert texts(more.delete(more.search("plum", k=1)[0].id)) == TEXTS[:2]
    assert not (tmp_path / "here").exists()


@pytest.mark.usefixtures("letter_model")
def test_going_back_takes_the_source_back(tmp_path):
    """After a rollback nothing is left to rebuild; sources that no build needs are deleted."""
    index = es.build(TEXTS[:1], name="pets").add(TEXTS[1:2])
    back = index.rollback()
    assert texts(back) == TEXTS[:1]
    assert not back.changes()
    assert texts(back.rebuild()) == TEXTS[:1]
    index = back.add(TEXTS[2:]).add(["fig"])
    kept = {path.name for path in (tmp_path / "pets" / "source").glob("*.parquet")}
    assert len(kept) == 2  # of the two builds that are kept
    assert texts(index) == [TEXTS[0], TEXTS[2], "fig"]


@pytest.mark.usefixtures("here")
def test_vectors_are_added_and_deleted():
    """Vectors of another length are rejected, not joined."""
    index = es.build((IDS[:30], VECTORS[:30]), name="w2v", max_rejected=0.9).add((IDS[30:], VECTORS[30:]))
    assert np.array_equal(index.build.vectors, VECTORS)
    assert len(index.delete(IDS[:10])) == 30
    more = index.add((["odd"], np.ones((1, 3))))
    assert [each["reason"] for each in more.rejected()] == [
        "the vector has 3 numbers; the index holds vectors of 6: if all changed, build it with --replace"
    ]


@pytest.mark.usefixtures("here")
def test_verbs_that_make_a_build_return_a_new_index():
    """The index that they were called on goes on with its own build."""
    index = es.build((IDS, VECTORS), name="w2v")
    assert index.layout is None
    mapped = index.map("pca", clusters=2)
    assert mapped.layout.points.shape == (40,)
    assert index.layout is None
    assert mapped.build.folder != index.build.folder
    assert index.info().count == len(index) == 40
    assert index.diagnostics()
    assert index.evaluate(sample=5)["recall"] == 1
    assert index.duplicates(threshold=0.0).near == ()
    mapped.remove()
    assert es.list_indexes() == []


def test_old_names_warn_and_work(fruits):
    """The names of 0.6 are there for one version; the new ones say nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hit = fruits.search("apple")[0]
        assert (hit.label, hit.human_score, hit.image) == (None, None, None)
    with pytest.warns(DeprecationWarning, match="Index.search"):
        assert fruits.answer("apple").hits[0] == hit
    for old, new in {"closeness": "label", "score": "human_score", "picture": "image"}.items():
        with pytest.warns(DeprecationWarning, match=f"Hit.{new}"):
            assert getattr(hit, old) == getattr(hit, new)
    for old, new in {
        "Answer": "Results",
        "Like": "MoreLike",
        "Part": "WeightedTerm",
        "Picture": "Image",
        "Searcher": "Index",
    }.items():
        with pytest.warns(DeprecationWarning, match=f"embedsearch.{new}"):
            assert getattr(es, old) is getattr(es, new)
        assert old not in es.__all__
