"""A recipe to a published build."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from embedsearch import __version__
from embedsearch.backends import backend_class
from embedsearch.embed import embed
from embedsearch.encoders import Encoder, open_encoder
from embedsearch.errors import (
    EmbedsearchError,
    MissingExtraError,
    ModelError,
    RecipeError,
    TooManyRejectedError,
)
from embedsearch.items import FIELD
from embedsearch.lock import write_lock
from embedsearch.metrics import Metric
from embedsearch.recipe import Recipe
from embedsearch.sources import open_source
from embedsearch.staging import Staging, Totals
from embedsearch.store import BUILDS, CURRENT, INDEX, Build, Manifest, current_build, file_facts, publish

# How vectors are computed, which changes digits and no meaning.
HOW = ("precision", "engine", "decoding")


class Progress(Protocol):
    """Who is told how a build goes on."""

    def start(self, encoder: Encoder, total: int | None, done: int) -> None:
        """Embedding begins: `done` of `total` entries (None: unknown) were found ready."""

    def advance(self, entries: int) -> None:
        """So many more entries are done."""

    def spent(self, waiting: float, computing: float) -> None:
        """So many seconds went by since the start in waiting for input, and for the model."""

    def stage(self, text: str) -> None:
        """What happens before and after embedding."""


class _Silent:
    """Tells nobody."""

    def start(self, encoder: Encoder, total: int | None, done: int) -> None:
        """See `Progress`."""

    def advance(self, entries: int) -> None:
        """See `Progress`."""

    def spent(self, waiting: float, computing: float) -> None:
        """See `Progress`."""

    def stage(self, text: str) -> None:
        """See `Progress`."""


def build_index(
    recipe: Recipe,
    indexes: Path,
    *,
    replace: bool = False,
    progress: Progress | None = None,
    load: Callable[..., Encoder] = open_encoder,
) -> Build:
    """Make the index that `recipe` describes, and put it in force.

    Work of an earlier run of the same recipe that was stopped is found again.

    Args:
        recipe: what to make it from.
        indexes: the folder of indexes.
        replace: whether an index of that name that was made from something else may be replaced.
        progress: who is told how it goes on.
        load: what makes the encoder.

    Returns:
        The published build, opened.

    Raises:
        RecipeError: the recipe contradicts itself, or the name is taken.
        SourceNotFoundError, SourceError, ModelError: its source or model can't be had.
        TooManyRejectedError: too much had to be quarantined; the old build stays in force.
        IndexBusyError: another process is writing this index.
    """
    progress = progress or _Silent()
    metric = _metric(recipe)
    backend = backend_class(recipe.index.backend)
    source = open_source(recipe.source)
    if source.modality() is not recipe.encoder.unit.modality:
        raise RecipeError(
            f"{recipe.source.location} holds {source.modality()}s, but the unit {recipe.encoder.unit} needs "
            f"{recipe.encoder.unit.modality}s."
        )
    folder = indexes / recipe.name
    if (folder / CURRENT).is_file() and not replace:
        _refuse_other_source(recipe, folder)
    encoder = _load(recipe, folder, load, progress)
    folder.mkdir(parents=True, exist_ok=True)
    with write_lock(folder):
        started = time.perf_counter()
        if not (folder / CURRENT).is_file():
            recipe.save(folder)  # so that `rebuild` goes on with a first build that was stopped
        staging = Staging(folder / BUILDS / ".staging", _key(recipe, encoder))
        progress.stage(f"reading {recipe.source.location}")
        done = staging.find_again(iter(source))
        progress.start(encoder, source.count(), done)
        entries = islice(iter(source), done, None)
        try:
            waiting = computing = 0.0
            for chunk in embed(entries, encoder, on_progress=progress.advance):
                staging.add(chunk)
                waiting, computing = waiting + chunk.waited, computing + chunk.computed
                progress.spent(waiting, computing)
        finally:
            staging.close_shard()  # Ctrl-C keeps the chunks that are whole
        _check_rejected(recipe, staging)
        progress.stage("writing the index")
        for left in (folder / BUILDS).glob(".new-*"):  # by a run that was killed
            shutil.rmtree(left)
        aside = folder / BUILDS / f".new-{os.getpid()}"
        aside.mkdir(parents=True)
        schema = staging.write(aside, encoder.dimension)
        backend.build(staging.vectors(), encoder.dimension, metric).save(aside / INDEX)
        created = datetime.now(UTC)
        build = f"{created:%Y%m%d-%H%M%S}-{encoder.spec.fingerprint[:6]}-{created.microsecond:06d}"
        Manifest(
            name=recipe.name,
            build=build,
            created=created.isoformat(timespec="seconds"),
            version=__version__,
            unit=recipe.encoder.unit,
            metric=metric,
            backend=recipe.index.backend,
            count=staging.totals.items,
            dimension=encoder.dimension,
            encoder=_describe(encoder),
            recipe=recipe.as_dict(),
            fields={
                column.name.removeprefix(FIELD): str(column.type)
                for column in schema
                if column.name.startswith(FIELD)
            },
            report=_report(staging.totals, time.perf_counter() - started),
            files=file_facts(aside),
        ).save(aside)
        published = publish(folder, aside, build, recipe)
        staging.clear()
    return Build(published)


def _metric(recipe: Recipe) -> Metric:
    try:
        return Metric(recipe.index.metric)
    except ValueError:
        raise RecipeError(f"Unknown metric {recipe.index.metric!r}; there are {', '.join(Metric)}.") from None


def _refuse_other_source(recipe: Recipe, folder: Path) -> None:
    old = Recipe.load(folder)
    if old.source != recipe.source or old.encoder.unit != recipe.encoder.unit:
        raise RecipeError(
            f"An index {recipe.name!r} exists and was made from {old.source.location} ({old.encoder.unit}s). "
            f"Take another --name, or replace it with --replace."
        )


def _load(recipe: Recipe, folder: Path, load: Callable[..., Encoder], progress: Progress) -> Encoder:
    """Load the encoder; what the recipe leaves open stays as the build in force has it, where it can."""
    made: Mapping[str, Any] = {}
    with contextlib.suppress(EmbedsearchError, OSError):  # none yet, or damaged, which is no reason to stop
        manifest = Manifest.load(current_build(folder))
        if _meaning(manifest.recipe["encoder"]) == _meaning(recipe.as_dict()["encoder"]):
            made = manifest.encoder
    kept = {name: made[name] for name in HOW if getattr(recipe.encoder, name) == "auto" and made.get(name)}
    try:
        encoder = load(replace(recipe.encoder, **kept))
    except (ModelError, MissingExtraError):
        if not kept:
            raise
        encoder = load(recipe.encoder)  # not here, or no longer
    changed = [
        f"{name} {made[name]}, now {getattr(encoder, name)}"
        for name in HOW
        if made.get(name) and made[name] != getattr(encoder, name)
    ]
    if changed:
        progress.stage(f"all is embedded anew: the build in force has {'; '.join(changed)}")
    return encoder


def _meaning(encoder: Mapping[str, Any]) -> dict[str, Any]:
    """Return what in an encoder's recipe decides what its vectors mean, lists for tuples."""
    apart = (*HOW, "device", "batch_tokens")
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in encoder.items()
        if name not in apart
    }


