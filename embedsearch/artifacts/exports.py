"""The models that queries of a build need, exported ahead of the first query."""

from __future__ import annotations

from collections.abc import Callable

from embedsearch.crossmodal.projection import text_recipe
from embedsearch.encoders import Encoder
from embedsearch.encoders import query_encoder as queries
from embedsearch.progress import Progress
from embedsearch.recipe import EncoderRecipe
from embedsearch.store.build import Build
from embedsearch.store.manifest import COLUMNS


def export_for_queries(build: Build, load: Callable[[EncoderRecipe], Encoder], progress: Progress) -> None:
    """Export the models that queries of a build are embedded with, where this machine has not done so.

    This takes a while and writes nothing of the index: call it without the index's lock.

    Args:
        build: a published one.
        load: what makes an encoder.
        progress: is told before a model is exported.
    """
    manifest = build.manifest
    crossmodal = manifest.artifacts.crossmodal
    texts = crossmodal.text if crossmodal else None
    engine = queries.query_engine(manifest.version)
    queries.export_for_queries(
        manifest.encoder,
        manifest.recipe.encoder,
        manifest.version,
        build.folder / COLUMNS,
        text_recipe(texts.model, texts.revision, texts.pooling, engine) if texts else None,
        load,
        progress.stage,
    )
