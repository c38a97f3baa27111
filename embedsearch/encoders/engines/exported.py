"""The models that answer queries without torch: exported once per model and machine, run by OpenVINO.

    CACHE/exported/KEY/model.xml, model.bin   the model, float32
    CACHE/exported/KEY/facts.json             what prepares its inputs, and the sizes of the files
    CACHE/exported/KEY/compiled/              what OpenVINO compiled of it

`export` writes them. Where a model can't be exported, `facts.json` alone says why, and torch answers.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import platform
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedsearch import encoders
from embedsearch.disk.cache import cache_folder
from embedsearch.encoders.engines import QUERY
from embedsearch.encoders.engines.machine import cpu_has_bf16, may_have_gpu
from embedsearch.encoders.engines.openvino import OpenVinoEngine
from embedsearch.encoders.engines.rates import Kind, known_rates
from embedsearch.errors import ModelError
from embedsearch.models.spec import EncoderSpec
from embedsearch.recipe import EncoderRecipe

FORMAT = 1
MODEL, WEIGHTS, FACTS, COMPILED = "model.xml", "model.bin", "facts.json", "compiled"

log = logging.getLogger("embedsearch")


@dataclass(frozen=True, slots=True)
class Kept:
    """What prepares the inputs of an exported model.

    Attributes:
        is_transformer: whether the model is made of attention, and not of convolutions.
        facts: JSON values of the encoder's family.
        files: text files beside them, by name.
    """

    is_transformer: bool
    facts: Mapping[str, Any]
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Exported:
    """An exported model, opened.

    Attributes:
        engine: runs it.
        dimension: numbers in a vector.
        is_transformer: see `Kept`.
        facts: see `Kept`.
        folder: where the files are.
    """

    engine: OpenVinoEngine
    dimension: int
    is_transformer: bool
    facts: Mapping[str, Any]
    folder: Path


def asked(recipe: EncoderRecipe) -> bool:
    """Whether a recipe is of queries that an exported model may answer on this machine."""
    on_cpu = recipe.device == "cpu" or (recipe.device == "auto" and not may_have_gpu())
    return recipe.engine == QUERY and on_cpu and encoders.has_openvino()


def open_exported(recipe: EncoderRecipe, spec: EncoderSpec) -> Exported | None:
    """Return the exported model that answers queries; None where there is none."""
    if not asked(recipe):
        return None
    try:
        folder = _folder(spec)
        facts = _facts(spec)
        if "failed" in facts:
            return None
        if any((folder / name).stat().st_size != size for name, size in facts["sizes"].items()):
            raise ModelError("a file was truncated")
        precision = _precision(recipe.precision, is_transformer=facts["is_transformer"])
        engine = OpenVinoEngine(
            folder / MODEL, precision, is_transformer=facts["is_transformer"], compiled=folder / COMPILED
        )
        return Exported(engine, facts["dimension"], facts["is_transformer"], facts["facts"], folder)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ModelError) as error:
        log.info("what was exported of %s can't be used: %s", spec.model, error)
        return None


def is_wanted(recipe: EncoderRecipe, spec: EncoderSpec) -> bool:
    """Whether a model should be exported for queries: it was neither exported here, nor has that failed."""
    try:
        return asked(recipe) and not (_folder(spec) / FACTS).is_file()
    except RuntimeError:  # there is no home folder to keep it in
        return False


def can_be_exported(recipe: EncoderRecipe, spec: EncoderSpec) -> bool:
    """Whether a model may be exported, also in place of one that can't be used: that has not failed here."""
    try:
        return asked(recipe) and "failed" not in _facts(spec)
    except (OSError, ValueError):
        return True
    except RuntimeError:
        return False


def keep(spec: EncoderSpec, model: Any, dimension: int, kept: Kept) -> None:
    """Write an exported model in one step, also where another process writes it.

    Args:
        spec: of its vectors.
        model: an `openvino.Model`, float32.
        dimension: numbers in a vector.
        kept: what prepares its inputs.

    Raises:
        OSError: it can't be written.
    """
    import openvino

    folder = _folder(spec)
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix="."))
    try:
        openvino.save_model(model, aside / MODEL, compress_to_fp16=False)
        for name, text in kept.files.items():
            (aside / name).write_text(text, encoding="utf-8")
        facts = {
            "is_transformer": kept.is_transformer,
            "dimension": dimension,
            "facts": dict(kept.facts),
            "sizes": {path.name: path.stat().st_size for path in aside.iterdir()},
        }
        (aside / FACTS).write_text(json.dumps(facts), encoding="utf-8")
        _replace(aside, folder)
    except RuntimeError as error:  # of OpenVINO, which can't write
        raise OSError(str(error)) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def refuse(spec: EncoderSpec, why: str) -> None:
    """Note that a model can't be exported on this machine, so that it is not tried again."""
    with contextlib.suppress(OSError):
        folder = _folder(spec)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FACTS).write_text(json.dumps({"failed": why}), encoding="utf-8")


def _facts(spec: EncoderSpec) -> dict[str, Any]:
    facts = json.loads((_folder(spec) / FACTS).read_text(encoding="utf-8"))
    if not isinstance(facts, dict):
        raise ValueError(f"{FACTS} holds no object")
    return facts


def _replace(aside: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)  # one that can't be used
    try:
        aside.rename(folder)
    except OSError:
        if not (folder / FACTS).is_file():  # another process was first
            raise


def _folder(spec: EncoderSpec) -> Path:
    import openvino

    facts = (FORMAT, spec.fingerprint, openvino.__version__, platform.node())
    return cache_folder() / "exported" / hashlib.sha256(repr(facts).encode()).hexdigest()


def _precision(wanted: str, *, is_transformer: bool) -> str:
    """Return the precision in which a query is computed here, where its index was made in `wanted`."""
    if wanted == "fp32" or not is_transformer or not cpu_has_bf16():
        return "fp32"
    known = {each.precision: each.rate for each in known_rates(Kind.ATTENTION) if each.engine == "openvino"}
    return "fp32" if known.get("fp32", 0.0) > known.get("bf16", 1.0) else "bf16"
