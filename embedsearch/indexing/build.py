"""A recipe to a published build."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from dataclasses import replace as replaced
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from embedsearch.artifacts import ArtifactContext, refresh
from embedsearch.backends import AUTO, check_kind
from embedsearch.crossmodal.projection import tower_recipe
from embedsearch.disk.checksums import file_facts
from embedsearch.disk.lock import write_lock
from embedsearch.disk.npy import load_array
from embedsearch.distances.metric import Metric
from embedsearch.encoders import Encoder, encoder_spec, open_encoder
from embedsearch.encoders.unloaded import UnloadedEncoder
from embedsearch.errors import RecallNotReachedError, RecipeError, SourceError, TooManyRejectedError
from embedsearch.indexing.ann import make_index
from embedsearch.indexing.changes import Changes, with_unusable
from embedsearch.indexing.plan import Describe, compare_source, differs, open_old, reusable, suited_encoder
from embedsearch.indexing.read import Before
from embedsearch.indexing.runners.local import embed
from embedsearch.indexing.shards import Staging, Totals
from embedsearch.modalities import UNITS, QueryForm, modality_of
from embedsearch.models.facts import EncoderFacts
from embedsearch.progress import Progress, Silent
from embedsearch.recipe import Recipe
from embedsearch.records import Rejected
from embedsearch.sources import Source, open_source
from embedsearch.sources.judgements import read_queries
from embedsearch.store.build import Build
from embedsearch.store.facts import BuildReport, NeighboursKept, SourceChanges
from embedsearch.store.folders import current_build, current_id, is_published
from embedsearch.store.items import FIELD
from embedsearch.store.manifest import BUILDS, PROBES, QUERIES, SOURCE_STATE, Manifest
from embedsearch.store.versions import ASIDE, STAGING, publish, recover

MOST_QUERIES = 1000  # to tune with


def build_index(
    recipe: Recipe,
    indexes: Path,
    *,
    replace: bool = False,
    full: bool = False,
    strict: bool = False,
    progress: Progress | None = None,
    load: Callable[..., Encoder] = open_encoder,
    describe: Describe = encoder_spec,
) -> Build:
    """Bring the index that `recipe` describes up to date, and put it in force.

    What the build in force has a vector of is not embedded again, and where nothing changed nothing is
    published. Work of an earlier run of the same recipe that was stopped is found again.

    Args:
        recipe: what to make it from.
        indexes: the folder of indexes.
        replace: whether an index of that name that was made from something else may be replaced.
        full: embed everything again, whatever is there.
        strict: fail where the recall asked for is not reached.
        progress: who is told how it goes on.
        load: what makes the encoder.
        describe: what tells of an encoder's meaning without loading it.

    Returns:
        The build in force then: a new one, or the old one where nothing had changed.

    Raises:
        RecipeError: the recipe contradicts itself, or the name is taken.
        SourceNotFoundError, SourceError, ModelError: its source or model can't be had.
        TooManyRejectedError: too much had to be quarantined; the old build stays in force.
        RecallNotReachedError: under `strict`; the old build stays in force.
        IndexBusyError: another process is writing this index.
    """
    progress = progress or Silent()
    metric = _check(recipe)
    source = _source(recipe)
    folder = indexes / recipe.name
    if is_published(folder) and not replace:
        _refuse_other_source(recipe, folder)
    # a model that can't be had leaves no folder behind
    encoder = None if is_published(folder) else load(recipe.encoder)
    folder.mkdir(parents=True, exist_ok=True)
    with write_lock(folder):
        started = time.perf_counter()
        recover(folder)
        if not is_published(folder):
            recipe.save(folder)  # so that `rebuild` goes on with a first build that was stopped
        old = None if encoder else open_old(folder, progress)
        before = None if full or old is None else reusable(recipe, old, describe, progress)
        changes: Changes | None = None
        if before is not None:
            progress.stage(f"comparing {recipe.source.location} with the build in force", source.count())
            changes = compare_source(source, before, progress)
            as_it_is = _content(recipe) == _content(before.build.manifest.recipe)
            in_force = current_id(folder) == before.build.folder.name and not before.build.damaged
            if not changes and as_it_is and in_force:
                recipe.save(folder)
                shutil.rmtree(folder / BUILDS / STAGING, ignore_errors=True)  # of a run killed at its end
                return before.build
        if encoder is None:
            encoder = suited_encoder(recipe, old, before, changes, describe, load, progress)
            if before is not None and differs(encoder, before.build.manifest.encoder):
                before = None
        if recipe.index.queries and UNITS[encoder.spec.unit].form is not QueryForm.TEXT:
            tower_recipe(encoder.spec)  # queries that nothing can embed are refused before the work
        staging = Staging(folder / BUILDS / STAGING, _key(recipe, encoder, full))
        _embed(recipe, source, encoder, before, staging, progress)
        aside = folder / BUILDS / f"{ASIDE}{os.getpid()}"
        aside.mkdir(parents=True)
        progress.stage("writing the index")
        schema = staging.write(aside, encoder.dimension, recipe.index.storage)
        if before is not None and (before.build.folder / PROBES).is_file():
            shutil.copyfile(before.build.folder / PROBES, aside / PROBES)  # of the most varied inputs
        _save_queries(recipe, encoder, before, aside, load)
        made = make_index(recipe, metric, aside, old, before, progress)
        index = made.facts
        if strict and index.recall < recipe.index.recall:
            raise RecallNotReachedError(
                f"The {index.kind} index reaches a recall@10 of {index.recall:.3f}, and "
                f"{recipe.index.recall:g} was asked for. Take --backend exact or hnsw, more --memory, or a "
                "lower --recall. Nothing was published; what was embedded is kept for the next run."
            )
        carried = refresh(
            ArtifactContext(
                recipe, aside, made.vectors, made.backend, metric, encoder, old, made.kept, progress
            )
        )
        created = datetime.now(UTC)
        build = f"{created:%Y%m%d-%H%M%S-%f}-{encoder.spec.fingerprint[:6]}"
        Manifest(
            name=recipe.name,
            build=build,
            created=created.isoformat(timespec="seconds"),
            version=version("embedsearch"),
            unit=recipe.encoder.unit,
            metric=metric,
            backend=index.kind,
            count=staging.totals.items,
            dimension=encoder.dimension,
            encoder=_describe(encoder),
            recipe=recipe,
            fields={
                column.name.removeprefix(FIELD): str(column.type)
                for column in schema
                if column.name.startswith(FIELD)
            },
            report=_report(staging.totals, time.perf_counter() - started),
            index=index,
            before=current_id(folder),
            changes=_changed(changes, old, aside, made.moved),
            artifacts=carried,
            files=file_facts(aside),
        ).save(aside)
        published = publish(folder, aside, build, recipe)
        staging.clear()
    return Build(published)


def compare_index(
    recipe: Recipe,
    indexes: Path,
    *,
    full: bool = False,
    progress: Progress | None = None,
    describe: Describe = encoder_spec,
) -> Changes:
    """Return what `build_index` would find changed, and write nothing.

    Raises:
        IndexDamagedError: the build in force can't be compared with.
        RecipeError, SourceNotFoundError, SourceError, ModelError: as `build_index`.
    """
    progress = progress or Silent()
    _check(recipe)
    source = _source(recipe)
    old = Build(current_build(indexes / recipe.name))
    before = None if full else reusable(recipe, old, describe, progress)
    if before is not None:
        progress.stage(f"comparing {recipe.source.location} with the build in force", source.count())
        return compare_source(source, before, progress)
    changes = Changes()
    for entry in source:
        if isinstance(entry, Rejected):
            changes.quarantined += 1
        else:
            changes.note("changed", entry.id)
            changes.to_embed += 1
    return changes


def _source(recipe: Recipe) -> Source:
    source = open_source(recipe.source)
    modality = modality_of(recipe.encoder.unit)
    if source.modality() is not modality.modality:
        raise RecipeError(
            f"{recipe.source.location} holds {source.modality()}s, but the unit {recipe.encoder.unit} needs "
            f"{modality.modality}s."
        )
    found_by_texts = UNITS[recipe.encoder.unit].form is QueryForm.TEXT or modality.found_by_texts
    if recipe.index.queries and not found_by_texts:
        raise RecipeError(
            f"Queries are texts, and the index is of {recipe.encoder.unit}s: leave --queries out."
        )
    if recipe.index.queries and not Path(recipe.index.queries).is_file():
        raise RecipeError(
            f"There is no file {recipe.index.queries} of queries to tune with. Name another with --queries, "
            "or take the entry out of recipe.toml."
        )
    return source


def _embed(
    recipe: Recipe,
    source: Source,
    encoder: Encoder,
    before: Before | None,
    staging: Staging,
    progress: Progress,
) -> None:
    """Embed what has no vector yet; everything goes to the staging folder."""
    progress.stage(f"reading {recipe.source.location}")
    done = staging.find_again(iter(source))
    progress.start(encoder, source.count(), done)
    entries = islice(iter(source), done, None)
    try:
        waiting = computing = 0.0
        for chunk in embed(entries, encoder, before, staging, on_progress=progress.advance):
            staging.add(chunk)
            waiting, computing = waiting + chunk.waited, computing + chunk.computed
            progress.spent(waiting, computing)
    finally:
        staging.close_shard()  # Ctrl-C keeps the chunks that are whole
    _check_rejected(recipe, staging)


def _check(recipe: Recipe) -> Metric:
    """Return the recipe's metric; what it can't mean is refused."""
    if recipe.index.backend != AUTO:
        check_kind(recipe.index.backend)
    try:
        return Metric(recipe.index.metric)
    except ValueError:
        raise RecipeError(f"Unknown metric {recipe.index.metric!r}; there are {', '.join(Metric)}.") from None


def _refuse_other_source(recipe: Recipe, folder: Path) -> None:
    try:
        old = Recipe.load(folder)
    except RecipeError:  # lost or damaged: the build in force was made from something, too
        old = Manifest.load(current_build(folder)).recipe
    if old.source != recipe.source or old.encoder.unit != recipe.encoder.unit:
        raise RecipeError(
            f"An index {recipe.name!r} exists and was made from {old.source.location} ({old.encoder.unit}s). "
            f"Take another --name, or replace it with --replace."
        )


def _save_queries(
    recipe: Recipe, encoder: Encoder, before: Before | None, aside: Path, load: Callable[..., Encoder]
) -> None:
    """Lay the vectors of the queries to tune with into the new build: embedded, or of the build before."""
    if not recipe.index.queries:
        return
    if isinstance(encoder, UnloadedEncoder) and before is not None:
        shutil.copyfile(before.build.folder / QUERIES, aside / QUERIES)
        return
    texts = [text for _, text in read_queries(Path(recipe.index.queries))]
    if not texts:
        raise SourceError(f"{recipe.index.queries} holds no query to tune with.")
    step = max(1, len(texts) // MOST_QUERIES)
    reader = encoder if UNITS[encoder.spec.unit].form is QueryForm.TEXT else load(tower_recipe(encoder.spec))
    np.save(aside / QUERIES, reader.encode(texts[::step][:MOST_QUERIES], "query"))


def _content(recipe: Recipe) -> tuple[Any, ...]:
    """Return what in a recipe decides what a build holds."""
    return recipe.source, recipe.encoder, replaced(recipe.index, keep=1)


def _key(recipe: Recipe, encoder: Encoder, full: bool) -> str:
    """A hash of all that decides which vectors a run makes, in which order; a full run takes up no other."""
    made = (encoder.spec.fingerprint, encoder.precision, encoder.engine, encoder.decoding, full)
    content = json.dumps([asdict(recipe.source), recipe.index.storage, *made])
    return hashlib.sha256(content.encode()).hexdigest()


def _describe(encoder: Encoder) -> EncoderFacts:
    if isinstance(encoder, UnloadedEncoder):
        return encoder.made
    return EncoderFacts(
        spec=encoder.spec,
        fingerprint=encoder.spec.fingerprint,
        precision=encoder.precision,
        engine=encoder.engine,
        decoding=encoder.decoding,
        device=encoder.device,
    )


def _changed(
    changes: Changes | None, old: Build | None, aside: Path, moved: NeighboursKept | None
) -> SourceChanges | None:
    """Return what a manifest tells of what became of the source, now that all was tried."""
    if changes is None or old is None:
        return None
    entries = load_array(aside / SOURCE_STATE, mapped=True)
    return with_unusable(changes, old.source_state, entries).facts(moved)


def _report(totals: Totals, seconds: float) -> BuildReport:
    return BuildReport(
        entries=totals.entries,
        records=totals.records,
        items=totals.items,
        reused=totals.reused,
        rejected=totals.rejected,
        truncated=totals.truncated,
        lost_words=totals.lost_words,
        waited=round(totals.waited, 3),
        computed=round(totals.computed, 3),
        seconds=round(seconds, 3),
    )


def _check_rejected(recipe: Recipe, staging: Staging) -> None:
    totals = staging.totals
    # of a record of many sentences, each can be quarantined for itself
    if totals.items and totals.rejected <= recipe.index.max_rejected * max(totals.entries, totals.items):
        return
    if not totals.entries:
        staging.clear()
        raise TooManyRejectedError(f"{recipe.source.location} holds nothing to index.")
    reasons = Counter(each["reason"] for each in staging.rejected()).most_common(5)
    first = "; ".join(f"{count} x {reason}" for reason, count in reasons)
    examples = ", ".join(each["id"] for each in islice(staging.rejected(), 5))
    staging.clear()  # the source has to change before another run can do better
    raise TooManyRejectedError(
        f"{totals.rejected} of {totals.entries} entries of {recipe.source.location} could not be used, more "
        f"than the share {recipe.index.max_rejected:g} that --max-rejected allows. Reasons: {first}. "
        f"First ones: {examples}. Nothing was published."
    )
