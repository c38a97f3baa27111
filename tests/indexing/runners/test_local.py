"""A runner is a pure map from batches to vectors, and can be pickled."""

import pickle

import numpy as np
import pytest

from embedsearch.indexing.plan import Plan
from embedsearch.indexing.runners import RUNNERS, open_runner
from embedsearch.indexing.runners.local import LocalRunner
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Rejected, Unit
from embedsearch.sources import open_source
from tests.fakes import UNREADABLE, LetterEncoder, letters, read_ahead, text

ENTRIES = [
    text(str(at), word * (at % 3 + 1))
    for at, word in enumerate(["The", "cat", "sat.", "A", "dog!", "Bees", "fly"])
]


def nobody(entries):
    """Report to nobody."""


@pytest.fixture
def batches(make_recipe, monkeypatch):
    """Return a function that plans entries as batches of three records."""
    read_ahead(monkeypatch, 3)

    def plan(entries, unit=Unit.TEXT):
        recipe = make_recipe(entries, unit=unit)
        planned = Plan(recipe, open_source(recipe.source), None)
        return list(planned.batches(planned.walk()))

    return plan


def vectors(batches):
    """Return the vectors of embedded batches, (n, d)."""
    return np.concatenate([batch.embedded.vectors for batch in batches if batch.embedded.outcomes])


def test_each_runner_of_the_table_is_there():
    """Each name leads to a runner with the contract's one method."""
    made = {
        name: open_runner(name, "", LetterEncoder, LetterEncoder, nobody, nobody, nobody) for name in RUNNERS
    }
    assert {name: callable(runner.map) for name, runner in made.items()} == dict.fromkeys(RUNNERS, True)


@pytest.mark.parametrize("unit", [Unit.TEXT, Unit.WORD])
def test_a_pickled_runner_maps_pickled_batches_alike(batches, unit):
    """Runner and batches survive pickling on both ways, and the vectors are the same to the last bit."""
    recipe = EncoderRecipe(unit)
    here = list(LocalRunner(LetterEncoder, nobody, nobody).map(batches(ENTRIES, unit), recipe))
    runner, sent = pickle.loads(
        pickle.dumps((LocalRunner(LetterEncoder, nobody, nobody), batches(ENTRIES, unit)))
    )
    there = pickle.loads(pickle.dumps(list(runner.map(sent, recipe))))
    assert np.array_equal(vectors(here), vectors(there))
    assert [batch.embedded.outcomes for batch in here] == [batch.embedded.outcomes for batch in there]
    assert [batch.digest for batch in there] == [batch.digest for batch in batches(ENTRIES, unit)]


def test_a_batch_depends_on_no_other(batches):
    """Batches mapped one by one, the last one first, have the vectors that they have in one go."""
    recipe, runner = EncoderRecipe(Unit.TEXT), LocalRunner(LetterEncoder, nobody, nobody)
    together = list(runner.map(batches(ENTRIES), recipe))
    alone = [next(runner.map([batch], recipe)) for batch in reversed(batches(ENTRIES))][::-1]
    assert np.array_equal(vectors(together), vectors(alone))
    assert np.array_equal(vectors(together), [letters(entry.content) for entry in ENTRIES])


def test_the_encoder_is_loaded_for_the_first_content(batches):
    """Batches without contents pass in order before and after, and without any content nothing is loaded."""
    loaded, reported = [], []

    def load(recipe):
        loaded.append(recipe)
        return LetterEncoder(recipe)

    runner, recipe = LocalRunner(load, reported.append, nobody), EncoderRecipe(Unit.TEXT)
    torn = [Rejected(f"r{at}", "torn") for at in range(3)]
    assert len(list(runner.map(batches(torn), recipe))) == 1
    assert (loaded, reported) == ([], [3])
    mixed = list(runner.map(batches([*torn, *ENTRIES[:3], *torn]), recipe))
    assert [len(batch.embedded.outcomes) for batch in mixed] == [0, 3, 0]
    assert (loaded, sum(reported)) == ([recipe], 12)


def test_what_has_no_vector_says_why(batches):
    """A content that can't be prepared, and one with a vector that is not finite, have their reasons."""

    class Overflowing(LetterEncoder):
        def run(self, prepared):
            """Give NaN to what holds a z."""
            for position, found in super().run(prepared):
                yield position, np.where(found[:, 25:] > 0, np.nan, found)

    given = batches([text("a", "a"), text("b", UNREADABLE), text("c", "zoo"), text("d", "bee")])
    made = list(LocalRunner(Overflowing, nobody, nobody).map(given, EncoderRecipe(Unit.TEXT)))
    assert [outcome.reason for batch in made for outcome in batch.embedded.outcomes] == [
        "", "the text holds a skull", "the model gives it a vector with infinite or undefined numbers", "",
    ]  # fmt: skip
    assert np.array_equal(vectors(made), [letters("a"), letters("bee")])
