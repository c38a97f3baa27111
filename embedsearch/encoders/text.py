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
from embedsearch.metrics import Vectors
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
        self._max_length = max_length
        self._lock = threading.Lock()
        self.pad_id: int = self._tokenizer.pad_token_id or 0
        self.names: list[str] = [
            name
            for name in self._tokenizer.model_input_names
            if name in {"input_ids", "attention_mask", "token_type_ids"}
        ]

    def __call__(self, texts: Sequence[str]) -> list[Any]:
        """Return one `tokenizers.Encoding` per text, cut at the model's limit."""
        if not texts:
            return []
        with self._lock:
            batch = self._tokenizer(
                list(texts), truncation=self._max_length is not None, max_length=self._max_length
            )
        return list(batch.encodings)

    def arrays(self, encoding: Any) -> dict[str, np.ndarray[Any, Any]]:
        """Return the model's inputs of one text: int64 arrays (T,)."""
        columns = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
        return {name: np.asarray(getattr(encoding, columns[name]), np.int64) for name in self.names}

    def pad(self, batch: Sequence[Prepared]) -> dict[str, np.ndarray[Any, Any]]:
        """Pad the inputs of several texts to the longest on the right: (T,) each -> (B, T)."""
        length = max(len(item.inputs["input_ids"]) for item in batch)
        padded = {}
        for name in self.names:
            filler = self.pad_id if name == "input_ids" else 0
            rows = np.full((len(batch), length), filler, np.int64)
            for row, item in zip(rows, batch, strict=True):
                row[: len(item.inputs[name])] = item.inputs[name]
            padded[name] = rows
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
        inputs = {name: self._put(array) for name, array in self._tokenizer.pad(batch).items()}
        return self._hidden(inputs), inputs["attention_mask"]


class TextEncoder(TextModel):
    """One vector per text."""

    def prepare(self, items: Sequence[Any], role: Role = "passage") -> list[Prepared | ItemError]:
        """Tokenise texts, the role's prompt in front; see `Encoder.prepare`."""
        prompt = self.spec.prompts[role]
        encodings = self._tokenizer([prompt + text for text in items])
        return [
            Prepared(
                self._tokenizer.arrays(encoding), cost=len(encoding.ids), truncated=bool(encoding.overflowing)
            )
            for encoding in encodings
        ]

    def forward(self, batch: Sequence[Prepared]) -> Vectors:
        """Pool each text's hidden states into its vector, (n, d) float32."""
        hidden, mask = self._states(batch)
        pooled = cls_position(hidden) if self.spec.pooling == "cls" else masked_mean(hidden, mask)
        return pooled.cpu().numpy()  # (B, T, D) -> (B, D)
