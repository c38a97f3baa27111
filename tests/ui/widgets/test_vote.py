"""The page on labelled spans: the vote of the hits on the word that is asked with."""

import re

import pytest

from embedsearch.recipe import SourceRecipe
from embedsearch.records import Unit
from tests.ui.conftest import shown

TRAIN = """Anna B-PER\nmet O\nBob B-PER\nin O\nNew B-LOC\nYork I-LOC\n
Peter B-PER\nlives O\nin O\nParis B-<LOC>\n\nIBM B-ORG\nhired O\nMary B-PER\n"""


@pytest.fixture(scope="module")
def labelled(serve, build, tmp_path_factory):
    """The address of the page on an index of spans and one of words."""
    root = tmp_path_factory.mktemp("labelled")
    (root / "train.conll").write_text(TRAIN)
    for name, unit in (("spans", Unit.SPAN), ("words", Unit.WORD)):
        build(root / "indexes", name, SourceRecipe("conll", str(root / "train.conll")), unit)
    return serve(root / "indexes")


def words_of(locator):
    """Return the text of an element on one line."""
    return " ".join(locator.inner_text().split())


def test_the_page_shows_what_the_neighbours_say(visit, labelled):
    """A word that is picked gets the most frequent label of the hits, with all counts; so does an item."""
    page = visit({"index": "spans", "q": "Tom married Alice"}, address=labelled)
    assert page.locator(".es-vote").count() == 0
    page.get_by_role("radio", name="Alice").click()
    shown(page)
    said = page.locator(".es-vote")
    assert words_of(said).startswith("The neighbours say: PER")
    counts = ["PER 4", "LOC 1", "<LOC> 1", "ORG 1"]  # of all seven spans; a label is shown as it is
    assert sorted(said.locator(".es-chip").all_inner_texts()) == sorted(counts)
    page.get_by_role("button", name=re.compile("like this")).first.click()
    shown(page)
    assert words_of(page.locator(".es-vote")).startswith("The neighbours say: PER")


def test_the_vote_of_words_counts_those_outside(visit, labelled):
    """A word in no span votes O, and the page says what that means."""
    page = visit({"index": "words", "q": "She lives here", "word": "2"}, address=labelled)
    said = words_of(page.locator(".es-vote"))
    assert said.startswith("The neighbours say: O (in no labelled span)")
