"""Vectors made elsewhere (by word2vec, an autoencoder, an API), taken as they are."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from embedsearch.distances.metric import Vectors
from embedsearch.encoders import (
    Encoder,
    Prepared,
    encode_all,
    encode_queries,
    encoder_spec,
    open_encoder,
)
from embedsearch.encoders.engines import QUERY
from embedsearch.encoders.hidden_states import HiddenStates
from embedsearch.errors import ItemError, ModelError
from embedsearch.models.spec import EncoderSpec, Role
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Matrix, Unit

GIVEN = "given"
QUERY_MODEL = "query_model"  # among the files of a spec, where texts are asked too


def query_recipe(recipe: EncoderRecipe) -> EncoderRecipe:
    """Return the recipe of the encoder that texts are asked through; `recipe` names its model."""
    return EncoderRecipe(
        unit=Unit.TEXT,
        model=recipe.query_model,
        revision=recipe.revision,
        precision=recipe.precision,
        device=recipe.device,
        engine=recipe.engine if recipe.engine == QUERY else "torch",  # quick to load
    )


def given_spec(recipe: EncoderRecipe) -> EncoderSpec:
    """Return what vectors made elsewhere mean.

    Those of one name and dimension can be compared, and those that one model made, if that is known.

    Raises:
        ModelError: the model that texts are asked through can't be found.
    """
    name = recipe.model or recipe.query_model or GIVEN
    files = {GIVEN: f"{name} {recipe.revision}".rstrip(), "dimension": str(recipe.dimension)}
    if recipe.query_model:
        files[QUERY_MODEL] = encoder_spec(query_recipe(recipe)).fingerprint
    return EncoderSpec(
        model=name,
        revision=recipe.revision,
        unit=recipe.unit,
        pooling=GIVEN,
        layers=recipe.layers,
        patch_tokens_only=False,
        max_length=None,
        prompts={"query": "", "passage": ""},
        files=files,
    )


class GivenEncoder:
    """Hands on vectors that come with their records; see `Encoder`.

    A query may be a text, where the model that made the vectors is known.
    """

    device, precision, engine, decoding = "cpu", "fp32", GIVEN, ""

    def __init__(self, recipe: EncoderRecipe) -> None:
        self.spec = given_spec(recipe)
        self.dimension = recipe.dimension
        self._recipe = recipe
        self._text_encoder: Encoder | None = None
        self._lock = threading.Lock()

    def prepare(self, items: Sequence[Any], role: Role = "passage") -> list[Prepared | ItemError]:  # noqa: ARG002
        """Return each item, the bytes of (d,) float32 numbers or a text, as a vector."""
        size = 4 * self.dimension
        if all(isinstance(item, bytes) and len(item) == size for item in items):
            rows = np.frombuffer(b"".join(items), "<f4").reshape(-1, self.dimension)  # (m d,) -> (m, d)
            return [Prepared({"vector": row}, cost=1) for row in rows]
        return [self._prepare(item) for item in items]

    def encode_matrix(self, vectors: Matrix) -> Vectors | None:
        """See `embedsearch.encoders.Columnar`."""
        if vectors.rows.shape[1] != self.dimension:
            return None
        numbers = vectors.rows.ravel()
        # their sum of squares is quick to have, and finite where all are, unless some are huge
        with np.errstate(over="ignore"):
            finite = np.isfinite(numbers @ numbers) or np.isfinite(numbers).all()
        return vectors.rows if finite else None

    def _prepare(self, item: Any) -> Prepared | ItemError:
        if isinstance(item, str) and self._recipe.query_model:
            try:
                vectors, (prepared,) = encode_queries(self._texts(), [item])
            except ItemError as error:
                return error
            return replace(prepared, inputs={"vector": vectors[0]}, cost=1)
        if not isinstance(item, bytes):
            return ItemError(f"a vector of {self.dimension:,} numbers was expected")
        if len(item) != 4 * self.dimension:
            return ItemError(
                f"the vector has {len(item) // 4:,} numbers; the index holds vectors of {self.dimension:,}: "
                "if all changed, build it with --replace"
            )
        return Prepared({"vector": np.frombuffer(item, "<f4")}, cost=1)

    def _texts(self) -> Encoder:
        """Return the encoder that texts are asked through; the first call loads it."""
        with self._lock:
            if self._text_encoder is None:
                self._text_encoder = open_encoder(query_recipe(self._recipe))
            return self._text_encoder

    def run(self, prepared: Sequence[Prepared]) -> Iterator[tuple[int, Vectors]]:
        """See `Encoder.run`; all come at once."""
        if prepared:
            vectors = np.stack([item.inputs["vector"] for item in prepared])  # m of (d,) -> (m, d)
            yield len(prepared) - 1, vectors.astype(np.float32, copy=False)

    def encode(self, items: Sequence[Any], role: Role = "passage") -> Vectors:
        """See `Encoder.encode`."""
        return encode_all(self, items, role)

    def hidden_states(self, item: Any, role: Role = "passage") -> HiddenStates:  # noqa: ARG002
        """Refuse: no model is known.

        Raises:
            ModelError: always.
        """
        raise ModelError(
            f"The vectors of {self.spec.model} were made elsewhere. Without the model, hits can't be "
            "explained."
        )
