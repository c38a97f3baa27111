"""A recipe to a published build, in three steps.

Plan: what is new, changed or gone since the build before, and which encoder. Run: a runner maps batches to
vectors, which are staged. Finish: the shards are joined, index and artifacts made, the build published.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from dataclasses import replace as replaced
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from embedsearch.artifacts import ArtifactContext, is_complete, refresh
from embedsearch.artifacts.exports import export_for_queries
from embedsearch.artifacts.lexical import mode_note
from embedsearch.artifacts.thumbnails import Copies
from embedsearch.backends import AUTO, check_kind, elsewhere_class, is_elsewhere
from embedsearch.crossmodal.projection import tower_recipe
from embedsearch.disk.checksums import file_facts, note, sha256_of
from embedsearch.disk.lock import write_lock
from embedsearch.disk.npy import load_array
from embedsearch.distances.metric import Metric
from embedsearch.encoders import Encoder, encoder_spec, open_encoder, unreadable
from embedsearch.encoders.unloaded import UnloadedEncoder
from embedsearch.errors import (
    EmbedsearchError,
    RecallNotReachedError,
    RecipeError,
    SourceError,
    TooManyRejectedError,
    TooManyRemovedError,
)
from embedsearch.indexing.ann import make_index
from embedsearch.indexing.batch import Batch
from embedsearch.indexing.centring import carried, check_centring, described, fit_to, outgrown, too_few
from embedsearch.indexing.changes import Changes, final
from embedsearch.indexing.learn import known_table, learning
from embedsearch.indexing.plan import (
    Describe,
    EncoderChangedError,
    Plan,
    PlannedEncoder,
    find_previous,
    suits,
)
from embedsearch.indexing.runners import check_runner, open_runner
from embedsearch.indexing.shards import STORAGE, Staging, Totals
from embedsearch.lexical.languages import check_language
from embedsearch.modalities import UNITS, QueryForm, modality_of
from embedsearch.models.facts import EncoderFacts
from embedsearch.progress import Computing, Progress, Silent
from embedsearch.recipe import Recipe
from embedsearch.records import Modality, Rejected, Unit
from embedsearch.sources import Source, is_labelled, open_source
from embedsearch.sources.judgements import read_queries
from embedsearch.store.build import Build
from embedsearch.store.facts import BuildReport, NeighboursKept, SourceChanges
from embedsearch.store.folders import STOPPED, current_build, current_id, is_published
from embedsearch.store.items import FIELD, Items, open_table
from embedsearch.store.manifest import (
    BUILDS,
    COLUMNS,
    INDEX,
    ITEMS,
    PROBES,
    QUERIES,
    SOURCE_STATE,
    VECTORS,
    Manifest,
)
from embedsearch.store.previous import PreviousBuild
from embedsearch.store.versions import ASIDE, STAGING, publish, recover, settle

MOST_QUERIES = 1000  # to tune with
STAGED = "one file of vectors"  # how unfinished work lies; what lies otherwise is not taken up
MOST_REMOVED = 0.2  # share of the records that may be gone without a question


def build_index(
    recipe: Recipe,
    indexes: Path,
    *,
    replace: bool = False,
    full: bool = False,
    strict: bool = False,
    allow_removal: bool = False,
    progress: Progress | None = None,
    load: Callable[..., Encoder] = open_encoder,
    describe: Describe = encoder_spec,
    runner: str = "local",
    address: str = "",
) -> Build:
    """Bring the index that `recipe` describes up to date, and make it current.

    What the current build has a vector of is not embedded again, and where nothing changed nothing is
    published. An interrupted run of the same recipe is resumed.

    Args:
        recipe: what to make it from.
        indexes: the folder of indexes.
        replace: whether an index of that name that was made from something else may be replaced, and as many
            other records may take the place of those of the same source.
        full: embed everything again, whatever is there.
        strict: fail where the recall asked for is not reached.
        allow_removal: whether more than 20 percent of the records may be gone from the same source.
        progress: is told how it goes on.
        load: what makes the encoder.
        describe: what tells of an encoder's meaning without loading it.
        runner: who embeds, a name in `embedsearch.indexing.runners.RUNNERS`.
        address: of a Ray cluster; empty for this machine.

    Returns:
        The current build: a new one, or the old one where nothing had changed.

    Raises:
        RecipeError: the recipe contradicts itself, or the name is taken.
        SourceNotFoundError, SourceError, ModelError: its source or model can't be had.
        TooManyRejectedError: too much was rejected; the old build stays current.
        TooManyRemovedError: too much is gone from the source; the old build stays current.
        RecallNotReachedError: under `strict`; the old build stays current.
        IndexBusyError: another process is writing this index.
    """
    started = time.perf_counter()
    progress = progress or Silent()
    metric = _check(recipe)
    check_runner(runner, address)
    recipe = replaced(recipe, index=replaced(recipe.index, metric=str(metric)))
    if is_elsewhere(recipe.index.backend):
        elsewhere_class(recipe.index.backend).check(recipe.index.uri)
    source = _source(recipe)
    for known in source.reading().notes:  # before it is read, such as other media of a folder
        progress.stage(known)
    folder = indexes / recipe.name
    settle(folder)
    if is_published(folder) and not replace:
        _refuse_other_source(recipe, folder)
    with learning(recipe, source, folder, progress, load, full=full) as ready:
        # a model that can't be had leaves no folder behind
        first = not is_published(folder)
        loaded = load(ready.recipe) if first and ready.loaded is None else ready.loaded
        folder.mkdir(parents=True, exist_ok=True)
        with write_lock(folder):
            recover(folder)
            if first := not is_published(folder):
                recipe.save(folder)  # so that `rebuild` resumes a first build that was stopped
                (folder / STOPPED).unlink(missing_ok=True)
            describe = cache(describe)
            asked = replaced(recipe, encoder=ready.recipe)
            previous = None if first else find_previous(asked, folder, describe, progress, full=full)
            encoder = PlannedEncoder(ready.recipe, previous, describe, load, loaded)
            may_remove = allow_removal or (replace and not _same_source(recipe, previous))
            task = _Task(
                recipe,
                metric,
                source,
                folder,
                full,
                strict,
                may_remove,
                replace,
                load,
                progress,
                encoder,
                previous,
                ready.notes,
                started,
                runner,
                address,
            )
            try:
                current = task.made()
            except EmbedsearchError as error:
                if first:
                    (folder / STOPPED).write_text(str(error), encoding="utf-8", errors="replace")
                raise
    embedded = encoder.is_loaded
    del ready, loaded, encoder, task  # the model of the build leaves the memory
    if embedded:  # what embeds nothing loads no torch
        export_for_queries(current, load, progress)
    return current


def _copied(batches: Iterable[Batch], copies: Copies) -> Iterator[Batch]:
    """Yield batches; small copies of the image files whose bytes they hold are made beside."""
    for batch in batches:
        if isinstance(batch.records, list) and isinstance(batch.contents, list) and not batch.parted:
            records = [batch.records[at] for at in batch.whole.tolist()]
            copies.begin(
                (record.content, content)
                for record, content in zip(records, batch.contents, strict=True)
                if record.modality is Modality.IMAGE
                and isinstance(record.content, Path)
                and isinstance(content, bytes)
            )
        yield batch


@dataclass(slots=True)
class _Task:
    """A build, in three steps, and what these share.

    Attributes:
        recipe: what is built.
        metric: which distance.
        source: what is read.
        folder: of the index.
        full: whether everything is embedded again.
        strict: whether to fail where the recall asked for is not reached.
        may_remove: whether any number of records may be gone.
        replace: whether as many other records may take the place of those that are gone.
        load: what makes encoders.
        progress: is told how it goes on.
        encoder: which encoder embeds.
        previous: the build before; None for a first one.
        notes: what a person should know of what the encoder has learnt; sentences.
        started: when the build was asked for, in seconds.
        runner: who embeds.
        address: of a Ray cluster; empty for this machine.
        computing: what has embedded; None where nothing was.
    """

    recipe: Recipe
    metric: Metric
    source: Source
    folder: Path
    full: bool
    strict: bool
    may_remove: bool
    replace: bool
    load: Callable[..., Encoder]
    progress: Progress
    encoder: PlannedEncoder
    previous: PreviousBuild | None
    notes: tuple[str, ...]
    started: float
    runner: str
    address: str
    computing: Computing | None = None

    def made(self) -> Build:
        """Plan, run and finish; return the current build."""
        try:
            plan = self.plan()
            staging = self.run(plan)
        except EncoderChangedError as changed:
            self.give_up_previous(str(changed))
            plan = self.plan()
            staging = self.run(plan)
        if (current := self.unchanged(plan)) is not None:
            self.recipe.save(self.folder)
            staging.clear()
            return current
        return self.finish(plan, staging)

    def plan(self) -> Plan:
        """Say what becomes of each record; the model is loaded where it is needed in any case."""
        plan = Plan(self.recipe, self.source, self.previous)
        if plan.previous is None or not _has_queries(self.recipe, plan.previous):
            self.encoder.load(self.encoder.recipe)
        check_centring(self.recipe.index, self.metric, self.encoder.current)
        if self.recipe.index.queries and UNITS[self.recipe.encoder.unit].form is not QueryForm.TEXT:
            tower_recipe(self.encoder.current.spec)  # queries that nothing can embed are refused at once
        return plan

    def give_up_previous(self, why: str) -> None:
        """Keep no vector of the build before."""
        assert self.previous is not None  # which the encoder differs from
        self.progress.stage(f"embedding everything again: the current build has {why}")
        self.previous = PreviousBuild(self.previous.build, reusable=False)

    def run(self, plan: Plan) -> Staging:
        """Have a runner embed what has no vector yet, and stage its work."""
        key = _key(self.recipe, plan, self.encoder.current, self.full)
        staging = Staging(self.folder / BUILDS / STAGING, key)
        total = self.source.count()
        if plan.previous is None:
            self.progress.stage(f"reading {self.recipe.source.location}")
        else:
            self.progress.stage(f"comparing {self.recipe.source.location} with the current build", total)

        def started(computing: Computing) -> None:
            self.computing = computing
            self.progress.start(computing, total, staging.entries)

        runner = open_runner(
            self.runner,
            self.address,
            self.encoder.load,
            self.load,
            self.progress.advance,
            started,
            self.progress.stage,
        )
        walked = staging.resume(plan.walk(runner.reading), plan)
        self.progress.advance(staging.entries)
        waiting = computing = 0.0
        try:
            with Copies() as copies:
                batches = _copied(plan.batches(walked, runner.reading), copies)
                for batch in runner.map(batches, self.encoder.recipe):
                    staging.add(batch, plan.previous)
                    waiting += batch.embedded.waited
                    computing += batch.embedded.computed
                    self.progress.spent(waiting, computing)
        except BaseException:
            staging.close_shard()  # Ctrl-C keeps the batches that are whole
            raise
        return staging

    def unchanged(self, plan: Plan) -> Build | None:
        """Return the current build where it is what the recipe makes of the source."""
        if plan.previous is None or plan.changes:
            return None
        build = plan.previous.build
        same = _content(self.recipe) == _content(build.manifest.recipe)
        same = same and _has_queries(self.recipe, plan.previous)
        same = same and is_complete(build)
        if same and is_elsewhere(build.manifest.backend):
            same = elsewhere_class(build.manifest.backend).is_there(build.folder / INDEX)
        is_current = current_id(self.folder) == build.folder.name and not build.damaged
        return build if same and is_current else None

    def finish(self, plan: Plan, staging: Staging) -> Build:
        """Join the shards, make the index and the artifacts, and publish the build."""
        staging.close_shard()
        if self.previous is not None and not self.may_remove:
            _check_removed(self.recipe, staging, self.previous, replace=self.replace)
        _check_rejected(self.recipe, staging, self.source)
        recipe, encoder = self.recipe, self.encoder.current
        if not encoder.device:
            self.progress.start(encoder, staging.entries, staging.entries)  # nothing was embedded
        aside = self.folder / BUILDS / f"{ASIDE}{os.getpid()}"
        aside.mkdir(parents=True)
        self.progress.stage("writing the index")
        cells = self.source.reading().cells
        options, totals = recipe.index, staging.totals
        centring = carried(options, plan.previous, totals.items, totals.reused)
        fits = options.centred and centring is None
        storage = "fp32" if fits else options.storage
        dimension = encoder.dimension
        if not dimension and plan.previous is not None:  # an encoder of one's own was given no item
            dimension = plan.previous.build.manifest.model_dimension
        kept = staging.join(aside, plan.previous, dimension, storage, centring)
        if fits:
            self.progress.stage("centring the vectors")
            centring = fit_to(aside, options, STORAGE[options.storage])
        if plan.previous is not None and (plan.previous.build.folder / PROBES).is_file():
            shutil.copyfile(
                plan.previous.build.folder / PROBES, aside / PROBES
            )  # of the most varied contents
        if table := self.encoder.recipe.table:
            shutil.copyfile(table, aside / COLUMNS)
        _save_queries(recipe, encoder, plan.previous, aside, self.load)
        with ThreadPoolExecutor(1, thread_name_prefix="items") as beside:
            items = beside.submit(staging.join_items, aside, cells)

            def held() -> Items:
                items.result()
                return open_table(aside / ITEMS)

            made = make_index(recipe, self.metric, aside, self.previous, kept, self.progress, centring, held)
        schema, files = items.result()
        index = made.facts
        if self.strict and index.recall < recipe.index.recall:
            raise RecallNotReachedError(
                f"The {index.kind} index reaches a recall@10 of {index.recall:.3f}, and "
                f"{recipe.index.recall:g} was asked for. Use --backend exact or hnsw, more --memory, or a "
                "lower --recall. Nothing was published; the vectors are kept for the next run."
            )
        artifacts = refresh(
            ArtifactContext(
                recipe=recipe,
                folder=aside,
                vectors=made.vectors,
                backend=made.backend,
                metric=self.metric,
                encoder=encoder,
                previous=self.previous,
                kept=made.kept,
                progress=self.progress,
                centring=centring,
            )
        )
        notes = self.notes
        was_asked = options.dim or not UNITS[recipe.encoder.unit].centred
        if options.centred and centring is None and was_asked:
            notes = (*notes, too_few(options, totals.items))
        later = (outgrown(recipe.name, centring, totals.items), mode_note(artifacts.lexical, self.previous))
        notes = (*notes, *filter(None, later))
        created = datetime.now(UTC)
        build = f"{created:%Y%m%d-%H%M%S-%f}-{encoder.spec.fingerprint[:6]}"
        Manifest(
            name=recipe.name,
            build=build,
            created=created.isoformat(timespec="seconds"),
            version=version("embedsearch"),
            unit=recipe.encoder.unit,
            metric=self.metric,
            backend=index.kind,
            count=staging.totals.items,
            dimension=made.vectors.shape[1],
            encoder=_describe(encoder, self.computing),
            recipe=recipe,
            fields={
                column.name.removeprefix(FIELD): str(column.type)
                for column in schema
                if column.name.startswith(FIELD)
            },
            report=_report(staging.totals, self.source, aside, notes, time.perf_counter() - self.started),
            index=index,
            before=current_id(self.folder),
            changes=_changed(plan, staging, aside, made.moved),
            artifacts=artifacts,
            centring=None if centring is None else described(centring, aside),
            queries=sha256_of(Path(recipe.index.queries)) if recipe.index.queries else "",
            files=file_facts(aside, files),
        ).save(aside)
        published = publish(self.folder, aside, build, recipe)
        staging.clear()
        note(published / VECTORS, files[VECTORS].sha256)  # its times changed as its name there was deleted
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
        IndexDamagedError: the current build is damaged.
        RecipeError, SourceNotFoundError, SourceError, ModelError: as `build_index`.
    """
    progress = progress or Silent()
    _check(recipe)
    source = _source(recipe)
    build = Build(current_build(indexes / recipe.name))
    known = None if full else known_table(recipe, source, indexes / recipe.name, progress)
    asked = recipe if known is None else replaced(recipe, encoder=known)
    reusable = known is not None and suits(asked, build, describe, progress)
    plan = Plan(recipe, source, PreviousBuild(build, reusable=reusable))
    progress.stage(f"comparing {recipe.source.location} with the current build", source.count())
    if reusable:
        for batch in plan.batches(plan.walk()):
            progress.advance(batch.entries)
        return plan.changes
    changes = Changes()
    for entry in source:
        progress.advance(1)
        if isinstance(entry, Rejected):
            changes.rejected += 1
        else:
            changes.changed += 1
            changes.to_embed += 1
            changes.note("changed", (entry.id,))
    return changes


