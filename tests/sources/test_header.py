"""Whether the first row of a table is its header."""

import pytest

from embedsearch.recipe import SourceRecipe
from embedsearch.sources.header import has_header
from tests.sources.reading import contents, fields, read, source

RECIPE = SourceRecipe("csv", "")
QUESTIONS = [["where is my parcel now"], ["can I change my password"], ["how do I pay"]]


@pytest.mark.parametrize(
    ("first", "rows"),
    [
        (["how do I get my money back"], QUESTIONS),
        (["1", "red shoes"], [["2", "blue hat"], ["3", "green coat"]]),
        (["2024-01-01", "it rained"], [["2024-01-02", "sun"]]),
        (["dress", "a"], [["hat", "b"], ["dress", "c"]]),
        (
            ["I like it very much", "positive"],
            [["I did not like it", "negative"], ["It is good", "positive"]],
        ),
    ],
)
def test_a_first_row_like_the_others_is_no_header(first, rows):
    """Sentences over sentences, numbers over numbers, a value that comes again."""
    assert not has_header(RECIPE, first, rows)


@pytest.mark.parametrize(
    ("first", "rows"),
    [
        (["question"], QUESTIONS),
        (["a sentence that somebody wrote", "id"], [["where is my parcel now", "x"]]),
        (["headline", "n"], [["a", "1"]]),
        (["Country", "2019", "2020", "2021"], [["Peru", "1", "2", "3"], ["Mali", "4", "5", "6"]]),
        (["", "word", "score"], [["1", "red", "3.5"]]),
        (["What is your name?", "How old are you?"], [["Ada", "36"], ["Bo", "7"]]),
        (["What do you like about it?", "And what not?"], [["colour", "price"], ["size", "nothing"]]),
        (["anything"], []),
        (["word"], [["apple"], ["pear"]]),
    ],
)
def test_names_are_a_header(first, rows):
    """A usual name, words over numbers, years, short words; in doubt the first row is a header."""
    assert has_header(RECIPE, first, rows)


def test_what_is_asked_for_settles_it():
    """A column asked for by name is in the header; column_2 is of a table without one; an option decides."""
    asked = SourceRecipe("csv", "", text=("where is it",))
    assert has_header(asked, ["where is it"], QUESTIONS)
    assert not has_header(SourceRecipe("csv", "", text=("column_1",)), ["word"], [["apple"]])
    assert has_header(SourceRecipe("csv", "", header="yes"), ["1"], [["2"]])
    assert not has_header(SourceRecipe("csv", "", header="no"), ["text"], [["2"]])


def test_a_table_without_a_header_is_read_whole_and_said(table):
    """The first row is a record, the columns are numbered, and the report names the option against it."""
    path = table("1,red shoes\n2,blue hat\n")
    entries = read("csv", path, ("column_2",))
    assert contents(entries) == ["red shoes", "blue hat"]
    assert fields(entries) == [{"column_1": 1}, {"column_1": 2}]
    opened = source("csv", path, ("column_2",))
    list(opened)
    assert opened.reading().notes == [
        "No header was found: the first row is read as a record, and the columns are called column_1 to "
        "column_2. If it holds names, give --header."
    ]
    asked = source("csv", path, ("column_2",), header="no")
    assert len(list(asked)) == 2
    assert asked.reading().notes == []
    assert contents(read("csv", path, ("red shoes",))) == ["blue hat"]
