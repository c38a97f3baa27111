import json

import numpy as np
import pytest

from embedsearch.artifacts import tokens as module
from embedsearch.artifacts.tokens import open_tokens, packed, unpacked
from embedsearch.distances.metric import normalized
from embedsearch.errors import RecipeError
from embedsearch.index import Index, open_index
from embedsearch.records import Unit
from embedsearch.store.build import Build
from embedsearch.store.facts import TokensFacts
from embedsearch.store.folders import current_build
from embedsearch.store.versions import roll_back
from tests.fakes import LetterEncoder, letters, text

TEXTS = ["ab cd", "abc d", "d c b a", "aaab d", "ef gh"]


def entries(*texts):
    """Return a record for each text, its id the text."""
    return [text(each, each) for each in texts]


def scores(index, query="ab d"):
    """Return the score of each item for a query by its tokens."""
    return {hit.id: hit.rerank_score for hit in index.search(query, rerank=10)}


@pytest.mark.parametrize(("kind", "least"), [("int8", 0.9999), ("1bit", 0.7)])
def test_packed_tokens_are_the_tokens(kind, least):
    """Packed and unpacked, a row points where it did: all but rounding for int8, roughly for signs."""
    rows = normalized(np.random.default_rng(0).normal(size=(50, 37)).astype(np.float32))
    kept = packed(rows, kind)
    assert kept.shape == (50, 39 if kind == "int8" else 5)
    back = unpacked(kept, TokensFacts(kind, 37, 50, kept.nbytes, 1))
    assert np.einsum("nd,nd->n", normalized(back), rows).min() > least
    np.testing.assert_allclose(np.linalg.norm(back, axis=1), 1, atol=3e-3)


def test_kept_tokens_give_the_scores_of_computed_ones(make_build):
    """An index that keeps its tokens re-ranks as one that computes them, and runs no model on its texts."""
    plain = scores(Index(make_build(entries(*TEXTS)), LetterEncoder))
    build = make_build(entries(*TEXTS), name="kept", keep_tokens="int8")
    facts = build.manifest.artifacts.tokens
    assert (facts.kind, facts.count, facts.computed) == ("int8", 12, 5)
    assert facts.size == (build.folder / "tokens.bin").stat().st_size == 12 * 28
    kept = Index(build, LetterEncoder)
    assert not isinstance(kept.tokens.rows, np.memmap), (
        "few are read: a truncated file would kill the process"
    )
    assert scores(kept) == pytest.approx(plain, abs=0.01)
    assert kept.encoder.embedded == ["ab d", "ab d"], "the query's vector, and its tokens"
    assert json.loads((build.folder / "manifest.json").read_text())["additions"]["tokens"]["count"] == 12


def test_a_rebuild_computes_new_tokens_alone(make_build):
    """With one text changed, one new and one gone, two are computed; all scores are right."""
    make_build(entries(*TEXTS), keep_tokens="int8")
    now = [text("ab cd", "b d"), *entries("abc d", "d c b a", "aaab d", "new one")]
    build = make_build(now, keep_tokens="int8")
    assert build.manifest.artifacts.tokens.computed == 2
    tokens = open_tokens(build)
    for row, content in enumerate(build.items["text"].to_pylist()):
        want = normalized(np.stack([letters(word) for word in content.split()]))
        np.testing.assert_allclose(tokens.of(row), want, atol=0.01)


def test_other_tokens_are_computed_again(make_build):
    """Another precision computes all again, and without the option the next build keeps none."""
    make_build(entries(*TEXTS), keep_tokens="int8")
    assert make_build(entries(*TEXTS), keep_tokens="1bit").manifest.artifacts.tokens.computed == 5
    build = make_build(entries(*TEXTS, "more"))
    assert build.manifest.artifacts.tokens is None
    assert not (build.folder / "tokens.bin").exists()


def test_a_killed_build_leaves_the_tokens_before(make_build, tmp_path, monkeypatch):
    """A build that dies while tokens are computed leaves the one before whole; the next one ends it."""
    before = scores(Index(make_build(entries(*TEXTS), keep_tokens="int8"), LetterEncoder))

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module, "tokens_of", killed)
        with pytest.raises(KeyboardInterrupt):
            make_build(entries(*TEXTS, "zz"), keep_tokens="int8")
    still = Build(current_build(tmp_path / "small"))
    assert scores(Index(still, LetterEncoder)) == before
    assert make_build(entries(*TEXTS, "zz"), keep_tokens="int8").manifest.artifacts.tokens.computed == 1


def test_a_rollback_takes_the_tokens_back(make_build, tmp_path):
    """After a rollback the tokens are those of the build before."""
    before = scores(Index(make_build(entries(*TEXTS), keep_tokens="int8"), LetterEncoder))
    make_build(entries("zz ab", *TEXTS[2:]), keep_tokens="int8")
    roll_back(tmp_path, "small")
    assert scores(open_index("small", tmp_path, load=LetterEncoder)) == before


def test_a_filter_holds_with_kept_tokens(make_build):
    """What a filter keeps out is not re-ranked into the hits."""
    build = make_build([text(each, each, n=at) for at, each in enumerate(TEXTS)], keep_tokens="1bit")
    hits = Index(build, LetterEncoder).search("ab d", where="n >= 2", rerank=True)
    assert sorted(hit.fields["n"] for hit in hits) == [2, 3, 4]


def test_tokens_are_kept_of_texts_alone(make_build):
    """An index of words, and an unknown precision, are refused."""
    with pytest.raises(RecipeError, match="Tokens are kept of whole texts"):
        make_build(entries("a b"), unit=Unit.WORD, keep_tokens="int8")
    with pytest.raises(RecipeError, match="int8 or 1bit"):
        make_build(entries("a b"), keep_tokens="int4")
