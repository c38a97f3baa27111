"""The models that queries of a build need, exported ahead of the first query."""

from __future__ import annotations

from collections.abc import Callable

from embedsearch.crossmodal import asks_towers
from embedsearch.crossmodal.dual_encoder import tower_of_queries
from embedsearch.crossmodal.projection import text_recipe
from embedsearch.encoders import Encoder
from embedsearch.encoders import query_encoder as queries
from embedsearch.progress import Progress
from embedsearch.recipe import EncoderRecipe
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
    queries.export_for_queries(
        manifest.encoder,
        manifest.recipe.encoder,
        manifest.version,
        build.folder / COLUMNS,
        _across(manifest),
        load,
        progress.stage,
    )


def _across(manifest: Manifest) -> EncoderRecipe | None:
    """Return the recipe of the model by which queries of another modality search a build; None for none.

    That of images which find texts by class names is not among them: it is exported when the first one comes.
    """
    if asks_towers(manifest):
        return tower_of_queries(manifest)
    facts = manifest.artifacts.crossmodal
    if facts is None or facts.text is None:
        return None
    text, engine = facts.text, queries.query_engine(manifest.version)
    return text_recipe(text.model, text.revision, text.pooling, engine)
