"""Another engine, precision or machine is held against a build's probes before it asks the index."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedsearch.encoders import open_encoder, probes
from embedsearch.errors import DeviceError, EncoderMismatchError
from embedsearch.index import Index
from embedsearch.indexing.build import build_index
from embedsearch.recipe import EncoderRecipe, Recipe
from embedsearch.records import Unit
from embedsearch.store.manifest import PROBES
from tests import fakes
from tests.fakes import LetterEncoder, text
from tests.small_models import SENTENCES

ENTRIES = [fakes.text(str(number), f"word{chr(97 + number % 26)} {'x' * number}") for number in range(40)]


class Elsewhere(LetterEncoder):
    """The same model on another machine: another engine, and vectors off by `error`."""

    engine, error, runs = "other", 0.0, 0

    def run(self, prepared):
        """Count runs, and add the error."""
        type(self).runs += 1
        for position, vectors in super().run(prepared):
            yield position, vectors + np.float32(self.error)


@pytest.fixture
def elsewhere():
    """Return a function that makes the other machine's encoder class."""
    return lambda error: type("Elsewhere", (Elsewhere,), {"error": error, "runs": 0})


def test_sixteen_probes_are_spread_over_the_first_chunk(make_build):
    """A build keeps 16 of its inputs with their vectors, evenly spread, or all where there are fewer."""
    build = make_build(ENTRIES)
    kept = probes.load(build.folder / PROBES)
    assert probes.spread(40) == [0, 2, 5, 7, 10, 12, 15, 17, 20, 22, 25, 27, 30, 32, 35, 37]
    assert np.array_equal(np.concatenate([v for _, v in kept]), build.vectors[probes.spread(40)])
    assert probes.spread(3) == [0, 1, 2]
    assert len(probes.load(make_build(ENTRIES[:3], name="few").folder / PROBES)) == 3


def test_the_engine_that_made_the_index_is_not_checked(make_build, elsewhere):
    """The same engine, precision and kind of device needs no check."""
    encoder = elsewhere(0.0)
    Index(make_build(ENTRIES, load=encoder), encoder).search("word")
    assert encoder.runs == 2  # the build's one chunk and the query


def test_another_engine_is_checked_once(make_build, elsewhere):
    """Another engine embeds the probes at its first query, and is known afterwards."""
    build, encoder = make_build(ENTRIES), elsewhere(1e-4)
    assert Index(build, encoder).search("worda x", k=1)[0].id == "0"
    assert encoder.runs == 2
    assert Index(build, encoder).search("worda x", k=1)[0].id == "0"
    assert encoder.runs == 3


def test_another_engine_with_other_vectors_is_refused(make_build, elsewhere):
    """Vectors under a cosine of 0.999 are refused each time, with both engines and the mending command."""
    build, encoder = make_build(ENTRIES), elsewhere(5.0)
    for _ in range(2):
        with pytest.raises(
            EncoderMismatchError, match=r"made with letters in fp32 on cpu\. Here other in fp32"
        ):
            Index(build, encoder).search("word")
    with pytest.raises(EncoderMismatchError, match="Run: embedsearch rebuild small"):
        Index(build, encoder).search("word")


def test_a_cache_that_can_not_be_written_is_no_error(make_build, elsewhere, monkeypatch, tmp_path):
    """Where the check can't be noted it is made again."""
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    build, encoder = make_build(ENTRIES), elsewhere(0.0)
    for _ in range(2):
        Index(build, encoder).search("word")
    assert encoder.runs == 4


@pytest.mark.parametrize("unit", [Unit.TEXT, Unit.WORD])
def test_a_real_model_agrees_with_its_own_probes(small_model, make_recipe, tmp_path, unit):
    """Probes of a real encoder, words too, come out of its file and give the vectors that were kept."""
    entries = [fakes.text(str(at), text) for at, text in enumerate(SENTENCES)]
    recipe = make_recipe(entries, encoder=EncoderRecipe(unit, str(small_model("bert"))), unit=unit)
    build = build_index(recipe, tmp_path)
    encoder = open_encoder(replace(recipe.encoder, precision="fp32"))
    assert probes.agreement(encoder, probes.load(build.folder / PROBES)) >= 0.9995
    other = open_encoder(replace(recipe.encoder, model=str(small_model("distilbert"))))
    assert probes.agreement(other, probes.load(build.folder / PROBES)) < 0.999


