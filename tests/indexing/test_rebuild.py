"""A second build of an index embeds only what is new or changed, and comes out as a first one would."""

import os
import random
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from embedsearch.errors import IndexDamagedError
from embedsearch.indexing.build import build_index, compare_index
from embedsearch.indexing.changes import unchanged
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Rejected, Unit
from embedsearch.store import source_state
from embedsearch.store.build import Build
from embedsearch.store.facts import NeighboursKept
from tests.fakes import UNREADABLE, LetterEncoder, letters, picture, read_ahead, text

WORDS = ["apple", "berry", "cherry", "date", "elder", "fig"]


def entries(*words):
    """Return texts that are their own ids."""
    return [text(word, word, length=len(word)) for word in words or WORDS]


@pytest.fixture
def rebuild(make_recipe, tmp_path):
    """Return a function that builds an index of entries; `embedded` holds what the last call embedded."""

    def run(entries, weights="1", full=False, allow_removal=True, **options):
        encoders = []

        def load(recipe):
            encoders.append(LetterEncoder(recipe, weights))
            return encoders[-1]

        build = build_index(
            make_recipe(entries, **options),
            tmp_path,
            full=full,
            allow_removal=allow_removal,
            load=load,
            describe=lambda recipe: LetterEncoder(recipe, weights).spec,
        )
        run.loaded = len(encoders)
        run.embedded = [item for encoder in encoders for item in encoder.embedded]
        return build

    return run


def same(build, whole):
    """Assert that two builds hold the same."""
    assert build.items.equals(whole.items)
    assert np.array_equal(build.vectors, whole.vectors)
    names = ["key", "facts", "high", "low", "size", "rows", "truncated", "lost", "bad"]
    assert np.array_equal(build.source_state.entries[names], whole.source_state.entries[names])
    assert sorted(build.rejected(), key=str) == sorted(whole.rejected(), key=str)
    for name in ("entries", "items", "rejected", "truncated", "lost_words"):
        assert getattr(build.manifest.report, name) == getattr(whole.manifest.report, name)


def counts(build):
    """Return what a build says became of its source."""
    kinds = ("added", "changed", "removed", "unchanged", "rejected", "to_embed")
    return [getattr(build.manifest.changes, kind) for kind in kinds]


def test_only_what_is_new_or_changed_is_embedded(rebuild):
    """New and changed texts go through the encoder, the others keep their vectors; rows follow the source."""
    rebuild(entries())
    now = [*entries("fig", "grape", "apple"), text("berry", "blueberry", length=9)]
    build = rebuild(now)
    assert sorted(rebuild.embedded) == ["blueberry", "grape"]
    assert counts(build) == [1, 1, 3, 2, 0, 2]
    assert build.items["id"].to_pylist() == ["fig", "grape", "apple", "berry"]
    assert np.array_equal(build.vectors, [letters(word) for word in ("fig", "grape", "apple", "blueberry")])
    examples = build.manifest.changes.examples
    assert examples == {"added": ("grape",), "changed": ("berry",), "removed": ("cherry", "date", "elder")}


def test_where_nothing_changed_nothing_happens(rebuild, tmp_path):
    """No model is loaded and no file of the index is touched, whatever the order of the source."""
    first = rebuild([*entries(), Rejected("line 9", "torn"), text("skull", UNREADABLE)])
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "small" / "builds").rglob("*")}
    again = rebuild([text("skull", UNREADABLE), Rejected("line 9", "torn"), *reversed(entries())])
    assert again.folder == first.folder
    assert rebuild.loaded == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "small" / "builds").rglob("*")} == files


def test_fields_change_without_a_model(rebuild):
    """Another value of a field is a change; the vectors stay, and no model is loaded."""
    rebuild(entries())
    now = [text(word, word, length=len(word), colour="red") for word in WORDS]
    build = rebuild(now)
    assert rebuild.loaded == 0
    assert counts(build) == [0, 6, 0, 0, 0, 0]
    assert build.items["field:colour"].to_pylist() == ["red"] * 6
    assert np.array_equal(build.vectors, [letters(word) for word in WORDS])


