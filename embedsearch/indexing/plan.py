"""What of the build in force serves again: its vectors, or only how its encoder computed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from embedsearch.encoders import Encoder
from embedsearch.encoders.unloaded import UnloadedEncoder
from embedsearch.errors import IndexDamagedError, MissingExtraError, ModelError
from embedsearch.indexing.changes import Changes, compare, rejection
from embedsearch.indexing.read import Before
from embedsearch.models.facts import EncoderFacts
from embedsearch.models.spec import EncoderSpec
from embedsearch.progress import Progress
from embedsearch.recipe import EncoderRecipe, Recipe
from embedsearch.records import Rejected
from embedsearch.sources import Source
from embedsearch.store.build import Build
from embedsearch.store.facts import Artifacts
from embedsearch.store.folders import current_build
from embedsearch.store.manifest import QUERIES, Manifest
from embedsearch.store.versions import builds_of

# How vectors are computed, which changes digits and no meaning.
HOW = ("precision", "engine", "decoding")
Describe = Callable[[EncoderRecipe], EncoderSpec]


def open_old(folder: Path, progress: Progress) -> Build | None:
    """Return the build in force; where it is damaged the newest whole one, or None: then all is made anew.

    Where artifacts alone are damaged (see `embedsearch.artifacts`), the build in force serves.
    """
    had = Artifacts()
    try:
        in_force = current_build(folder)
        with contextlib.suppress(IndexDamagedError):
            had = Manifest.load(in_force).artifacts
        build = Build(in_force, spare=True)
        if build.damaged:
            progress.stage(f"the build in force is damaged: {', '.join(sorted(build.damaged))}")
        return build
    except IndexDamagedError as error:
        progress.stage(f"the build in force is damaged: {error}")
    for path in reversed(builds_of(folder)):
        try:
            build = Build(path)
        except IndexDamagedError:
            continue
        _tell_lost(folder.name, had, build.manifest.artifacts, progress)
        return build
    progress.stage("all is embedded anew: no build is whole")
    _tell_lost(folder.name, had, Artifacts(), progress)
    return None


def _tell_lost(name: str, had: Artifacts, has: Artifacts, progress: Progress) -> None:
    """Report which artifacts that a person made are gone with a damaged build."""
    aligned = [each.crossmodal is not None and each.crossmodal.by == "align" for each in (had, has)]
    if aligned == [True, False]:
        progress.stage(f"the alignment with captions is lost: embedsearch align {name}")
    if had.map is not None and has.map is None:
        progress.stage(f"the map is lost: embedsearch map {name}")


def reusable(recipe: Recipe, old: Build, describe: Describe, progress: Progress) -> Before | None:
    """Return the build in force where its vectors are those that the recipe asks for."""
    manifest = old.manifest
    why = ""
    if describe(recipe.encoder).fingerprint != manifest.encoder.fingerprint:
        why = "the build in force is of another model, unit, pooling or layer"
    elif recipe.index.storage == "fp32" and old.vectors.dtype != np.float32:
        why = "the build in force holds vectors in fp16"
    else:
        asked = {name: getattr(recipe.encoder, name) for name in HOW}
        changed = [
            f"{name} {getattr(manifest.encoder, name)}"
            for name, value in asked.items()
            if value != "auto" and getattr(manifest.encoder, name) not in ("", value)
        ]
        if changed:
            why = f"the build in force has {'; '.join(changed)}"
    if why:
        progress.stage(f"all is embedded anew: {why}")
        return None
    return Before(old)


def compare_source(source: Source, before: Before, progress: Progress) -> Changes:
    """Hold a source against the build in force."""
    unread = [each for each in before.build.rejected() if each["entry"] is None]
    then = sum(rejection(Rejected(each["id"], each["reason"])) for each in unread)
    return compare(source, before.source_state, then, before.identity, progress.advance)


def suited_encoder(
    recipe: Recipe,
    old: Build | None,
    before: Before | None,
    changes: Changes | None,
    describe: Describe,
    load: Callable[..., Encoder],
    progress: Progress,
) -> Encoder:
    """Return the encoder, unloaded where nothing has to be embedded."""
    tuned = not recipe.index.queries or (
        before is not None
        and (before.build.folder / QUERIES).is_file()
        and before.build.manifest.recipe.index.queries == recipe.index.queries
    )
    if before is not None and changes is not None and not changes.to_embed and tuned:
        manifest = before.build.manifest
        return UnloadedEncoder(describe(recipe.encoder), manifest.dimension, manifest.encoder)
    return _load(recipe, old.manifest if old else None, load, progress)


def _load(recipe: Recipe, last: Manifest | None, load: Callable[..., Encoder], progress: Progress) -> Encoder:
    """Load the encoder; what the recipe leaves open stays as the build in force has it, where it can."""
    made = None
    if last is not None and _meaning(last.recipe.encoder) == _meaning(recipe.encoder):
        made = last.encoder
    kept = {
        name: getattr(made, name)
        for name in HOW
        if getattr(recipe.encoder, name) == "auto" and made is not None and getattr(made, name)
    }
    try:
        encoder = load(replace(recipe.encoder, **kept))
    except (ModelError, MissingExtraError):
        if not kept:
            raise
        encoder = load(recipe.encoder)  # not here, or no longer
    changed = differs(encoder, made) if made else []
    if changed:
        progress.stage(f"all is embedded anew: the build in force has {'; '.join(changed)}")
    return encoder


def differs(encoder: Encoder, made: EncoderFacts) -> list[str]:
    """Return in what an encoder computes otherwise than the one that made a build."""
    return [
        f"{name} {getattr(made, name)}, now {getattr(encoder, name)}"
        for name in HOW
        if getattr(made, name) not in ("", getattr(encoder, name))
    ]


def _meaning(encoder: EncoderRecipe) -> EncoderRecipe:
    """Return what in an encoder's recipe decides what its vectors mean, the rest as it is by default."""
    return replace(encoder, precision="auto", engine="auto", decoding="auto", device="auto", batch_tokens=0)
