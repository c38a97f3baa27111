"""The images of a build, projected among texts, which builds of images carry.

They have an index of their own, over their projections; see `embedsearch.crossmodal.projection`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from embedsearch.artifacts import ArtifactContext
from embedsearch.artifacts.captions import write_captions
from embedsearch.artifacts.scale import cross_scale, general
from embedsearch.backends import AUTO, Backend, Rows, Settings, backend_class, choose, free_memory
from embedsearch.backends.facts import IndexFacts
from embedsearch.backends.flat import ready
from embedsearch.backends.tuning import MAX_QUERIES, K, recall, truth
from embedsearch.crossmodal import captions
from embedsearch.crossmodal.captions import open_given
from embedsearch.crossmodal.class_names import TEMPERATURE, TOP, text_vectors
from embedsearch.crossmodal.projection import (
    INDEX,
    MAP,
    PROJECTED,
    SCALE,
    Projection,
    described,
    open_index,
    open_projected,
    open_scale,
    text_recipe,
    tower_recipe,
)
from embedsearch.disk.npy import load_array
from embedsearch.distances.metric import Metric, Vectors
from embedsearch.distances.scale import Scale
from embedsearch.encoders import Encoder, encoder_spec, open_encoder
from embedsearch.encoders.class_head import ClassHead, find_class_head, imagenet_names
from embedsearch.errors import ModelError
from embedsearch.modalities import PROJECTION, modality_of
from embedsearch.models.spec import EncoderSpec
from embedsearch.progress import Progress
from embedsearch.recipe import EncoderRecipe, IndexOptions, parse_memory
from embedsearch.records import Unit
from embedsearch.store.build import Build, Records
from embedsearch.store.facts import CaptionsFacts, ConseFacts, CrossmodalFacts
from embedsearch.store.items import open_table
from embedsearch.store.manifest import ITEMS

BLOCK = 4096  # images projected together


def by_class_names(spec: EncoderSpec) -> tuple[Projection, CrossmodalFacts] | None:
    """Return how an image model's class head projects images among texts of the bundled text model.

    Args:
        spec: of the image encoder.

    Returns:
        The projection, and the artifact's facts; None where the encoder has no class head.

    Raises:
        ModelError: the text model can't be loaded.
    """
    class_head = find_class_head(spec)
    if class_head is None:
        return None
    recipe = text_recipe()
    text = encoder_spec(recipe)
    names = text_vectors(class_head.names, text.fingerprint, lambda: open_encoder(recipe))
    centre = names.mean(0)
    projection = Projection(centre, names, None, 0.0, names[:MAX_QUERIES])
    return projection, CrossmodalFacts("conse", described(text), conse_facts(class_head))


def conse_facts(class_head: ClassHead) -> ConseFacts:
    """Return what a manifest says of the class head that projects images."""
    return ConseFacts(len(class_head.names), TEMPERATURE, TOP)


def refresh(context: ArtifactContext) -> CrossmodalFacts | None:
    """Project the images of a build, as the build before did where there is one."""
    spec = context.encoder.spec
    if not modality_of(spec.unit).found_by_texts:
        return None
    try:
        if spec.pooling == PROJECTION:
            return _by_towers(context)
        before = context.previous.build if context.previous and context.readable(MAP) else None
        known = context.artifacts_before.crossmodal if context.same_vectors(any_metric=True) else None
        if before is not None and known is not None:
            projection, facts = Projection.load(before.folder), known
        else:
            _tell_what_is_lost(context)
            made = by_class_names(spec)
            if made is None:
                return None
            projection, facts = made
            before = None
        class_head = find_class_head(spec, context.centring) if projection.by_classes else None
        background = _background(context, facts, before)
        index = write(
            context.folder,
            context.vectors,
            projection,
            class_head,
            context.recipe.index,
            background,
            context.progress,
            before if context.readable(PROJECTED) and context.readable(INDEX) else None,
            context.kept,
            open_scale(before) if before is not None and context.readable(SCALE) else None,
            context.records,
        )
    except (ModelError, ImportError) as error:
        context.progress.stage(f"not searchable by text: {error}")
        return None
    text = facts.text
    assert text is not None  # of images that are projected
    recipe = text_recipe(text.model, text.revision, text.pooling)
    placed = background if isinstance(background, Path) else projection.texts(background)
    searched = _captions(context, recipe, projection.texts, placed, before)
    return replace(facts, index=index, captions=searched)


def _captions(
    context: ArtifactContext,
    recipe: EncoderRecipe,
    place: Callable[[Vectors], Vectors],
    background: Vectors | Path,
    before: Build | None,
) -> CaptionsFacts | None:
    """Write the captions of a build; see `write_captions`. Without the text model they are not searched."""
    kept = (captions.VECTORS, captions.ROWS, captions.GIVEN)
    files = () if before is None else before.manifest.files
    intact = all(context.readable(each) for each in kept if each in files)
    old = before if intact and captions.VECTORS in files else None
    given: list[tuple[str, str]] = []
    if before is not None and context.readable(captions.GIVEN):
        given = open_given(before)
        # no later build gets them from elsewhere, so they are kept whatever fails below
        shutil.copyfile(before.folder / captions.GIVEN, context.folder / captions.GIVEN)
    elif captions.GIVEN in files:
        context.progress.stage(
            "the captions that came from a file are damaged: run embedsearch align "
            f"{context.recipe.name} --captions again"
        )
    if isinstance(background, Path):  # the text model is not here
        if old is None or not context.readable(captions.SCALE):
            return None
        background = old.folder / captions.SCALE
    try:
        return write_captions(
            context.folder,
            open_table(context.folder / ITEMS),
            context.recipe.index,
            lambda: open_encoder(recipe),
            place,
            background,
            context.progress,
            old,
            context.records,
            given,
        )
    except ModelError as error:
        context.progress.stage(f"captions are not searched: {error}")
        return None


def _background(context: ArtifactContext, facts: CrossmodalFacts, before: Build | None) -> Vectors | Path:
    """Return the vectors of unrelated texts, or of the build before the scale that was made of them.

    Raises:
        ModelError: the text model can't be loaded, and there is no such scale.
    """
    text = facts.text
    assert text is not None  # of images that are projected
    recipe = text_recipe(text.model, text.revision, text.pooling)
    try:
        return unrelated(text.fingerprint, lambda: open_encoder(recipe))
    except ModelError as error:
        if before is None or not context.readable(SCALE):
            raise
        context.progress.stage(f"the scale of text queries is kept from the previous build: {error}")
        return before.folder / SCALE


def _tell_what_is_lost(context: ArtifactContext) -> None:
    before = context.artifacts_before.crossmodal
    if before is not None and before.by == "align":
        why = "damaged" if context.same_vectors(any_metric=True) else "of other vectors"
        context.progress.stage(
            f"the alignment with captions was {why}: align them again with embedsearch align "
            f"{context.recipe.name}"
        )


def unrelated(fingerprint: str, encoder: Callable[[], Encoder]) -> Vectors:
    """Return the vectors of general sentences as a text model's queries; see `text_vectors`."""
    return text_vectors(general(Unit.TEXT), fingerprint, encoder, "query")