def test_removing_needs_no_model(rebuild):
    """What is gone from the source is gone from the index, and no model is loaded for it."""
    rebuild(entries())
    build = rebuild(entries("apple", "date"))
    assert (rebuild.loaded, build.items["id"].to_pylist()) == (0, ["apple", "date"])
    assert counts(build) == [0, 0, 4, 2, 0, 0]


@pytest.mark.parametrize("unit", [Unit.TEXT, Unit.WORD])
def test_what_moved_is_not_embedded_again(rebuild, unit):
    """The same content under another id keeps its vectors; ids, words' ids among them, are the new ones."""
    old = [text("a/1", "The cat sat. Dogs!", n=1), text("a/2", "bee", n=2)]
    rebuild(old, unit=unit)
    moved = [text("b/2", "bee", n=4), text("b/1", "The cat sat. Dogs!", n=3)]
    build = rebuild(moved, unit=unit)
    assert rebuild.loaded == 0
    whole = rebuild(moved, unit=unit, name="whole")
    same(build, whole)
    if unit is Unit.WORD:
        assert build.items["id"].to_pylist() == ["b/2#0", "b/1#0", "b/1#4", "b/1#8", "b/1#13"]


def test_the_rejected_is_tried_again_when_it_changed(rebuild):
    """What the encoder could not use is listed again without a try, until its content is another."""
    bad = text("skull", UNREADABLE)
    first = rebuild([*entries(), bad, Rejected("line 9", "torn")])
    again = rebuild([*entries("apple", "fig"), bad, Rejected("line 9", "torn")])
    assert rebuild.loaded == 0
    assert {each["id"]: each["reason"] for each in first.rejected()} == {
        "line 9": "torn",
        "skull": "the text holds a skull",
    }
    assert {each["id"]: each["entry"] for each in again.rejected()} == {"line 9": None, "skull": 2}
    build = rebuild([*entries("apple", "fig"), text("skull", "bone"), Rejected("line 9", "torn")])
    assert rebuild.embedded == ["bone"]
    assert build.items["id"].to_pylist() == ["apple", "fig", "skull"]


def test_what_can_not_be_used_counts_as_rejected(rebuild):
    """Records that the encoder could not use are neither added, changed nor unchanged, then and later."""
    rebuild(entries())
    now = [*entries("apple", "berry"), text("cherry", UNREADABLE), text("skull", UNREADABLE)]
    first = rebuild(now)
    assert counts(first) == [0, 0, 3, 2, 2, 2]
    assert set(first.manifest.changes.examples) == {"removed"}
    still = unchanged(first)
    assert (still.unchanged, still.rejected) == (2, 2)
    assert counts(rebuild([*now, *entries("fig")])) == [1, 0, 0, 2, 2, 1]
    assert counts(rebuild([*now[:-1], *entries("fig", "skull")])) == [0, 1, 0, 3, 1, 1]


def test_what_the_source_cannot_read_counts_as_a_change(rebuild):
    """Another line that can't be read, or another reason, is published; its content was never known."""
    first = rebuild([*entries(), Rejected("line 9", "torn")])
    second = rebuild([*entries(), Rejected("line 9", "burnt")])
    assert second.folder != first.folder
    assert second.rejected()[0]["reason"] == "burnt"
    assert rebuild([*entries()]).rejected() == []


def test_a_touched_file_is_read_and_found_the_same(rebuild, tmp_path, monkeypatch):
    """An image's file is read again only when its size or time changed, embedded only when its bytes did."""
    paths = [tmp_path / f"{name}.png" for name in ("red", "navy", "white")]
    for path in paths:
        Image.new("RGB", (4, 4), path.stem).save(path)
        os.utime(path, (1_000_000, 1_000_000))
    pictures = [picture(path.name, path) for path in paths]
    first = rebuild(pictures, unit=Unit.IMAGE)
    with monkeypatch.context() as patch:
        patch.setattr("embedsearch.indexing.read.content_hash", lambda path: pytest.fail(f"{path} was read"))
        assert rebuild(pictures, unit=Unit.IMAGE).folder == first.folder
    os.utime(paths[0], (2_000_000, 2_000_000))
    assert rebuild(pictures, unit=Unit.IMAGE).folder == first.folder
    Image.new("RGB", (4, 4), "pink").save(paths[1])
    build = rebuild(pictures, unit=Unit.IMAGE)
    assert rebuild.embedded == [paths[1].read_bytes()]
    assert counts(build) == [0, 1, 0, 2, 0, 1]


