import inspect

import pytest

from embedsearch import errors
from embedsearch.errors import EmbedsearchError, nearest

CLASSES = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, Exception) and value.__module__ == errors.__name__
]


def test_one_root():
    """Whatever embedsearch raises on purpose can be caught as EmbedsearchError."""
    assert len(CLASSES) > 15
    assert all(issubclass(kind, EmbedsearchError) for kind in CLASSES)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_the_drawing_is_the_tree(kind):
    """Each class stands in the drawing at the head of the file, one step right of its parent."""
    lines = {line.split("── ")[-1].split()[0]: line for line in errors.__doc__.splitlines() if line.strip()}
    assert kind.__name__ in lines
    if kind is not EmbedsearchError:
        column = lines[kind.__name__].index(kind.__name__)
        assert column == lines[kind.__base__.__name__].index(kind.__base__.__name__) + 4


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("exakt", " Did you mean 'exact'?"), ("zzz", ""), ("", "")],
)
def test_nearest(name, suggestion):
    """A close name is suggested, a far one is not."""
    assert nearest(name, ["exact", "hnsw"]) == suggestion
    assert nearest("word", ["wd"]) == ""  # half of it is missing


def test_a_name_is_not_its_own_suggestion():
    """A known name that can't be had for another reason is not suggested in its own place."""
    assert nearest("exact", ["exact"]) == ""
    assert nearest("exact", ["exact", "exact2"]) == " Did you mean 'exact2'?"
