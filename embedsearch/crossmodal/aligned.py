"""Images that are projected among texts when they are indexed: by captions, by class names, or by both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

from embedsearch.backends import taking
from embedsearch.crossmodal import Load, content
from embedsearch.crossmodal.projection import (
    Projection,
    open_index,
    open_projected,
    open_scale,
    text_recipe,
)
from embedsearch.distances.metric import Metric, Vectors
from embedsearch.encoders import Encoder, Prepared, encode_queries
from embedsearch.encoders.class_head import find_class_head
from embedsearch.encoders.query_encoder import query_engine
from embedsearch.errors import EncoderMismatchError
from embedsearch.query import Single
from embedsearch.records import Modality
from embedsearch.store.build import Build
from embedsearch.store.facts import CrossmodalFacts

# measured by tests.benchmarks.verdicts
UNJUDGED = (
    "There is no verdict for texts that find images by class names: it would wrongly say 'nothing here is "
    "close' for half of the images' own captions."
)


class Aligned:
    """An index of images that also holds their projections among texts."""

    asks = Modality.TEXT
    metric = Metric.COSINE

    def __init__(self, build: Build, load: Load, own: Callable[[], Encoder]) -> None:
        self._build, self._load, self._own = build, load, own
        facts = build.manifest.artifacts.crossmodal
        assert facts is not None
        assert facts.text is not None
        self._text = facts.text
        self.by, self.model, self.about = facts.by, facts.text.model, about(facts)
        # opened now: two rebuilds later the build's files are gone
        self.backend, self.scale = open_index(build), open_scale(build)
        if self.scale and facts.align is None:
            self.scale = self.scale.by_class_names(UNJUDGED)
        self.take = taking(open_projected(build))
        self._projection = Projection.load(build.folder)

    @cached_property
    def _encoder(self) -> Encoder:
        text = self._text
        engine = query_engine(self._build.manifest.version)
        encoder = self._load(text_recipe(text.model, text.revision, text.pooling, engine))
        if encoder.spec.fingerprint != text.fingerprint:
            name = self._build.manifest.name
            raise EncoderMismatchError(
                f"The images of the index {name!r} are projected among texts of {text.model} (fingerprint "
                f"{text.fingerprint[:12]}); the text encoder found now is {encoder.spec.model} "
                f"({encoder.spec.fingerprint[:12]}). Run: embedsearch align {name}, or remove and build it."
            )
        return encoder

    def embed(self, queries: Sequence[Single]) -> tuple[Vectors, list[Prepared]]:
        """See `Crossmodal.embed`."""
        vectors, prepared = encode_queries(self._encoder, [content(query) for query in queries])
        return self._projection.texts(vectors), prepared

    def project(self, vectors: Vectors) -> Vectors:
        """See `Crossmodal.project`: images are projected as those of the index were."""
        class_head = (
            find_class_head(self._own().spec, self._build.centring) if self._projection.by_classes else None
        )
        return self._projection.images(vectors, class_head)


def about(facts: CrossmodalFacts) -> str:
    """Return half a sentence that says how images were projected among texts."""
    classes = facts.conse.classes if facts.conse else 0
    if facts.align is None:
        return f"by {'ImageNet' if classes == 1000 else f'{classes:,}'} class names (ConSE)"
    return f"by an alignment with {facts.align.captions:,} captions" + (
        " and class names" if classes and facts.align.share < 1 else ""
    )
