"""Texts: the [CLS] position or the masked mean of a BERT-family encoder's last hidden state."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from torch import nn

from embedsearch.encoders import Prepared
from embedsearch.encoders.base import ModelEncoder
from embedsearch.encoders.engines import Inputs
from embedsearch.encoders.engines.devices import load_dense, load_transformer
from embedsearch.encoders.hidden_states import HiddenStates
from embedsearch.encoders.pooling_heads import PoolingHead, TextPoolingHead, Unpooled
from embedsearch.errors import ItemError, ModelError, UsageError
from embedsearch.models.files import ModelFiles
from embedsearch.models.spec import EncoderSpec, Role
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Sentence, Span

# Texts that an engine is tried on: a short and a long one together, so that some attention windows hold only
# padding, and one alone.
PROBES = (
    "How do I get my money back?",
    "A vector describes a thing: where the distance between two of them is small, the things are related. "
    * 15,
    "The cat sleeps on the mat in the sun, and nobody in the quiet house wants to wake it before dinner.",
)


class Tokenizer:
    """A fast tokenizer behind a lock: two threads inside one raise "Already borrowed"."""

    def __init__(self, files: ModelFiles, max_length: int | None) -> None:
        from transformers import AutoTokenizer

        try:
            self._tokenizer = AutoTokenizer.from_pretrained(files.folder, local_files_only=True)
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise ModelError(
                f"{files.folder} has no tokenizer that transformers can load: {error}"
            ) from error
        if not self._tokenizer.is_fast:
            raise ModelError(
                f"{files.folder} has only a slow tokenizer; save its fast form (tokenizer.json)."
            )
        # The tokenizer itself, without the wrapper that turns every id into a Python number three times.
        self._backend = self._tokenizer.backend_tokenizer
        self._backend.no_padding()
        if max_length is None:
            self._backend.no_truncation()
        else:
            self._backend.enable_truncation(max_length)
        self._lock = threading.Lock()
        self.pad_id: int = self._tokenizer.pad_token_id or 0
        self._has_types = "token_type_ids" in self._tokenizer.model_input_names

    def __call__(self, texts: Sequence[str], *, offsets: bool) -> list[Any]:
        """Return one `tokenizers.Encoding` per text, cut at the model's limit.

        Half of a surrogate pair, which the tokenizer refuses, is read as "?".

        Args:
            texts: what to tokenise.
            offsets: whether to return the spans of the tokens too, which takes longer.
        """
        texts = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        with self._lock:
            return list(
                self._backend.encode_batch(texts) if offsets else self._backend.encode_batch_fast(texts)
            )

    def pad(self, batch: Sequence[Prepared]) -> dict[str, np.ndarray[Any, Any]]:
        """Pad the ids of several texts on the right, to the longest: (T,) each -> (B, T) int64."""
        lengths = [len(item.inputs["input_ids"]) for item in batch]
        ids = np.full((len(batch), max(lengths)), self.pad_id, np.int64)
        mask = np.zeros_like(ids)
        for row, item, length in zip(range(len(batch)), batch, lengths, strict=True):
            ids[row, :length] = item.inputs["input_ids"]
            mask[row, :length] = 1
        padded = {"input_ids": ids, "attention_mask": mask}
        if self._has_types:
            padded["token_type_ids"] = np.zeros_like(ids)  # one text is one segment
        return padded


class TextModel(ModelEncoder):
    """A text transformer with its tokenizer; what texts and words share."""

    def __init__(
        self,
        recipe: EncoderRecipe,
        spec: EncoderSpec,
        files: ModelFiles,
        head: Callable[[nn.Module, EncoderSpec], PoolingHead],
        probes: Sequence[str | Sentence],
    ) -> None:
        model = load_transformer(files.folder)
        if not hasattr(model.config, "hidden_size") or getattr(model.config, "is_encoder_decoder", False):
            raise ModelError(
                f"{spec.model} is no text encoder of the BERT family: no last_hidden_state to read."
            )
        self.spec = spec
        self._tokenizer = Tokenizer(files, spec.max_length)
        super().__init__(recipe, spec, head(model, spec), probes)
        self.batch_budget = recipe.batch_tokens or self._engine.batch_tokens

    def collate(self, batch: Sequence[Prepared]) -> Inputs:
        """Pad the ids of several texts; see `ModelEncoder.collate`."""
        return self._tokenizer.pad(batch)


def unpooled_text(unpooled: Unpooled, encoding: Any, positions: Iterable[int], before: int) -> HiddenStates:
    """Return what `Encoder.hidden_states` gives of the tokens at `positions`.

    Args:
        unpooled: their hidden states.
        encoding: the tokenizer's, with offsets.
        positions: of the tokens.
        before: characters of the prompt in front of the text.
    """
    spans: list[Span | None] = []
    for position in positions:
        start, end = (max(0, place - before) for place in encoding.offsets[position])
        spans.append((start, end) if start < end and not encoding.special_tokens_mask[position] else None)
    return HiddenStates(
        rows=unpooled.rows.cpu().numpy(),
        weights=unpooled.weights.numpy(),
        vector=unpooled.vector.cpu().numpy(),
        exact=unpooled.exact,
        names=tuple(encoding.tokens[position] for position in positions),
        spans=tuple(spans),
        truncated=bool(encoding.overflowing),
    )


class TextEncoder(TextModel):
    """One vector per text."""

    def __init__(self, recipe: EncoderRecipe, spec: EncoderSpec, files: ModelFiles) -> None:
        layers = [load_dense(files.folder / folder) for folder in spec.dense]
        super().__init__(
            recipe, spec, files, lambda model, spec: TextPoolingHead(model, spec, layers), PROBES
        )

    def prepare(self, items: Sequence[Any], role: Role = "passage") -> list[Prepared | ItemError]:
        """Tokenise texts, the role's prompt in front; see `Encoder.prepare`."""
        prompt = self.spec.prompts[role]
        if wrong := [item for item in items if not isinstance(item, str)]:
            raise UsageError(f"A text is a str; got {wrong[0]!r:.60}.")
        encodings = self._tokenizer([prompt + text for text in items], offsets=False)
        return [
            Prepared(
                {"input_ids": np.asarray(encoding.ids, np.int64)},
                cost=len(encoding.ids),
                truncated=bool(encoding.overflowing),
            )
            for encoding in encodings
        ]

    def unpool(self, item: Any, role: Role, head: PoolingHead) -> HiddenStates:
        """Take a text apart into its tokens; see `Encoder.hidden_states`."""
        prompt = self.spec.prompts[role]
        encoding = self._tokenizer([prompt + item], offsets=True)[0]
        ids = np.asarray(encoding.ids, np.int64)
        unpooled = self.unpooled_states(Prepared({"input_ids": ids}, cost=len(ids)), head)
        return unpooled_text(unpooled, encoding, range(len(ids)), len(prompt))
