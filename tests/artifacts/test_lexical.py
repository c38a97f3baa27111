"""The words of texts beside their vectors: built, rebuilt, rolled back, never read where truncated."""

import os
import shutil

import pytest

import embedsearch as es
from embedsearch import artifacts
from embedsearch.artifacts import lexical
from embedsearch.errors import IndexDamagedError
from embedsearch.lexical.bm25 import ROWS, SCORES
from embedsearch.store.versions import roll_back
from tests.fakes import LetterEncoder, fruit_entries, text

LONG = "the quick brown fox jumps over a lazy dog and runs through all of the green wood until night "


def ids(index, query, **options):
    """Return the ids of what words find."""
    return [hit.id for hit in index.search(query, mode="lexical", **options)]


def test_documents_are_searched_by_both_and_short_texts_by_vectors(make_build):
    """Texts of more than 15 words in the middle are hybrid at 0.6; shorter ones are not, and 0.9 if asked."""
    short = make_build(fruit_entries()).manifest.artifacts.lexical
    assert (short.kind, short.mode, short.weight, short.words) == ("bm25", "vector", 0.9, 1)
    entries = [text(str(at), LONG + str(at)) for at in range(4)]
    long = make_build(entries, name="long").manifest.artifacts.lexical
    assert (long.mode, long.weight, long.words, long.language) == ("hybrid", 0.6, 20, "english")
    given = make_build(entries, name="given", language="none").manifest.artifacts.lexical
    assert given.language == ""


def test_a_rebuild_indexes_the_words_again_only_where_texts_changed(make_searcher, monkeypatch):
    """New texts are found by their words; where all texts are as before the files are taken over."""
    index = make_searcher([text("a", "red fox"), text("b", "old owl")], keep=3)
    again = make_searcher([text("a", "red fox"), text("b", "old owl"), text("c", "grey wolf")], keep=3)
    assert (ids(index, "wolf"), ids(again, "wolf"), ids(again, "fox")) == ([], ["c"], ["a"])
    monkeypatch.setattr(lexical, "lexical_class", None)  # nothing is indexed
    kept = make_searcher(
        [text("a", "red fox"), text("b", "old owl"), text("c", "grey wolf")], keep=3, storage="fp16"
    )
    assert kept.build.folder != again.build.folder
    assert ids(kept, "wolf") == ["c"]


def test_a_rebuild_says_when_texts_are_searched_otherwise(make_build, monkeypatch):
    """Where an index without words gets them, or its texts grow long, the report says how it is searched."""
    entries = [text(str(at), LONG + str(at)) for at in range(4)]
    with monkeypatch.context() as before:
        before.delitem(artifacts.ARTIFACTS, "lexical")  # as in versions before 0.10
        assert make_build(entries).manifest.artifacts.lexical is None
    now = "Texts are searched by vectors and words from now on (hybrid). To search as before: --mode vector."
    assert make_build(entries).manifest.report.notes == (now,)
    assert make_build(entries, storage="fp16").manifest.report.notes == ()
    short = make_build(fruit_entries()).manifest.report.notes
    assert short == (
        "Texts are searched by vectors alone from now on (vector). To search as before: --mode hybrid.",
    )


def test_a_rollback_brings_back_the_words_of_before(make_searcher, tmp_path):
    """After a rollback the words of the older build are searched."""
    make_searcher([text("a", "red fox"), text("b", "old owl")])
    assert ids(make_searcher([text("a", "red fox"), text("c", "grey wolf")]), "owl wolf") == ["c"]
    assert ids(es.index.Index(roll_back(tmp_path, "small"), LetterEncoder), "owl wolf") == ["b"]


def test_the_title_and_the_id_are_words_too_but_a_hash_is_not(make_searcher):
    """An item is found by its id and by its title; an id that is the hash of its text is no word."""
    index = make_searcher([text("os.Path", "a place", title="Folders of files"), text("b", "other")])
    assert [ids(index, query) for query in ("os.path", "path", "folders", "place")] == [["os.Path"]] * 4
    hashed = es.build([LONG], name="hashed", encoder=Letters(), indexes=index.build.folder.parents[2])
    assert hashed.manifest.artifacts.lexical.terms == len(set(LONG.split()))


class Letters:
    """Counts letters."""

    name = "letters"

    def encode(self, texts):
        """Return a vector for each text."""
        from tests.fakes import letters

        return [letters(each) for each in texts]


def test_a_truncated_file_of_words_is_an_error(tmp_path):
    """Where a file of words was truncated, a program that holds the index gets an error and no signal."""
    texts = [f"{LONG} word{at} other{at}" for at in range(12_000)]
    index = es.build(texts, name="large", encoder=Letters(), indexes=tmp_path)
    path = index.build.folder / ROWS
    assert path.stat().st_size > 2**20
    assert index.search("word17", mode="lexical")[0].text == texts[17]
    kept = shutil.copy(path, tmp_path / "kept")
    os.truncate(path, 4096)
    with pytest.raises(IndexDamagedError, match=rf"{ROWS} has 4,096 bytes"):
        index.search("word17", mode="lexical")
    shutil.copy(kept, path)
    (index.build.folder / SCORES).write_bytes(b"")
    with pytest.raises(IndexDamagedError, match=SCORES):
        es.open("large", tmp_path)
