"""Images projected among texts by the names of the classes that they look like.

The projection of an image is the mean of the class names' vectors, weighted by the probabilities that an
image model gives the classes: the convex combination of semantic embeddings (ConSE, Norouzi et al. 2013).
Both sides are centred, as the vectors of one text model have a large part in common.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from embedsearch.crossmodal import Load, content
from embedsearch.disk.cache import kept_vectors
from embedsearch.distances.metric import Metric, Vectors, normalized
from embedsearch.encoders import Encoder, Prepared, encode_queries
from embedsearch.encoders.class_head import ClassHead, find_class_head
from embedsearch.encoders.query_encoder import query_engine
from embedsearch.errors import QueryError
from embedsearch.modalities import MODALITIES
from embedsearch.models.spec import Role
from embedsearch.query import Single
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Modality, Unit
from embedsearch.store.build import Build
from embedsearch.store.manifest import Manifest

UNJUDGED = "There is no verdict when images find texts: it is not known what unrelated images would find."
SAMPLE = 1000  # items whose median length a projection gets
# Measured on 785 stamps with a caption: 1 to 3, and 10 to 1,000 classes, change recall@10 by 0.02 at most.
TEMPERATURE, TOP = 2.0, 50


def probabilities(logits: Vectors) -> Vectors:
    """Return the softmax of logits / TEMPERATURE over each row's TOP classes, 0 elsewhere: (n, C) float32."""
    scaled = logits / TEMPERATURE
    shares = np.exp(scaled - scaled.max(1, keepdims=True))
    if shares.shape[1] > TOP:
        least = np.partition(shares, -TOP, axis=1)[:, -TOP, None]  # (n, C) -> (n, 1)
        shares[shares < least] = 0
    return np.asarray(shares / shares.sum(1, keepdims=True), np.float32)


def project(logits: Vectors, names: Vectors, centre: Vectors) -> Vectors:
    """Project images into a text model's space.

    Args:
        logits: (n, C) float32, class scores before the softmax.
        names: (C, e) float32, vectors of the classes' names, of unit length.
        centre: (e,) float32, their mean.

    Returns:
        (n, e) float32, of unit length; the origin is `centre`.
    """
    return normalized(probabilities(logits) @ (names - centre))  # (n, C) (C, e) -> (n, e)


def text_vectors(
    texts: Sequence[str], fingerprint: str, encoder: Callable[[], Encoder], role: Role = "passage"
) -> Vectors:
    """Return the vectors of texts that are needed again and again, embedded once per machine.

    Args:
        texts: the texts, such as class names or general sentences.
        fingerprint: of the text encoder.
        encoder: loads the text encoder; called where the vectors are not in the cache.
        role: see `Encoder.encode`.

    Returns:
        (n, e) float32 of unit length.

    Raises:
        ModelError: as `encoder`.
    """
    return kept_vectors(texts, fingerprint, [role], lambda: normalized(encoder().encode(list(texts), role)))


def image_recipe(manifest: Manifest) -> EncoderRecipe:
    """Return the recipe of the encoder of images that find texts by class names."""
    model, engine = MODALITIES[Modality.IMAGE].default_model, query_engine(manifest.version)
    return EncoderRecipe(Unit.IMAGE, model, precision="fp32", engine=engine)


class ClassNames:
    """An index of texts, searched with images that the bundled image model names."""

    by = "conse"
    asks = Modality.IMAGE
    about = "by the names of what is in the image (ConSE)"

    def __init__(self, build: Build, load: Load, own: Callable[[], Encoder]) -> None:
        self._build, self._load, self._own = build, load, own
        self.model = MODALITIES[self.asks].default_model
        # percentiles among pairs of texts; what people say is not known
        nobody = np.empty((2, 0), np.float32)
        # a projection has no length of its own, on which other distances depend
        scale = build.scale if build.manifest.metric is Metric.COSINE else None
        self.scale = scale and replace(scale, people=nobody).by_class_names(UNJUDGED)
        self.backend, self.take, self.metric = build.backend, build.take, build.manifest.metric

    @cached_property
    def _encoder(self) -> Encoder:
        return self._load(image_recipe(self._build.manifest))

    @cached_property
    def _classifier(self) -> ClassHead | None:
        return find_class_head(self._encoder.spec)

    @cached_property
    def _length(self) -> float:
        """The length of a projection: for ip that of the texts, so that the terms of a query count alike."""
        if self.metric is Metric.COSINE:
            return 1.0
        rows = np.unique(np.linspace(0, len(self.backend) - 1, SAMPLE).astype(np.int64))
        return float(np.median(np.linalg.norm(self.take(rows), axis=1)))

    def embed(self, queries: Sequence[Single]) -> tuple[Vectors, list[Prepared]]:
        """See `Crossmodal.embed`."""
        build = self._build
        class_head = self._classifier
        if class_head is None:
            raise QueryError(
                f"The index {build.manifest.name!r} holds texts embedded by "
                f"{build.manifest.encoder.spec.model}; search it with a whole text. {self.model} has no "
                "class "
                "head that names what is in an image."
            )
        vectors, prepared = encode_queries(self._encoder, [content(query) for query in queries])
        names = text_vectors(class_head.names, build.manifest.encoder.fingerprint, self._own)
        placed = project(class_head.logits(vectors), names, names.mean(0))  # (n, d) -> (n, e)
        if build.centring is not None:  # a projection has its centre taken off already
            placed = build.centring.turned(placed)
        return placed * self._length, prepared

    def project(self, vectors: Vectors) -> Vectors:
        """See `Crossmodal.project`: images are projected among the texts themselves."""
        return vectors
