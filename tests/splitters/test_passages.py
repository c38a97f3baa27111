"""Texts to passages: where they end, how long they are, what they share."""

import re

import numpy as np
import pytest

from embedsearch.errors import RecipeError
from embedsearch.modalities import PASSAGES
from embedsearch.splitters.passages import Rule, passages_rule, rule_of, split_passages

SENTENCE = "The cat number {} sleeps on the old mat. "


def split(text, size, overlap=0):
    """Return the passages of a text whose tokens are its words."""
    spans = np.array([match.span() for match in re.finditer(r"\w+|[^\w\s]", text)])
    found = split_passages(text, spans[:, 0], spans[:, 1], Rule(size, size, overlap))
    return [text[start:end] for start, end in found]


def tokens(text):
    """Count the tokens of a text as `split` does."""
    return len(re.findall(r"\w+|[^\w\s]", text))


def test_passages_end_where_sentences_end():
    """Each passage holds whole sentences, and all of them are there once without an overlap."""
    text = "".join(SENTENCE.format(at) for at in range(40))
    found = split(text, 32)
    assert " ".join(found) == text.strip()
    assert all(each.endswith("mat.") and tokens(each) <= 32 for each in found)
    assert len(found) == 14  # three sentences of 10 tokens each


def test_passages_overlap_by_whole_sentences():
    """A passage begins with the last sentences of the one before, as many as the overlap holds."""
    text = "".join(SENTENCE.format(at) for at in range(9))
    found = split(text, 40, 10)
    assert [re.findall(r"\d+", each) for each in found] == [list("0123"), list("3456"), list("678")]


def test_a_long_sentence_is_cut_between_words():
    """A sentence longer than a passage is cut after a word, and nothing of it is lost."""
    text = " ".join(f"word{at}" for at in range(100))
    found = split(text, 30)
    assert " ".join(found) == text
    assert max(map(tokens, found)) <= 30


def test_a_page_or_a_heading_ends_a_passage():
    """A passage that is a third full ends at a page's end and before a heading, without an overlap."""
    text = SENTENCE * 2 + "\n\f\n" + SENTENCE * 2 + "\n\n# A heading\n\n" + SENTENCE
    found = split(text, 50, 20)
    assert [each.count("cat") for each in found] == [2, 2, 1]
    assert found[2].startswith("# A heading")


def test_a_short_section_does_not_end_a_passage():
    """A page of a few words is joined with the next one."""
    assert len(split("One.\n\f\nTwo.\n\f\nThree.", 40)) == 1


def test_a_wrapped_line_does_not_end_a_sentence():
    """A line break within a paragraph is a space, a blank line is not."""
    text = "the cat sleeps on\nthe mat and dreams of\nmice in the barn"
    assert split(f"{text}\n\n{text}", 15) == [text, text]


def test_text_without_sentences_is_split():
    """A text without full stops or spaces is split too, at any token."""
    found = split("猫" * 5 + "。" + "犬" * 5, 4)
    assert "".join(found).replace("。", "") == "猫" * 5 + "犬" * 5


@pytest.mark.parametrize(
    ("asked", "limit", "rule"),
    [("auto", 256, PASSAGES), ("off", 256, ""), ("auto", None, ""), ("64", 256, "64/64/16")],
)
def test_what_is_asked_for_becomes_a_rule(asked, limit, rule):
    """Auto splits what the model does not read whole, off and a model without a limit split nothing."""
    assert passages_rule(asked, limit) == rule


@pytest.mark.parametrize("asked", ["15", "257", "-3", "many", "", "1e3"])
def test_a_wrong_number_of_tokens_is_refused(asked):
    """Passages of under 16 tokens, or more than the model reads, are refused, with what can be given."""
    with pytest.raises(RecipeError, match="from 16 to 256"):
        passages_rule(asked, 256)


def test_a_rule_keeps_within_what_the_model_reads():
    """With two tokens to spare a passage never exceeds the limit, whatever the rule says."""
    assert rule_of("model/64/16", 254) == Rule(254, 64, 16)
    assert rule_of("128/128/32", 50) == Rule(50, 48, 32)


def test_a_model_without_a_limit_and_one_that_reads_next_to_nothing_have_a_rule():
    """A number of tokens holds where the model has no limit; a passage has at least a token."""
    assert rule_of("64/64/16", None) == Rule(64, 64, 16)
    assert rule_of(PASSAGES, 2) == Rule(2, 1, 16)
    assert split("one two. three", *rule_of(PASSAGES, 2)[1:]) == ["one", "two", ".", "three"]
