"""Texts of random letters of a few kinds, and their map."""

import numpy as np
import pytest

from embedsearch.artifacts.map import load_map, map_index
from embedsearch.maps.inputs import Method, Settings
from embedsearch.progress import Silent
from tests import fakes

KINDS = {"pets": "catdog", "sea": "shipwr", "food": "breufn"}


def random_texts(numbers):
    """Return a record for each number: six to twelve letters, mostly of its kind, and the kind as a field."""
    records = []
    for number in numbers:
        draw = np.random.default_rng(number)
        kind = list(KINDS)[number % 3]
        letters = KINDS[kind] * 4 + "abcdefghijklmnopqrstuvwxyz"
        text = "".join(draw.choice(list(letters), draw.integers(6, 13)))
        records.append(fakes.text(str(number), text, kind=kind))
    return records


@pytest.fixture
def map_of(tmp_path):
    """Return a function that makes the map of the index `small` and returns it with its build."""

    def make(**settings):
        settings["method"] = Method(settings.get("method", "pca"))
        build = map_index(tmp_path, "small", Settings(**settings), Silent())
        return load_map(build), build

    return make
