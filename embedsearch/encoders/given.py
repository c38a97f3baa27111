"""Vectors made elsewhere (by word2vec, an autoencoder, an API), taken as they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from embedsearch.distances.metric import Vectors
from embedsearch.encoders import Prepared, all_ready, gather
from embedsearch.encoders.hidden_states import HiddenStates
from embedsearch.errors import ItemError, ModelError
from embedsearch.models.spec import EncoderSpec, Role
from embedsearch.recipe import EncoderRecipe

GIVEN = "given"


def given_spec(recipe: EncoderRecipe) -> EncoderSpec:
    """Return what vectors made elsewhere mean: those of one name and dimension can be compared."""
    name = recipe.model or GIVEN
    return EncoderSpec(
        model=name,
        revision=recipe.revision,
        unit=recipe.unit,
        pooling=GIVEN,
        layers=recipe.layers,
        patch_tokens_only=False,
        max_length=None,
        prompts={"query": "", "passage": ""},
        files={GIVEN: f"{name} {recipe.revision}".rstrip(), "dimension": str(recipe.dimension)},
    )


class GivenEncoder:
    """Hands on vectors that come with their records; see `Encoder`."""

    device, precision, engine, decoding = "cpu", "fp32", GIVEN, ""

    def __init__(self, recipe: EncoderRecipe) -> None:
        self.spec = given_spec(recipe)
        self.dimension = recipe.dimension

    def prepare(self, items: Sequence[Any], role: Role = "passage") -> list[Prepared | ItemError]:  # noqa: ARG002
        """Return each item, the bytes of (d,) float32 numbers, as a vector."""
        return [self._prepare(item) for item in items]

    def _prepare(self, item: Any) -> Prepared | ItemError:
        if not isinstance(item, bytes) or len(item) != 4 * self.dimension:
            return ItemError(f"a vector of {self.dimension} float32 numbers was expected")
        return Prepared({"vector": np.frombuffer(item, "<f4")}, cost=1)

    def run(self, prepared: Sequence[Prepared]) -> Iterator[tuple[int, Vectors]]:
        """See `Encoder.run`."""
        for position, item in enumerate(prepared):
            yield position, np.asarray(item.inputs["vector"], np.float32)[None]  # (d,) -> (1, d)

    def encode(self, items: Sequence[Any], role: Role = "passage") -> Vectors:
        """See `Encoder.encode`."""
        ready = all_ready(items, self.prepare(items, role))
        return gather(ready, self.run(ready), self.dimension)

    def hidden_states(self, item: Any, role: Role = "passage") -> HiddenStates:  # noqa: ARG002
        """Refuse: no model is known.

        Raises:
            ModelError: always.
        """
        raise ModelError(
            f"The vectors of {self.spec.model} were made elsewhere: without the model no hit is explained."
        )
