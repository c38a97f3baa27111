"""Rows of tables: each column has numbers of its own in the vector, as was learnt from the table."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from embedsearch.distances.metric import Metric, Vectors, normalized
from embedsearch.encoders import Encoder, Prepared, encode_all, encoder_spec, gather, open_encoder
from embedsearch.encoders.columns import Kind, Learnt
from embedsearch.encoders.hidden_states import HiddenStates
from embedsearch.errors import ItemError, ModelError
from embedsearch.models.spec import EncoderSpec, Role
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Unit

COLUMNS = "columns"  # the pooling of rows, and the name of a model that none of their columns needs


def text_recipe(recipe: EncoderRecipe) -> EncoderRecipe:
    """Return the recipe of the encoder that embeds the texts of rows."""
    return replace(recipe, unit=Unit.TEXT, pooling="", weights=(), table="")


@lru_cache(maxsize=8)  # a build asks again and again
def learnt_of(table: str) -> Learnt:
    """Return what was learnt from a table.

    Args:
        table: the file, see `EncoderRecipe.table`.

    Raises:
        ModelError: it is missing, or can't be read.
    """
    if not table:
        raise ModelError(
            "Rows have no model of their own: how they become vectors is learnt from their table. Build an "
            "index: embedsearch build TABLE --rows --name NAME"
        )
    try:
        return Learnt.load(Path(table))
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"What was learnt from the table can't be read from {table}: {error}. Rebuild the index: "
            "embedsearch rebuild NAME --full"
        ) from None


def rows_spec(recipe: EncoderRecipe) -> EncoderSpec:
    """Return what the vectors of rows mean, without loading a model.

    Raises:
        ModelError: nothing was learnt, or the model of texts can't be found.
    """
    if recipe.pooling not in ("", COLUMNS):
        raise ModelError(f"Rows are made of columns and not pooled: leave --pooling {recipe.pooling} out.")
    learnt = learnt_of(recipe.table)
    texts = encoder_spec(text_recipe(recipe)) if learnt.has_texts else None
    files = {COLUMNS: learnt.digest}
    return EncoderSpec(
        model=texts.model if texts else recipe.model or COLUMNS,
        revision=texts.revision if texts else "",
        unit=recipe.unit,
        pooling=COLUMNS,
        layers=recipe.layers,
        patch_tokens_only=False,
        max_length=texts.max_length if texts else None,
        prompts={"query": "", "passage": ""},
        files={**files, "texts": texts.fingerprint} if texts else files,
        metric=Metric.L2,
    )


class RowEncoder:
    """Turns rows into vectors; see `Encoder`. Its items are rows as JSON objects, or dictionaries.

    A column that a dictionary does not have is as one that holds no value.
    """

    decoding = ""

    def __init__(self, recipe: EncoderRecipe, texts: Encoder | None = None) -> None:
        """Read what was learnt.

        Args:
            recipe: its `table` is the file of what was learnt.
            texts: the encoder of texts, where it is loaded already; else it is loaded where it is needed.

        Raises:
            ModelError: nothing was learnt, or the model of texts can't be loaded.
        """
        self.learnt = learnt_of(recipe.table)
        self.spec = rows_spec(recipe)
        self.dimension = self.learnt.dimension
        self._places = self.learnt.places
        self._texts = (texts or open_encoder(text_recipe(recipe))) if self.learnt.has_texts else None
        made = self._texts
        self.device, self.precision, self.engine = (
            (made.device, made.precision, made.engine) if made else ("cpu", "fp32", "numpy")
        )

    def prepare(self, items: Sequence[Any], role: Role = "passage") -> list[Prepared | ItemError]:  # noqa: ARG002
        """Lay out the numbers of rows, and tokenise their texts; see `Encoder.prepare`."""
        parsed = [self._parsed(item if isinstance(item, Mapping) else json.loads(item)) for item in items]
        good = [row for row in parsed if not isinstance(row, ItemError)]
        made = np.zeros((len(good), self.dimension), np.float32)
        tokens = self._tokens(good)
        for at, (block, place) in enumerate(zip(self.learnt.blocks, self._places, strict=True)):
            values = [row[at] for row in good]
            if block.column.kind is Kind.TEXT:
                missing = np.array([value not in tokens for value in values])
                features = np.zeros((len(good), len(block.mean)))
            else:
                missing = np.array([value is None for value in values])
                features = block.column.features(values)
            made[:, place] = block.vectors(features, missing)
        ready = (self._ready(vector, row, tokens) for vector, row in zip(made, good, strict=True))
        return [row if isinstance(row, ItemError) else next(ready) for row in parsed]

    def _parsed(self, row: Mapping[str, Any]) -> list[float | str | None] | ItemError:
        """Return the values of a row as they are compared, a value a column."""
        try:
            return [column.parsed(row.get(column.name)) for column in self.learnt.columns]
        except ItemError as error:
            return error

    def _tokens(self, rows: Sequence[Sequence[float | str | None]]) -> dict[float | str | None, Prepared]:
        """Return the texts of rows tokenised, without those that the model does not know."""
        columns = [at for at, column in enumerate(self.learnt.columns) if column.kind is Kind.TEXT]
        texts = list(dict.fromkeys(row[at] for row in rows for at in columns if row[at] is not None))
        ready = self._texts.prepare(texts) if texts and self._texts is not None else []
        return {
            text: each for text, each in zip(texts, ready, strict=True) if not isinstance(each, ItemError)
        }

    def _ready(
        self,
        vector: Vectors,
        row: Sequence[float | str | None],
        tokens: Mapping[float | str | None, Prepared],
    ) -> Prepared:
        """Return a row for `run`: its vector, (d,), and the tokens of its texts by the column's place."""
        texts = {
            f"{at}": tokens[value]
            for at, (column, value) in enumerate(zip(self.learnt.columns, row, strict=True))
            if column.kind is Kind.TEXT and value in tokens
        }
        return Prepared(
            {"vector": vector, **{at: text.inputs["input_ids"] for at, text in texts.items()}},
            cost=1 + sum(text.cost for text in texts.values()),
            truncated=any(text.truncated for text in texts.values()),
        )

    def run(self, prepared: Sequence[Prepared]) -> Iterator[tuple[int, Vectors]]:
        """Embed the texts of rows, each different one once; see `Encoder.run`."""
        made = np.stack([item.inputs["vector"] for item in prepared])  # n x (d,) -> (n, d)
        for at, (block, place) in enumerate(zip(self.learnt.blocks, self._places, strict=True)):
            if rows := [row for row, item in enumerate(prepared) if f"{at}" in item.inputs]:
                vectors = self._embedded([prepared[row].inputs[f"{at}"] for row in rows])
                made[rows, place] = block.vectors(vectors.astype(np.float64), np.zeros(len(rows), np.bool_))
        for row, vector in enumerate(made):
            yield row, vector[None]  # (d,) -> (1, d)

    def _embedded(self, texts: Sequence[Any]) -> Vectors:
        """Return unit vectors (n, d) of texts, given by the ids of their tokens."""
        assert self._texts is not None
        different = {ids.tobytes(): ids for ids in texts}
        ready = [Prepared({"input_ids": ids}, cost=len(ids)) for ids in different.values()]
        vectors = normalized(gather(ready, self._texts.run(ready), self._texts.dimension))
        places = {key: at for at, key in enumerate(different)}
        return np.asarray(vectors[[places[ids.tobytes()] for ids in texts]])

    def encode(self, items: Sequence[Any], role: Role = "passage") -> Vectors:
        """See `Encoder.encode`."""
        return encode_all(self, items, role)

    def hidden_states(self, item: Any, role: Role = "passage") -> HiddenStates:  # noqa: ARG002
        """Refuse: their vectors say what makes two rows near, see `embedsearch.explain.by_columns`.

        Raises:
            ModelError: always.
        """
        raise ModelError("Rows have no hidden states: their vectors are made of columns.")
