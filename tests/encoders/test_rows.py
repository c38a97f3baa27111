"""Rows with texts: the texts of a column are embedded by the text model."""

import numpy as np
import pytest

import embedsearch as es
from embedsearch.errors import ModelError

SAYS = ["a dog barks at night", "the cat sleeps", "a train leaves the station", "shares fell on Monday"]
ROWS = [{"id": f"{at}", "size": at % 9, "says": f"{SAYS[at % 4]}, {at}"} for at in range(40)]


@pytest.fixture(scope="module")
def talks(tmp_path_factory):
    """An index of rows of a number and a text."""
    folder = tmp_path_factory.mktemp("talks")
    options = es.EncoderOptions(precision="fp32", engine="torch", device="cpu")
    return es.build(ROWS, name="talks", rows=True, id="id", indexes=folder, encoder=options)


def test_texts_are_compared_by_their_meaning(talks):
    """A word that no row has finds the rows that mean it."""
    found = talks.search({"says": "a kitten takes a nap"}, k=5)
    assert all("cat" in hit.fields["says"] for hit in found)
    assert talks.manifest.encoder.spec.model == "all-MiniLM-L6-v2"
    assert talks.manifest.encoder.spec.pooling == "columns"


def test_a_text_column_is_the_reduced_vector_of_its_text(talks):
    """The column's numbers are the unit vector of the text, less the mean, times the basis."""
    block, place = next(
        pair
        for pair in zip(talks.queries.learnt.blocks, talks.queries.learnt.places, strict=True)
        if pair[0].column.name == "says"
    )
    plain = es.load_encoder(precision="fp32", engine="torch", device="cpu").encode([ROWS[7]["says"]])[0]
    wanted = (plain / np.linalg.norm(plain) - block.mean) @ block.basis  # (384,) (384, r) -> (r,)
    kept = talks.build.take(np.array([talks.row("7")]))[0, place]
    np.testing.assert_allclose(kept, wanted, atol=1e-4)


def test_an_equal_text_far_apart_is_embedded_alike(talks):
    """A row asked with the values of an item is that item."""
    asked = {name: value for name, value in ROWS[11].items() if name != "id"}
    assert talks.search(asked, k=1)[0].distance == pytest.approx(0, abs=1e-3)


def test_rows_have_no_model_of_their_own():
    """Without a table there is no encoder of rows, and the message says what to do."""
    with pytest.raises(ModelError, match=r"learnt from their table\. Build an index"):
        es.load_encoder(unit="row")


def test_rows_are_not_pooled(tmp_path):
    """A pooling that was asked for is refused."""
    with pytest.raises(ModelError, match="leave --pooling mean out"):
        es.build([{"a": 1}, {"a": 2}], name="x", rows=True, pooling="mean", indexes=tmp_path)
