"""Names of groups by their distinctive words."""

import numpy as np
import pytest
from PIL import Image

from embedsearch.errors import QueryError
from embedsearch.maps.labels import check_field, distinctive_words, documents
from embedsearch.records import Unit
from tests import fakes

PETS = ["the cat sleeps on the mat", "the cat and the kitten", "the kitten on the sofa"]
MONEY = ["the bank and the loan", "the loan on the house", "the bank of the north"]
SEA = ["the ship on the sea", "the sea and the harbour", "the ship in the harbour"]


def test_names_are_what_sets_groups_apart():
    """Words of one group name it; words that stand everywhere ("the", "on", "and") name none."""
    names = distinctive_words([*PETS, *MONEY, *SEA], np.repeat([0, 1, 2], 3), 3)
    assert [set(words) for words in names] == [
        {"cat", "kitten"},
        {"bank", "loan"},
        {"harbour", "sea", "ship"},
    ]


def test_a_group_of_one_item_has_a_name():
    """Where no word is in two items, the best by c-TF-IDF are taken; numbers and letters are no words."""
    texts = ["zebra 7 a", "the cat", "the cat sat", "the dog", "the dog sat"]
    assert distinctive_words(texts, np.array([0, 1, 1, 2, 2]), 3) == [["zebra"], ["cat"], ["dog"]]
    assert distinctive_words(["", "1 2"], np.array([0, 1]), 3) == [[], [], []]


def test_words_that_begin_alike_stand_once():
    """Of "card" and "cards" only the better one is part of a name."""
    texts = ["card cards", "card cards", "card", "fish", "fish", "fish"]
    assert distinctive_words(texts, np.array([0, 0, 0, 1, 1, 1]), 2)[0] == ["card"]


def test_what_is_said_of_an_item(make_searcher, tmp_path):
    """A text by itself, a word by itself, an image by its fields or its file; or each by a given field."""
    items = make_searcher(fakes.fruit_entries()).build.items
    assert documents(items, np.array([0, 3])) == ["apple", "cherry"]
    assert documents(items, np.array([0, 3]), "first") == ["a", "c"]
    said = [fakes.text("a", "The cat sat."), fakes.text("b", "dog den")]
    words = make_searcher(said, name="words", unit=Unit.WORD, location="b").build.items
    assert documents(words, np.array([1, 4])) == ["cat", "den"]
    Image.new("RGB", (4, 4)).save(tmp_path / "black_cat.png")
    drawn = [
        fakes.picture("p", tmp_path / "black_cat.png"),
        fakes.picture("q", tmp_path / "black_cat.png", caption="a tom", label="cats", year=2020),
    ]
    pictures = make_searcher(drawn, name="pictures", unit=Unit.IMAGE, location="c").build.items
    assert documents(pictures, np.arange(2)) == ["black cat", "a tom cats"]
    check_field(items, "first")
    with pytest.raises(QueryError, match=r"'firts'.*those with texts are first.*Did you mean 'first'"):
        check_field(items, "firts")
