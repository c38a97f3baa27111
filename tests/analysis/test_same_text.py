import numpy as np
import pytest

from embedsearch.analysis.same_text import TextCheck, differing
from embedsearch.progress import Silent


def same(one, other, *others):
    """Return whether two texts of an index are copies."""
    texts = [one, other, *others]
    check = TextCheck(lambda rows: [texts[row] for row in rows.tolist()], len(texts))
    return check.same(np.array([0]), np.array([1]), Silent()).tolist() == [True]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("I want a refund", "i  want a REFUND"),
        ("I want a refund.", "I want a refund!!"),
        ("I want my money back", "I wnat my money back"),
        ("Where is my parcel now", "Where is my parcl now"),
        ("I am still waiting for my card to come here", "I am waiting still for my card to come here"),
        ("The parcel was damaged when it came to my house", "The parcel was damaged when it came to house"),
        ("a well-known thing", "a well known thing"),
        ("ＡＢＣ ﬁne", "abc fine"),
    ],
)
def test_copies(one, other):
    """Case, spaces, punctuation, widths, a misspelt word, a moved word, one word more: a copy."""
    assert same(one, other)
    assert same(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "My credit card was charged twice on the last day",
            "My debit card was charged twice on the last day",
        ),
        ("There is a fee of 15 pounds on my card", "There is a fee of 16 pounds on my card"),
        ("It is 5 degrees outside at the moment", "It is -5 degrees outside at the moment"),
        ("The parcel was not damaged when it came here", "The parcel was damaged when it came here"),
        ("How do I write this program in C++?", "How do I write this program in C#?"),
        ("os.posix_spawn(path, argv, env) runs a program", "os.posix_spawnp(path, argv, env) runs a program"),
        (
            "Send the money from my savings to my checking account",
            "Send the money from my checking to my savings",
        ),
        ("I live in a house", "I live in a horse"),
        ("Can I have a refund", "I would like my money back"),
        ("猫在睡觉", "狗在睡觉"),
        ("審批流程", "猫在睡觉"),
    ],
)
def test_no_copies(one, other):
    """Other numbers, signs, symbols, identifiers, negations, words: no copy."""
    others = ("a house", "a horse", "a credit", "a debit")
    assert not same(one, other, *others)
    assert not same(other, one, *others)


def test_a_slip_is_no_word_of_other_texts():
    """One letter apart is a misspelling, unless the index has both words elsewhere."""
    one, other = "a group wading across a witch", "a group wading across a ditch"
    assert same(one, other, "a witch")
    assert not same(one, other, "a witch", "a ditch")


def test_what_differs_is_marked():
    """The spans of the words that the other has not at that place, on both sides."""
    one, other = "My credit card was charged", "My old debit card was charged twice"
    spans = differing(one, other)
    assert [
        [text[start:end] for start, end in each] for text, each in zip((one, other), spans, strict=True)
    ] == [
        ["credit"],
        ["old debit", "twice"],
    ]
    assert differing("same", "same") == ([], [])
