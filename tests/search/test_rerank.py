import numpy as np
import pytest
import torch

from embedsearch.distances.metric import normalized
from embedsearch.encoders import load_encoder
from embedsearch.encoders.cross_encoder import open_cross_encoder
from embedsearch.encoders.token_rows import tokens_of
from embedsearch.errors import ModelError, QueryError
from embedsearch.query import MoreLike, Query, SearchOptions, WeightedTerm, Word
from embedsearch.search.rerank import max_sim as max_sim_of
from tests.fakes import letters, text
from tests.small_models import SENTENCES

TEXTS = ["ab cd", "abc d", "d c b a", "aaab d", "ef gh"]


def max_sim(query, item):
    """Return the score of a text for another, letters of words for tokens, by the definition.

    A word that stands in `f` of the n `TEXTS` counts by the square of log(1 + (n - f + 0.5) / (f + 0.5)).
    """
    rows = [normalized(np.stack([letters(word) for word in each.split()])) for each in (query, item)]
    held = np.array([sum(word in text.split() for text in TEXTS) for word in query.split()])
    weights = np.log(1 + (len(TEXTS) - held + 0.5) / (held + 0.5)) ** 2
    return float((rows[0] @ rows[1].T).max(1) @ weights / weights.sum())


def standard(values):
    """Return values less their mean, divided by their deviation."""
    return (np.array(values) - np.mean(values)) / np.std(values)


def looked(index):
    """Return where a text is compared, and what is found there."""
    (placed,) = index.placed(["ab d"])
    ((place,),) = index._looked([placed], 100, None, SearchOptions())
    return placed.space, place


@pytest.fixture
def texts(make_searcher):
    """An index of a few texts by their letters."""
    return make_searcher([text(each, each) for each in TEXTS])


def test_the_first_hits_are_ordered_by_distance_and_max_sim(texts):
    """The first N are ordered by -distance plus MaxSim, both standardised; the others stay behind them."""
    plain = texts.search("gh d", 5)
    results = texts.search("gh d", 5, rerank=3)
    first = [hit.id for hit in plain][:3]
    both = standard([-hit.distance for hit in plain[:3]]) + standard(
        [max_sim("gh d", each) for each in first]
    )
    assert [hit.id for hit in results][:3] == [first[at] for at in np.argsort(-both)]
    assert [hit.id for hit in results][3:] == [hit.id for hit in plain][3:]
    for hit in results[:3]:
        assert hit.rerank_score == pytest.approx(max_sim("gh d", hit.id), abs=1e-6)
    assert [hit.rerank_score for hit in results[3:]] == [None, None]
    assert {hit.id: hit.distance for hit in results} == {hit.id: hit.distance for hit in plain}
    assert (results.order, [hit.rank for hit in results]) == ("tokens", [1, 2, 3, 4, 5])
    assert [hit.id for hit in plain] != [hit.id for hit in results]


def test_more_are_re_ranked_than_returned(texts):
    """The best of N candidates comes up, also where fewer hits are asked for."""
    best = max(TEXTS, key=lambda each: max_sim("ab d", each))
    assert [hit.id for hit in texts.search("ab d", 1, rerank=5)] == [best]


def test_the_tokens_that_answer_are_lit(texts):
    """The spans of the tokens that are nearest to those of the query are lit, in the order of the text."""
    hits = {hit.id: hit.lit for hit in texts.search("ab d", 5, rerank=True)}
    assert hits["aaab d"] == ((0, 4), (5, 6))
    assert hits["ef gh"] == ((0, 2),)


def test_a_token_counts_by_its_weight():
    """A score is the weighted mean of the largest cosines; what makes most of it comes first."""
    item = np.array([[1, 0, 0], [0, 0.6, 0.8]], np.float32)
    score, best = max_sim_of(np.eye(3, dtype=np.float32), item, np.array([0.25, 0.75, 0], np.float32))
    assert (score, best) == (pytest.approx(0.25 + 0.75 * 0.6), [1, 0])


def test_only_a_text_or_an_image_is_re_ranked(texts):
    """An item asks with its text; several terms at once have no tokens to compare."""
    assert texts.search(MoreLike("ab cd"), rerank=True).order == "tokens"
    with pytest.raises(QueryError, match="one text with texts"):
        texts.search(Query((WeightedTerm("ab"), WeightedTerm("cd"))), rerank=True)


def test_words_are_not_re_ranked(terms):
    """A word is compared by its own row already."""
    with pytest.raises(QueryError, match="one text with texts"):
        terms.search(Word("The cat sat", 2), rerank=True)


