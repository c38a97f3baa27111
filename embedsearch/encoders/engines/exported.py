"""The models that answer queries without torch: exported once per model and machine, run by OpenVINO.

    CACHE/exported/KEY/model.xml, model.bin   the model, float32
    CACHE/exported/KEY/facts.json             what prepares its inputs, and the checksums of the files
    CACHE/exported/KEY/compiled/              what OpenVINO compiled of it
    CACHE/exported/KEY.lock                   held by the process that writes KEY

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
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from embedsearch import encoders
from embedsearch.disk.cache import cache_folder
from embedsearch.disk.checksums import known_sha256
from embedsearch.encoders.engines import QUERY
from embedsearch.encoders.engines.machine import cpu_has_bf16, may_have_gpu
from embedsearch.encoders.engines.openvino import OpenVinoEngine, rows_of
from embedsearch.encoders.engines.rates import Kind, known_rates
from embedsearch.errors import ModelError
from embedsearch.models.spec import EncoderSpec
from embedsearch.recipe import EncoderRecipe

FORMAT = 3
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
        files: see `Kept`.
    """

    engine: OpenVinoEngine
    dimension: int
    is_transformer: bool
    facts: Mapping[str, Any]
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Facts:
    """What `facts.json` holds.

    Attributes:
        is_transformer: see `Kept`.
        dimension: see `Exported`.
        facts: see `Kept`.
        sha256: of each other file, by name.
        failed: why the model can't be exported; empty where it is.
    """

    is_transformer: bool = False
    dimension: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)
    sha256: Mapping[str, str] = field(default_factory=dict)
    failed: str = ""


def asked(recipe: EncoderRecipe) -> bool:
    """Whether a recipe is of queries that an exported model may answer on this machine."""
    on_cpu = recipe.device == "cpu" or (recipe.device == "auto" and not may_have_gpu())
    return recipe.engine == QUERY and on_cpu and encoders.has_openvino()


def open_exported(recipe: EncoderRecipe, spec: EncoderSpec) -> Exported | None:
    """Return the exported model that answers queries; None where there is none."""
    if not asked(recipe):
        return None
    with _told(spec):
        folder, facts = _folder(spec), _facts(spec)
        if facts.failed:
            return None
        files = {
            name: (folder / name).read_text(encoding="utf-8")
            for name in facts.sha256.keys() - {MODEL, WEIGHTS}
        }
        precision = _precision(recipe.precision, is_transformer=facts.is_transformer)
        engine = OpenVinoEngine(
            folder / MODEL, precision, is_transformer=facts.is_transformer, compiled=folder / COMPILED
        )
        return Exported(engine, facts.dimension, facts.is_transformer, facts.facts, files)
    return None


def open_rows(recipe: EncoderRecipe, spec: EncoderSpec) -> OpenVinoEngine | None:
    """Return what gives the hidden states of an exported model, (B, T, D) float32; None without them."""
    if not asked(recipe):
        return None
    with _told(spec):
        folder, facts = _folder(spec), _facts(spec)
        if facts.failed:
            return None
        return OpenVinoEngine(
            rows_of(folder / MODEL), "fp32", is_transformer=facts.is_transformer, compiled=folder / COMPILED
        )
    return None


@contextlib.contextmanager
def _told(spec: EncoderSpec) -> Iterator[None]:
    """Log what keeps an export from being used; one that is not there is no news."""
    try:
        yield
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ModelError) as error:
        log.info("what was exported of %s can't be used: %s", spec.model, error)


def is_wanted(recipe: EncoderRecipe, spec: EncoderSpec) -> bool:
    """Whether a model should be exported for queries: no whole export is here, and none has failed."""
    try:
        if asked(recipe):
            _facts(spec)
        return False
    except (OSError, ValueError, KeyError, TypeError):
        return True
    except RuntimeError:  # there is no home folder to keep it in
        return False


@contextlib.contextmanager
def exporting(spec: EncoderSpec) -> Iterator[None]:
    """Keep a model from being exported by two processes at a time; the second one waits.

    Raises:
        OSError: there is no cache folder that can be written, or its file system has no locks.
    """
    from filelock import FileLock

    try:
        folder = _folder(spec)
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{folder}.lock")
        lock.acquire()
    except RuntimeError as error:
        raise OSError(str(error)) from error
    try:
        yield
    finally:
        lock.release()


def keep(spec: EncoderSpec, model: Any, dimension: int, kept: Kept) -> None:
    """Write an exported model in one step, within `exporting`.

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
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix="."))
    try:
        openvino.save_model(model, aside / MODEL, compress_to_fp16=False)
        for name, text in kept.files.items():
            (aside / name).write_text(text, encoding="utf-8")
        sha256 = {path.name: known_sha256(path) for path in aside.iterdir()}
        facts = _Facts(kept.is_transformer, dimension, dict(kept.facts), sha256)
        (aside / FACTS).write_text(json.dumps(asdict(facts)), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)  # one that can't be used
        aside.rename(folder)
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
        (folder / FACTS).write_text(json.dumps(asdict(_Facts(failed=why))), encoding="utf-8")


def _facts(spec: EncoderSpec) -> _Facts:
    """Read the facts of an exported model.

    Raises:
        OSError, ValueError, KeyError, TypeError: they or its files are missing or damaged.
    """
    folder = _folder(spec)
    facts = _Facts(**json.loads((folder / FACTS).read_text(encoding="utf-8")))
    if not facts.failed:
        for name in (MODEL, WEIGHTS, *facts.sha256):
            if known_sha256(folder / name) != facts.sha256[name]:
                raise ValueError(f"{name} was altered")
    return facts


def _folder(spec: EncoderSpec) -> Path:
    import openvino

    whole = replace(spec, splitter="")  # the model is the same, however texts are split
    facts = (FORMAT, whole.fingerprint, openvino.__version__, platform.node())
    return cache_folder() / "exported" / hashlib.sha256(repr(facts).encode()).hexdigest()


def _precision(wanted: str, *, is_transformer: bool) -> str:
    """Return the precision in which a query is computed here, where its index was made in `wanted`."""
    if wanted == "fp32" or not is_transformer or not cpu_has_bf16():
        return "fp32"
    known = {each.precision: each.rate for each in known_rates(Kind.ATTENTION) if each.engine == "openvino"}
    return "fp32" if known.get("fp32", 0.0) > known.get("bf16", 1.0) else "bf16"