class Told:
    """Keeps what a build says."""

    def __init__(self):
        self.said = []

    def start(self, encoder, total, done):
        """See `Progress`."""

    def spent(self, waiting, computing):
        """See `Progress`."""

    def advance(self, entries):
        """See `Progress`."""

    def stage(self, text, total=None):  # noqa: ARG002
        """See `Progress`."""
        self.said.append(text)


def rebuilt(recipe: Recipe, indexes: Path, load) -> tuple[dict, str]:
    """Build again; return the manifest's encoder and what was said."""
    told = Told()
    build = build_index(
        recipe, indexes, progress=told, load=load, describe=lambda asked: LetterEncoder(asked).spec
    )
    return json.loads((build.folder / "manifest.json").read_text())["encoder"], " | ".join(told.said)


def test_a_rebuild_keeps_precision_engine_and_decoding(make_build, make_recipe, tmp_path):
    """What a recipe leaves open is asked for as the build in force has it, and nothing is said."""
    make_build(ENTRIES, load=lambda recipe: LetterEncoder(replace(recipe, precision="bf16")))
    asked = []

    def load(recipe):
        asked.append((recipe.precision, recipe.engine, recipe.decoding))
        return LetterEncoder(recipe)

    made, said = rebuilt(make_recipe([*ENTRIES, text("new", "one more")]), tmp_path, load)
    assert asked == [("bf16", "letters", "auto")]
    assert (made["precision"], made["engine"], made["decoding"]) == ("bf16", "letters", "")
    assert "anew" not in said


def test_a_rebuild_says_when_it_can_not(make_build, make_recipe, tmp_path):
    """Without the build's engine another one embeds all anew, and that is said."""
    make_build(ENTRIES)

    def load(recipe):
        if recipe.engine == "letters":
            raise DeviceError("not here")
        encoder = LetterEncoder(recipe)
        encoder.engine = "other"
        return encoder

    made, said = rebuilt(make_recipe([*ENTRIES, text("new", "one more")]), tmp_path, load)
    assert made["engine"] == "other"
    assert "embedding everything again: the current build has engine letters, now other" in said


def test_another_model_keeps_nothing(make_build, make_recipe, tmp_path):
    """What was right for one model is not asked of another; a different pooling is another one."""
    make_build(ENTRIES, load=lambda recipe: LetterEncoder(replace(recipe, precision="bf16")))
    asked = []

    def load(recipe):
        asked.append((recipe.precision, recipe.engine))
        return LetterEncoder(recipe)

    rebuilt(make_recipe(ENTRIES, encoder=EncoderRecipe(Unit.TEXT, pooling="cls")), tmp_path, load)
    assert asked == [("auto", "auto")]


def test_the_engine_of_the_build_answers_where_torch_is_too_far(make_build, elsewhere):
    """An index made in a way that torch does not reproduce is asked with the engine that made it."""
    other = elsewhere(5.0)
    build = make_build(ENTRIES)

    def load(recipe):
        return (LetterEncoder if recipe.engine == "letters" else other)(recipe)

    searcher = Index(build, load)
    assert searcher.search("worda x", k=1)[0].id == "0"
    assert searcher.encoder.engine == "letters"


def test_no_home_is_no_error(make_build, elsewhere, monkeypatch):
    """Without a home folder the check is made and noted nowhere."""

    def nowhere():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", nowhere)
    assert Index(make_build(ENTRIES), elsewhere(0.0)).search("worda x", k=1)[0].id == "0"


def test_half_written_probes_do_not_count(tmp_path, monkeypatch):
    """A disk that is full while probes are written leaves none behind."""
    encoder = LetterEncoder(EncoderRecipe(Unit.TEXT))
    kept = [(each, encoder.encode(["a"])) for each in encoder.prepare(["a"])]

    def full(path, **_):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match="No space"):
        probes.save(tmp_path / PROBES, kept)
    assert not (tmp_path / PROBES).exists()
