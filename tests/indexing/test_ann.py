"""From vectors on disk to the index over them: kinds, recall, memory, what is kept of the one before."""

import random
from string import ascii_lowercase

import numpy as np
import pytest

from embedsearch.backends import AUTO
from embedsearch.backends import faiss_ann as module
from embedsearch.errors import RecallNotReachedError, RecipeError, SourceError
from embedsearch.index import Index
from embedsearch.indexing.build import build_index
from embedsearch.records import Unit
from embedsearch.store.build import Build, open_build
from tests.fakes import LetterEncoder, letters, text

COUNT = 1500


def many(first=0, count=COUNT, **fields):
    """Return texts of random letters, the same ones for the same numbers."""
    made = []
    for number in range(first, first + count):
        draw = random.Random(number)
        made.append(text(str(number), "".join(draw.choices(ascii_lowercase, k=20)), number=number, **fields))
    return made


@pytest.fixture
def build(make_recipe, tmp_path):
    """Return a function that builds an index of entries."""

    def run(entries, strict=False, **options):
        return build_index(
            make_recipe(entries, **options),
            tmp_path,
            allow_removal=True,
            strict=strict,
            load=LetterEncoder,
            describe=lambda recipe: LetterEncoder(recipe).spec,
        )

    return run


@pytest.mark.parametrize("kind", ["hnsw-sq8", "ivf-pq"])
def test_a_small_change_extends_the_index(build, kind):
    """Texts added and removed: the graph is kept, and the manifest says so; search finds what is there."""
    first = build(many(), backend=kind)
    assert first.manifest.index.made == "anew"
    now = many(50, COUNT + 50)
    second = build(now, backend=kind)
    facts = second.manifest.index
    assert (facts.made, facts.tuned.added, facts.tuned.masked) == ("extended", 100, 50)
    searcher = Index(second, LetterEncoder)
    for entry in (now[0], now[-1], now[700]):
        assert searcher.search(entry.content, 1)[0].id == entry.id
    gone = many(0, 1)[0]
    hits = searcher.search(gone.content, 50)
    assert gone.id not in {hit.id for hit in hits}
    assert len(hits) == 50
    assert searcher.search(gone.content, 5, where="number >= 1500")[0].fields["number"] >= 1500


def test_a_large_change_makes_the_index_anew(build):
    """Past a fifth, and for another kind, metric or recall, the index is made anew without embedding."""
    build(many(), backend="hnsw-sq8")
    assert build(many(0, 2 * COUNT), backend="hnsw-sq8").manifest.index.made == "anew"
    assert build(many(0, 2 * COUNT), backend="ivf-pq").manifest.index.made == "anew"
    assert build(many(0, 2 * COUNT), backend="ivf-pq", metric="l2").manifest.index.made == "anew"
    lower = build(many(0, 2 * COUNT), backend="ivf-pq", metric="l2", recall=0.8).manifest
    assert (lower.index.made, lower.index.tuned.wanted) == ("anew", 0.8)
    assert lower.report.reused == 2 * COUNT


def test_changes_add_up_until_the_index_is_made_anew(build):
    """Five rebuilds of 5 percent each: the graph is kept for four of them."""
    build(many(), backend="hnsw-sq8")
    made = [build(many(75 * step, COUNT), backend="hnsw-sq8").manifest.index.made for step in range(1, 6)]
    assert made == ["extended"] * 4 + ["anew"]


def test_copies_of_one_text_each_keep_a_node(build):
    """Records of equal content have a vector each, and each is found after a rebuild that reuses them."""
    copies = [text(f"copy {at}", "aabbccddee") for at in range(40)]
    build([*many(), *copies], backend="hnsw-sq8")
    second = build([*many(), *copies[::-1], *many(9000, 20)], backend="hnsw-sq8")
    assert second.manifest.index.made == "extended"
    hits = Index(second, LetterEncoder).search("aabbccddee", 60, fold=False)
    assert {hit.id for hit in hits if hit.distance < 1e-6} == {each.id for each in copies}
    twice = build([*many(), *copies, text("copy 40", "aabbccddee"), *many(9000, 20)], backend="hnsw-sq8")
    hits = Index(twice, LetterEncoder).search("aabbccddee", 60, fold=False)
    assert sum(hit.distance < 1e-6 for hit in hits) == 41


def test_a_recall_out_of_reach_fails_only_when_strict(build, monkeypatch, tmp_path):
    """The build says what was reached; under `strict` nothing is published, and work done is kept."""
    old = build(many(0, 1200), backend="ivf-rabitq", recall=0.5)
    monkeypatch.setattr(module, "EF_SEARCH", (1,))
    monkeypatch.setattr(module, "LIST_RERANK_K", (10,))
    monkeypatch.setattr(module, "EXACT_UP_TO", 1000)
    with pytest.raises(
        RecallNotReachedError, match=r"reaches a recall@10 of 0\.\d+, and 0.999 was asked for"
    ):
        build(many(), backend="ivf-rabitq", recall=0.999, strict=True)
    assert open_build(tmp_path, "small").folder == old.folder
    assert (tmp_path / "small" / "builds" / ".staging").is_dir()
    loose = build(many(), backend="ivf-rabitq", recall=0.999)
    assert loose.manifest.index.recall < 0.999


