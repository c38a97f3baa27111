import json
from dataclasses import replace
from unicodedata import normalize

import numpy as np
import pytest

from embedsearch.analysis import evaluate as module
from embedsearch.analysis.evaluate import evaluate, judged, latency, of_items, precision, recall, spearman
from embedsearch.backends import Filter
from embedsearch.errors import QueryError, SourceError, SourceNotFoundError
from embedsearch.index import Index
from embedsearch.records import Unit
from embedsearch.sources.delimited.rows import CELL_LIMIT
from embedsearch.sources.judgements import read_pairs, read_qrels, read_queries
from tests.fakes import UNREADABLE, LetterEncoder, fruit_entries, text


class Missing:
    """A backend that never finds the nearest row."""

    def __init__(self, backend):
        self._backend = backend

    def __len__(self):
        return len(self._backend)

    def search(self, queries, k, filter=None):
        """Leave the first hit out."""
        found, rows = self._backend.search(queries, k + 1, filter)
        return found[:, 1:], rows[:, 1:]


@pytest.fixture
def many(make_searcher):
    """An index of 300 texts of random letters in three groups."""
    draw = np.random.default_rng(0)
    entries = []
    for at in range(300):
        letters = draw.choice(list("abcdefgh"), 12)
        entries.append(text(str(at), "".join(letters) + "xyz"[at % 3] * 6, group="xyz"[at % 3], n=at))
    return make_searcher(entries)


def test_exact_search_has_the_recall_of_one(many):
    """Against itself exact search misses nothing, filtered or not, with queries of the index or others."""
    asked = of_items(many, 50)
    assert recall(asked) == 1
    assert recall(replace(asked, queries=asked.queries[:5] + 0.1, own=None)) == 1
    assert recall(asked, chosen=Filter(lambda: np.arange(300) % 9 == 0)) == 1


def test_what_is_missed_is_counted(many, monkeypatch):
    """An index that never finds the nearest neighbour has a recall@10 of 0.9, under filters too."""
    monkeypatch.setattr(many.build, "_backend", Missing(many.build.backend))
    asked = of_items(many, 50)
    queries = asked.queries + np.random.default_rng(1).random(asked.queries.shape, np.float32)  # no ties
    asked = replace(asked, queries=queries, own=None)
    assert recall(asked) == pytest.approx(0.9, abs=0.01)
    assert recall(asked, chosen=Filter(lambda: np.arange(300) % 2 == 0)) == pytest.approx(0.9, abs=0.01)


def test_latencies_are_percentiles():
    """Median, 95th and 99th percentile come in this order, in milliseconds, one for each query."""
    seen = []
    told = latency(seen.append, np.zeros((40, 3), np.float32))
    assert list(told) == ["p50", "p95", "p99"]
    assert 0 <= told["p50"] <= told["p95"] <= told["p99"]
    assert len(seen) == 41  # one to warm up
    assert {each.shape for each in seen} == {(1, 3)}


def test_precision_is_the_share_of_the_same_label(make_searcher):
    """P@k counts the neighbours that have the item's value; the item itself is not among them."""
    entries = [
        text("a", "aaaa", label="x"), text("b", "aaab", label="x"), text("c", "aabb", label="y"),
        text("d", "zzzz", label="y"),
    ]  # fmt: skip
    searcher = make_searcher(entries)
    told = precision(searcher, "label", k=2)
    # a: b, c; b: a, c; c: b, a; d: all alike far
    first = [1, 1, 0]
    assert told["P@1"] == pytest.approx((sum(first) + told["P@1"] * 4 - 2) / 4)
    assert 0.25 <= told["P@2"] <= 0.5
    with pytest.raises(QueryError, match=r"has no field 'lable'; it has label"):
        precision(searcher, "lable")


def test_a_label_in_two_unicode_forms_is_one_label(make_searcher):
    """A composed and a decomposed letter make the same label."""
    labels = [normalize(form, "Zürich") for form in ("NFC", "NFD")]
    searcher = make_searcher([text("a", "aaaa", city=labels[0]), text("b", "aaab", city=labels[1])])
    assert precision(searcher, "city", k=1) == {"P@1": 1.0}


