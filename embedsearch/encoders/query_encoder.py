"""The encoder that queries of an index are embedded with."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from embedsearch.encoders import Encoder, encoder_spec
from embedsearch.encoders.engines import QUERY
from embedsearch.encoders.engines.exported import asked, is_wanted, refuse
from embedsearch.encoders.probes import check
from embedsearch.errors import (
    DeviceError,
    EmbedsearchError,
    EncoderMismatchError,
    MissingExtraError,
    ModelError,
)
from embedsearch.modalities import UNITS
from embedsearch.models.facts import EncoderFacts
from embedsearch.recipe import EncoderRecipe

log = logging.getLogger("embedsearch")

# Builds of earlier versions were asked through torch, and answer the same to the last digit.
FIRST_EXPORTED = (0, 9)


def query_engine(version: str) -> str:
    """Return the engine for queries of a build that this version of embedsearch made."""
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    return QUERY if numbers >= FIRST_EXPORTED else "torch"


def query_encoder(
    name: str,
    dimension: int,
    made: EncoderFacts,
    stored: EncoderRecipe,
    version: str,
    probes: Path,
    table: Path,
    load: Callable[[EncoderRecipe], Encoder],
) -> Encoder:
    """Load the encoder that made a build, for queries.

    Args:
        name: of the index.
        dimension: of its vectors.
        made: what its manifest says of the encoder that made it.
        stored: the encoder's part of the recipe that it was made from.
        version: of embedsearch that made it.
        probes: the file of inputs and vectors that it keeps; see `embedsearch.encoders.probes`.
        table: the file of what was learnt from a table, where rows have vectors.
        load: what makes an encoder.

    Raises:
        ModelError: it can't be loaded here.
        EncoderMismatchError: the model of that name is not the one that made the build.
    """
    recipe = _recipe(made, stored, version, table)
    try:
        encoder = load(recipe)
    except DeviceError:  # made on a GPU in a precision that this machine has not
        encoder = load(replace(recipe, precision="auto"))
    if encoder.spec.fingerprint != made.fingerprint:
        raise EncoderMismatchError(
            f"The index {name!r} holds {dimension}-d vectors of "
            f"{made.spec.model} (fingerprint {made.fingerprint[:12]}, pooling {made.spec.pooling}); the "
            f"query encoder found now is {encoder.spec.model} (fingerprint "
            f"{encoder.spec.fingerprint[:12]}, pooling {encoder.spec.pooling}). "
            f"Run: embedsearch rebuild {name}"
        )
    mend = f"embedsearch rebuild {name} (or build it with --precision fp32)"
    try:
        check(encoder, made, probes, mend)
        return encoder
    except EncoderMismatchError as error:
        mismatch = error
    # torch starts later than an exported model; what made the index may start later still, and is right
    for engine in dict.fromkeys(("torch", made.engine)):
        if engine == encoder.engine == "torch":
            continue
        try:
            other = load(replace(recipe, engine=engine))
            check(other, made, probes, mend)
        except (ModelError, MissingExtraError):
            continue
        exported = _exported_recipe(recipe)
        if exported is not None and encoder.engine == "openvino" and other.engine == "torch":
            refuse(encoder_spec(exported), str(mismatch))
            log.warning("Queries of %s are embedded by torch: %s", name, mismatch)
        return other
    raise mismatch


def _recipe(made: EncoderFacts, stored: EncoderRecipe, version: str, table: Path) -> EncoderRecipe:
    """Return the recipe of the encoder for queries; for the arguments see `query_encoder`."""
    return EncoderRecipe(
        unit=stored.unit,
        model=stored.model,
        revision=made.spec.revision,
        pooling=made.spec.pooling,
        layers=stored.layers,
        patch_tokens_only=stored.patch_tokens_only,
        precision=made.precision,
        engine=query_engine(version),
        decoding=made.decoding or "auto",
        views=made.spec.views,
        preparation=made.spec.preparation,
        dimension=stored.dimension,
        splitter=stored.splitter,
        query_model=stored.query_model,
        own=stored.own,
        weights=stored.weights,
        table=str(table) if UNITS[stored.unit].by_columns else "",
    )


def _exported_recipe(recipe: EncoderRecipe) -> EncoderRecipe | None:
    """Return the recipe of the model that is exported for queries of an index; None where there is none.

    Raises:
        ModelError: what was learnt from a table can't be read.
    """
    from embedsearch.encoders.given import query_recipe
    from embedsearch.encoders.rows import learnt_of, text_recipe

    if recipe.query_model:
        return query_recipe(recipe)
    if UNITS[recipe.unit].by_columns:
        return text_recipe(recipe) if learnt_of(recipe.table).has_texts else None
    return None if recipe.own or UNITS[recipe.unit].spec else recipe  # vectors made elsewhere


def export_for_queries(
    made: EncoderFacts,
    stored: EncoderRecipe,
    version: str,
    table: Path,
    across: EncoderRecipe | None,
    load: Callable[[EncoderRecipe], Encoder],
    say: Callable[[str], None],
) -> None:
    """Export the models that queries of a build are embedded with, where this machine has not done so.

    What can't be exported is left to the first query, which says why.

    Args:
        made: see `query_encoder`, and so are the next three.
        stored: see there.
        version: see there.
        table: see there.
        across: the recipe of the encoder of queries of another modality; None for none.
        load: what makes an encoder.
        say: is told before a model is exported.
    """
    recipes = [across]
    with contextlib.suppress(ModelError):
        recipes.append(_exported_recipe(_recipe(made, stored, version, table)))
    for each in recipes:
        if each is None or not asked(each):
            continue
        with contextlib.suppress(EmbedsearchError, OSError):
            if is_wanted(each, encoder_spec(each)):
                say("preparing the model for queries, once on this machine")
                load(each)
