from itertools import pairwise

import pytest

from embedsearch.errors import ItemError
from embedsearch.records import LabelledSpan, Labels, Modality, Record, Sentence
from embedsearch.splitters.words import sentences, split_spans, split_tokens, split_words, words


def cut(text, spans):
    """Return the parts of `text`."""
    return [text[start:end] for start, end in spans]


def record(text, labels=None):
    """Return a record of a text."""
    return Record("a", Modality.TEXT, text, labels=labels)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Don't split os.path, 3.5 or well-known.", ["Don't", "split", "os.path", "3.5", "or", "well-known"]),
        ("l’été à Zürich", ["l’été", "à", "Zürich"]),
        ("snake_case x1, (y)", ["snake_case", "x1", "y"]),
        ("日本 和 中文", ["日本", "和", "中文"]),
        ("彼女は東京大学に行く。", ["彼女", "は", "東京", "大学", "に", "行く"]),
        ("审批流程需要批准，然后付款", ["审批", "流程", "需要", "批准", "然后", "付款"]),
        ("𠮷野家で食べる", ["𠮷", "野家", "で", "食べる"]),  # a character of two UTF-16 units
        ("แมวนอนอยู่บนเสื่อ", ["แมว", "นอน", "อยู่", "บน", "เสื่อ"]),
        ("ខ្ញុំស្រឡាញ់អ្នក", ["ខ្ញុំ", "ស្រឡាញ់", "អ្នក"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("iPhone15を買う", ["iPhone15", "を", "買う"]),
        ("cafe\u0301 x", ["cafe\u0301", "x"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("... -- !", []),
        ("", []),
        ("'quoted' word-", ["quoted", "word"]),
    ],
)
def test_words(text, found):
    """Words are letters, marks and digits of any script; dictionaries find them where no spaces are."""
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
        ("「寝る。」と言う！？はい", ["「寝る。」", "と言う！？", "はい"]),
        ("値は３．５である．次", ["値は３．５である．", "次"]),
        ("नमस्ते। कैसे हो॥ अच्छा", ["नमस्ते।", "कैसे हो॥", "अच्छा"]),
        ("هل تنام؟ نعم۔ لا", ["هل تنام؟", "نعم۔", "لا"]),
        ("ሰላም። እንዴት፧ ደህና", ["ሰላም።", "እንዴት፧", "ደህና"]),
        ("ខ្ញុំ។ អ្នក", ["ខ្ញុំ។", "អ្នក"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_sentences(text, found):
    """Sentences end at a line break and at the stops of every script, and not behind abbreviations."""
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


def test_the_rule_of_0_6_is_kept():
    """An index of words that 0.6 made splits as it did: no dictionaries, marks end words, few full stops."""
    assert cut("彼女は行く", words("彼女は行く", "")) == ["彼女は行く"]
    assert cut("cafe\u0301 x", words("cafe\u0301 x", "")) == ["cafe", "x"]
    assert cut("नम। कै", sentences("नम। कै", "")) == ["नम। कै"]
    assert split_words("一二。三", "") == [
        (0, Sentence("一二。", ((0, 2),))),
        (3, Sentence("三", ((0, 1),))),
    ]


def labelled(text, *spans, given=None):
    """Return the record of a text with labelled spans, and the words that its source gives."""
    return record(text, Labels(tuple(LabelledSpan(*span, "X") for span in spans), given))


def test_a_text_is_split_into_sentences_with_its_spans():
    """A sentence without a span is left out; spans are relative to theirs; none at all gives no part."""
    text = "Ann and Bob sat. It rained. He met IBM."
    assert split_spans(labelled(text, (0, 3), (8, 11), (35, 38))) == [
        (0, Sentence("Ann and Bob sat.", ((0, 3), (8, 11)))),
        (28, Sentence("He met IBM.", ((7, 10),))),
    ]
    assert split_spans(labelled(text)) == []


def test_sentences_that_share_a_span_are_one():
    """A span over the end of a sentence, and others in these sentences, stand in one part."""
    text = "A b. C d. E f. G h."
    assert split_spans(labelled(text, (2, 6), (7, 11), (15, 16))) == [
        (0, Sentence("A b. C d. E f.", ((2, 6), (7, 11)))),
        (15, Sentence("G h.", ((0, 1),))),
    ]


def test_words_of_a_source_are_kept_in_one_sentence():
    """Where a source has words of its own, the text is neither cut into sentences nor into other words."""
    own = labelled("Go ! Now .", (5, 8), given=((0, 2), (3, 4), (5, 8), (9, 10)))
    assert split_words(own) == [(0, Sentence("Go ! Now .", ((0, 2), (3, 4), (5, 8), (9, 10))))]
    assert split_tokens(own) == [(0, Sentence("Go ! Now ."))]
    assert split_spans(own) == [(0, Sentence("Go ! Now .", ((5, 8),)))]
    assert split_words(labelled("Go! Now.", (4, 7))) == split_words("Go! Now.")
