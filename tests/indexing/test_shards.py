import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedsearch.errors import IndexNotFoundError
from embedsearch.indexing import shards as staging
from embedsearch.indexing.batch import Batch, Embedded, Outcome
from embedsearch.indexing.build import build_index
from embedsearch.indexing.plan import Plan
from embedsearch.indexing.read import Walked
from embedsearch.indexing.shards import Staging
from embedsearch.indexing.staged_vectors import HEAD
from embedsearch.recipe import EncoderRecipe, Recipe
from embedsearch.records import Modality, Record, Rejected, Unit
from embedsearch.sources import open_source
from embedsearch.store import source_state
from embedsearch.store.build import open_build
from tests.fakes import LetterEncoder, read_ahead, text

ROOT = Path(__file__).parents[2]
NAMES = [f"{chr(97 + number % 26) * (number % 5 + 1)}" for number in range(40)]
ENTRIES = [
    Rejected(f"r{number}", "torn") if number % 7 == 3 else text(str(number), name, n=number)
    for number, name in enumerate(NAMES)
]
# Builds ENTRIES, and dies like a killed process after so many entries: no handler, no `finally` runs.
DYING = """
import os, sys
from pathlib import Path
import pytest
from embedsearch import sources
from embedsearch.indexing import shards
from embedsearch.indexing.build import build_index
from embedsearch.recipe import EncoderRecipe, Recipe, SourceRecipe
from embedsearch.records import Unit
from tests import fakes
from tests.indexing import test_shards

class Dying(list):
    def __iter__(self):
        for number, entry in enumerate(list.__iter__(self)):
            if number == int(sys.argv[2]):
                os._exit(9)
            yield entry

fakes.read_ahead(pytest.MonkeyPatch(), 3)
shards.SHARD_VECTORS = 5
sources.SOURCES["list"] = "tests.fakes:ListSource"
fakes.LISTS["a list"] = Dying(test_shards.ENTRIES)
recipe = Recipe("small", SourceRecipe("list", "a list"), EncoderRecipe(Unit.TEXT))
build_index(recipe, Path(sys.argv[1]), load=fakes.LetterEncoder)
"""


@pytest.fixture
def small_shards(monkeypatch):
    """Read three entries at a time, and close a shard at five vectors."""
    read_ahead(monkeypatch, 3)
    monkeypatch.setattr(staging, "SHARD_VECTORS", 5)


def finished(folder):
    """Return how many entries the finished shards in an index's folder cover."""
    shards = sorted((folder / "builds" / ".staging").glob("*/[0-9]*.json"))
    return sum(json.loads(path.read_text().split("\n", 1)[1])["totals"]["entries"] for path in shards)


@pytest.mark.usefixtures("small_shards")
def test_a_killed_build_goes_on_where_it_was(make_recipe, tmp_path):
    """After a kill, finished shards are not embedded again, and the result is that of an unbroken run."""
    done = subprocess.run([sys.executable, "-c", DYING, str(tmp_path), "29"], cwd=ROOT, check=False)
    assert done.returncode == 9
    with pytest.raises(IndexNotFoundError, match="never finished: embedsearch rebuild small"):
        open_build(tmp_path, "small")
    found = finished(tmp_path / "small")
    assert 6 <= found < 29
    encoder = LetterEncoder(EncoderRecipe(Unit.TEXT))
    resumed = build_index(make_recipe(ENTRIES), tmp_path, load=lambda recipe: encoder)  # noqa: ARG005
    texts = [entry.content for entry in ENTRIES[found:] if not isinstance(entry, Rejected)]
    assert sorted(encoder.embedded) == sorted(texts)
    whole = build_index(make_recipe(ENTRIES), tmp_path / "unbroken", load=LetterEncoder)
    assert resumed.items.equals(whole.items)
    assert np.array_equal(resumed.vectors, whole.vectors)
    assert resumed.rejected() == whole.rejected()
    counts = ("entries", "items", "rejected", "truncated", "lost_words")
    assert [getattr(resumed.manifest.report, name) for name in counts] == [
        getattr(whole.manifest.report, name) for name in counts
    ]
    assert not (tmp_path / "small" / "builds" / ".staging").exists()


