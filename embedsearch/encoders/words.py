"""Words and tokens in their sentence: their own rows of the last hidden state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from embedsearch.encoders import Prepared, Role, Sentence, Span
from embedsearch.encoders.pooling import token_rows
from embedsearch.encoders.text import TextModel
from embedsearch.errors import ItemError


class WordEncoder(TextModel):
    """One vector per word of a sentence, or per sub-token where a `Sentence` names no spans."""

    def prepare(self, items: Sequence[Sentence], role: Role = "passage") -> list[Prepared | ItemError]:  # noqa: ARG002
        """Tokenise sentences and find each word's sub-tokens; see `Encoder.prepare`.

        Words beyond the model's limit get no vector; `Prepared.lost` counts them.
        """
        encodings = self._tokenizer([item.text for item in items], offsets=True)
        return [self._prepare(item, encoding) for item, encoding in zip(items, encodings, strict=True)]

    def _prepare(self, item: Sentence, encoding: Any) -> Prepared | ItemError:
        offsets: list[Span] = encoding.offsets
        real = [
            position
            for position, (start, end) in enumerate(offsets)
            if start < end and not encoding.special_tokens_mask[position]
        ]
        if item.spans is None:
            found = [(_without_space(item.text, offsets[position]), [position]) for position in real]
            found = [(span, tokens) for span, tokens in found if span[0] < span[1]]
        else:
            found = [(span, _inside(span, offsets, real)) for span in item.spans]
        kept = [(span, tokens) for span, tokens in found if tokens]
        if not kept:
            if encoding.overflowing:
                return ItemError("the word lies beyond the model's limit; shorten the sentence")
            return ItemError("the sentence holds no word that the model can read")
        groups = np.full((len(kept), max(len(tokens) for _, tokens in kept)), -1, np.int64)
        for row, (_, tokens) in zip(groups, kept, strict=True):
            row[: len(tokens)] = tokens
        return Prepared(
            {"input_ids": np.asarray(encoding.ids, np.int64)},
            cost=len(encoding.ids),
            units=tuple(span for span, _ in kept),
            truncated=bool(encoding.overflowing),
            lost=len(found) - len(kept),
            extra={"groups": groups},
        )

    def _vectors(self, batch: Sequence[Prepared]) -> Tensor:
        """Return each word's row of each sentence in turn, (n, d) float32."""
        hidden, _ = self._states(batch)
        rows = [
            token_rows(hidden, item, [token for token in group if token >= 0], self.spec.pooling)
            for item, prepared in enumerate(batch)
            for group in prepared.extra["groups"].tolist()
        ]
        return torch.stack(rows)  # n x (D,) -> (n, D)


def _inside(span: Span, offsets: Sequence[Span], real: Sequence[int]) -> list[int]:
    """Return the positions of the sub-tokens that overlap `span`."""
    start, end = span
    return [position for position in real if offsets[position][0] < end and start < offsets[position][1]]


def _without_space(text: str, span: Span) -> Span:
    """Leave out the space that byte-level tokenizers count to the token behind it."""
    start, end = span
    part = text[start:end]
    return end - len(part.lstrip()), start + len(part.rstrip())
