"""Cross-encoders: a model that reads a query and a text together, and gives how well the text answers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from embedsearch.encoders import Prepared
from embedsearch.encoders.engines import QUERY, Engine
from embedsearch.encoders.engines.exported import Kept, open_exported
from embedsearch.encoders.text import PROBES, TOKENIZER, Padding, Tokenizer
from embedsearch.errors import ModelError, ModelUnreachableError
from embedsearch.models.files import ModelFiles, content_hashes, find_files
from embedsearch.models.spec import EncoderSpec
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Unit

if TYPE_CHECKING:
    from embedsearch.encoders.pooling_heads import PairHead

TOGETHER = 16  # pairs in a batch
LONGEST = 512  # tokens of a pair, where the model names no limit
ENDLESS = 10**6  # a limit that stands for none


class CrossEncoder:
    """A model for sequence classification with one output, or with two of which the second means yes.

    On a CPU it is exported for OpenVINO by the first process that uses it, as the models of queries are.
    """

    def __init__(self, files: ModelFiles, name: str) -> None:
        """Load a model and its tokenizer; see `open_cross_encoder`."""
        self.name = name
        recipe = EncoderRecipe(Unit.TEXT, name, precision="fp32", engine=QUERY)
        spec = EncoderSpec(
            name, files.revision, Unit.TEXT, "pair", (-1,), False, None, {}, content_hashes(files, Unit.TEXT)
        )
        self._engine: Engine
        exported = open_exported(recipe, spec)
        if exported is not None:
            self._tokenizer, self._engine = Tokenizer.kept(exported), exported.engine
            return
        self._tokenizer, head = _load(files, spec)
        from embedsearch.encoders.engines.devices import pick_device
        from embedsearch.encoders.engines.export import export
        from embedsearch.encoders.engines.torch import TorchEngine

        kept = Kept(head.is_transformer, self._tokenizer.facts, {TOKENIZER: self._tokenizer.as_json()})
        pairs = [self._pairs(PROBES[0], PROBES), self._pairs(PROBES[2], PROBES[:1])]
        exported = export(
            head, recipe, spec, [self._tokenizer.padding(each, 1, None) for each in pairs], kept
        )
        self._engine = exported.engine if exported else TorchEngine(head, pick_device("auto"), "fp32")

    def _pairs(self, query: str, texts: Sequence[str]) -> list[Prepared]:
        """Return the tokens of a query and each text together."""
        return [
            Prepared(
                {"input_ids": np.array(each.ids), "token_type_ids": np.array(each.type_ids)}, len(each.ids)
            )
            for each in self._tokenizer.pairs(query, texts)
        ]

    def scores(self, query: str, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return how well each text answers a query, (n,) float32; more is better.

        A pair longer than the model reads is cut where the longer of both ends.
        """
        found = np.empty(len(texts), np.float32)
        pairs = self._pairs(query, texts)
        order = sorted(range(len(pairs)), key=lambda at: pairs[at].cost)  # little padding
        for start in range(0, len(pairs), TOGETHER):
            places = order[start : start + TOGETHER]
            batch = [pairs[at] for at in places]
            inputs = self._tokenizer.padding(batch, self._engine.length_step, self._tokenizer.limit)
            found[places] = self._engine.start(inputs)()[:, 0]  # (B, 1) -> (B,)
        return found


def _load(files: ModelFiles, spec: EncoderSpec) -> tuple[Tokenizer, PairHead]:
    """Load the tokenizer and the model with transformers; errors as `open_cross_encoder`."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from embedsearch.encoders.engines.devices import quiet_transformers
    from embedsearch.encoders.pooling_heads import PairHead

    folder, name = files.folder, spec.model
    try:
        with quiet_transformers():
            loaded = AutoTokenizer.from_pretrained(folder, local_files_only=True)
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
    if not loaded.is_fast:
        raise ModelError(f"{name} has only a slow tokenizer; save its fast form (tokenizer.json).")
    names, limit = loaded.model_input_names, loaded.model_max_length
    padding = Padding(
        loaded.pad_token_id or 0,
        has_types="token_type_ids" in names,
        has_mask="attention_mask" in names,
        left=loaded.padding_side == "left",
    )
    return Tokenizer.of(loaded, limit if limit < ENDLESS else LONGEST, padding), PairHead(model, spec)


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
    return CrossEncoder(files, model)
