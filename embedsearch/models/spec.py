"""What a model declares about itself, and which of it a recipe uses. Loads no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from embedsearch.disk.facts import stored
from embedsearch.distances.metric import Metric
from embedsearch.errors import ModelError, nearest
from embedsearch.modalities import MODALITIES, PROJECTION, UNITS, Reader, modality_of
from embedsearch.models.files import (
    DENSE_FILES,
    ModelFiles,
    content_hashes,
    hash_of,
    tower_length,
)
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Unit

Role = Literal["query", "passage"]
# What sentence-transformers may put together; `Normalize` is the metric's business.
MODULES = {"Transformer", "Pooling", "Dense", "Normalize"}
# Text models whose positions start behind the padding index.
PADDING_FIRST = {"roberta", "xlm-roberta", "camembert", "mpnet", "clap_text_model"}
# sentence-transformers wrote one truth value per mode before it wrote `pooling_mode`
_ST_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """Everything that decides what a vector means, and where the model came from.

    Two specs with one `fingerprint` make the same vectors, whatever the model is called and wherever
    its files lie. `model`, `revision` and `files` are for people and for loading; they are not compared.

    Attributes:
        model: the name, hub id or folder that was asked for.
        revision: the hub commit, or empty.
        unit: what gets a vector of its own.
        pooling: how hidden states become one vector.
        layers: hidden layers averaged; (-1,) is `last_hidden_state`.
        patch_tokens_only: whether CLS and register tokens are left out of an image's mean.
        max_length: longest input in tokens, special tokens included; None for images.
        prompts: text put before a query and before a passage.
        files: sha256 of the weights, configuration, tokenizer and preprocessor files, by role.
        dense: folders of the Dense layers behind the pooling; their content is among `files`.
        metric: the distance that the model declares.
        views: of an image, a name in `embedsearch.recipe.VIEWS`.
        preparation: of an image, see `embedsearch.recipe.PREPARATION`.
        splitter: how texts are split; see `EncoderRecipe.splitter`.
    """

    model: str
    revision: str
    unit: Unit
    pooling: str
    layers: tuple[int, ...]
    patch_tokens_only: bool
    max_length: int | None
    prompts: Mapping[Role, str]
    files: Mapping[str, str]
    dense: tuple[str, ...] = ()
    metric: Metric = Metric.COSINE
    views: str = field(default="auto", metadata=stored(optional=True))
    preparation: int = field(default=1, metadata=stored(optional=True))
    splitter: str = field(default="", metadata=stored(optional=True))

    @property
    def fingerprint(self) -> str:
        """64 hex digits: SHA-256 over the content, without names and places."""
        content = {
            "unit": self.unit,
            "pooling": self.pooling,
            "layers": self.layers,
            "patch_tokens_only": self.patch_tokens_only,
            "max_length": self.max_length,
            "prompts": dict(self.prompts),
            "files": dict(self.files),
            **({"splitter": self.splitter} if self.splitter else {}),
        }
        if self.preparation > 1:  # else it is that of embedsearch 0.6
            content |= {"views": self.views, "preparation": self.preparation}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def make_spec(recipe: EncoderRecipe, files: ModelFiles) -> EncoderSpec:
    """Make every choice that a recipe leaves to the model.

    Raises:
        ModelError: the model can't serve the unit, or the pooling is unknown or not supported.
    """
    modality = modality_of(recipe.unit)
    name = recipe.model or modality.default_model
    if files.row and files.row.package and MODALITIES[files.row.modality].reader is not modality.reader:
        raise ModelError(
            f"{name} reads {files.row.modality}s, and the unit {recipe.unit} needs another model, such as "
            f"{modality.default_model}."
        )
    if not recipe.layers:
        raise ModelError("No hidden layer was named. Use -1 for the last one.")
    pooling, dense = _pooling(recipe, files)
    if pooling == PROJECTION and recipe.layers != (-1,):
        raise ModelError("The pooling projection takes the last hidden layer; leave --layers out.")
    hashes = content_hashes(files, recipe.unit, both=pooling == PROJECTION)
    if dense:
        hashes["dense"] = hash_of(files.folder / folder / each for folder in dense for each in DENSE_FILES)
    return EncoderSpec(
        model=name,
        revision=files.revision,
        unit=recipe.unit,
        pooling=pooling,
        dense=dense,
        layers=recipe.layers,
        patch_tokens_only=recipe.patch_tokens_only,
        max_length=_max_length(files) if modality.reader is Reader.TOKENIZER else None,
        prompts=_prompts(recipe, files),
        files=hashes,
        metric=Metric.COSINE,
        views=recipe.views,
        preparation=recipe.preparation,
        splitter=recipe.splitter,
    )


def _modules(files: ModelFiles, kind: str) -> list[str]:
    """Return the folders of the sentence-transformers modules of one kind, in their order."""
    modules = files.json("modules.json") or []
    return [module["path"] for module in modules if module["type"].rsplit(".", 1)[-1] == kind]


def _pooling(recipe: EncoderRecipe, files: ModelFiles) -> tuple[str, tuple[str, ...]]:
    """Return the pooling, and the folders of the Dense layers behind it.

    A pooling that the model was not trained with is taken alone: its Dense layers belong to the declared one.
    """
    unit = UNITS[recipe.unit]
    allowed = unit.poolings
    if recipe.pooling and recipe.pooling not in allowed:
        raise ModelError(
            f"The pooling {recipe.pooling!r} does not exist for {unit.plural}; there is "
            f"{' or '.join(allowed)}.{nearest(recipe.pooling, allowed)}"
        )
    towers = tower_length(files) is not None
    if recipe.pooling == PROJECTION and not towers:
        name = recipe.model or modality_of(recipe.unit).default_model
        raise ModelError(
            f"{name} has no two towers with projections to compare, as CLIP and SigLIP have; there is "
            f"{' or '.join(set(allowed) - {PROJECTION})}."
        )
    if not unit.declared or towers:
        # other layers, or some of the tokens, have no projection: the mean over them was meant
        projected = PROJECTION in allowed and towers and recipe.layers == (-1,)
        default = PROJECTION if projected and not recipe.patch_tokens_only else allowed[0]
        return recipe.pooling or default, ()
    others = {module["type"].rsplit(".", 1)[-1] for module in files.json("modules.json") or []} - MODULES
    if others and not recipe.pooling:
        raise ModelError(
            f"{recipe.model} has modules that are not supported: {', '.join(sorted(others))}. "
            "Use the vector before them: --pooling cls or --pooling mean."
        )
    for folder in _modules(files, "Pooling"):
        declared = _declared_pooling(files.json(f"{folder}/config.json") or {})
        if recipe.pooling not in ("", declared):
            continue
        if declared not in allowed:
            raise ModelError(
                f"{recipe.model} declares the pooling {declared!r}; supported are "
                f"{' and '.join(allowed[:2])}. Choose one with --pooling."
            )
        return declared, tuple(_modules(files, "Dense"))
    return recipe.pooling or (files.row.pooling if files.row else "cls"), ()


def _declared_pooling(config: dict[str, Any]) -> str:
    if "pooling_mode" in config:
        return str(config["pooling_mode"])
    modes = [mode for flag, mode in _ST_FLAGS.items() if config.get(flag)]
    return "+".join(modes) or "mean"


def _max_length(files: ModelFiles) -> int | None:
    """The model's limit in tokens, special tokens included: the smallest of what its files declare."""
    transformer = files.json("sentence_bert_config.json") or {}
    tokenizer = files.json("tokenizer_config.json") or {}
    config = files.json("config.json") or {}
    config = config.get("text_config", config)
    positions = config.get("max_position_embeddings") or tower_length(files)
    if positions and config.get("model_type") in PADDING_FIRST:
        positions -= config.get("pad_token_id", 1) + 1
    limits = (transformer.get("max_seq_length"), tokenizer.get("model_max_length"), positions)
    # tokenizers write 10^30 for "no limit"
    return min((int(limit) for limit in limits if limit and 0 < limit < 10**6), default=None)


def _prompts(recipe: EncoderRecipe, files: ModelFiles) -> dict[Role, str]:
    """Prompts of sentences; a word's neighbours are its own sentence, so words get none."""
    if not UNITS[recipe.unit].declared:
        return {"query": "", "passage": ""}
    config = files.json("config_sentence_transformers.json") or {}
    declared = config.get("prompts") or {}
    row = files.row
    passage = declared.get("passage") or declared.get("document") or (row.passage_prompt if row else "")
    return {"query": declared.get("query") or (row.query_prompt if row else ""), "passage": passage}
