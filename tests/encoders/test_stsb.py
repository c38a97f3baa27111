"""Human scores of relatedness against cosines: STS-B's pairs, by our vectors and by the plain library's."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from embedsearch.encoders import load_encoder
from tests.benchmarks.common import DATA, text_model_folder

PLAIN = 0.8645  # by SentenceTransformer, version 6.2.0, in fp32
CLOSE = 0.002


@pytest.fixture(scope="module")
def pairs():
    """Every second of STS-B's 1,500 pairs, for speed: their sentences and their scores."""
    path = DATA / "text" / "stsb_dev.tsv"
    if not path.is_file():
        pytest.skip(f"{path} is missing: real data is compared only where it lies beside the project")
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").strip().split("\n")]
    assert rows[0] == ["score", "s1", "s2"]
    assert len(rows) == 1501
    scores, left, right = zip(*rows[1::2], strict=True)
    return [float(score) for score in scores], left, right


def correlation(encode, pairs):
    """Return Spearman's correlation of the pairs' scores with the cosines of their vectors."""
    scores, left, right = pairs
    a, b = (
        vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in map(encode, (left, right))
    )
    return spearmanr(scores, (a * b).sum(1)).statistic


@pytest.fixture(scope="module")
def plain(pairs):
    """The correlation by SentenceTransformer with the same weights."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(text_model_folder()), device="cpu")
    return correlation(lambda texts: model.encode(list(texts)), pairs)


def test_the_plain_correlation_is_the_known_one(plain):
    """SentenceTransformer reaches the correlation measured when this was written: the data is whole."""
    assert plain == pytest.approx(PLAIN, abs=CLOSE)


@pytest.mark.parametrize("precision", ["fp32", pytest.param("auto", marks=pytest.mark.openvino)])
def test_cosines_rank_pairs_as_people_do(pairs, plain, precision):
    """In fp32, and in what auto takes of engines and precisions, the correlation is plain's to 0.002."""
    encoder = load_encoder(device="cpu", precision=precision)
    assert correlation(encoder.encode, pairs) == pytest.approx(plain, abs=CLOSE)