def test_a_file_that_was_just_written_is_read_again(tmp_path):
    """A file changed within two seconds of its reading may change once more and show the same time."""
    path = tmp_path / "a.png"
    path.write_bytes(b"x")
    modified = source_state.describe([picture("a", path)])["modified"]
    assert modified == path.stat().st_mtime_ns
    assert source_state.trusted(modified) == 0
    os.utime(path, (1_000_000, 1_000_000))
    assert source_state.trusted(source_state.describe([picture("a", path)])["modified"]) == 10**15


@pytest.mark.parametrize(
    "options",
    [
        {"weights": "2"},
        {"full": True},
        {"encoder": EncoderRecipe(Unit.TEXT, pooling="cls")},
        {"encoder": EncoderRecipe(Unit.TEXT, precision="bf16")},
    ],
    ids=["weights", "full", "pooling", "precision"],
)
def test_other_vectors_are_all_embedded(rebuild, options):
    """Another model, pooling or precision, and --full: everything goes through the encoder."""
    rebuild(entries())
    rebuild(entries(), **options)
    assert sorted(rebuild.embedded) == WORDS


def test_another_index_over_the_same_vectors_loads_no_model(rebuild):
    """Another metric, kind of index or storage is published without embedding; fp32 is not made of fp16."""
    rebuild(entries())
    assert rebuild(entries(), metric="l2").manifest.metric == "l2"
    assert rebuild.loaded == 0
    assert rebuild(entries(), backend="hnsw").manifest.backend == "hnsw"
    assert rebuild.loaded == 0
    half = rebuild(entries(), storage="fp16")
    assert (rebuild.loaded, half.vectors.dtype) == (0, np.float16)
    full = rebuild(entries(), storage="fp32")
    assert (sorted(rebuild.embedded), full.vectors.dtype) == (WORDS, np.float32)