def test_images_are_re_ranked_by_their_patches(colours):
    """An image is compared with images patch by patch; a text finds no patches."""
    results = colours.search(MoreLike("red"), rerank=True)
    assert results[0].id == "pink"
    pink = np.array([255, 128, 128]) / np.linalg.norm([255, 128, 128])
    assert results[0].rerank_score == pytest.approx(pink[0], abs=1e-5)
    assert not results[0].lit


@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_token_rows_are_those_of_the_plain_call(small_model, name):
    """The rows are last_hidden_state without special tokens, of unit length, padded batch or not."""
    from transformers import AutoModel, AutoTokenizer

    folder = small_model(name)
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    got = tokens_of(load_encoder(folder.as_posix(), precision="fp32"), SENTENCES)
    for sentence, tokens in zip(SENTENCES, got, strict=True):
        with torch.no_grad():
            rows = model(**tokenizer(sentence, return_tensors="pt")).last_hidden_state[0, 1:-1]
        np.testing.assert_allclose(tokens.rows, normalized(rows.numpy()), rtol=0, atol=1e-5)
        assert len(tokens.spans) == len(tokens.rows)
        assert sentence[slice(*tokens.spans[0])].strip() in sentence


def cross_encoder(folder, small_model, labels):
    """Save a small BERT for sequence classification with a tokenizer; return its folder."""
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(small_model("bert"))
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, num_labels=labels,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("labels", [1, 2])
def test_a_cross_encoder_s_scores_are_those_of_the_plain_call(tmp_path, small_model, labels):
    """A score is the logit of query and text together; of two outputs the second less the first."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = cross_encoder(tmp_path, small_model, labels)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    got = open_cross_encoder(folder.as_posix()).scores("a river bank", SENTENCES)
    for sentence, score in zip(SENTENCES, got, strict=True):
        with torch.no_grad():
            logits = model(**tokenizer("a river bank", sentence, return_tensors="pt")).logits[0]
        want = logits[0] if labels == 1 else logits[1] - logits[0]
        assert score == pytest.approx(float(want), abs=1e-5)


def test_a_cross_encoder_orders_the_first_hits(texts, tmp_path, small_model):
    """The order of the first hits is that of the model's scores, which stand at the hits."""
    folder = cross_encoder(tmp_path / "cross", small_model, 1).as_posix()
    results = texts.search("ab d", rerank=folder, rerank_k=4)
    scores = [hit.rerank_score for hit in results]
    assert scores[:4] == sorted(scores[:4], reverse=True)
    assert scores[4] is None
    assert results.order == folder
    want = open_cross_encoder(folder).scores("ab d", [results[0].text])
    assert scores[0] == pytest.approx(float(want[0]), abs=1e-5)


def test_what_is_no_cross_encoder_is_refused(tmp_path, small_model):
    """A model without a classification head, or with many classes, says what was expected."""
    with pytest.raises(ModelError, match="no cross-encoder: its weights lack"):
        open_cross_encoder(small_model("bert").as_posix())
    with pytest.raises(ModelError, match="sorts texts into 5 classes"):
        open_cross_encoder(cross_encoder(tmp_path, small_model, 5).as_posix())


def test_hits_by_vectors_and_words_keep_the_order_of_both(texts):
    """In the mode hybrid the order is that of the first score plus 0.2 of MaxSim, both standardised."""
    first = texts.search("ab d", 5, mode="hybrid")
    results = texts.search("ab d", 5, mode="hybrid", rerank=5)
    assert {hit.id for hit in results} == {hit.id for hit in first}
    assert all(hit.rerank_score == pytest.approx(max_sim("ab d", hit.id), abs=1e-6) for hit in results)
    ids = [hit.id for hit in first]
    found = texts.words.mixed("ab d", *looked(texts), 100, None, "hybrid", None)
    fused = {texts.build.items["id"][each.row].as_py(): each.fused for each in found}
    both = standard([fused[each] for each in ids]) + 0.2 * standard([max_sim("ab d", each) for each in ids])
    assert [hit.id for hit in results] == [ids[at] for at in np.argsort(-both, kind="stable")]


@pytest.mark.filterwarnings("error")
def test_nothing_found_is_nothing_to_re_rank(texts):
    """Where no item passes the filter there are no hits, and no mean of no scores."""
    assert len(texts.search("ab d", where="id = 'none'", rerank=True)) == 0