def test_judged_queries_are_measured(make_searcher, tmp_path):
    """nDCG@10, MRR and recall@100 are those of the ranking: here the answer is first, third, and missing."""
    pytest.importorskip("ir_measures")
    searcher = make_searcher(fruit_entries())
    order = [hit.id for hit in searcher.search("apple", 10)]
    queries, qrels = tmp_path / "queries.jsonl", tmp_path / "qrels.tsv"
    queries.write_text(
        "".join(json.dumps({"_id": name, "text": "apple"}) + "\n" for name in ("first", "third", "none"))
    )
    qrels.write_text(
        f"query-id\tcorpus-id\tscore\nfirst\t{order[0]}\t1\nthird\t{order[2]}\t1\nnone\tnothing\t1\nx\ty\t1\n"
    )
    told = judged(searcher, queries, qrels)
    assert told["queries"] == 3
    assert told["MRR"] == pytest.approx((1 + 1 / 3 + 0) / 3, abs=1e-4)
    assert told["nDCG@10"] == pytest.approx((1 + 1 / np.log2(4) + 0) / 3, abs=1e-4)
    assert told["recall@100"] == pytest.approx(2 / 3, abs=1e-4)
    qrels.write_text("other 0 item 1\n")
    with pytest.raises(SourceError, match="their ids differ"):
        judged(searcher, queries, qrels)


def test_pairs_are_correlated(make_searcher, tmp_path):
    """Spearman is 1 where nearer pairs have higher scores, and -1 where they have lower ones."""
    searcher = make_searcher(fruit_entries())
    path = tmp_path / "pairs.tsv"
    pairs = [("apple", "apple"), ("apple", "apples"), ("apple", "pear"), ("apple", "zzz")]
    for sign in (1, -1):
        rows = [f"{-sign * at}\t{one}\t{other}" for at, (one, other) in enumerate(pairs)]
        path.write_text("score\ts1\ts2\n" + "\n".join(rows) + "\n")
        assert spearman(searcher, path) == {"pairs": 4, "spearman": sign}


def test_what_can_not_be_measured_is_told(make_searcher, tmp_path):
    """Two pairs, pairs of one score, and labels that nobody has are errors, not a number that is none."""
    searcher = make_searcher([*fruit_entries(), text("bare", "bare", empty=None)])
    for rows in ("1\ta\tb\n2\ta\tc\n", "1\ta\tb\n1\ta\tc\n1\tb\tc\n"):
        (tmp_path / "pairs.tsv").write_text("score\ts1\ts2\n" + rows)
        with pytest.raises(SourceError, match="three pairs or more, of different scores"):
            spearman(searcher, tmp_path / "pairs.tsv")
    with pytest.raises(QueryError, match="No item of the index 'small' has a value of 'empty'"):
        precision(searcher, "empty")


def test_everything_at_once(many, tmp_path, monkeypatch):
    """One call measures what is asked for: recall, latency, size, filters, labels; queries from a file."""
    told = evaluate(many, filters=True, labels="group", sample=40)
    assert told["asked"] == "40 items, each without itself"
    assert (told["recall"], told["recall_when_built"], told["backend"]) == (1, 1, "exact")
    assert told["bytes"] == sum(told["bytes_of_files"].values()) > 0
    assert [each["share"] for each in told["filters"]] == [0.5, 0.1, 0.01, 0.001]
    assert all(each["recall"] == 1 for each in told["filters"])
    assert told["labels"]["P@10"] > 0.5
    (tmp_path / "queries.tsv").write_text("id\ttext\n1\tabc\n2\tdef\n")
    assert evaluate(many, queries=tmp_path / "queries.tsv")["asked"].startswith("2 queries of ")
    with pytest.raises(QueryError, match="--queries FILE"):
        evaluate(many, qrels=tmp_path / "qrels.tsv")
    monkeypatch.setattr(module, "BLOCK", 7)
    assert evaluate(many, sample=40)["recall"] == 1


def test_a_query_that_can_not_be_read_is_listed(many, tmp_path):
    """Recall and judged quality are of the other queries; a file of none that can be read is an error."""
    pytest.importorskip("ir_measures")
    near = many.search("abcdefgh", 1)[0].id
    queries, qrels = tmp_path / "queries.tsv", tmp_path / "qrels.tsv"
    queries.write_text(f"id\ttext\ngood\tabcdefgh\nbad\t{UNREADABLE}\nblank\t \n")
    qrels.write_text(f"good\t{near}\t1\nbad\t{near}\t1\nblank\t{near}\t1\n")
    told = evaluate(many, queries=queries, qrels=qrels)
    assert told["asked"].startswith("1 query of ")
    assert told["rejected"] == [
        {"id": "bad", "reason": "the text holds a skull"}, {"id": "blank", "reason": "it is empty"},
    ]  # fmt: skip
    assert told["judged"] == {"queries": 1, "nDCG@10": 1, "MRR": 1, "recall@100": 1}
    queries.write_text(f"bad\t{UNREADABLE}\n")
    with pytest.raises(SourceError, match="holds no query that can be used: the text holds a skull"):
        evaluate(many, queries=queries)


