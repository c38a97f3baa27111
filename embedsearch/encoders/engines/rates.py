"""How fast each engine computes in each precision on this machine's CPU: measured once, and kept.

What a processor says of itself does not tell: with the same flags bfloat16 is half as fast as float32 on one,
and twice as fast on another. Loads no torch, unless it has to be measured.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path

from embedsearch import encoders
from embedsearch.disk.cache import cache_folder
from embedsearch.encoders.engines.machine import processor

LENGTH = 64  # tokens in a text
SIDE = 260  # pixels of an image


class Kind(StrEnum):
    """What a model is made of."""

    ATTENTION = "attention"
    CONVOLUTIONS = "convolutions"


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast an engine computes in a precision.

    Attributes:
        engine: `torch` or `openvino`.
        precision: `fp32` or `bf16`.
        rate: items a second through a small model of the kind: texts of `LENGTH` tokens, or images of `SIDE`
            pixels a side.
    """

    engine: str
    precision: str
    rate: float


def rates(kind: Kind) -> list[Rate]:
    """Return the rates of models of a kind on this machine, the highest first; the first call measures."""
    if known := known_rates(kind):
        return known
    from embedsearch.encoders.engines.measure import measured

    found = sorted(measured(kind), key=lambda each: -each.rate)
    with suppress(OSError, RuntimeError):  # without a cache they are measured again
        path = _file(kind)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps([[each.engine, each.precision, round(each.rate, 1)] for each in found])
        path.write_text(text, encoding="utf-8")
    return found


def known_rates(kind: Kind) -> list[Rate]:
    """Return the rates that were measured on this machine, the highest first; none before."""
    with suppress(OSError, RuntimeError, ValueError, TypeError):
        return [Rate(*each) for each in json.loads(_file(kind).read_text(encoding="utf-8"))]
    return []


def _file(kind: Kind) -> Path:
    engines = [version("torch"), version("openvino") if encoders.has_openvino() else ""]
    cores = [os.cpu_count(), os.environ.get("OMP_NUM_THREADS", "")]
    facts = (kind, platform.node(), platform.machine(), processor(), *cores, *engines)
    return cache_folder() / "rates" / f"{hashlib.sha256(repr(facts).encode()).hexdigest()}.json"
