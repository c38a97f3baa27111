"""Hits that were marked as right or wrong: kept in the index's folder, and read by eval and calibrate."""

import pytest
from click.testing import CliRunner

import embedsearch as es
from embedsearch.cli import cli
from embedsearch.errors import QueryError
from embedsearch.sources.judgements import read_pairs, read_qrels, read_queries
from embedsearch.store.judged import RIGHT, WRONG, Judged

TEXTS = ["a cat", 'the "big"\tdog', "a goldfish", "a parrot"]


def test_marks_are_read_as_judgements(tmp_path):
    """The files are those that the readers of judgements take, whatever quotes and tabs a text has."""
    judged = Judged(tmp_path)
    assert (len(judged), judged.grades("a pet")) == (0, {})
    judged.mark('a "furry"\n pet', "1", RIGHT, TEXTS[0])
    judged.mark('a "furry"\n pet', "2", WRONG, TEXTS[1])
    judged.mark("fish", "3", RIGHT)  # not a text, so no pair
    with judged.qrels.open("a", encoding="utf-8") as file:
        file.write("\n")  # as an editor may
    assert judged.grades('a "furry" pet') == {"1": RIGHT, "2": WRONG}
    queries = dict(read_queries(judged.queries))
    assert sorted(queries.values()) == ['a "furry" pet', "fish"]
    named = [(queries[query], item, grade) for query, item, grade in read_qrels(judged.qrels)]
    assert named == [('a "furry" pet', "1", 1), ('a "furry" pet', "2", 0), ("fish", "3", 1)]
    pairs = list(read_pairs(judged.pairs))
    assert pairs == [('a "furry" pet', TEXTS[0], 1.0), ('a "furry" pet', 'the "big" dog', 0.0)]


@pytest.mark.parametrize("line", ["q1", "q1\t0\tx\t1", "{query}\t9\tgood", "{query}\t9\t1.5", "\udcff"])
def test_lines_that_a_person_spoilt_end_no_search_and_are_not_lost(tmp_path, line):
    """They give no grade; a mark that would have to drop such a line names it, and writes nothing."""
    judged = Judged(tmp_path)
    judged.mark("pet", "1", RIGHT, TEXTS[0])
    own = next(read_qrels(judged.qrels))[0]
    with judged.qrels.open("a", encoding="utf-8", errors="surrogateescape") as file:
        file.write(line.format(query=own) + "\n")
    before = judged.qrels.read_bytes()
    assert judged.grades("pet") == {"1": RIGHT}
    if line.count("\t") == 2:
        judged.mark("pet", "2", WRONG)
        assert judged.qrels.read_bytes().startswith(before)
    else:
        with pytest.raises(QueryError, match="query, item, grade, with tabs between, was expected"):
            judged.mark("pet", "2", WRONG)
        assert judged.qrels.read_bytes() == before


def test_a_mark_is_changed_and_taken_back(tmp_path):
    """An item has one grade for a query; without one nothing of it is left, nor of its query."""
    judged = Judged(tmp_path)
    judged.mark("pet", "1", WRONG, TEXTS[0])
    judged.mark("pet", "1", RIGHT, TEXTS[0])
    assert judged.grades("pet") == {"1": RIGHT}
    assert [score for *_, score in read_pairs(judged.pairs)] == [1.0]
    judged.mark("pet", "1", None, TEXTS[0])
    assert len(judged) == 0
    assert list(read_queries(judged.queries)) == list(read_pairs(judged.pairs)) == []


def test_an_id_that_the_files_cannot_hold_is_refused(tmp_path):
    """A tab would end the column; nothing is written."""
    with pytest.raises(QueryError, match="holds a tab"):
        Judged(tmp_path).mark("pet", "a\tb", RIGHT)
    assert len(Judged(tmp_path)) == 0


def test_marks_survive_a_rebuild(tmp_path):
    """A build touches no judgements, and `gc` does not delete them."""
    index = es.build(["a cat", "a dog", "a goldfish"], name="pets", indexes=tmp_path)
    item = index.search("cat")[0].id
    Judged(tmp_path / "pets").mark("cat", item, RIGHT, "a cat")
    index = index.add(["a parrot"])
    index.gc(keep=1)
    assert Judged(tmp_path / "pets").grades("cat") == {item: RIGHT}


def test_eval_and_calibrate_read_the_marks(tmp_path):
    """`--judged` takes what was marked: six queries of four items; without marks it says how to make some."""
    index = es.build(TEXTS, name="pets", indexes=tmp_path)

    def run(*command):
        return CliRunner().invoke(cli, [*command, "pets", "--judged", "--indexes", str(tmp_path)])

    for command in ("eval", "calibrate"):
        refused = run(command)
        assert refused.exit_code == 2
        assert "No hit of pets was marked yet" in refused.output
    marks = Judged(tmp_path / "pets")
    for query in ("cat", "kitten", "dog", "puppy", "fish", "bird"):
        for at, hit in enumerate(index.search(query, k=4)):
            marks.mark(query, hit.id, RIGHT if at == 0 else WRONG, hit.text)
    assert "nDCG@10 1.0, MRR 1.0" in run("eval").stdout
    made = run("calibrate")
    assert made.exit_code == 0, made.output
    assert es.open("pets", indexes=tmp_path).search("cat")[0].human_score is not None