def test_a_killed_rebuild_leaves_the_old_build(make_recipe, make_build, tmp_path):
    """A kill in the middle of a rebuild: the old build opens, and `rebuild` finds a complete recipe."""
    old = make_build([text("old", "apple")])
    done = subprocess.run([sys.executable, "-c", DYING, str(tmp_path), "20"], cwd=ROOT, check=False)
    assert done.returncode == 9
    assert open_build(tmp_path, "small").folder == old.folder
    asked = make_recipe([])
    assert Recipe.load(tmp_path / "small") == replace(asked, index=replace(asked.index, metric="cosine"))


class Failing(list):
    """A source that breaks off after 20 entries, in the middle of the run."""

    def __iter__(self):
        for number, entry in enumerate(list.__iter__(self)):
            if number == 20:
                raise RuntimeError("the disk was pulled")
            yield entry


@pytest.fixture
def broken(make_recipe, tmp_path, small_shards):  # noqa: ARG001  it cuts the shards
    """An index whose first build broke off; returns how many entries its shards cover."""
    with pytest.raises(RuntimeError, match="the disk was pulled"):
        build_index(make_recipe(Failing(ENTRIES)), tmp_path, load=LetterEncoder)
    found = finished(tmp_path / "small")
    assert found > 0
    return found


def embedded_again(make_recipe, tmp_path, weights="1", **options):
    """Build, and return how many texts went through the encoder."""
    encoders = []

    def load(recipe):
        encoders.append(LetterEncoder(recipe, weights))
        return encoders[-1]

    build = build_index(make_recipe(ENTRIES, **options), tmp_path, load=load)
    assert build.manifest.count == sum(not isinstance(entry, Rejected) for entry in ENTRIES)
    return len(encoders[0].embedded)


def test_work_of_the_same_vectors_is_found_again(broken, make_recipe, tmp_path):
    """Another metric or share of rejected items does not throw embedded work away."""
    left = sum(not isinstance(entry, Rejected) for entry in ENTRIES[broken:])
    assert embedded_again(make_recipe, tmp_path, metric="l2", max_rejected=0.9) == left


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize(
    "change",
    [
        {"encoder": EncoderRecipe(Unit.TEXT, pooling="cls")},
        {"encoder": EncoderRecipe(Unit.TEXT, layers=(-2,))},
        {"encoder": EncoderRecipe(Unit.TEXT, precision="bf16")},
        {"weights": "2"},
        {"location": "another list"},
    ],
    ids=["pooling", "layers", "precision", "weights", "source"],
)
def test_work_of_other_vectors_starts_anew(make_recipe, tmp_path, change):
    """Another pooling, layer, precision, model or source: nothing of the broken run is used."""
    assert embedded_again(make_recipe, tmp_path, **change) == sum(
        not isinstance(entry, Rejected) for entry in ENTRIES
    )


def test_a_shard_without_its_last_file_does_not_count(broken, make_recipe, tmp_path):
    """A kill while a shard is written leaves vectors without their .json: the shard is made again."""
    (folder,) = (tmp_path / "small" / "builds" / ".staging").iterdir()
    last = max((path for path in folder.glob("[0-9]*.json")), key=lambda path: int(path.stem))
    last.unlink()
    (folder / f".{last.name}").write_text("{half")
    found = finished(tmp_path / "small")
    assert found < broken
    left = sum(not isinstance(entry, Rejected) for entry in ENTRIES[found:])
    assert embedded_again(make_recipe, tmp_path) == left
    assert open_build(tmp_path, "small").items["id"].to_pylist() == [
        entry.id for entry in ENTRIES if not isinstance(entry, Rejected)
    ]


