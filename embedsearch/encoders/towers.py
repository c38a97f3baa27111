"""The text tower of a dual encoder: one tower for texts, one for images, one space for both.

CLIP: Radford et al. 2021. SigLIP: Zhai et al. 2023; SigLIP 2: Tschannen et al. 2025. The vector of a text is
what `get_text_features` of transformers gives, that of an image what `get_image_features` gives.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from embedsearch.encoders import Prepared
from embedsearch.encoders.base import ModelEncoder
from embedsearch.encoders.engines import Inputs
from embedsearch.encoders.engines.devices import load_transformer
from embedsearch.encoders.hidden_states import HiddenStates
from embedsearch.encoders.pooling_heads import PoolingHead, TowerPoolingHead
from embedsearch.encoders.text import PROBES, unknown_id, unknown_shares, unknown_text, unpooled_text
from embedsearch.errors import ItemError, ModelError
from embedsearch.models.files import TOKENIZER_FILES, ModelFiles
from embedsearch.models.spec import EncoderSpec, Role
from embedsearch.recipe import EncoderRecipe

# These models were trained on texts padded to their full length, and read the padding too.
PADDED = ("siglip", "siglip2")


class TextTower(ModelEncoder):
    """One vector per text, comparable with those of the images of the same checkpoint."""

    def __init__(self, recipe: EncoderRecipe, spec: EncoderSpec, files: ModelFiles) -> None:
        model: Any = load_transformer(files.folder, whole=True)
        other = "audio_model" if hasattr(model, "audio_model") else "vision_model"
        setattr(model, other, nn.Identity())  # images or sounds are another encoder's
        self._tokenizer = _tokenizer(files)
        self._lock = threading.Lock()
        self._length = int(spec.max_length or 0)
        self._padded = model.config.model_type in PADDED
        super().__init__(recipe, spec, TowerPoolingHead(model, spec), PROBES)
        self.batch_budget = recipe.batch_tokens or self._engine.batch_tokens

    def prepare(self, items: Sequence[Any], role: Role = "passage") -> list[Prepared | ItemError]:
        """Tokenise texts as the checkpoint wants them; see `Encoder.prepare`."""
        prompt = self.spec.prompts[role]
        texts = [prompt + text.encode("utf-8", "replace").decode("utf-8") for text in items]
        if not texts:
            return []
        with self._lock:
            ids = self._tokenizer(texts, truncation=True, max_length=self._length)["input_ids"]
            full = [at for at, each in enumerate(ids) if len(each) == self._length]
            cut = {
                at
                for at in full
                if len(self._tokenizer(texts[at], verbose=False)["input_ids"]) > self._length
            }
            least = len(self._tokenizer(prompt)["input_ids"])
            bare = (unknown_id(self._tokenizer), least, len(prompt))
            unknown = [0.0] * len(texts)  # a slow tokenizer does not say where tokens stand
            if self._tokenizer.is_fast:
                unknown = unknown_shares(texts, ids, bare, self._encoded)
        return [
            unknown_text(self.spec.model)
            if unknown[at] == 1
            else Prepared(
                {"input_ids": np.asarray(each, np.int64)},
                cost=self._length if self._padded else len(each),
                truncated=at in cut,
                unknown=unknown[at],
            )
            for at, each in enumerate(ids)
        ]

    def _encoded(self, texts: list[str]) -> Sequence[Any]:
        """Tokenise texts with offsets; the tokenizer is a fast one."""
        return cast(Sequence[Any], self._tokenizer(texts, truncation=True, max_length=self._length).encodings)

    def unpool(self, item: Any, role: Role, head: PoolingHead) -> HiddenStates:
        """Take a text apart into its tokens; see `Encoder.hidden_states`."""
        if not self._tokenizer.is_fast:
            raise ModelError(
                f"{self.spec.model} has only a slow tokenizer, which does not say where "
                "tokens stand in a text."
            )
        prompt = self.spec.prompts[role]
        with self._lock:
            encoding = self._encoded([prompt + item])[0]
        count = len(encoding.ids)
        prepared = Prepared({"input_ids": np.asarray(encoding.ids, np.int64)}, cost=count)
        inputs = {name: torch.tensor(array) for name, array in self.collate([prepared]).items()}
        with torch.inference_mode():
            unpooled = head.unpooled(**{name: tensor.to(self.device) for name, tensor in inputs.items()})
        first = len(unpooled.rows) - count if self._tokenizer.padding_side == "left" else 0
        rows, weights = unpooled.rows[first : first + count], unpooled.weights[:count]  # without padding
        unpooled = unpooled._replace(rows=rows, weights=weights / weights.sum())
        return unpooled_text(unpooled, encoding, range(count), len(prompt))

    def collate(self, batch: Sequence[Prepared]) -> Inputs:
        """Pad the ids of several texts: (T,) each -> (B, T) int64; see `ModelEncoder.collate`."""
        lengths = [len(item.inputs["input_ids"]) for item in batch]
        width = self._length if self._padded else max(lengths)
        ids = np.full((len(batch), width), self._tokenizer.pad_token_id or 0, np.int64)
        mask = np.zeros_like(ids)
        for row, item, length in zip(range(len(batch)), batch, lengths, strict=True):
            start = width - length if self._tokenizer.padding_side == "left" else 0
            ids[row, start : start + length] = item.inputs["input_ids"]
            mask[row, start : start + length] = 1
        has_mask = "attention_mask" in self._tokenizer.model_input_names
        return {"input_ids": ids, "attention_mask": mask} if has_mask else {"input_ids": ids}


def _tokenizer(files: ModelFiles) -> Any:
    from transformers import AutoTokenizer

    # without any, transformers would make an empty one
    if not any((files.folder / name).is_file() for name in TOKENIZER_FILES):
        raise ModelError(f"{files.folder} has no tokenizer, so its text tower can't be used. Fetch it again.")
    try:
        return AutoTokenizer.from_pretrained(files.folder, local_files_only=True)
    except (OSError, ValueError, KeyError, ImportError, TypeError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"{files.folder} has no tokenizer that transformers can load ({first}), so its text tower can't "
            "be used."
        ) from error