@pytest.mark.parametrize("name", ["vectors.npy", "ledger.npy", "items.arrow", "manifest.json"])
def test_a_damaged_build_is_not_built_upon(rebuild, name):
    """A bit turned in the current build: everything is embedded again, and the new build is whole."""
    old = rebuild(entries())
    content = bytearray((old.folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (old.folder / name).write_bytes(content)
    build = rebuild(entries())
    assert sorted(rebuild.embedded) == WORDS
    assert np.array_equal(Build(build.folder, whole=True).vectors, [letters(word) for word in WORDS])


def test_a_dry_run_says_the_same_and_writes_nothing(rebuild, make_recipe, tmp_path):
    """What compare_index counts is what the rebuild then does; no file changes before."""
    rebuild([*entries(), text("skull", UNREADABLE)])
    before = sorted(path for path in (tmp_path / "small").rglob("*"))
    now = [*entries("apple", "fig"), text("berry", "blueberry"), text("new", "date"), Rejected("x", "torn")]
    found = compare_index(
        make_recipe(now), tmp_path, describe=lambda recipe: LetterEncoder(recipe).spec
    ).facts()
    assert sorted(path for path in (tmp_path / "small").rglob("*")) == before
    build = rebuild(now)
    assert found == replace(build.manifest.changes, neighbours_kept=None)
    assert counts(build) == [1, 1, 4, 2, 1, 1]


def test_a_dry_run_against_another_model_embeds_all(rebuild, make_recipe, tmp_path):
    """Where no vector serves, everything is to be embedded, and the message says so by the counts."""
    rebuild(entries())
    found = compare_index(
        make_recipe(entries()), tmp_path, describe=lambda recipe: LetterEncoder(recipe, "2").spec
    )
    assert found.to_embed == 6


def test_a_damaged_build_has_no_dry_run(rebuild, make_recipe, tmp_path):
    """What can't be compared with is an error that names the file."""
    (rebuild(entries()).folder / "ledger.npy").unlink()
    with pytest.raises(IndexDamagedError, match=r"ledger\.npy is missing"):
        compare_index(make_recipe(entries()), tmp_path)


def random_texts(draw, count):
    """Return a mapping of ids to sentences."""
    return {f"t{draw.randrange(60)}": sentence(draw) for _ in range(count)}


def sentence(draw):
    """Return a text of a few words, one in eight unusable."""
    words = [draw.choice([*WORDS, "grape", "kiwi", "lemon"]) for _ in range(draw.randrange(1, 5))]
    return UNREADABLE if draw.random() < 0.12 else ". ".join([" ".join(words), *words[:1]])


@pytest.mark.parametrize("unit", [Unit.TEXT, Unit.WORD])
@pytest.mark.parametrize("seed", range(3))
def test_any_history_ends_as_a_first_build_would(rebuild, monkeypatch, unit, seed):
    """After random edits, moves, removals and fields, an index equals one made at once of the same source."""
    read_ahead(monkeypatch, 7)
    draw = random.Random(seed)
    held = random_texts(draw, 40)
    for step in range(6):
        for identity in draw.sample(sorted(held), 6):
            held.pop(identity)
        held |= random_texts(draw, 12)
        if step % 2:
            held["copy"] = draw.choice(list(held.values()))
        order = draw.sample(sorted(held), len(held))
        now = [text(identity, held[identity], n=len(held[identity]) + step // 2) for identity in order]
        now.insert(3, Rejected(f"line {step // 2}", "torn"))
        build = rebuild(now, unit=unit, max_rejected=1.0)
        whole = rebuild(now, unit=unit, max_rejected=1.0, name="whole", full=True)
        same(build, whole)


def test_a_full_run_that_was_stopped_goes_on(rebuild, monkeypatch):
    """--full given again goes on behind its own shards, and takes up none of a run that was not full."""
    read_ahead(monkeypatch, 2)
    monkeypatch.setattr("embedsearch.indexing.shards.SHARD_VECTORS", 2)
    rebuild(entries())

    class Broken(list):
        def __iter__(self):
            for number, entry in enumerate(list.__iter__(self)):
                if number == 5:
                    raise RuntimeError("the disk was pulled")
                yield entry

    for _ in range(2):
        with pytest.raises(RuntimeError, match="pulled"):
            rebuild(Broken(entries()), full=True)
    rebuild(entries(), full=True)
    assert sorted(rebuild.embedded) == WORDS[2:]  # the batch under way is lost


def test_probes_stay_those_of_a_varied_build(rebuild):
    """A rebuild that embeds one text keeps the sixteen probes of the build before."""
    first = rebuild([text(str(at), f"word {at}") for at in range(50)])
    build = rebuild([text(str(at), f"word {at}") for at in range(51)])
    assert (build.folder / "probes.npz").read_bytes() == (first.folder / "probes.npz").read_bytes()


def test_neighbours_that_moved_are_told(rebuild):
    """The share of the nearest neighbours that is kept: all where little changed, fewer where much did."""
    draw = random.Random(4)
    texts = ["".join(draw.choices("abcdefghij", k=12)) for _ in range(60)]
    old = [text(str(at), each) for at, each in enumerate(texts)]
    rebuild(old)
    moved = rebuild([*old, text("far", "zzzz")]).manifest.changes.neighbours_kept
    assert moved == NeighboursKept(1.0, 60)
    moved = rebuild(old[::2]).manifest.changes.neighbours_kept
    assert moved.sample == 30
    assert 0.3 < moved.share < 0.7


def test_builds_are_kept_as_told(rebuild, make_recipe, tmp_path):
    """keep=3 keeps three builds, from the rebuild on that says so; another keep alone makes no build."""
    folders = [rebuild(entries(*WORDS[: 2 + at]), keep=3).folder for at in range(4)]
    kept = sorted(path for path in (tmp_path / "small" / "builds").iterdir())
    assert kept == folders[1:]
    recipe = make_recipe(entries(*WORDS[:5]), keep=1)
    assert rebuild(entries(*WORDS[:5]), keep=1).folder == folders[-1]
    assert replace(recipe.index, keep=1).keep == 1