@pytest.mark.parametrize("damage", ["empty", "half", "gone", "flipped"])
@pytest.mark.parametrize("name", ["0.json", "vectors.npy", "0.origins.npy", "0.state.npy", "0.arrow"])
def test_a_damaged_shard_is_made_again(broken, make_recipe, tmp_path, name, damage):
    """A power cut or a bad disk: what is not whole of the work under way is not used."""
    assert broken
    path = next((tmp_path / "small" / "builds" / ".staging").iterdir()) / name
    content = bytearray(path.read_bytes())
    middle = HEAD if name == "vectors.npy" else len(content) // 2  # which shard 0 begins at
    if damage == "gone":
        path.unlink()
    elif damage == "flipped":
        content[middle] ^= 129
        path.write_bytes(content)
    else:
        path.write_bytes(content[:middle] if damage == "half" else b"")
    wanted = sum(not isinstance(entry, Rejected) for entry in ENTRIES)
    assert embedded_again(make_recipe, tmp_path) == wanted
    whole = build_index(make_recipe(ENTRIES), tmp_path / "unbroken", load=LetterEncoder)
    assert np.array_equal(open_build(tmp_path, "small").vectors, whole.vectors)


def entries_of(*names, rejected=0):
    """Return what a source yields for `batch` of the same arguments."""
    return [text(name, name) for name in names] + [Rejected("r", "torn")] * rejected


def walked(*names, rejected=0):
    """Return a stretch of a source."""
    entries = entries_of(*names, rejected=rejected)
    described = source_state.describe(entries)
    return Walked(entries, described, source_state.digest(described))


def batch(*names, rejected=0):
    """Return a batch of texts, embedded as one number each."""
    each, count = walked(*names, rejected=rejected), len(names)
    nowhere = np.full(count, -1)
    vectors = np.arange(count, dtype=np.float32).reshape(-1, 1)
    return Batch(
        len(each.entries), each.digest, each.entries[:count], each.described[:count], nowhere, nowhere, False,
        np.arange(count), [], [], [(entry, None) for entry in each.entries[count:]],
        Embedded([Outcome()] * count, vectors),
    )  # fmt: skip


@pytest.fixture
def resume(make_recipe, tmp_path):
    """Return a function that opens a folder of staged work again; the second result is what is left to do."""

    def run(*stretches):
        recipe = make_recipe([])
        stage = Staging(tmp_path / "s", "key")
        left = list(stage.resume(iter(stretches), Plan(recipe, open_source(recipe.source), None)))
        return stage, left

    return run


def test_shards_close_by_size_and_by_time(tmp_path, monkeypatch):
    """A shard is written when it holds enough vectors, or when it is old enough."""
    monkeypatch.setattr(staging, "SHARD_VECTORS", 3)
    stage = Staging(tmp_path / "s", "key")
    stage.add(batch("a", "b"), None)
    assert not list(tmp_path.glob("s/key/*.json"))
    stage.add(batch("c"), None)
    assert len(list(tmp_path.glob("s/key/*.json"))) == 1
    monkeypatch.setattr(staging, "SHARD_SECONDS", -1.0)
    stage.add(batch("d"), None)
    assert len(list(tmp_path.glob("s/key/*.json"))) == 2
    assert (stage.totals.items, stage.totals.entries) == (4, 4)


def test_what_embeds_nothing_waits_in_memory(tmp_path, monkeypatch):
    """Batches without a new vector are written when one with a vector comes, or when many wait."""
    monkeypatch.setattr(staging, "SHARD_VECTORS", 1)
    stage = Staging(tmp_path / "s", "key")
    stage.add(batch(rejected=1), None)
    assert not list(tmp_path.glob("s/key/*"))
    assert stage.entries == 1
    stage.add(batch("a"), None)
    assert [len(list(tmp_path.glob("s/key/*.json"))), stage.totals.entries] == [1, 2]
    monkeypatch.setattr(staging, "MOST_WAITING_SIZE", 2)
    monkeypatch.setattr(staging, "SHARD_SECONDS", -1.0)
    full = Staging(tmp_path / "t", "key")
    without = [replace(batch(name), whole=np.empty(0, np.int64)) for name in ("a", "b", "c")]
    for each in without[:2]:
        full.add(each, None)
    assert full.totals.entries == 0
    full.add(without[2], None)
    assert full.totals.entries == 3