def _key(recipe: Recipe, encoder: Encoder) -> str:
    """A hash of all that decides which vectors a run makes, in which order."""
    made = (encoder.spec.fingerprint, encoder.precision, encoder.engine, encoder.decoding)
    content = json.dumps([asdict(recipe.source), *made])
    return hashlib.sha256(content.encode()).hexdigest()


def _describe(encoder: Encoder) -> dict[str, Any]:
    return {
        **asdict(encoder.spec),
        "fingerprint": encoder.spec.fingerprint,
        "precision": encoder.precision,
        "engine": encoder.engine,
        "decoding": encoder.decoding,
        "device": encoder.device,
    }


def _report(totals: Totals, seconds: float) -> dict[str, Any]:
    return {
        **asdict(totals),
        "waited": round(totals.waited, 3),
        "computed": round(totals.computed, 3),
        "seconds": round(seconds, 3),
    }


def _check_rejected(recipe: Recipe, staging: Staging) -> None:
    totals = staging.totals
    # of a record of many sentences, each can be quarantined for itself
    if totals.items and totals.rejected <= recipe.index.max_rejected * max(totals.entries, totals.items):
        return
    if not totals.entries:
        staging.clear()
        raise TooManyRejectedError(f"{recipe.source.location} holds nothing to index.")
    reasons = Counter(each.reason for each in staging.rejected()).most_common(5)
    first = "; ".join(f"{count} x {reason}" for reason, count in reasons)
    examples = ", ".join(each.id for each in islice(staging.rejected(), 5))
    staging.clear()  # the source has to change before another run can do better
    raise TooManyRejectedError(
        f"{totals.rejected} of {totals.entries} entries of {recipe.source.location} could not be used, more "
        f"than the share {recipe.index.max_rejected:g} that --max-rejected allows. Reasons: {first}. "
        f"First ones: {examples}. Nothing was published."
    )