def _by_towers(context: ArtifactContext) -> CrossmodalFacts | None:
    """Measure distances and recall of texts in an index of images, where both have one space."""
    spec = context.encoder.spec
    if "tokenizer" not in spec.files:
        return None
    recipe = tower_recipe(spec)
    searched = None
    if context.metric is Metric.COSINE:
        asked = unrelated(encoder_spec(recipe).fingerprint, lambda: open_encoder(recipe))
        scale = cross_scale(context.backend, context.vectors, context.metric, asked, records=context.records)
        scale.save(context.folder / SCALE)
        before = context.previous.build if context.previous and context.same_vectors() else None
        searched = _captions(context, recipe, lambda vectors: vectors, asked, before)
    if context.backend.facts.tuned is None:
        return CrossmodalFacts("towers", captions=searched)
    context.progress.stage("measuring the recall of text queries")
    texts = [f"a photo of a {name}" for name in imagenet_names()[::5]]
    queries = open_encoder(recipe).encode(texts, "query")
    every = np.ones(len(context.vectors), np.bool_)
    exact = truth(ready(queries, context.metric), context.vectors, [every], context.metric)[0]
    reached, _ = recall(context.backend.search(queries, K)[0], exact)
    facts = IndexFacts(recall=round(reached, 4), queries=len(texts), asked="texts")
    return CrossmodalFacts("towers", index=facts, captions=searched)


