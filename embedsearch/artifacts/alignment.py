"""An index of images aligned with captions, so that texts find its images.

A ridge regression from the images' vectors to the vectors of their captions, in closed form. Where the image
model has a class head, its projection (`embedsearch.crossmodal.class_names`) has a share. Only the captions
are embedded.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from embedsearch.artifacts import amend
from embedsearch.artifacts.captions import write_captions
from embedsearch.artifacts.crossmodal import BLOCK, conse_facts, unrelated, write
from embedsearch.artifacts.exports import export_for_queries
from embedsearch.artifacts.scale import listed
from embedsearch.backends import Rows
from embedsearch.crossmodal.class_names import project, text_vectors
from embedsearch.crossmodal.crossval import AT_MOST, Chosen, Pairs, choose, folds_of, groups_of, mix
from embedsearch.crossmodal.projection import Projection, described, text_recipe
from embedsearch.disk.paths import expanded
from embedsearch.distances.metric import Metric, Vectors, distances, normalized
from embedsearch.distances.pairs import FEW_ITEMS
from embedsearch.encoders import Encoder, encoder_spec, open_encoder, unreadable
from embedsearch.encoders.class_head import ClassHead, find_class_head
from embedsearch.errors import ModelError, RecipeError, SourceError
from embedsearch.modalities import PROJECTION, UNITS, modality_of
from embedsearch.models.files import absolute_model
from embedsearch.progress import Progress, Silent, report_rejected
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Rejected
from embedsearch.sources.captions import read_captions
from embedsearch.store.build import Build
from embedsearch.store.facts import AlignFacts, CrossmodalFacts
from embedsearch.store.items import FIELD

FIT_AT_MOST = 100_000  # pairs; more are taken evenly
LEAST = 4  # images with captions of their own
TUNE_WITH = 1000  # captions
Pair = tuple[int, str]


def align(
    name: str,
    captions: str | Path = "",
    *,
    field: str = "caption",
    text_model: str | Path = "",
    root: Path,
    progress: Progress | None = None,
) -> Build:
    """Align the images of the index `name` with captions, and publish the aligned build.

    Strength and mixing weight are chosen by cross-validation; a caption is never both fitted and asked. What
    was measured stands in the manifest, `artifacts.crossmodal.align`. Rebuilds project new images alike.

    Args:
        name: the index's name.
        captions: a .csv, .tsv or .jsonl with the columns `image` (an item's id, or its path) and `caption`;
            without it the captions in the index serve.
        field: the field that holds them.
        text_model: what texts are asked through: as in `load_encoder`; the bundled text model without it.
        root: the folder of indexes.
        progress: reports how it goes on.

    Raises:
        RecipeError: the index holds no images, or has no such field.
        SourceError: too few captions belong to its images.
        ModelError: the text model can't be had.
        IndexNotFoundError, IndexDamagedError, IndexBusyError: as `embedsearch.artifacts.amend`.
    """
    progress = progress or Silent()
    aligner = partial(
        _make,
        captions=expanded(captions) if captions else None,
        field=field,
        recipe=text_recipe(absolute_model(str(text_model))),
        progress=progress,
    )
    build = amend(root, name, "crossmodal", aligner)
    export_for_queries(build, open_encoder, progress)
    return build


@dataclass(frozen=True, slots=True)
class _Images:
    """The images' side: their class head and where it projects them."""

    class_head: ClassHead | None
    names: Vectors

    def places(self, vectors: Vectors) -> Vectors | None:
        """Return where class names project images, (n, e) of unit length; None without a class head."""
        if self.class_head is None:
            return None
        return project(self.class_head.logits(vectors), self.names, self.names.mean(0))


def _make(
    build: Build,
    folder: Path,
    *,
    captions: Path | None,
    field: str,
    recipe: EncoderRecipe,
    progress: Progress,
) -> CrossmodalFacts:
    """Write the aligned projections into `folder`; see `embedsearch.artifacts.amend`."""
    _check(build)
    pairs, left_out = _from_file(build, captions, progress) if captions else (_from_field(build, field), 0)
    text = open_encoder(recipe)
    bad = unreadable(text, [caption for _, caption in pairs]) if pairs else {}
    report_rejected(progress, f"{len(pairs):,} captions", [(pairs[at][1], why) for at, why in bad.items()])
    pairs, left_out = [pair for at, pair in enumerate(pairs) if at not in bad], left_out + len(bad)
    rows, texts, image, caption = _numbered(_some(pairs))
    if not pairs or (groups := len(np.unique(groups_of(image, caption)))) < LEAST:
        apart = f", {groups} of them with captions of their own" if pairs and groups < len(rows) else ""
        raise SourceError(
            f"{len(texts)} different captions belong to {len(rows)} images of the index "
            f"{build.manifest.name!r}{apart}; at least {LEAST} images with captions of their own are "
            "needed, and some hundreds to be of use."
        )
    progress.stage(f"embedding {len(texts):,} captions")
    answers = normalized(text.encode(texts))
    prompted = text.spec.prompts["query"] != text.spec.prompts["passage"]
    queries = normalized(text.encode(texts, "query")) if prompted else answers
    images = _class_head(build, text)
    vectors = np.asarray(build.vectors[rows], np.float32)
    known = Pairs(normalized(vectors), answers, queries, image, caption)
    progress.stage(f"choosing by cross-validation on {min(AT_MOST, len(image)):,} pairs")
    chosen = choose(known, images.places(vectors), images.names.mean(0) if len(images.names) else None)
    ridge = known.fit().ridge(chosen.strength)
    if chosen.worse:
        ours, theirs = (
            ", ".join(f"{chosen.measured[by][f'recall@{k}']:.3f}" for k in (1, 5, 10))
            for by in ("both", "conse")
        )
        raise SourceError(
            f"Aligned with these {len(texts)} captions, texts would find fewer images than by class names "
            f"alone (recall@1, 5 and 10 by cross-validation {ours}, against {theirs}). The index "
            f"{build.manifest.name!r} stays as it is. Give more captions, or better ones."
        )
    step = max(1, len(queries) // TUNE_WITH)
    projection = Projection(ridge.target, images.names, ridge, chosen.share, queries[::step][:TUNE_WITH])
    background = unrelated(text.spec.fingerprint, lambda: text)
    progress.stage("searching with captions that were held out")
    index = write(
        folder,
        build.vectors,
        projection,
        images.class_head,
        build.manifest.recipe.index,
        background,
        progress,
        captions=_held_out(build, known, chosen, images),
        records=build.records,
    )
    ids = build.items["id"].to_pylist()
    searched = write_captions(
        folder,
        build.items,
        build.manifest.recipe.index,
        lambda: text,
        projection.texts,
        projection.texts(background),
        progress,
        records=build.records,
        given=[(ids[row], text) for row, text in pairs] if captions else (),
    )
    source = str(captions.resolve()) if captions else f"the field {field}"
    fitted = AlignFacts(
        source=source,
        pairs=len(image),
        images=len(rows),
        rejected=left_out,
        captions=len(texts),
        strength=chosen.strength,
        share=chosen.share,
        asked=chosen.captions,
        answers=chosen.answers,
        measured=chosen.measured,
    )
    conse = conse_facts(images.class_head) if images.class_head else None
    return CrossmodalFacts("align", described(text.spec), conse, fitted, index, searched)


def _held_out(build: Build, known: Pairs, chosen: Chosen, images: _Images) -> Vectors | None:
    """Return the distances of captions to their nearest images, projected by maps that never saw them.

    Returns:
        (c, k) float32 ascending, k as `listed` says; None for too few captions to measure a verdict with.
    """
    if len(known.captions) < FEW_ITEMS:
        return None
    fold, k, count = folds_of(known.image, known.caption), listed(len(build.vectors)), len(build.vectors)
    step = max(1, len(known.captions) // TUNE_WITH)
    asked, ridges, near = [], [], []
    for each, fit in known.fits_without(fold):
        ridge = fit.ridge(chosen.strength)
        captions = known.queries[np.unique(known.caption[fold == each])[::step]]
        asked.append(normalized(captions - ridge.target))
        ridges.append(ridge)
        near.append(np.empty((len(captions), 0), np.float32))
    for start in range(0, count, BLOCK):
        vectors = np.asarray(build.vectors[start : start + BLOCK], np.float32)
        classes, unit = images.places(vectors), normalized(vectors)
        for at, (ridge, captions) in enumerate(zip(ridges, asked, strict=True)):
            far = distances(captions, mix(ridge(unit), classes, chosen.share), Metric.COSINE)  # (c, b)
            near[at] = np.sort(np.concatenate([near[at], far], axis=1), axis=1)[:, :k]
    return np.concatenate(near)


def _check(build: Build) -> None:
    name, spec, unit = build.manifest.name, build.manifest.encoder.spec, build.manifest.unit
    if not modality_of(unit).found_by_texts:
        raise RecipeError(f"The index {name!r} holds {UNITS[unit].plural}; only images can be aligned.")
    if spec.pooling == PROJECTION:
        raise RecipeError(
            f"The index {name!r} is searched by texts already, through the text tower of {spec.model}."
        )


def _class_head(build: Build, text: Encoder) -> _Images:
    """Return the class head of the model that made a build, its names embedded by `text`."""
    try:
        spec = encoder_spec(build.manifest.recipe.encoder)
        same = spec.fingerprint == build.manifest.encoder.fingerprint
        class_head = find_class_head(spec, build.centring) if same else None
    except ModelError:
        class_head = None  # captions alone serve
    if class_head is None:
        return _Images(None, np.empty((0, text.dimension), np.float32))
    names = text_vectors(class_head.names, text.spec.fingerprint, lambda: text)
    return _Images(class_head, names)


def _from_field(build: Build, field: str) -> list[Pair]:
    fields = build.manifest.fields
    if field not in fields:
        has = f"it has {', '.join(fields)}" if fields else "it has none"
        raise RecipeError(
            f"The index {build.manifest.name!r} has no field {field!r} with captions ({has}). Name another "
            "with --field, or a file with --captions."
        )
    said = build.items[FIELD + field].to_pylist()
    return [(row, str(text).strip()) for row, text in enumerate(said) if text and str(text).strip()]


def _from_file(build: Build, captions: Path, progress: Progress) -> tuple[list[Pair], int]:
    """Return the rows of the images that a file names, by id or path, with their captions.

    Lines that are broken or name no image are counted and reported.
    """
    rows = {str(identity): row for row, identity in enumerate(build.items["id"].to_pylist())}
    paths = {path: row for row, path in enumerate(build.items["path"].to_pylist()) if path}
    found: list[Pair] = []
    unknown: list[str] = []
    broken: list[Rejected] = []
    for pair in read_captions(captions):
        if isinstance(pair, Rejected):
            broken.append(pair)
            continue
        image, text = pair
        try:
            beside = str((captions.parent / image).resolve())
        except (OSError, ValueError):  # no file has such a name
            beside = image
        row = rows.get(image, rows.get(os.path.normpath(image), paths.get(image, paths.get(beside))))
        if row is None:
            unknown.append(image)
        else:
            found.append((row, text))
    if found and unknown:
        progress.stage(
            f"{len(unknown):,} of {len(found) + len(unknown):,} captions are of no image of the index, the "
            f"first of {unknown[0]!r}"
        )
    if broken:
        progress.stage(f"{len(broken):,} lines were rejected, the first {broken[0].id}: {broken[0].reason}")
    if not found:
        first = f" {unknown[0]!r} is none of its items." if unknown else ""
        first += f" {broken[0].id}: {broken[0].reason}." if broken else ""
        raise SourceError(
            f"{captions} names no image of the index {build.manifest.name!r}.{first} The column image "
            "holds ids of items, or paths."
        )
    return found, len(unknown) + len(broken)


def _some(pairs: list[Pair]) -> list[Pair]:
    """Return at most `FIT_AT_MOST` pairs, evenly spread."""
    if len(pairs) <= FIT_AT_MOST:
        return pairs
    return [pairs[at] for at in np.unique(np.linspace(0, len(pairs) - 1, FIT_AT_MOST).astype(int)).tolist()]


def _numbered(pairs: list[Pair]) -> tuple[list[int], list[str], Rows, Rows]:
    """Return the rows and the texts that occur, and for each pair the number of its row and of its text."""
    rows: dict[int, int] = {}
    texts: dict[str, int] = {}
    numbers = [(rows.setdefault(row, len(rows)), texts.setdefault(text, len(texts))) for row, text in pairs]
    image, caption = np.array(numbers, np.int64).reshape(-1, 2).T
    return list(rows), list(texts), image, caption
