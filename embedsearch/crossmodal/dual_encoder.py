"""One model with a tower for texts and one for images, and one space for both (CLIP, SigLIP)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

from embedsearch.crossmodal import Load, content, short
from embedsearch.crossmodal.projection import open_scale
from embedsearch.distances.metric import Vectors
from embedsearch.encoders import Encoder, Prepared, encode_queries
from embedsearch.encoders.query_encoder import query_engine
from embedsearch.errors import EncoderMismatchError
from embedsearch.modalities import MODALITIES, PROJECTION, UNITS, modality_of
from embedsearch.query import Single
from embedsearch.recipe import EncoderRecipe
from embedsearch.store.build import Build
from embedsearch.store.manifest import Manifest


def tower_of_queries(manifest: Manifest) -> EncoderRecipe:
    """Return the recipe of the tower that reads the queries of an index of the other tower's vectors."""
    asks, spec = UNITS[manifest.unit].asked_by, manifest.encoder.spec
    assert asks is not None  # `open_crossmodal` has seen to it
    unit, engine = MODALITIES[asks].units[0].unit, query_engine(manifest.version)
    return EncoderRecipe(unit, spec.model, spec.revision, PROJECTION, precision="fp32", engine=engine)


class DualEncoder:
    """An index of one tower's vectors, searched through the other tower of the same checkpoint."""

    by = "towers"

    def __init__(self, build: Build, load: Load, own: Callable[[], Encoder]) -> None:  # noqa: ARG002
        self._build, self._load = build, load
        asks = UNITS[build.manifest.unit].asked_by
        assert asks is not None  # `open_crossmodal` has seen to it
        self.asks = asks
        self.model = build.manifest.encoder.spec.model
        self.backend, self.take, self.metric = build.backend, build.take, build.manifest.metric
        self.scale = open_scale(build) if modality_of(build.manifest.unit).found_by_texts else None
        self.about = f"by the {self.asks} tower of {short(self.model)}"

    @cached_property
    def _encoder(self) -> Encoder:
        spec = self._build.manifest.encoder.spec
        encoder = self._load(tower_of_queries(self._build.manifest))
        if dict(encoder.spec.files) != dict(spec.files):
            raise EncoderMismatchError(
                f"The index {self._build.manifest.name!r} was made with {self.model}, whose files have "
                f"changed since, so that its two towers can't be compared. Run: embedsearch rebuild "
                f"{self._build.manifest.name}"
            )
        return encoder

    def embed(self, queries: Sequence[Single]) -> tuple[Vectors, list[Prepared]]:
        """See `Crossmodal.embed`."""
        return encode_queries(self._encoder, [content(query) for query in queries])

    def project(self, vectors: Vectors) -> Vectors:
        """See `Crossmodal.project`: both towers have one space."""
        return vectors
