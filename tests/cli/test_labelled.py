"""Labelled spans and words on the command line: build, search with the vote, eval by layer."""

import pytest

from tests.cli.conftest import Runner

TRAIN = """Anna B-PER\nmet O\nBob B-PER\nin O\nNew B-LOC\nYork I-LOC\n
Peter B-PER\nlives O\nin O\nParis B-LOC\n\nIBM B-ORG\nhired O\nMary B-PER\n"""
TEST = "John B-PER\nlives O\nin O\nLondon B-LOC\n\nMary B-PER\nmet O\nTom B-PER\n"


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """A runner on the indexes spans and words, and a test file."""
    root = tmp_path_factory.mktemp("labelled")
    (root / "train.conll").write_text(TRAIN)
    (root / "dev.conll").write_text(TEST)
    run = Runner(root / "indexes")
    for name, unit in (("spans", ()), ("words", ("--unit", "word"))):
        result = run("build", root / "train.conll", "--name", name, *unit)
        assert result.exit_code == 0, result.stderr
    return run, root / "dev.conll"


def test_search_prints_the_vote(labelled):
    """What the hits say, with the counts; in JSON as `vote`; null in an index without labels."""
    run, _ = labelled
    query = ("search", "spans", "He moved to New York", "--word", "New York", "-k", "3")
    result = run(*query)
    assert "The neighbours say: LOC (LOC 2, PER 1)." in result.stdout
    found = run.json(*query)
    assert found["vote"] == {"value": "LOC", "count": 2, "total": 3, "counts": {"LOC": 2, "PER": 1}}
    assert found["hits"][0]["fields"] == {"label": "LOC"}
    assert found["hits"][0]["text"] == "Anna met Bob in New York"


def test_eval_prints_layers_side_by_side(labelled):
    """A line a layer with token and entity F1; --json has the same figures."""
    run, test = labelled
    options = ("eval", "words", "--labels", "label", "--test", test, "--layers", "-1,3", "-k", "1")
    lines = run(*options).stdout.splitlines()
    assert lines[-4] == f"vote of 1 neighbours on 7 units of {test}"
    heads = ("layer", "token F1", "precision", "recall", "entity F1", "precision", "recall")
    assert lines[-3].split() == " ".join(heads).split()
    vote = run.json(*options)["vote"]
    assert [each["layers"] for each in vote["layers"]] == [[-1], [3]]
    for line, each in zip(lines[-2:], vote["layers"], strict=True):
        figures = [each[part][name] for part in ("token", "entity") for name in ("f1", "precision", "recall")]
        assert line.split()[1:] == [f"{figure:.4f}" for figure in figures]
        assert each["token"]["f1"] == 1


def test_a_layer_that_is_none_is_wrong_usage(labelled):
    """Layers are whole numbers, and of those that the model has."""
    run, test = labelled
    wrong = run("eval", "words", "--labels", "label", "--test", test, "--layers", "a")
    assert wrong.exit_code == 2
    assert "expected whole numbers separated by commas" in wrong.stderr
    missing = run("eval", "words", "--labels", "label", "--test", test, "--layers", "40")
    assert missing.exit_code == 1
    assert "has no hidden layer 40: it has the layers 0 to 6" in missing.stderr
