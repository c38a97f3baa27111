"""Fixtures for everybody: small indexes of letter counts, and small models saved once a session."""

import os
import socket
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

# before torch is imported: two cores are shared, and no test may reach a hub
os.environ.update(
    OMP_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false", HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error"
)
os.environ.pop("EMBEDSEARCH_INDEXES", None)

import pytest
from PIL import Image

from embedsearch import artifacts, sources
from embedsearch.encoders.engines import rates
from embedsearch.index import Index, rebuild
from embedsearch.indexing.build import build_index, compare_index
from embedsearch.recipe import EncoderRecipe, IndexOptions, Recipe, SourceRecipe
from embedsearch.records import Entry, Unit
from embedsearch.search.searcher import Searcher
from embedsearch.store.build import Build
from tests import fakes, small_models


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path_factory) -> None:
    """Keep what is noted of this machine's engines out of the home folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(autouse=True)
def no_openvino(request, monkeypatch) -> None:
    """Leave `auto` to torch, as most tests load small models and compiling one takes seconds."""
    if "openvino" not in request.keywords:
        monkeypatch.setattr("embedsearch.encoders.has_openvino", lambda: False)


@pytest.fixture(autouse=True)
def assumed_rates(request, monkeypatch) -> None:
    """Assume how fast the engines are: measuring takes seconds, and does not find the same each time."""
    if "rates" not in request.keywords:
        names = ["openvino", "torch"] if "openvino" in request.keywords else ["torch"]
        assumed = [rates.Rate(name, "fp32", 1.0) for name in names]
        monkeypatch.setattr(rates, "rates", lambda _: assumed)


@pytest.fixture(autouse=True)
def no_scale(request, monkeypatch) -> None:
    """Embed nothing but what a test gives: a scale takes 1,000 sentences with every build."""
    if "scale" not in request.keywords:
        monkeypatch.delitem(artifacts.ARTIFACTS, "scale")


SHARED = Path(os.environ.get("EMBEDSEARCH_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture
def shared_data() -> Path:
    """The folder of real data beside the project."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is missing: real data is compared only where it lies beside the project")
    return SHARED


@pytest.fixture(scope="session")
def small_model(tmp_path_factory) -> Callable[[str], Path]:
    """Return the folder of a small model of `tests.small_models` by its name, made on first use."""
    root = tmp_path_factory.mktemp("models")

    def folder(name: str) -> Path:
        path = root / name
        return path if path.is_dir() else small_models.make(name, path)

    return folder


@pytest.fixture
def list_source(monkeypatch) -> Callable[..., SourceRecipe]:
    """Return a function that makes a list of entries a source, and gives its recipe."""
    monkeypatch.setitem(sources.SOURCES, "list", "tests.fakes:ListSource")

    def register(entries: Iterable[Entry], location: str = "a list") -> SourceRecipe:
        monkeypatch.setitem(fakes.LISTS, location, entries)
        return SourceRecipe("list", location)

    return register


@pytest.fixture
def make_recipe(list_source) -> Callable[..., Recipe]:
    """Return a function that makes a recipe of a list of entries."""

    def make(
        entries: Iterable[Entry],
        name: str = "small",
        unit: Unit = Unit.TEXT,
        location: str = "a list",
        encoder: EncoderRecipe | None = None,
        **index: object,
    ) -> Recipe:
        encoder = replace(encoder or EncoderRecipe(unit), unit=unit)
        return Recipe(name, list_source(entries, location), encoder, IndexOptions(**index))

    return make


@pytest.fixture
def make_build(make_recipe, tmp_path) -> Callable[..., Build]:
    """Return a function that builds an index of letter counts in `tmp_path`."""

    def make(
        entries: Iterable[Entry],
        load=fakes.LetterEncoder,
        replace_old=False,
        allow_removal=True,
        progress=None,
        **options,
    ) -> Build:
        return build_index(
            make_recipe(entries, **options),
            tmp_path,
            replace=replace_old,
            allow_removal=allow_removal,
            progress=progress,
            load=load,
            describe=lambda recipe: load(recipe).spec,
        )

    return make


@pytest.fixture
def make_searcher(make_build) -> Callable[..., Index]:
    """Return a function that builds and opens an index of letter counts."""

    def make(entries: Iterable[Entry], **options) -> Index:
        return Index(make_build(entries, **options), fakes.LetterEncoder)

    return make


@pytest.fixture
def silent_port() -> Iterable[int]:
    """A port of this machine that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def fruits(make_searcher):
    """An index of ten words by their letters."""
    return make_searcher(fakes.fruit_entries())


@pytest.fixture
def colours(make_searcher, tmp_path):
    """An index of four images by their mean colour, the last one held as bytes."""
    entries = []
    for name, value in fakes.COLOURS.items():
        path = tmp_path / f"{name}.png"
        Image.new("RGB", (4, 4), value).save(path)
        entries.append(fakes.picture(name, path if name != "white" else path.read_bytes(), name=name))
    return make_searcher(entries, unit=Unit.IMAGE, metric="l2")


@pytest.fixture
def terms(make_searcher):
    """An index of the words of two sentences."""
    return make_searcher(
        [fakes.text("a", "The cat sat. Tac!"), fakes.text("b", "dog den", who="b")], unit=Unit.WORD
    )


@pytest.fixture
def letter_model(monkeypatch, here) -> list[fakes.LetterEncoder]:  # noqa: ARG001
    """Let `embedsearch.build` and what it opens count letters; return the encoders that were loaded."""
    loaded: list[fakes.LetterEncoder] = []

    def load(recipe: EncoderRecipe) -> fakes.LetterEncoder:
        loaded.append(fakes.LetterEncoder(recipe))
        return loaded[-1]

    described = {"describe": lambda recipe: fakes.LetterEncoder(recipe).spec}
    for function, changed in ((build_index, {"load": load, **described}), (compare_index, described)):
        monkeypatch.setattr(function, "__kwdefaults__", {**function.__kwdefaults__, **changed})
    monkeypatch.setattr(Searcher.__init__, "__defaults__", (load,))
    monkeypatch.setattr(rebuild, "__kwdefaults__", {**rebuild.__kwdefaults__, "load": load})
    monkeypatch.setattr("embedsearch.encoders.own.open_encoder", load)
    return loaded


@pytest.fixture
def here(monkeypatch, tmp_path) -> Path:
    """Let indexes lie in `tmp_path`, unless a test names another folder."""
    monkeypatch.setenv("EMBEDSEARCH_INDEXES", str(tmp_path))
    return tmp_path
