import bm25s
import numpy as np
import pytest

from embedsearch.lexical import LEXICAL, bm25, lexical_class
from embedsearch.lexical.bm25 import K1, B, BM25Index

DOCUMENTS = [["cat", "sat", "cat"], ["dog", "sat", "on", "mat"], [], ["cat", "dog", "dog", "bird"]]


@pytest.mark.parametrize("block", [2, bm25.BLOCK])
def test_scores_are_those_of_bm25s(block, tmp_path, monkeypatch):
    """A query's scores are those of bm25s in Lucene's form, in blocks too; an unknown term adds none."""
    monkeypatch.setattr(bm25, "BLOCK", block)
    oracle = bm25s.BM25(k1=K1, b=B, method="lucene", backend="numpy")
    oracle.index(DOCUMENTS, show_progress=False)
    index = BM25Index.build(tmp_path, iter(DOCUMENTS))
    assert (len(index), index.terms) == (4, 6)
    assert sorted(each.suffix for each in tmp_path.iterdir()) == [".npy"] * 5  # postings are gone
    for query in (["cat"], ["dog", "sat"], ["bird", "on", "cat"]):
        expected = oracle.get_scores(query)
        for each in (index, BM25Index.open(tmp_path)):
            np.testing.assert_allclose(each.scores([*query, "whale"]), expected, rtol=1e-6)
    assert index.scores(["whale"]).tolist() == index.scores([]).tolist() == [0, 0, 0, 0]


@pytest.mark.filterwarnings("error")
def test_texts_without_words_are_an_index_that_finds_nothing(tmp_path):
    """Texts without any word can be indexed; no query finds one."""
    index = BM25Index.build(tmp_path, [[], []])
    assert (len(index), index.scores(["cat"]).tolist()) == (2, [0, 0])


@pytest.mark.parametrize("name", LEXICAL)
def test_each_row_of_the_table_is_a_lexical_index(name):
    """Each name in the table stands for a class that builds and opens."""
    assert callable(lexical_class(name).build)
    assert callable(lexical_class(name).open)


def test_rarity_is_the_idf_of_lucene(tmp_path):
    """A term in f of n documents has log(1 + (n - f + 0.5) / (f + 0.5)); so has one that none holds."""
    index = BM25Index.build(tmp_path, iter(DOCUMENTS))
    want = [np.log(1 + (4 - held + 0.5) / (held + 0.5)) for held in (2, 1, 0)]
    np.testing.assert_allclose(index.rarity(["cat", "bird", "whale"]), want, rtol=1e-6)
