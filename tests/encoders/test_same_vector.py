"""A thing has one vector, whichever way it came: through a build or a query, by one worker or many."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import embedsearch as es
from embedsearch import encoders
from embedsearch.encoders import load_encoder, open_encoder
from embedsearch.index import Index
from embedsearch.indexing.build import build_index
from embedsearch.query import Text, Word
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Unit
from tests import fakes
from tests.encoders.test_images import pictures
from tests.encoders.test_text import LONG, cosines
from tests.small_models import SENTENCES

ENGINES = [
    "torch",
    pytest.param(
        "openvino",
        marks=[
            pytest.mark.openvino,
            pytest.mark.skipif(not encoders.has_openvino(), reason="the extra openvino is not installed"),
        ],
    ),
]


def searcher(make_recipe, tmp_path, folder, unit, entries, engine):
    """Build an index in fp32 by `engine`; queries go through torch."""
    encoder = EncoderRecipe(unit, str(folder), precision="fp32", engine=engine, device="cpu")
    return Index(build_index(make_recipe(entries, encoder=encoder, unit=unit), tmp_path), open_encoder)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_text_asked_is_the_text_indexed(small_model, make_recipe, tmp_path, engine):
    """The vector of a query is that of the same text in the index, cosine 0.99999."""
    texts = [*SENTENCES, LONG]
    entries = [fakes.text(str(at), text) for at, text in enumerate(texts)]
    found = searcher(make_recipe, tmp_path, small_model("bert"), Unit.TEXT, entries, engine)
    asked = np.concatenate([found.queries.space(Text(text)).vector for text in texts])
    assert cosines(asked, np.asarray(found.build.vectors)).min() >= 0.99999


@pytest.mark.parametrize("engine", ENGINES)
def test_a_word_asked_is_the_word_indexed(small_model, make_recipe, tmp_path, engine):
    """The vector of a word in a sentence asked is that of the same word indexed, cosine 0.99999."""
    sentence = "A cat sleeps on the grassy bank."
    entries = [fakes.text("a", sentence), fakes.text("b", SENTENCES[0])]
    found = searcher(make_recipe, tmp_path, small_model("bert"), Unit.WORD, entries, engine)
    asked = np.concatenate([found.queries.space(Word(sentence, number)).vector for number in range(1, 8)])
    assert cosines(asked, np.asarray(found.build.vectors)[:7]).min() >= 0.99999


@pytest.mark.parametrize("engine", ENGINES)
def test_an_image_asked_is_the_image_indexed(small_model, make_recipe, tmp_path, engine):
    """The vector of an image asked is that of the same image indexed, cosine 0.99999."""
    entries = []
    for at, image in enumerate(pictures()):
        path = tmp_path / f"{at}.png"
        image.save(path)
        entries.append(fakes.picture(str(at), path))
    found = searcher(make_recipe, tmp_path, small_model("vit"), Unit.IMAGE, entries, engine)
    asked = np.concatenate([found.queries.space(es.Image(image)).vector for image in pictures()])
    assert cosines(asked, np.asarray(found.build.vectors)).min() >= 0.99999


def test_the_number_of_workers_changes_nothing(small_model):
    """One thread that decodes and eight give the very same vectors in the same order."""
    encoder = load_encoder(str(small_model("vit")), precision="fp32", device="cpu")
    got = []
    for workers in (1, 8):
        encoder._threads = ThreadPoolExecutor(workers)
        got.append(encoder.encode(pictures() * 5))
    assert np.array_equal(*got)
