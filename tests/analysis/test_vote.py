"""The vote of neighbours, and its F1 on a test file, against seqeval."""

import json

import pytest
from seqeval.metrics import f1_score, precision_score, recall_score

from embedsearch.analysis.vote import vote
from embedsearch.errors import QueryError, SourceError
from embedsearch.index import Index
from embedsearch.indexing.build import build_index
from embedsearch.recipe import EncoderRecipe, Recipe, SourceRecipe
from embedsearch.records import Unit
from embedsearch.results import Vote
from tests.fakes import LetterEncoder, Told

# the letters of a word tell its nearest neighbour; the fake encoder reads eight words of a sentence
TRAIN = [
    (["Anna", "met", "Bob"], ["B-PER", "O", "B-PER"]), (["New", "York", "hums"], ["B-LOC", "I-LOC", "O"]),
    (["IBM", "zigzag"], ["B-ORG", "O"]),
]  # fmt: skip
TEST = [
    (["Nana", "tem", "York", "New"], ["B-PER", "O", "B-LOC", "B-LOC"]),  # Nana is Anna; two cities become one
    (["zigzag", "MIB", "Bob", "hush"], ["B-ORG", "I-ORG", "O", "O"]),  # zigzag and Bob are wrong
    (["met", "New", "York"], ["O", "I-LOC", "I-LOC"]),
    (["met"] * 8 + ["Bob"], ["O"] * 8 + ["B-PER"]),  # Bob lies beyond the limit
]
FOUND = [
    ["I-PER", "O", "I-LOC", "I-LOC"], ["O", "I-ORG", "I-PER", "O"], ["O", "I-LOC", "I-LOC"], ["O"] * 9,
]  # fmt: skip


def conll(path, sentences):
    """Write sentences as a CoNLL file."""
    lines = [
        "".join(f"{token}\t{tag}\n" for token, tag in zip(*sentence, strict=True)) for sentence in sentences
    ]
    path.write_text("\n".join(lines))
    return path


def indexed(tmp_path, unit, source=None):
    """Return an index of TRAIN by letters."""
    source = source or SourceRecipe("conll", str(conll(tmp_path / "train.conll", TRAIN)))
    recipe = Recipe("ner", source, EncoderRecipe(unit, splitter="unicode"))
    made = build_index(
        recipe, tmp_path / "i", load=LetterEncoder, describe=lambda recipe: LetterEncoder(recipe).spec
    )
    return Index(made, LetterEncoder)


def alone(tags):
    """Return tags with each token as an entity of its own, for seqeval's rule on tokens."""
    return [["O" if tag == "O" else f"B-{tag[2:]}" for tag in sentence] for sentence in tags]


def scores(true, found):
    """Return what seqeval says."""
    measures = {"precision": precision_score, "recall": recall_score, "f1": f1_score}
    return {name: round(float(score(true, found)), 4) for name, score in measures.items()}


def test_the_vote_is_scored_as_by_seqeval(tmp_path):
    """Token and entity F1 of words are seqeval's; a word that the model can't read is said to be O."""
    searcher = indexed(tmp_path, Unit.WORD)
    told = vote(searcher, "label", conll(tmp_path / "dev.conll", TEST), 1)
    true = [tags for _, tags in TEST]
    (measured,) = told.pop("layers")
    assert measured == {
        "layers": [-1], "token": scores(alone(true), alone(FOUND)), "entity": scores(true, FOUND),
    }  # fmt: skip
    assert measured["entity"]["f1"] not in (0, 1, measured["token"]["f1"])
    assert told == {"test": str(tmp_path / "dev.conll"), "k": 1, "texts": 4, "units": 20, "rejected": 0}


def test_spans_are_given_and_only_their_labels_are_voted(tmp_path):
    """In an index of spans each span of the file is one unit: both scores are the share of right labels."""
    searcher = indexed(tmp_path, Unit.SPAN)
    test = [(["Nana", "saw", "Bob"], ["B-PER", "O", "B-LOC"]), (["MIB", "Bob"], ["B-ORG", "B-PER"])]
    told = vote(searcher, "label", conll(tmp_path / "dev.conll", test), 1)
    assert told["units"] == 4
    same = {"precision": 0.75, "recall": 0.75, "f1": 0.75}
    assert told["layers"] == [{"layers": [-1], "token": same, "entity": same}]


