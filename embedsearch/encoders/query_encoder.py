"""The encoder that queries of an index are embedded with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from embedsearch.encoders import Encoder
from embedsearch.encoders.probes import check
from embedsearch.errors import DeviceError, EncoderMismatchError, MissingExtraError, ModelError
from embedsearch.modalities import UNITS
from embedsearch.models.facts import EncoderFacts
from embedsearch.recipe import EncoderRecipe


def query_encoder(
    name: str,
    dimension: int,
    made: EncoderFacts,
    stored: EncoderRecipe,
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
        probes: the file of inputs and vectors that it keeps; see `embedsearch.encoders.probes`.
        table: the file of what was learnt from a table, where rows have vectors.
        load: what makes an encoder.

    Raises:
        ModelError: it can't be loaded here.
        EncoderMismatchError: the model of that name is not the one that made the build.
    """
    recipe = EncoderRecipe(
        unit=stored.unit,
        model=stored.model,
        revision=made.spec.revision,
        pooling=made.spec.pooling,
        layers=stored.layers,
        patch_tokens_only=stored.patch_tokens_only,
        precision=made.precision,
        engine="torch",  # one query is answered before another engine has compiled its model
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
    except EncoderMismatchError as mismatch:
        if made.engine == encoder.engine:
            raise
        try:  # what made the index starts later, and is right
            encoder = load(replace(recipe, engine=made.engine))
        except (ModelError, MissingExtraError):
            raise mismatch from None
        check(encoder, made, probes, mend)
    return encoder