def test_the_memory_given_is_kept_to(build, monkeypatch):
    """`auto` takes a kind that fits; one asked for that does not fit is refused with one that does."""
    monkeypatch.setattr("embedsearch.backends.EXACT_UP_TO", 1000)
    assert build(many(), backend=AUTO, memory="1GB").manifest.backend == "hnsw-sq8"
    assert build(many(), backend=AUTO, memory="60kB", name="short").manifest.backend == "ivf-pq"
    with pytest.raises(
        RecipeError,
        match=r"about \d+ kB of memory to build; --memory allows 60kB. Take --backend ivf-pq, or more",
    ):
        build(many(), backend="hnsw", memory="60kB", name="refused")


def test_auto_keeps_the_kind_it_has_where_that_fits(build, monkeypatch):
    """A rebuild under `auto` does not throw a graph away because today's choice would be another."""
    monkeypatch.setattr("embedsearch.backends.EXACT_UP_TO", 1000)
    assert build(many(), backend=AUTO, memory="1GB").manifest.backend == "hnsw-sq8"
    monkeypatch.setattr("embedsearch.backends.GRAPH_UP_TO", 1000)
    assert build(many(0, COUNT + 9), backend=AUTO, memory="1GB").manifest.backend == "hnsw-sq8"
    assert build(many(), backend=AUTO, memory="1GB", name="new").manifest.backend == "ivf-pq"


@pytest.fixture
def asked(tmp_path):
    """A file of queries of two letters, which no text of the index is like."""
    path = tmp_path / "queries.tsv"
    pairs = [one + other for one in ascii_lowercase[:12] for other in ascii_lowercase[12:]]
    path.write_text("".join(f"{at}\t{pair}\n" for at, pair in enumerate(pairs)), encoding="utf-8")
    return path


def test_an_index_is_tuned_with_queries_where_there_are_some(build, asked, make_recipe, tmp_path):
    """Their recall is what is reached and told; a rebuild without a model keeps their vectors."""
    own = build(many(), backend="ivf-rabitq").manifest.index
    first = build(many(), backend="ivf-rabitq", queries=str(asked))
    facts = first.manifest.index
    assert (facts.queries, own.queries) == (168, 150)
    assert facts.asked == f"queries of {asked}"
    assert facts.recall >= 0.95
    pairs = np.stack([letters(line.split("\t")[1]) for line in asked.read_text().splitlines()])
    best, _ = Index(build(many(), backend="exact", name="exact")).build.backend.search(pairs, 10)
    found, _ = first.backend.search(pairs, 10)
    assert (found <= best[:, -1:] + 1e-6).mean() == pytest.approx(facts.recall, abs=0.001)
    again = build_index(
        make_recipe(many(5), backend="ivf-rabitq", queries=str(asked)),
        tmp_path,
        load=LetterEncoder,
        describe=lambda recipe: LetterEncoder(recipe).spec,
    )
    assert (again.folder / "queries.npy").read_bytes() == (first.folder / "queries.npy").read_bytes()
    fewer = build(many(5, 1000), backend="ivf-rabitq", queries=str(asked))  # made anew, nothing embedded
    assert fewer.manifest.index.made == "anew"
    assert fewer.manifest.index.queries == 168


def test_a_file_of_queries_that_was_edited_is_noticed(build, asked):
    """Where the file of queries changed under its name, a rebuild measures the index with the new ones."""
    first = build(many(), backend="ivf-rabitq", queries=str(asked))
    same = build(many(), backend="ivf-rabitq", queries=str(asked))
    assert same.folder == first.folder
    asked.write_text("1\tzz\n2\tyy\n", encoding="utf-8")
    edited = build(many(), backend="ivf-rabitq", queries=str(asked))
    assert edited.folder != first.folder
    assert edited.manifest.index.queries == 2
    np.testing.assert_array_equal(np.load(edited.folder / "queries.npy"), [letters("zz"), letters("yy")])


def test_queries_that_are_none_are_refused(build, asked):
    """A missing or empty file, or queries for an index of words, are told."""
    with pytest.raises(RecipeError, match=r"There is no file .* of queries"):
        build(many(0, 5), queries=str(asked.with_name("none.tsv")))
    with pytest.raises(RecipeError, match="The queries are texts, and the index holds words"):
        build([text("a", "The cat sat.")], queries=str(asked), unit=Unit.WORD)
    asked.write_text("")
    with pytest.raises(SourceError, match="holds no query to tune with"):
        build(many(0, 5), queries=str(asked))


def test_vectors_are_stored_as_told(build):
    """fp16 halves the file; a component beyond it is an error that says so, and nothing is published."""
    half = build(many(0, 20), storage="fp16")
    assert half.vectors.dtype == np.float16
    assert np.array_equal(half.vectors[3], letters(many(3, 1)[0].content))
    with pytest.raises(
        RecipeError, match=r"the largest of fp16 is 65,504. Store the vectors with --storage fp32"
    ):
        build([*many(0, 20), text("long", "a" * 70_000)], storage="fp16")
    assert Build(half.folder).manifest.count == 20