def test_layers_side_by_side(tmp_path, monkeypatch):
    """Another layer embeds the index's items again; the same vectors give the same figures."""
    searcher = indexed(tmp_path, Unit.WORD)
    monkeypatch.setattr("embedsearch.analysis.vote.ROWS", 3)
    loaded = []
    monkeypatch.setattr(searcher, "_load", lambda recipe: loaded.append(LetterEncoder(recipe)) or loaded[-1])
    reports = Told()
    told = vote(searcher, "label", conll(tmp_path / "dev.conll", TEST), 1, [-1, 3], reports)
    own, other = told["layers"]
    assert (own.pop("layers"), other.pop("layers")) == ([-1], [3])
    assert own == other
    assert loaded[1].spec.layers == (3,)
    stages = [stage.partition(": ")[0::2] for stage in reports.stages]
    texts = f"embedding the texts of {tmp_path / 'dev.conll'}"
    items = "embedding the items of the index again"
    assert stages == [("layer -1", texts), ("layer 3", texts), ("layer 3", items)]
    again = {each.text for each in loaded[1].embedded}
    assert again == {" ".join(tokens) for tokens, _ in [*TRAIN, *TEST]}
    assert not {each.text for each in loaded[0].embedded} & {" ".join(tokens) for tokens, _ in TRAIN}


def test_a_table_as_test_file(tmp_path):
    """A JSONL file is read by the index's columns; bad rows and spans are counted, the rest is measured."""
    rows = [
        {"text": "Anna met Bob :)", "spans": [[0, 4, "PER"], [9, 12, "PER"], [13, 15, "EMO"], [90, 99, "X"]]},
        {"text": "Anna slept.", "spans": 7}, {"text": "...", "spans": []},
    ]  # fmt: skip
    path = tmp_path / "dev.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    searcher = indexed(tmp_path, Unit.WORD)
    told = vote(searcher, "label", path, 1)
    assert (told["texts"], told["units"], told["rejected"]) == (1, 3, 3)
    (measured,) = told["layers"]
    assert measured["token"] == {"precision": 1, "recall": 1, "f1": 1}
    assert measured["entity"] == {"precision": 1, "recall": 0.6667, "f1": 0.8}  # no word is in the last span


def test_what_can_not_be_measured_is_refused(tmp_path, fruits):
    """An index of texts, a file without labels, no field, layers without a file: a sentence says so."""
    searcher = indexed(tmp_path, Unit.WORD)
    plain = conll(tmp_path / "plain.conll", [(["a", "b"], ["O", "O"])])
    with pytest.raises(SourceError, match="has no labelled span, so there is nothing to measure"):
        vote(searcher, "label", plain)
    with pytest.raises(QueryError, match=r"holds texts\. Build one with --spans COLUMN or from a \.conll"):
        vote(fruits, "label", plain)
    with pytest.raises(QueryError, match="has no field 'kind'; it has label"):
        searcher.evaluate(labels="kind", test=plain)
    with pytest.raises(QueryError, match="A test file needs the field that votes: --labels label"):
        searcher.evaluate(test=plain)
    with pytest.raises(QueryError, match="Layers are compared by a test file with labels: --test FILE"):
        searcher.evaluate(labels="label", layers=3)


def test_the_majority_wins_and_the_nearer_of_two(tmp_path):
    """Hits without a label do not vote; of labels with as many votes that of the nearest wins."""
    voted = Vote.of(["LOC", None, "PER", "PER", "LOC", "O"])
    assert (voted.value, voted.count, voted.total) == ("LOC", 2, 5)
    assert list(voted.counts.items()) == [("LOC", 2), ("PER", 2), ("O", 1)]
    assert Vote.of([None]) is None
    results = indexed(tmp_path, Unit.WORD).search("Bob", 3)
    assert results.vote() == Vote("PER", {"PER": 1, "ORG": 1, "LOC": 1})
    assert results.vote("none") is None
