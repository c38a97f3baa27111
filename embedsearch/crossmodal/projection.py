"""How images are projected into the space of a text model, and the files of a build that hold it.

Images are projected by their stored vectors: through the class head of the image model (ConSE), by a map
fitted to captions (`embedsearch.artifacts.alignment`), or by both, added with a share each.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from embedsearch.backends import Backend, backend_class, taking
from embedsearch.crossmodal.class_names import project
from embedsearch.crossmodal.crossval import mix
from embedsearch.crossmodal.ridge import Ridge
from embedsearch.disk.npy import load_array, load_arrays
from embedsearch.distances.metric import Metric, Vectors, normalized
from embedsearch.distances.scale import Scale
from embedsearch.encoders.class_head import ClassHead
from embedsearch.errors import ModelError, RecipeError
from embedsearch.modalities import PROJECTION, modality_of
from embedsearch.models.spec import EncoderSpec
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Unit
from embedsearch.store.build import Build
from embedsearch.store.facts import TextModelFacts

GENERAL_TEXTS = 1000  # that a scale compares images with
MAP, PROJECTED, INDEX, SCALE = "bridge.npz", "bridge.npy", "bridge.faiss", "bridge-scale.npz"


@dataclass(frozen=True, slots=True)
class Projection:
    """How images are projected into a text model's space.

    Attributes:
        centre: (e,) float32, its origin there, subtracted from the unit vectors of texts.
        names: (C, e) float32, unit vectors of the class names; no rows without a class head.
        ridge: the map fitted to captions; None without captions.
        share: weight of `ridge` in a projection, 0 to 1; the class names have the rest.
        queries: (q, e) float32, unit vectors of text queries to tune an index with.
    """

    centre: Vectors
    names: Vectors
    ridge: Ridge | None
    share: float
    queries: Vectors

    @property
    def by_classes(self) -> bool:
        """Whether class names have a share in a projection."""
        return self.share < 1 and len(self.names) > 0

    def images(self, vectors: Vectors, class_head: ClassHead | None) -> Vectors:
        """Project images by their raw vectors: (n, d) -> (n, e) float32 of unit length.

        Raises:
            ModelError: class names have a share, and there is no class head.
        """
        vectors = np.asarray(vectors, np.float32)
        classes = None
        if self.by_classes:
            if class_head is None:
                raise ModelError(
                    "The images are projected by class names, and their model has no class head."
                )
            classes = project(class_head.logits(vectors), self.names, self.names.mean(0))
            if self.ridge is None:
                return classes
        if self.ridge is None:
            raise ModelError("The images are projected neither by class names nor by captions.")
        return mix(self.ridge(normalized(vectors)), classes, self.share)

    def texts(self, vectors: Vectors) -> Vectors:
        """Centre raw vectors of texts as the images are: (q, e) -> (q, e) float32 of unit length."""
        return normalized(normalized(np.asarray(vectors, np.float32)) - self.centre)

    def save(self, folder: Path) -> None:
        """Write it into `folder`."""
        ridge = {} if self.ridge is None else asdict(self.ridge)
        np.savez(
            folder / MAP,
            centre=self.centre,
            names=self.names,
            share=np.float64(self.share),
            queries=self.queries,
            **ridge,
        )

    @classmethod
    def load(cls, folder: Path) -> Projection:
        """Read what `save` wrote."""
        arrays = load_arrays(folder / MAP)
        ridge = Ridge(arrays["source"], arrays["target"], arrays["weights"]) if "weights" in arrays else None
        return cls(arrays["centre"], arrays["names"], ridge, float(arrays["share"]), arrays["queries"])


def text_recipe(
    model: str = "", revision: str = "", pooling: str = "", engine: str = "torch"
) -> EncoderRecipe:
    """Return the recipe of the text encoder whose space images go into, by default the bundled one."""
    return EncoderRecipe(
        Unit.TEXT, model=model, revision=revision, pooling=pooling, precision="fp32", engine=engine
    )


def tower_recipe(spec: EncoderSpec) -> EncoderRecipe:
    """Return the recipe of the text tower of a dual encoder, whose image tower `spec` describes.

    Raises:
        RecipeError: the model is no dual encoder, or has no tokenizer.
    """
    found_by_texts = modality_of(spec.unit).found_by_texts
    if not found_by_texts or spec.pooling != PROJECTION or "tokenizer" not in spec.files:
        raise RecipeError(
            f"{spec.model} does not compare images with texts, so it can't embed the queries. Leave "
            "--queries out."
        )
    return EncoderRecipe(Unit.TEXT, spec.model, spec.revision, PROJECTION, precision="fp32", engine="torch")


def described(spec: EncoderSpec) -> TextModelFacts:
    """Return what a manifest says of the text encoder."""
    return TextModelFacts(spec.model, spec.revision, spec.pooling, spec.fingerprint)


def open_projected(build: Build) -> Vectors:
    """Return the projections of a build's images, (n, e) float32 or float16 of unit length, memory-mapped."""
    projected: Vectors = load_array(build.folder / PROJECTED, mapped=True)
    return projected


def open_scale(build: Build) -> Scale | None:
    """Return the scale of the distances of texts to a build's images; None where there is none."""
    if SCALE not in build.manifest.files:
        return None
    compared = build.manifest.count * GENERAL_TEXTS  # at least
    return Scale.load(build.folder / SCALE, compared, general=True)


def open_index(build: Build) -> Backend:
    """Return the index over the projections of a build's images."""
    facts = build.manifest.artifacts.crossmodal
    assert facts is not None
    assert facts.index is not None
    kind = backend_class(facts.index.kind)
    return kind.locate(build.folder / INDEX, taking(open_projected(build)), Metric.COSINE, facts.index)
