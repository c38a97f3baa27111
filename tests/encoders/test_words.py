import numpy as np
import pytest
import torch

from embedsearch.encoders import load_encoder
from embedsearch.errors import ItemError
from embedsearch.records import Sentence
from embedsearch.splitters.words import words
from tests.small_models import SENTENCES, TEXT_MODELS


def tokenizer_of(folder):
    """Return the tokenizer of a model, as transformers loads it."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def plain(folder, sentence):
    """Return the last hidden state (T, D) of one sentence by the plain call, and its encoding."""
    from transformers import AutoModel

    tokenizer, model = tokenizer_of(folder), AutoModel.from_pretrained(folder).eval()
    inputs = tokenizer(sentence, return_tensors="pt", truncation=True)
    with torch.no_grad():
        return model(**inputs).last_hidden_state[0].numpy(), inputs


def tokens_of(inputs, span):
    """Return the positions of the sub-tokens that hold a character of a span."""
    characters = [inputs.token_to_chars(0, token) for token in range(len(inputs["input_ids"][0]))]
    return [
        token
        for token, held in enumerate(characters)
        if held is not None and set(range(held.start, held.end)) & set(range(*span))
    ]


@pytest.mark.parametrize("name", TEXT_MODELS)
@pytest.mark.parametrize("pooling", ["mean", "first"])
def test_a_word_is_its_own_rows_in_its_sentence(small_model, name, pooling):
    """A word's vector is the mean of its sub-tokens' rows, or the first row, of the plain call, to 1e-5."""
    folder = small_model(name)
    encoder = load_encoder(folder.as_posix(), unit="word", pooling=pooling, precision="fp32")
    got = encoder.encode([Sentence(text, words(text)) for text in SENTENCES])
    want, split = [], 0
    for text in SENTENCES:
        rows, inputs = plain(folder, text)
        for span in words(text):
            own = rows[tokens_of(inputs, span)]
            split += len(own) > 1
            want.append(own.mean(0) if pooling == "mean" else own[0])
    assert split > 5, "words of several sub-tokens must be among them"
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", TEXT_MODELS)
def test_a_token_is_its_own_row(small_model, name):
    """With unit token every sub-token has its row of the plain call, special and blank tokens left out."""
    folder = small_model(name)
    encoder = load_encoder(folder.as_posix(), unit="token", precision="fp32")
    for text in SENTENCES:
        rows, inputs = plain(folder, text)
        held = [inputs.token_to_chars(0, token) for token in range(len(rows))]
        shown = [token for token, at in enumerate(held) if at and text[at.start : at.end].strip()]
        np.testing.assert_allclose(encoder.encode([Sentence(text)]), rows[shown], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["bert", "roberta", "modernbert"])
def test_token_spans_cover_their_characters(small_model, name):
    """Spans of tokens follow each other, hold no space, and together hold every other character."""
    text = SENTENCES[2]
    encoder = load_encoder(small_model(name).as_posix(), unit="token")
    spans = encoder.prepare([Sentence(text)])[0].units
    assert all(text[start:end].strip() == text[start:end] != "" for start, end in spans)
    covered = {character for span in spans for character in range(*span)}
    assert covered == {at for at, character in enumerate(text) if not character.isspace()}


def test_the_same_word_differs_by_its_sentence(small_model):
    """The word "bank" twice in one sentence has two vectors, and each is stable."""
    encoder = load_encoder(small_model("bert").as_posix(), unit="word", precision="fp32")
    text = SENTENCES[0]
    spans = tuple(span for span in words(text) if text[slice(*span)] == "bank")
    first, second = encoder.encode([Sentence(text, spans)])
    assert len(spans) == 2
    assert np.abs(first - second).max() > 0.01
    again = encoder.encode([Sentence("x", ((0, 1),)), Sentence(text, spans[1:])])[1]
    np.testing.assert_allclose(again, second, rtol=0, atol=1e-5)


def test_words_beyond_the_limit_are_counted(small_model):
    """Words past the model's 128 tokens get no vector; how many is said."""
    text = "cat " * 200
    encoder = load_encoder(small_model("bert").as_posix(), unit="word")
    prepared = encoder.prepare([Sentence(text, words(text))])[0]
    assert prepared.truncated
    assert len(prepared.units) + prepared.lost == 200
    assert 0 < len(prepared.units) <= 126
    assert prepared.units == words(text)[: len(prepared.units)]


def test_a_word_beyond_the_limit_says_so(small_model):
    """A query word past the limit is an ItemError that names the limit."""
    text = "cat " * 200
    encoder = load_encoder(small_model("bert").as_posix(), unit="word")
    with pytest.raises(ItemError, match="limit"):
        encoder.encode([Sentence(text, words(text)[-1:])])


@pytest.mark.parametrize("unit", ["word", "token"])
def test_an_unknown_word_has_no_vector(small_model, unit):
    """A word that the vocabulary lacks gets no vector; the words around it keep their rows."""
    folder = small_model("bert")
    encoder = load_encoder(folder.as_posix(), unit=unit, precision="fp32")
    text = "the 日本 bank"
    rows, inputs = plain(folder, text)
    assert inputs["input_ids"].tolist()[0].count(1) > 0  # [UNK]
    prepared = encoder.prepare([Sentence(text, words(text) if unit == "word" else None)])[0]
    assert [text[slice(*span)] for span in (prepared.units[0], prepared.units[-1])] == ["the", "bank"]
    assert "日" not in "".join(text[slice(*span)] for span in prepared.units)
    assert prepared.lost == (1 if unit == "word" else 2)
    want = [rows[tokens_of(inputs, span)].mean(0) for span in prepared.units]
    np.testing.assert_allclose(encoder.encode([Sentence(text, prepared.units)]), want, rtol=0, atol=1e-5)


def test_a_sentence_that_holds_no_known_word_is_refused(small_model):
    """A sentence of space, and one of unknown words, are refused, each with its own reason."""
    encoder = load_encoder(small_model("bert").as_posix(), unit="word", precision="fp32")
    with pytest.raises(ItemError, match="no word that the model can read"):
        encoder.encode([Sentence("  ")])
    with pytest.raises(ItemError, match="multilingual model: --model"):
        encoder.encode([Sentence("日本", words("日本"))])


def test_a_bad_sentence_stands_between_good_ones(small_model):
    """`prepare` puts the ItemError in the place of the bad sentence and prepares the others."""
    encoder = load_encoder(small_model("bert").as_posix(), unit="token")
    good, bad, other = encoder.prepare([Sentence("a cat"), Sentence(""), Sentence("the bank")])
    assert isinstance(bad, ItemError)
    assert [len(good.units) > 0, len(other.units) > 0] == [True, True]