def test_texts_are_asked_of_texts_only(make_build, tmp_path):
    """Queries and pairs are texts: an index of words is refused with a sentence."""
    searcher = Index(make_build([text("a", "The cat sat.")], unit=Unit.WORD), LetterEncoder)
    (tmp_path / "queries.tsv").write_text("1\tabc\n")
    with pytest.raises(QueryError, match="holds words, which texts don't find"):
        evaluate(searcher, queries=tmp_path / "queries.tsv")


@pytest.mark.parametrize(
    ("name", "content", "want"),
    [
        ("q.jsonl", '{"_id": 1, "text": "a"}\n\n{"id": "2", "question": "b"}\n', [("1", "a"), ("2", "b")]),
        ("q.tsv", "id\ttext\n1\ta, b\n", [("1", "a, b")]),
        ("q.tsv", '1\tsay "yes"\n', [("1", 'say "yes"')]),
        ("q.csv", "query_id,query_text\n1,a\n", [("1", "a")]),
        ("q.tsv", "\nqid\ttopic\tquestion\n1\tx\ta\n", [("1", "a")]),
        ("q.csv", "Question,ID\na,1\n", [("1", "a")]),
        ("q.csv", "id,wording\n1,a\nid,b\n", [("1", "a"), ("id", "b")]),
        ("q.csv", '\ufeff1,"a, b"\n', [("1", "a, b")]),
        ("q.csv", '1,"a\nb"\n\n2,c\n', [("1", "a\nb"), ("2", "c")]),
        ("q.jsonl", '{"id": "1", "text": "a\u2028b"}\n', [("1", "a\u2028b")]),
        ("q.tsv", "1\ta\u2028b\n\n", [("1", "a\u2028b")]),
    ],
)
def test_queries_are_read(tmp_path, name, content, want):
    """JSONL, quotes, a byte order mark, tables with and without a first row of names, which is no query."""
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert list(read_queries(tmp_path / name)) == want


@pytest.mark.parametrize(
    ("content", "want"),
    [
        ("q1 0 d1 1\nq1 0 d2 0\n", [("q1", "d1", 1), ("q1", "d2", 0)]),
        ("query-id\tcorpus-id\tscore\nq 1\td 1\t2\n", [("q 1", "d 1", 2)]),
    ],
)
def test_judgements_are_read(tmp_path, content, want):
    """TREC's four columns, and three with names above; ids may hold spaces where tabs separate."""
    (tmp_path / "qrels").write_text(content)
    assert list(read_qrels(tmp_path / "qrels")) == want


@pytest.mark.parametrize(
    ("read", "name", "content", "said"),
    [
        (read_queries, "q.jsonl", '{"text": "a"}', r"q\.jsonl:1: an object with 'id' and 'text'"),
        (read_queries, "q.jsonl", "[1]", "an object with"),
        (read_queries, "q.tsv", "only one\n", r"q\.tsv:1: an id and a text"),
        (read_qrels, "r", "a 0 b 1\na b c d e\n", "r:2: 'query 0 item grade'"),
        (read_qrels, "r", "a 0 b 1\na 0 b high\n", "r:2: "),
        (read_qrels, "r", "1 0 b bad\n", "r:1: "),
        (read_qrels, "r", "a\tb\t1\na\tb\tinf\n", "r:2: "),
        (read_qrels, "r", "a\tb\t1\na\tb\t1e30\n", "r:2: "),
        (read_queries, "q.jsonl", "[" * 100_000, "an object with"),
        (read_queries, "q.csv", f"1,{'x' * (CELL_LIMIT + 1)}\n", "can't be read as a table: field larger"),
        (read_pairs, "p.tsv", "score\ts1\ts2\nnan\ta\tb\n", r"p\.tsv:2: "),
        (read_pairs, "p.tsv", "", "the columns score, text1 and text2 were expected"),
        (read_pairs, "p.tsv", "a\tb\tc\n", "it has"),
        (read_pairs, "p.tsv", "score\ts1\ts2\n1\ta\n", r"p\.tsv:2: two texts and a score"),
        (read_pairs, "p.csv", "score,text1,text2\nhigh,a,b\n", r"p\.csv:2: "),
        (read_pairs, "p.csv", b"\xff\xfe", "can't be read as text"),
    ],
)
def test_what_is_no_judgement_is_named(tmp_path, read, name, content, said):
    """A file that holds something else is told with its line; a missing one is told too."""
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SourceError, match=said):
        list(read(path))
    with pytest.raises(SourceNotFoundError, match="There is no file"):
        list(read(tmp_path / "nothing.tsv"))
