"""What the page loads once and keeps: open indexes and models."""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from embedsearch.analysis.compare import general_pairs as measured_pairs
from embedsearch.analysis.duplicates import DuplicateFinder, Duplicates
from embedsearch.artifacts.map import inputs_of, load_map
from embedsearch.distances.metric import Metric
from embedsearch.distances.pairs import Pairs
from embedsearch.encoders import Encoder, encoder_spec, open_encoder
from embedsearch.errors import EmbedsearchError, IndexDamagedError
from embedsearch.index import Index
from embedsearch.maps import make_map
from embedsearch.maps.inputs import Method, Settings, sample
from embedsearch.modalities import UNITS, Card, modality_of
from embedsearch.progress import Silent
from embedsearch.query import AnyQuery
from embedsearch.recipe import EncoderRecipe
from embedsearch.search.searcher import Placed
from embedsearch.store.build import Build, open_current
from embedsearch.store.folders import current_build, list_names
from embedsearch.store.manifest import Manifest
from embedsearch.ui.map_files import DrawnMap
from embedsearch.ui.together import Together
from embedsearch.ui.widgets.filters import Facet, find_facets

DRAWN = 100_000  # items of a map that are drawn; of more, a sample


@dataclass(frozen=True, slots=True)
class Opened:
    """An open index, what can be chosen of its fields, and what makes vectors of all visitors' queries."""

    searcher: Index
    facets: tuple[Facet, ...]
    placing: Together[AnyQuery, Placed]


@st.cache_resource(max_entries=24, show_spinner=False)
def _fingerprint(recipe: EncoderRecipe) -> str:
    return encoder_spec(recipe).fingerprint


@st.cache_resource(max_entries=6, show_spinner=False)
def _load(fingerprint: str, computed: tuple[str, ...], _recipe: EncoderRecipe) -> Encoder:  # noqa: ARG001
    encoder = open_encoder(_recipe)
    settle()
    return encoder


def load_encoder(recipe: EncoderRecipe) -> Encoder:
    """Return the encoder of `recipe`, one for all indexes and visitors.

    Recipes that name the same model in two ways share one: an index of texts, and texts that find images.
    """
    computed = (recipe.precision, recipe.engine, recipe.decoding, recipe.device)
    on_page = get_script_run_ctx(suppress_warning=True) is not None
    with st.spinner("Loading the model …") if on_page else contextlib.nullcontext():
        return _load(_fingerprint(recipe), computed, recipe)


@st.cache_resource(max_entries=6, show_spinner="Measuring pairs of general sentences, once for this model …")
def general_pairs(recipe: EncoderRecipe) -> Pairs | None:
    """Return `embedsearch.analysis.compare.general_pairs` of the encoder of `recipe`."""
    return measured_pairs(load_encoder(recipe))


def _is_intact(opened: Opened | DuplicateFinder) -> bool:
    """Whether no file of the index was truncated since it was opened; else it is opened again."""
    try:
        (opened.searcher.build if isinstance(opened, Opened) else opened.build).check()
    except IndexDamagedError:
        return False
    return True


def _warm(searcher: Index) -> None:
    """Load the models that queries need while the page is drawn; a query says what is wrong with one."""
    with contextlib.suppress(EmbedsearchError):
        searcher.warm()
    settle()


def settle() -> None:
    """Take what is loaded out of the collection of garbage, which Streamlit runs after each run of the page.

    To look through the objects of a model and its libraries takes 0.2 s, in which nobody gets an answer.
    """
    gc.unfreeze()  # an index that was replaced is collected now
    gc.collect()
    gc.freeze()


@st.cache_resource(max_entries=12, show_spinner="Opening the index …", validate=_is_intact)
def _open(build: Path) -> Opened:
    searcher = Index(Build(build), load_encoder)
    threading.Thread(target=_warm, args=(searcher,), name="warm", daemon=True).start()
    facets = find_facets(searcher.build.items, searcher.build.field_types)
    return Opened(searcher, facets, Together(searcher.placed))


def open_index(indexes: Path, name: str) -> Opened:
    """Return the index `name`; a build published since the last call is picked up.

    Raises:
        RecipeError, IndexNotFoundError, IndexDamagedError: as `embedsearch.store.build.open_current`.
    """
    return open_current(indexes, name, _open)


@st.cache_resource(max_entries=12, show_spinner="Computing the map …")
def _drawn_map(build: Path, _opened: Opened) -> DrawnMap:  # noqa: ARG001  the build's folder is the cache's key
    searcher = _opened.searcher
    inputs, stored = inputs_of(searcher.build), load_map(searcher.build)
    made = stored or make_map(inputs, Settings(Method.PCA), None, Silent())
    rows, facets = sample(inputs.keys, DRAWN), {facet.field: facet for facet in _opened.facets}
    return DrawnMap(searcher, made, rows, stored is not None, facets)


def drawn_map(opened: Opened) -> DrawnMap:
    """Return the map of an index: that of its build, else one by PCA, which takes seconds and is not kept."""
    return _drawn_map(opened.searcher.build.folder, opened)


@st.cache_resource(max_entries=6, show_spinner=False, validate=_is_intact)
def _finder(build: Path, _searcher: Index) -> DuplicateFinder:  # noqa: ARG001  it makes the cache's key
    return DuplicateFinder(_searcher.build)


def duplicate_finder(searcher: Index) -> DuplicateFinder:
    """Return what finds copies in the build of `searcher`, one for all visitors, with what it compared.

    Raises:
        QueryError: the index holds words, or compares by the inner product.
    """
    return _finder(searcher.build.folder, searcher)


@st.cache_resource(max_entries=24, show_spinner=False)
def _duplicates(build: Path, threshold: float | str, keep: str, _finder: DuplicateFinder) -> Duplicates:  # noqa: ARG001
    return _finder.find(threshold, keep)


def duplicates(finder: DuplicateFinder, threshold: float | str, keep: str) -> Duplicates:
    """Return the groups of copies; see `DuplicateFinder.find`."""
    return _duplicates(finder.build.folder, threshold, keep, finder)


@st.cache_data(max_entries=200, show_spinner=False)
def _manifest(build: Path) -> Manifest:
    return Manifest.load(build)


def manifests(indexes: Path) -> dict[str, Manifest | None]:
    """Return the manifest of each index, None where it can't be read."""
    found: dict[str, Manifest | None] = {}
    for name in list_names(indexes):
        try:
            found[name] = _manifest(current_build(indexes / name))
        except (EmbedsearchError, OSError):
            found[name] = None
    return found


def first_index(known: Mapping[str, Manifest | None]) -> str:
    """Return the index to open where none is named: one of images if there is one; empty for none."""
    images = (name for name, each in known.items() if each and modality_of(each.unit).card is Card.IMAGE)
    return next(images, next(iter(known), ""))


def with_copies(known: Mapping[str, Manifest | None]) -> dict[str, Manifest]:
    """Return the indexes in which copies can be looked for, see `embedsearch.analysis.duplicates`."""
    return {
        name: manifest
        for name, manifest in known.items()
        if manifest and UNITS[manifest.unit].has_duplicates and manifest.metric is not Metric.IP
    }
