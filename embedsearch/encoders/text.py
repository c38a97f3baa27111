"""Texts: the [CLS] position or the masked mean of a BERT-family encoder's last hidden state."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from embedsearch.encoders import EncoderSpec, Prepared, Role
from embedsearch.encoders.base import TorchEncoder
from embedsearch.encoders.files import ModelFiles
from embedsearch.encoders.pooling import cls_position, masked_mean
from embedsearch.encoders.runtime import load_transformer
from embedsearch.errors import ItemError, ModelError
from embedsearch.recipe import EncoderRecipe


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
            offsets: whether the spans of the tokens are asked for, which takes longer.
        """
        texts = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        with self._lock:
            return list(
                self._backend.encode_batch(texts) if offsets else self._backend.encode_batch_fast(texts)
            )

    def pad(self, batch: Sequence[Prepared]) -> dict[str, np.ndarray[Any, Any]]:
        """Pad the ids of several texts to the longest on the right: (T,) each -> (B, T) int64."""
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


class TextModel(TorchEncoder):
    """A text transformer with its tokenizer; what texts and words share."""

    def __init__(self, recipe: EncoderRecipe, spec: EncoderSpec, files: ModelFiles) -> None:
        model = load_transformer(files.folder)
        hidden_size = getattr(model.config, "hidden_size", None)
        if hidden_size is None or getattr(model.config, "is_encoder_decoder", False):
            raise ModelError(
                f"{spec.model} is no text encoder of the BERT family: no last_hidden_state to read."
            )
        super().__init__(recipe, spec, model)
        self.dimension = int(hidden_size)
        self._tokenizer = Tokenizer(files, spec.max_length)
        # Measured on two cores: under 4,096 tokens the batch is too small, over 16,384 it leaves the cache.
        self.batch_budget = recipe.batch_tokens or (8192 if self.device == "cpu" else 65536)

    def _states(self, batch: Sequence[Prepared]) -> tuple[Tensor, Tensor]:
        """Return hidden states (B, T, D) and the attention mask (B, T)."""
        padded = self._tokenizer.pad(batch)
        inputs = {name: self._put(array) for name, array in padded.items()}
        mask = inputs["attention_mask"]
        if padded["attention_mask"].all():
            del inputs["attention_mask"]  # without padding, attention runs unmasked, which is faster
        return self._hidden(inputs), mask


class TextEncoder(TextModel):
    """One vector per text."""

    def prepare(self, items: Sequence[Any], role: Role = "passage") -> list[Prepared | ItemError]:
        """Tokenise texts, the role's prompt in front; see `Encoder.prepare`."""
        prompt = self.spec.prompts[role]
        encodings = self._tokenizer([prompt + text for text in items], offsets=False)
        return [
            Prepared(
                {"input_ids": np.asarray(encoding.ids, np.int64)},
                cost=len(encoding.ids),
                truncated=bool(encoding.overflowing),
            )
            for encoding in encodings
        ]

    def _vectors(self, batch: Sequence[Prepared]) -> Tensor:
        """Pool each text's hidden states into its vector, (n, d) float32."""
        hidden, mask = self._states(batch)
        # (B, T, D) -> (B, D)
        return cls_position(hidden) if self.spec.pooling == "cls" else masked_mean(hidden, mask)
