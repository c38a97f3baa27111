import numpy as np

from embedsearch.api import build
from embedsearch.distances.metric import distances
from embedsearch.index import open_index
from embedsearch.ui.cached import manifests
from embedsearch.ui.widgets import play


def test_a_round_has_one_answer_and_no_copies(indexes):
    """Each number is a round of four different items, its answer is the nearest by the index's distance."""
    searcher = open_index("questions", indexes)
    answers = set()
    for number in range(1, 30):
        game = play.draw(searcher, number)
        assert game == play.draw(searcher, number)
        assert len({game.first, *game.others}) == 4
        rows = [game.first, *game.others]
        vectors = np.asarray(searcher.build.vectors[rows], np.float32)
        far = distances(vectors[:1], vectors[1:], searcher.manifest.metric)[0]
        assert np.allclose(far, game.far, atol=1e-6)
        assert game.far[game.answer] == min(game.far) < max(game.far)
        answers.add(game.answer)
    assert answers == {0, 1, 2}


def test_a_round_of_copies_has_four_different_items(tmp_path):
    """Where nearly all items are copies of one another, these are shown."""
    vectors = np.eye(2, dtype=np.float32)[[0] * 9 + [1]]
    searcher = build(([str(n) for n in range(10)], vectors), name="copies", indexes=tmp_path)
    for number in range(1, 10):
        game = play.draw(searcher, number)
        assert len({game.first, *game.others}) == 4


def test_images_and_texts_can_be_played_with(indexes):
    """Indexes of images come first; words, which stand in sentences, are left out."""
    playable = play._playable(manifests(indexes))
    of_ours = [name for name in playable if name in ("images", "questions", "senses", "twice")]
    assert of_ours == ["images", "questions", "twice"]  # other tests make more indexes in this folder
