"""How pictures are placed in the space of a text model, and where a build keeps that.

The places are made from stored vectors: by the class head of the image model (ConSE), by a map fitted to
captions (`embedsearch.artifacts.alignment`), or by both, added with a share each.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from embedsearch.backends import Backend, backend_class
from embedsearch.crossmodal.class_names import place
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

MAP, PROJECTED, INDEX, SCALE = "bridge.npz", "bridge.npy", "bridge.faiss", "bridge-scale.npz"


@dataclass(frozen=True, slots=True)
class Projection:
    """How pictures are placed in a text model's space.

    Attributes:
        centre: (e,) float32, its origin there; subtracted from the unit vectors of texts.
        names: (C, e) float32, the class names' unit vectors; of no rows without class head.
        ridge: the map that was fitted to captions; None without.
        share: of `ridge` in a place, 0 to 1.
        queries: (q, e) float32, unit vectors of texts that were asked with when it was made, to tune with.
    """

    centre: Vectors
    names: Vectors
    ridge: Ridge | None
    share: float
    queries: Vectors

    @property
    def by_classes(self) -> bool:
        """Whether class names have a share in a place."""
        return self.share < 1 and len(self.names) > 0

    def __call__(self, vectors: Vectors, class_head: ClassHead | None) -> Vectors:
        """Place pictures by their raw vectors: (n, d) -> (n, e) float32 of unit length.

        Raises:
            ModelError: class names have a share, and there is no class head.
        """
        vectors = np.asarray(vectors, np.float32)
        classes = None
        if self.by_classes:
            if class_head is None:
                raise ModelError("The pictures are placed by class names, and their model has no class head.")
            classes = place(class_head.logits(vectors), self.names, self.names.mean(0))
            if self.ridge is None:
                return classes
        if self.ridge is None:
            raise ModelError("The pictures are placed neither by class names nor by captions.")
        return mix(self.ridge(normalized(vectors)), classes, self.share)

    def asked(self, texts: Vectors) -> Vectors:
        """Return where texts are asked from: raw vectors (q, e) to (q, e) float32 of unit length."""
        return normalized(normalized(np.asarray(texts, np.float32)) - self.centre)

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
        """Read what `save` has written."""
        arrays = load_arrays(folder / MAP)
        ridge = Ridge(arrays["source"], arrays["target"], arrays["weights"]) if "weights" in arrays else None
        return cls(arrays["centre"], arrays["names"], ridge, float(arrays["share"]), arrays["queries"])


def text_recipe(model: str = "", revision: str = "", pooling: str = "") -> EncoderRecipe:
    """Return the recipe of the text encoder whose space pictures are placed in; bundled without a name."""
    return EncoderRecipe(
        Unit.TEXT, model=model, revision=revision, pooling=pooling, precision="fp32", engine="torch"
    )


def tower_recipe(spec: EncoderSpec) -> EncoderRecipe:
    """Return the recipe of the text tower of a model of two, whose other tower `spec` describes.

    Raises:
        RecipeError: it is no such model, or came without a tokenizer.
    """
    found_by_texts = modality_of(spec.unit).found_by_texts
    if not found_by_texts or spec.pooling != PROJECTION or "tokenizer" not in spec.files:
        raise RecipeError(
            f"{spec.model} compares pictures with no text, so no queries can be embedded to tune with: leave "
            "--queries out."
        )
    return EncoderRecipe(Unit.TEXT, spec.model, spec.revision, PROJECTION, precision="fp32", engine="torch")


def described(spec: EncoderSpec) -> TextModelFacts:
    """Return what a manifest says of the text encoder."""
    return TextModelFacts(spec.model, spec.revision, spec.pooling, spec.fingerprint)


def open_projected(build: Build) -> Vectors:
    """Return the places of a build's pictures, (n, e) float32 or float16 of unit length, memory-mapped."""
    places: Vectors = load_array(build.folder / PROJECTED, mapped=True)
    return places


def open_scale(build: Build) -> Scale | None:
    """Return what the distances of texts to a build's pictures are like; None where it was not measured."""
    return Scale.load(build.folder / SCALE) if SCALE in build.manifest.files else None


def open_index(build: Build) -> Backend:
    """Return the index over the places of a build's pictures."""
    facts = build.manifest.artifacts.crossmodal
    assert facts is not None
    assert facts.index is not None
    kind = backend_class(facts.index.kind)
    return kind.load(build.folder / INDEX, open_projected(build), Metric.COSINE, facts.index)