def recipe_of(folder: Path) -> Recipe:
    """Return the recipe of an index; where its file is lost or damaged, that of the current build.

    Raises:
        IndexDamagedError: there is no build that can be read, either.
    """
    try:
        return Recipe.load(folder)
    except RecipeError:
        return Manifest.load(current_build(folder)).recipe


def _has_queries(recipe: Recipe, previous: PreviousBuild) -> bool:
    """Whether the build before has the vectors of the queries to tune with, where there are some."""
    build = previous.build
    manifest = build.manifest
    return not recipe.index.queries or (
        (build.folder / QUERIES).is_file()
        and manifest.recipe.index.queries == recipe.index.queries
        and manifest.queries in ("", sha256_of(Path(recipe.index.queries)))
    )


def _source(recipe: Recipe) -> Source:
    source = open_source(recipe.source)
    modality = modality_of(recipe.encoder.unit)
    if source.modality() is not modality.modality:
        raise RecipeError(
            f"{recipe.source.location} holds {source.modality()}s, but the unit {recipe.encoder.unit} needs "
            f"{modality.modality}s."
        )
    if UNITS[recipe.encoder.unit].is_labelled and not is_labelled(recipe.source):
        raise RecipeError(
            f"The unit {recipe.encoder.unit} needs labelled spans: name their column with --spans COLUMN, or "
            "give a .conll file."
        )
    found_by_texts = UNITS[recipe.encoder.unit].form is QueryForm.TEXT or modality.found_by_texts
    if recipe.index.queries and not found_by_texts:
        raise RecipeError(
            f"The queries are texts, and the index holds {recipe.encoder.unit}s: leave --queries out."
        )
    if recipe.index.queries and not Path(recipe.index.queries).is_file():
        raise RecipeError(
            f"There is no file {recipe.index.queries} of queries to tune with. Name another with --queries, "
            "or delete the entry in recipe.toml."
        )
    return source