def write(
    folder: Path,
    vectors: Vectors,
    projection: Projection,
    class_head: ClassHead | None,
    recipe: IndexOptions,
    background: Vectors | Path,
    progress: Progress,
    old: Build | None = None,
    kept: Rows | None = None,
    captions: Vectors | Scale | None = None,
    records: Records | None = None,
) -> IndexFacts:
    """Project images, and write their projections, an index over them, and the projection into `folder`.

    Args:
        folder: of the build in the context.
        vectors: (n, d) float32 or float16, raw, of the images.
        projection: how they are placed.
        class_head: the class head, where there is one.
        recipe: how the index is made.
        background: (b, e) float32, vectors of unrelated texts; or the scale to take over.
        progress: reports how it goes on.
        old: a build of the same projection.
        kept: (n,) which row of `old` holds the same vector, -1 for none.
        captions: distances of captions to their nearest images as projected without them, or the scale that
            was made of them, see `cross_scale`; None without.
        records: which rows belong to one record; None where each row is a record.

    Returns:
        What the index says of itself; its recall is that for text queries.
    """
    count, dimension = len(vectors), len(projection.centre)
    stored = open_projected(old) if old is not None and kept is not None else None
    shape, kind = (count, dimension), np.float32 if recipe.storage == "fp32" else np.float16
    places = np.lib.format.open_memmap(folder / PROJECTED, "w+", kind, shape)
    progress.stage("projecting images into the space of texts", count)
    for start in range(0, count, BLOCK):
        part = slice(start, min(start + BLOCK, count))
        new = np.ones(part.stop - start, np.bool_)
        if stored is not None and kept is not None:
            new = kept[part] < 0
            places[part][~new] = stored[kept[part][~new]]
        if new.any():
            places[part][new] = projection.images(vectors[part][new], class_head)
        progress.advance(part.stop - start)
    places.flush()
    places = load_array(folder / PROJECTED, mapped=True)
    projection.save(folder)
    backend = _index(places, projection, recipe, progress, old, kept)
    backend.save(folder / INDEX)
    if isinstance(background, Path):
        shutil.copyfile(background, folder / SCALE)
    else:
        asked = projection.texts(background)
        scale = cross_scale(backend, places, Metric.COSINE, asked, captions, records)
        scale.save(folder / SCALE)
    return replace(backend.facts, asked="texts")


def _index(
    places: Vectors,
    projection: Projection,
    recipe: IndexOptions,
    progress: Progress,
    old: Build | None,
    kept: Rows | None,
) -> Backend:
    """Return an index over projections, tuned with texts."""
    memory = parse_memory(recipe.memory) if recipe.memory else free_memory() // 2
    count, dimension = places.shape
    kind = recipe.backend if recipe.backend != AUTO else choose(count, dimension, memory)
    queries = projection.texts(projection.queries)
    settings = Settings(memory, recipe.recall, queries, progress.stage, progress.advance)
    if old is not None and kept is not None:
        backend = open_index(old)
        extended = (
            backend.extend(old.folder / INDEX, places, kept, settings) if backend.facts.kind == kind else None
        )
        if extended is not None:
            return extended
    return backend_class(kind).build(kind, places, Metric.COSINE, settings)
