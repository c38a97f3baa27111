"""Cross-encoders: a model that reads a query and a text together, and gives how well the text answers."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from embedsearch.errors import ModelError, ModelUnreachableError
from embedsearch.models.files import find_files
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Unit

TOGETHER = 16  # pairs in a batch
LONGEST = 512  # tokens of a pair, where the model names no limit
ENDLESS = 10**6  # a limit that stands for none


class CrossEncoder:
    """A model for sequence classification with one output, or with two of which the second means yes."""

    def __init__(self, folder: Path, name: str) -> None:
        """Load a model and its tokenizer from a folder; see `open_cross_encoder`."""
        import torch
        from safetensors import SafetensorError
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        from embedsearch.encoders.engines.devices import pick_device, quiet_transformers

        self.name, self._lock = name, threading.Lock()
        try:
            with quiet_transformers():
                self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
                model, report = AutoModelForSequenceClassification.from_pretrained(
                    folder,
                    local_files_only=True,
                    dtype=torch.float32,
                    weights_only=True,
                    output_loading_info=True,
                )
        except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
            first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise ModelError(f"transformers can't load the cross-encoder in {folder}: {first}") from error
        if lacking := sorted(report["missing_keys"]):
            raise ModelError(
                f"{name} is no cross-encoder: its weights lack {lacking[0]}, which transformers would fill "
                "with random numbers. Name a model for sequence classification."
            )
        if model.config.num_labels not in (1, 2):
            raise ModelError(
                f"{name} sorts texts into {model.config.num_labels} classes. Re-ranking takes a model with "
                "one output, or with two of which the second means yes."
            )
        self._model = model.to(pick_device("auto")).eval()

    def scores(self, query: str, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return how well each text answers a query, (n,) float32; more is better.

        A pair longer than the model reads is cut at the end of its text.
        """
        import torch

        limit = self._tokenizer.model_max_length
        found = np.empty(len(texts), np.float32)
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))  # little padding
        for start in range(0, len(texts), TOGETHER):
            places = order[start : start + TOGETHER]
            with self._lock, torch.inference_mode():
                inputs = self._tokenizer(
                    [query] * len(places),
                    [texts[at] for at in places],
                    truncation="longest_first",
                    max_length=limit if limit < ENDLESS else LONGEST,
                    padding=True,
                    return_tensors="pt",
                ).to(self._model.device)
                logits = self._model(**inputs).logits.float()  # (B, 1) or (B, 2)
            found[places] = (logits[:, -1] - (logits[:, 0] if logits.shape[1] == 2 else 0)).cpu().numpy()
        return found


@lru_cache(maxsize=2)
def open_cross_encoder(model: str) -> CrossEncoder:
    """Load a cross-encoder, once per process.

    Args:
        model: a hub id, or a folder.

    Raises:
        ModelError: it can't be found or loaded, or is no model for sequence classification of one or two
            outputs.
    """
    try:
        files = find_files(EncoderRecipe(unit=Unit.TEXT, model=model))
    except ModelUnreachableError as error:
        raise ModelUnreachableError(
            f"The cross-encoder {model!r:.80} is not on this machine, and can't be fetched from the hub. "
            "Give its folder, as `save_pretrained` writes it: --rerank /path/to/folder. Re-ranking by tokens "
            "needs no other model: --rerank."
        ) from error
    return CrossEncoder(files.folder, model)