def _check(recipe: Recipe) -> Metric:
    """Return the recipe's metric; what it can't mean is refused."""
    if recipe.index.backend != AUTO:
        check_kind(recipe.index.backend)
    if recipe.index.uri and not is_elsewhere(recipe.index.backend):
        raise RecipeError(
            f"--uri names a server, and the backend {recipe.index.backend} keeps its vectors in files: add "
            "--backend milvus or pgvector, or leave --uri out."
        )
    check_language(recipe.index.language)
    if recipe.index.keep_tokens and recipe.encoder.unit is not Unit.TEXT:
        raise RecipeError(
            f"Tokens are kept of whole texts, and the index holds {recipe.encoder.unit}s: leave out "
            "--keep-tokens."
        )
    try:
        return Metric(recipe.index.metric or UNITS[recipe.encoder.unit].metric)
    except ValueError:
        raise RecipeError(f"Unknown metric {recipe.index.metric!r}; there are {', '.join(Metric)}.") from None


def _refuse_other_source(recipe: Recipe, folder: Path) -> None:
    old, asked = recipe_of(folder), recipe.source
    texts = {"texts", "documents"}  # a folder of texts in which there are documents now, or no more
    same = replaced(
        old.source,
        kind=asked.kind if {asked.kind, old.source.kind} <= texts else old.source.kind,
        ocr=asked.ocr,
        exclude=asked.exclude,
        header=asked.header,
        decimal=asked.decimal,
        keep_na=asked.keep_na,
    )
    if same != asked or old.encoder.unit != recipe.encoder.unit:
        raise RecipeError(
            f"An index {recipe.name!r} exists and was made from {old.source.location} ({old.encoder.unit}s). "
            f"Use another --name, or replace it with --replace."
        )