def test_what_is_staged_is_found_again(tmp_path, resume):
    """Another Staging of the same key has totals, vectors and rejected items; another key has none."""
    stage = Staging(tmp_path / "s", "key")
    stage.add(batch("a", "b", rejected=2), None)
    stage.close_shard()
    stage.add(batch(rejected=1), None)
    stage.close_shard()
    again, left = resume(walked("a", "b", rejected=2), walked(rejected=1))
    assert (again.entries, left) == (5, [])
    assert (again.totals.entries, again.totals.items, again.totals.rejected) == (5, 2, 3)
    assert len(list(again.rejected())) == 3
    assert again.join(tmp_path, None, 1, "fp32") is None
    assert again.join_items(tmp_path, {})[0].names[0] == "id"
    assert np.load(tmp_path / "vectors.npy").tolist() == [[0], [1]]
    assert not list(Staging(tmp_path / "s", "other").rejected())
    assert (tmp_path / "s" / "key" / "0.arrow").is_file()
    again.clear()
    assert not (tmp_path / "s").exists()


def test_an_empty_shard_is_not_written(tmp_path):
    """Closing where nothing came in writes nothing."""
    stage = Staging(tmp_path / "s", "key")
    stage.close_shard()
    assert not list((tmp_path / "s" / "key").iterdir())


def test_a_source_that_changed_is_embedded_from_the_change_on(tmp_path, resume):
    """Shards are taken up only as far as the source still yields the entries they were made of."""
    stage = Staging(tmp_path / "s", "key")
    for names in ("ab", "cd", "ef"):
        stage.add(batch(*names), None)
        stage.close_shard()
    assert resume(*(walked(*names) for names in ("ab", "cd", "ef")))[0].entries == 6
    again, left = resume(*(walked(*names) for names in ("ab", "cX", "ef")))
    assert (again.entries, again.totals.items) == (2, 2)
    assert [entry.id for each in left for entry in each.entries] == ["c", "X", "e", "f"]
    # the later shards are gone for good, for those made now take their numbers
    assert resume(*(walked(*names) for names in ("ab", "cd", "ef")))[0].entries == 2
    assert resume(*(walked(*names) for names in ("bc", "de", "f")))[0].entries == 0


def test_a_file_that_changed_is_another_entry(tmp_path):
    """An image's entry counts as changed when its file's size or time did, though its path is the same."""
    path = tmp_path / "a.png"
    path.write_bytes(b"one")
    entries = [Record("a", Modality.IMAGE, path)]
    before = source_state.digest(source_state.describe(entries))
    assert source_state.digest(source_state.describe(entries)) == before
    path.write_bytes(b"three")
    assert source_state.digest(source_state.describe(entries)) != before


def test_an_interrupted_run_keeps_its_whole_batches(make_recipe, tmp_path, monkeypatch):
    """Ctrl-C leaves the batches that were whole on disk; the same recipe embeds only the others."""
    read_ahead(monkeypatch, 10)
    entries = [text(str(at), f"text {at}") for at in range(40)]

    class Progress:
        def __init__(self, stop_at):
            self.left = stop_at

        def start(self, encoder, total, done):  # noqa: ARG002
            self.found = done

        def spent(self, waiting, computing):
            """See `Progress`."""

        def advance(self, entries):
            self.left -= entries
            if self.left <= 0:
                raise KeyboardInterrupt

        def stage(self, text, total=None):
            pass

    with pytest.raises(KeyboardInterrupt):
        build_index(make_recipe(entries), tmp_path, load=LetterEncoder, progress=Progress(30))
    again = Progress(1000)
    built = build_index(make_recipe(entries), tmp_path, load=LetterEncoder, progress=again)
    assert again.found in (10, 20)
    assert built.items["id"].to_pylist() == [str(at) for at in range(40)]
