"""Labelled spans and words through build and rebuild: labels as fields, sentences kept, the new embedded."""

import json

import numpy as np
import pytest

import embedsearch as es
from embedsearch.errors import QueryError, RecipeError
from embedsearch.indexing.build import build_index
from embedsearch.recipe import EncoderRecipe, Recipe, SourceRecipe
from embedsearch.records import Unit
from tests.fakes import LetterEncoder

ROWS = [
    {"id": "a", "text": "Anna met Bob. IBM grew.", "spans": [[0, 4, "PER"], [9, 12, "PER"], [14, 17, "ORG"]]},
    {"id": "b", "text": "Rome is old.", "spans": [[0, 4, "LOC"]]},
    {"id": "c", "text": "Nobody came.", "spans": []},
]


@pytest.fixture
def build(tmp_path):
    """Return a function that builds from rows; `embedded` holds the sentences that the last call embedded."""

    def run(rows, unit=Unit.SPAN, kind="jsonl"):
        path = tmp_path / f"t.{kind}"
        path.write_text(rows if kind == "conll" else "\n".join(map(json.dumps, rows)))
        columns = {} if kind == "conll" else {"text": ("text",), "id": "id", "spans": "spans"}
        loaded = []

        def load(recipe):
            loaded.append(LetterEncoder(recipe))
            return loaded[-1]

        recipe = Recipe(
            "t", SourceRecipe(kind, str(path), **columns), EncoderRecipe(unit, splitter="unicode")
        )
        made = build_index(
            recipe, tmp_path / "i", allow_removal=True, load=load, describe=lambda recipe: load(recipe).spec
        )
        run.embedded = [(each.text, each.spans) for one in loaded for each in one.embedded]
        return made

    return run


def items(build):
    """Return the id, the word, and the label of each item."""
    columns = build.items.select(["id", "text", "start", "end", "field:label"]).to_pylist()
    return [(each["id"], each["text"][each["start"] : each["end"]], each["field:label"]) for each in columns]


def test_each_span_is_an_item_with_its_label_and_sentence(build):
    """A sentence is embedded once for all of its spans; a text without spans is counted, not rejected."""
    made = build(ROWS)
    assert items(made) == [
        ("a#0", "Anna", "PER"), ("a#9", "Bob", "PER"), ("a#14", "IBM", "ORG"), ("b#0", "Rome", "LOC"),
    ]  # fmt: skip
    assert made.items["text"].to_pylist() == ["Anna met Bob.", "Anna met Bob.", "IBM grew.", "Rome is old."]
    assert sorted(build.embedded) == [
        ("Anna met Bob.", ((0, 4), (9, 12))), ("IBM grew.", ((0, 3),)), ("Rome is old.", ((0, 4),)),
    ]  # fmt: skip
    assert list(made.rejected()) == []
    assert made.manifest.report.notes == ("1 text has no labelled span, so it is not in the index.",)


def test_every_word_has_a_label(build):
    """With the unit word a word in a span has its label, and one in none has O."""
    made = build(ROWS, Unit.WORD)
    found = items(made)
    assert found[:5] == [
        ("a#0", "Anna", "PER"), ("a#5", "met", "O"), ("a#9", "Bob", "PER"), ("a#14", "IBM", "ORG"),
        ("a#18", "grew", "O"),
    ]  # fmt: skip
    assert found[-2:] == [("c#0", "Nobody", "O"), ("c#7", "came", "O")]


def test_the_words_of_a_conll_file_are_its_tokens(build):
    """A token that our own splitter would cut, or pass over, is a word; the sentence stays whole."""
    made = build("St.-Denis B-LOC\n. O\nMr O\nLee B-PER\nKim I-PER\n", Unit.WORD, "conll")
    assert [each[1:] for each in items(made)] == [("Mr", "O"), ("Lee", "PER"), ("Kim", "PER")]
    assert build.embedded == [("St.-Denis . Mr Lee Kim", ((0, 9), (10, 11), (12, 14), (15, 18), (19, 22)))]


def test_a_rebuild_embeds_what_is_new_and_takes_new_labels(build):
    """One sentence added, one changed, one removed, one label changed: two embedded, all as built at once."""
    build(ROWS)
    rows = [
        {**ROWS[0], "spans": [[0, 4, "PET"], *ROWS[0]["spans"][1:]]},  # its words are the same
        {"id": "d", "text": "Oslo is cold.", "spans": [[0, 4, "LOC"]]},
        {**ROWS[2], "text": "Nobody came but Tom.", "spans": [[16, 19, "PER"]]},
    ]
    made = build(rows)
    assert sorted(build.embedded) == [("Nobody came but Tom.", ((16, 19),)), ("Oslo is cold.", ((0, 4),))]
    changes = made.manifest.changes
    assert (changes.added, changes.changed, changes.removed, changes.unchanged) == (1, 2, 1, 0)
    assert items(made) == [
        ("a#0", "Anna", "PET"), ("a#9", "Bob", "PER"), ("a#14", "IBM", "ORG"), ("d#0", "Oslo", "LOC"),
        ("c#16", "Tom", "PER"),
    ]  # fmt: skip
    want = np.stack([LetterEncoder(made.manifest.recipe.encoder).encode([es.Sentence(w, ((0, len(w)),))])[0]
                     for _, w, _ in items(made)])  # fmt: skip
    np.testing.assert_array_equal(made.vectors, want)