def _save_queries(
    recipe: Recipe,
    encoder: Encoder,
    previous: PreviousBuild | None,
    aside: Path,
    load: Callable[..., Encoder],
) -> None:
    """Put the vectors of the queries to tune with into the new build: embedded, or of the build before."""
    if not recipe.index.queries:
        return
    if not encoder.device and previous is not None:
        shutil.copyfile(previous.build.folder / QUERIES, aside / QUERIES)
        return
    texts = [text for _, text in read_queries(Path(recipe.index.queries))]
    if not texts:
        raise SourceError(f"{recipe.index.queries} holds no query to tune with.")
    step = max(1, len(texts) // MOST_QUERIES)
    reader = encoder if UNITS[encoder.spec.unit].form is QueryForm.TEXT else load(tower_recipe(encoder.spec))
    asked = texts[::step][:MOST_QUERIES]
    bad = unreadable(reader, asked, "query")
    kept = [text for at, text in enumerate(asked) if at not in bad]
    if not kept:
        raise SourceError(f"The model can read no query of {recipe.index.queries}.")
    np.save(aside / QUERIES, reader.encode(kept, "query"))


def _content(recipe: Recipe) -> tuple[Any, ...]:
    """Return what in a recipe decides what a build holds."""
    return recipe.source, recipe.encoder, replaced(recipe.index, keep=1)


def _key(recipe: Recipe, plan: Plan, encoder: Encoder, full: bool) -> str:
    """Return a hash of all that decides which vectors a run makes, in which order."""
    made = (encoder.spec.fingerprint, encoder.precision, encoder.engine, encoder.decoding, full, STAGED)
    files = {} if plan.previous is None else plan.previous.build.manifest.files
    kept = [files[name].sha256 for name in (VECTORS, SOURCE_STATE) if files]
    content = json.dumps([asdict(recipe.source), recipe.index.storage, *made, *kept])
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def _describe(encoder: Encoder, computing: Computing | None) -> EncoderFacts:
    """Return what a manifest says of the encoder; how it computed as what has embedded did."""
    if isinstance(encoder, UnloadedEncoder):
        return encoder.made
    how = computing or encoder
    return EncoderFacts(
        spec=encoder.spec,
        fingerprint=encoder.spec.fingerprint,
        precision=how.precision,
        engine=how.engine,
        decoding=how.decoding,
        device=how.device,
    )


def _changed(plan: Plan, staging: Staging, aside: Path, moved: NeighboursKept | None) -> SourceChanges | None:
    """Return what a manifest says of the changes of the source, now that all was tried."""
    if plan.previous is None:
        return None
    rows = load_array(aside / SOURCE_STATE, mapped=True)
    unread = staging.totals.entries - staging.totals.records
    return final(plan.changes, plan.previous.source_state, rows, unread).facts(moved)


def _report(
    totals: Totals, source: Source, aside: Path, learnt: tuple[str, ...], seconds: float
) -> BuildReport:
    rows = load_array(aside / SOURCE_STATE, mapped=True)
    empty = int(((rows["rows"] == 0) & (rows["bad"] == 0)).sum())
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
        passed_over=dict(source.passed_over()),
        unknown=totals.unknown,
        notes=(
            *source.reading().notes,
            *learnt,
            *([_spanless(empty)] if empty else ()),
            *(
                f"{note[0].upper()}{note[1:]}: {count:,} of the images embedded now."
                for note, count in totals.prepared.items()
            ),
        ),
    )


