"""Words and tokens in their sentence: their own rows of the last hidden state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from embedsearch.encoders import Prepared
from embedsearch.encoders.engines import Inputs
from embedsearch.encoders.hidden_states import HiddenStates
from embedsearch.encoders.text import (
    TextModel,
    Tokenizer,
    load_text_model,
    unknown_text,
    unpooled_text,
)
from embedsearch.errors import ItemError
from embedsearch.models.files import ModelFiles
from embedsearch.models.spec import EncoderSpec, Role
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Sentence, Span
from embedsearch.splitters.words import words

if TYPE_CHECKING:
    from embedsearch.encoders.pooling_heads import PoolingHead


class WordEncoder(TextModel):
    """One vector per word of a sentence, or per sub-token where a `Sentence` names no spans."""

    def __init__(self, recipe: EncoderRecipe, spec: EncoderSpec, files: ModelFiles) -> None:
        super().__init__(recipe, spec, files, lambda text: Sentence(text, words(text)))

    def load(self, files: ModelFiles) -> tuple[Tokenizer, PoolingHead]:
        """Load a BERT-family encoder; see `TextModel.load`."""
        from embedsearch.encoders.pooling_heads import WordPoolingHead

        tokenizer, model = load_text_model(self.spec, files)
        return tokenizer, WordPoolingHead(model, self.spec)

    def prepare(self, items: Sequence[Sentence], role: Role = "passage") -> list[Prepared | ItemError]:  # noqa: ARG002
        """Tokenise sentences and find each word's sub-tokens; see `Encoder.prepare`.

        Words beyond the model's limit, and words that it does not know, get no vector; `Prepared.lost` counts
        them.
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
        known = {position for position in real if encoding.ids[position] != self._tokenizer.unknown_id}
        kept = [(span, tokens) for span, tokens in found if not known.isdisjoint(tokens)]
        if not kept:
            if any(tokens for _, tokens in found):
                return unknown_text(self.spec.model)
            if encoding.overflowing:
                return ItemError("the word is beyond the model's limit; shorten the sentence")
            return ItemError("the sentence holds no word that the model can read")
        groups = [tokens for _, tokens in kept] if self.spec.pooling == "mean" else [t[:1] for _, t in kept]
        return Prepared(
            {
                "input_ids": np.asarray(encoding.ids, np.int64),
                "tokens": np.array([token for group in groups for token in group], np.int64),
                "sizes": np.array([len(group) for group in groups], np.int64),
            },
            cost=len(encoding.ids),
            units=tuple(span for span, _ in kept),
            truncated=bool(encoding.overflowing),
            lost=len(found) - len(kept),
        )

    def unpool(self, item: Sentence, role: Role, head: PoolingHead) -> HiddenStates:  # noqa: ARG002
        """Take the one word of a sentence apart into its sub-tokens; see `Encoder.hidden_states`."""
        encoding = self._tokenizer([item.text], offsets=True)[0]
        prepared = self._prepare(item, encoding)
        if isinstance(prepared, ItemError):
            raise prepared
        positions = [int(position) for position in prepared.inputs["tokens"]]
        return unpooled_text(self.unpooled_states(prepared, head), encoding, positions, 0)

    def collate(self, batch: Sequence[Prepared]) -> Inputs:
        """Pad the ids, and count the words' tokens through all sentences; see `token_rows`."""
        padded = super().collate(batch)
        length = padded["input_ids"].shape[1]
        sizes = np.concatenate([item.inputs["sizes"] for item in batch])
        tokens = [item.inputs["tokens"] + at * length for at, item in enumerate(batch)]
        return {
            **padded,
            "tokens": np.concatenate(tokens),
            "words": np.repeat(np.arange(len(sizes)), sizes),
            "sizes": sizes,
        }


def _inside(span: Span, offsets: Sequence[Span], real: Sequence[int]) -> list[int]:
    """Return the positions of the sub-tokens that overlap `span`."""
    start, end = span
    return [position for position in real if offsets[position][0] < end and start < offsets[position][1]]


def _without_space(text: str, span: Span) -> Span:
    """Leave out the space that byte-level tokenizers count to the token behind it."""
    start, end = span
    part = text[start:end]
    return end - len(part.lstrip()), start + len(part.rstrip())