def test_other_boundaries_of_the_same_text_are_embedded(build):
    """The same text with a span more has one item more, and the id of the record is the same."""
    build(ROWS[:2])
    made = build([{**ROWS[1], "spans": [[0, 4, "LOC"], [8, 11, "AGE"]]}, ROWS[0]])
    assert build.embedded == [("Rome is old.", ((0, 4), (8, 11)))]
    assert items(made)[:2] == [("b#0", "Rome", "LOC"), ("b#8", "old", "AGE")]


def test_bad_spans_are_listed_and_stay_listed(build):
    """A bad span is rejected under its record's id; the others are built; a rebuild lists it again."""
    rows = [{**ROWS[0], "spans": [[0, 4, "PER"], [2, 6, "X"], [90, 99, "Y"]]}, *ROWS[1:]]
    reasons = [
        {"id": "a", "reason": "the span [2, 6, 'X'] overlaps [0, 4, 'PER']", "entry": 0},
        {
            "id": "a",
            "reason": "the span [90, 99, 'Y'] is out of range: the text has 23 characters",
            "entry": 0,
        },
    ]
    first = build(rows)
    assert [each[0] for each in items(first)] == ["a#0", "b#0"]
    assert sorted(first.rejected(), key=str) == reasons
    again = build([*rows, {"id": "e", "text": "Eve sat.", "spans": [[0, 3, "PER"]]}])
    assert build.embedded == [("Eve sat.", ((0, 3),))]
    assert sorted(again.rejected(), key=str) == reasons
    assert build(ROWS).manifest.report.rejected == 0


def test_nothing_labelled_is_nothing_to_index(build, tmp_path):
    """A source without any span, and the unit span without labels, are errors in a sentence."""
    with pytest.raises(es.EmbedsearchError, match="holds nothing to index"):
        build(ROWS[2:])
    with pytest.raises(
        RecipeError, match="The unit span needs labelled spans: name their column with --spans"
    ):
        es.build(["Rome is old."], name="x", unit="span", indexes=tmp_path)


def test_from_memory_and_by_a_phrase(tmp_path):
    """A list of dicts with spans; a query names several words; the unit is span without being asked for."""
    rows = [{"text": "She left New York.", "spans": [(9, 17, "LOC")]},
            {"text": "Ann slept.", "spans": [{"start": 0, "end": 3, "label": "PER"}]},
            {"text": "Bad.", "spans": None}]  # fmt: skip
    index = es.build(rows, name="m", spans="spans", indexes=tmp_path, precision="fp32", engine="torch")
    assert index.manifest.unit is Unit.SPAN
    assert [each["reason"].split(";")[0] for each in index.rejected()] == [
        "the spans column 'spans' is empty"
    ]
    results = index.search(es.Word("She left New York.", "new york"), 1)
    assert results[0].distance == pytest.approx(0, abs=1e-6)
    assert (results[0].text, results[0].span, results[0].fields["label"]) == (rows[0]["text"], (9, 17), "LOC")
    with pytest.raises(QueryError, match="has no word 'York\\.'"):
        index.search(es.Word("She left New York.", "York."))
    grown = index.add([{"text": "Oslo.", "spans": [(0, 4, "LOC")]}])
    assert len(grown) == 3


def test_a_conll_file_through_a_rebuild(build):
    """One sentence added, one changed, one removed: the others keep their vectors."""
    sentences = ["Anna B-PER\nmet O\n", "Rome B-LOC\nhums O\n", "Bob B-PER\nsat O\n"]
    build("\n".join(sentences), kind="conll")
    sentences = ["IBM B-ORG\ngrew O\n", sentences[0], "Rome B-LOC\nsank O\n"]
    made = build("\n".join(sentences), kind="conll")
    assert sorted(build.embedded) == [("IBM grew", ((0, 3),)), ("Rome sank", ((0, 4),))]
    assert [each[1:] for each in items(made)] == [("IBM", "ORG"), ("Anna", "PER"), ("Rome", "LOC")]
    changes = made.manifest.changes  # a sentence is known by its words: a changed one is another
    assert (changes.added, changes.changed, changes.removed, changes.unchanged) == (2, 0, 2, 1)
