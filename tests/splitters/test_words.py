from itertools import pairwise

import pytest

from embedsearch.errors import ItemError
from embedsearch.records import Sentence
from embedsearch.splitters.words import sentences, split_tokens, split_words, words


def cut(text, spans):
    """Return the parts of `text`."""
    return [text[start:end] for start, end in spans]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Don't split os.path, 3.5 or well-known.", ["Don't", "split", "os.path", "3.5", "or", "well-known"]),
        ("l’été à Zürich", ["l’été", "à", "Zürich"]),
        ("snake_case x1, (y)", ["snake_case", "x1", "y"]),
        ("日本 和 中文", ["日本", "和", "中文"]),
        ("... -- !", []),
        ("", []),
        ("'quoted' word-", ["quoted", "word"]),
    ],
)
def test_words(text, found):
    """Words are letters and digits of any script; apostrophes, dots and hyphens inside belong to them."""
    assert cut(text, words(text)) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("One here. Two there! Three?", ["One here.", "Two there!", "Three?"]),
        (
            "Dr. Smith met J. Doe, e.g. on Monday. He left.",
            ["Dr. Smith met J. Doe, e.g. on Monday.", "He left."],
        ),
        ("version 3.5 is out. 7 came after", ["version 3.5 is out.", "7 came after"]),
        ("no stop.lower goes on. like this", ["no stop.lower goes on. like this"]),
        ('He said: "Stop." Then he left.', ['He said: "Stop."', "Then he left."]),
        ("  first line \n\n second line  ", ["first line", "second line"]),
        ("一。二。", ["一。", "二。"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_sentences(text, found):
    """Sentences end at a stop before a capital or digit, at a line break, and not behind abbreviations."""
    assert cut(text, sentences(text)) == found


def test_sentences_hold_every_character_but_the_white_space_between():
    """No word is lost between sentences, and spans follow each other without overlap."""
    text = 'A b. C d!  "E f." (G h) i.e. J.\nK, 3.5 l? M… N'
    spans = sentences(text)
    inside = {at for span in spans for at in range(*span)}
    assert all(text[at].isspace() for at in range(len(text)) if at not in inside)
    assert all(left[1] <= right[0] for left, right in pairwise(spans))
    assert sum(len(words(text[slice(*span)])) for span in spans) == len(words(text))


def test_a_text_is_split_into_sentences_that_hold_words():
    """Each part starts where it stands in the text; words have spans, tokens are left to the model."""
    text = "A cat.\n...\nTwo!"
    assert split_words(text) == [
        (0, Sentence("A cat.", ((0, 1), (2, 5)))),
        (11, Sentence("Two!", ((0, 3),))),
    ]
    assert split_tokens(text) == [(0, Sentence("A cat.")), (11, Sentence("Two!"))]
    with pytest.raises(ItemError, match="holds no word"):
        split_words("... !")
