import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import embedsearch
from embedsearch.errors import EmbedsearchError

ROOT = Path(__file__).parents[1]
DOCUMENTED = {
    "EmbedsearchError", "Encoder", "EncoderOptions", "EncoderSpec", "Hit", "Image", "Index", "IndexOptions",
    "Metric", "Modality", "MoreLike", "Query", "Record", "Rejected", "Results", "Row", "Sentence", "Sound",
    "Text",    "Unit", "Vector", "WeightedTerm", "Word", "align", "build", "calibrate", "changes", "compare",
    "connect", "distances", "gc", "list_indexes", "list_models", "load_encoder", "open", "rebuild", "remove",
    "rollback", "verify",
}  # fmt: skip


def test_the_public_names_are_the_documented_ones():
    """`__all__` holds what programs may depend on: a name is added or removed on purpose, here too."""
    assert set(embedsearch.__all__) == DOCUMENTED
    assert embedsearch.__all__ == sorted(embedsearch.__all__)
    assert set(embedsearch._HOMES) == DOCUMENTED


@pytest.mark.parametrize("name", sorted(DOCUMENTED))
def test_every_public_name_resolves_and_is_documented(name):
    """Each name is there, is listed by dir(), and has a docstring."""
    value = getattr(embedsearch, name)
    assert name in dir(embedsearch)
    assert inspect.getdoc(value)


def test_no_room_hides_a_public_name():
    """`embedsearch.distances` is the function, also after the room of that name was imported."""
    code = (
        "import embedsearch.distances, types; "
        "print([name for name in embedsearch.__all__ "
        "if isinstance(getattr(embedsearch, name), types.ModuleType)])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_an_unknown_name_is_an_attribute_error():
    """A name that does not exist is refused like in any module."""
    with pytest.raises(AttributeError, match="'embedsearch' has no attribute 'serach'"):
        _ = embedsearch.serach


def test_names_come_from_one_import():
    """`from embedsearch import *` gives the documented names and nothing else."""
    code = "old = {*globals(), 'old'}; from embedsearch import *; print(sorted(set(globals()) - old))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(re.findall(r"'(\w+)'", done.stdout)) == DOCUMENTED


def test_errors_are_caught_by_their_root():
    """The one public error is the root of all."""
    assert embedsearch.EmbedsearchError is EmbedsearchError
    with pytest.raises(embedsearch.EmbedsearchError):
        embedsearch.open("no such name")


@pytest.mark.parametrize("name", sorted(DOCUMENTED))
def test_every_argument_of_a_public_function_is_typed(name):
    """Functions and public methods have a type for each argument and for the result."""
    value = getattr(embedsearch, name)
    members = {name: value} if inspect.isfunction(value) else vars(value)
    functions = [each for key, each in members.items() if inspect.isfunction(each) and key[0] != "_"]
    for function in functions:
        hints = inspect.signature(function)
        assert hints.return_annotation is not inspect.Signature.empty, function
        for parameter in list(hints.parameters.values()):
            assert parameter.name == "self" or parameter.annotation is not inspect.Parameter.empty, function