def _spanless(count: int) -> str:
    if count == 1:
        return "1 text has no labelled span, so it is not in the index."
    return f"{count:,} texts have no labelled span, so they are not in the index."


def _same_source(recipe: Recipe, previous: PreviousBuild | None) -> bool:
    """Whether the build before was made from what the recipe reads."""
    return previous is not None and previous.build.manifest.recipe.source.location == recipe.source.location


def _check_removed(recipe: Recipe, staging: Staging, previous: PreviousBuild, *, replace: bool) -> None:
    """Check that few of the records that have vectors in the build before are gone.

    Raises:
        TooManyRemovedError: more than the share `MOST_REMOVED` of them are; under `replace`, and the source
            holds so many fewer now.
    """
    known = previous.source_state
    had, there, now = known.entries["rows"] > 0, np.zeros(len(known), np.bool_), 0
    for rows in staging.source_states():
        found = known.find(rows["key"])
        there[found[found >= 0]] = True
        now += int((rows["rows"] > 0).sum())
    gone, most = np.flatnonzero(had & ~there), MOST_REMOVED * int(had.sum())
    fewer = had.sum() - now > most
    if replace and not fewer:
        return
    if len(gone) > most:  # what has another name now is not gone
        contents = np.concatenate([rows["high"] for rows in staging.source_states()])
        gone = gone[~np.isin(known.entries["high"][gone], contents)]
    if len(gone) <= most:
        return
    examples = ", ".join(previous.id(each) for each in gone[:5].tolist())
    unread = [each for each in islice(staging.rejected(), 100) if each["entry"] is None][:3]
    why = "".join(f" {each['id']}: {each['reason']}." for each in unread)
    lost = f"Is a disk not mounted?{why}" if fewer else f"{now:,} others are there instead.{why}"
    raise TooManyRemovedError(
        f"{len(gone):,} of the {int(had.sum()):,} records of {recipe.name} are gone from "
        f"{recipe.source.location}, more than {MOST_REMOVED:.0%}: {examples}{', ...' * (len(gone) > 5)}. "
        f"{lost} Nothing was published. To remove them: embedsearch rebuild {recipe.name} --allow-removal"
    )


def _check_rejected(recipe: Recipe, staging: Staging, source: Source) -> None:
    totals = staging.totals
    # of a record of many sentences or spans, each can be rejected for itself
    tried = max(totals.entries, totals.items + totals.rejected)
    if totals.items and totals.rejected <= recipe.index.max_rejected * tried:
        return
    if not totals.items and not totals.rejected:
        staging.clear()
        raise TooManyRejectedError(f"{recipe.source.location} holds nothing to index.")
    reasons = Counter(each["reason"] for each in staging.rejected()).most_common(5)
    first = "; ".join(f"{count} x {reason}" for reason, count in reasons)
    examples = ", ".join(each["id"] for each in islice(staging.rejected(), 5))
    staging.clear()  # the source has to change before another run can do better
    raise TooManyRejectedError(
        f"{totals.rejected} of {tried} entries of {recipe.source.location} were rejected, more "
        f"than the share {recipe.index.max_rejected:g} that --max-rejected allows. Reasons: {first}. "
        f"{' '.join([f'First ones: {examples}.', *source.reading().notes])} Nothing was published."
    )
