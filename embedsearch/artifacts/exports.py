"""The models that queries of a build need, exported ahead of the first query."""

from __future__ import annotations

from collections.abc import Callable

from embedsearch.crossmodal import asks_class_names, asks_towers
from embedsearch.crossmodal.class_names import image_recipe
from embedsearch.crossmodal.dual_encoder import tower_of_queries
from embedsearch.crossmodal.projection import text_recipe
from embedsearch.encoders import Encoder
from embedsearch.encoders import query_encoder as queries
from embedsearch.encoders.class_head import find_class_head
from embedsearch.progress import Progress
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Unit
from embedsearch.store.build import Build
from embedsearch.store.manifest import COLUMNS, Manifest


def export_for_queries(build: Build, load: Callable[[EncoderRecipe], Encoder], progress: Progress) -> None:
    """Export the models that queries of a build are embedded with, where this machine has not done so.

    This takes a while and writes nothing of the index: call it without the index's lock.

    Args:
        build: a published one.
        load: what makes an encoder.
        progress: is told before a model is exported.
    """
    manifest = build.manifest

    def loaded(recipe: EncoderRecipe) -> Encoder:
        encoder = load(recipe)
        if asks_class_names(manifest) and recipe.unit is Unit.IMAGE:
            find_class_head(encoder.spec)  # which is kept, as it takes torch to read it
        return encoder

    queries.export_for_queries(
        manifest.encoder,
        manifest.recipe.encoder,
        manifest.version,
        build.folder / COLUMNS,
        _across(manifest),
        loaded,
        progress.stage,
    )


def _across(manifest: Manifest) -> EncoderRecipe | None:
    """Return the recipe of the model by which queries of another modality search a build; None for none."""
    if asks_class_names(manifest):
        return image_recipe(manifest)
    if asks_towers(manifest):
        return tower_of_queries(manifest)
    facts = manifest.artifacts.crossmodal
    if facts is None or facts.text is None:
        return None
    text, engine = facts.text, queries.query_engine(manifest.version)
    return text_recipe(text.model, text.revision, text.pooling, engine)
