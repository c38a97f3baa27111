"""What this machine has. Loads no torch."""

from __future__ import annotations

import os
import platform
import sys
from functools import cache
from pathlib import Path


@cache
def cpu_has_bf16() -> bool:
    """Whether the processor multiplies bfloat16 matrices in hardware (AVX-512 BF16 or AMX)."""
    return bool({"avx512_bf16", "amx_bf16"} & set(_cpuinfo("flags").split()))


def processor() -> str:
    """Return the processor's model name, as far as the system says it."""
    return _cpuinfo("model name") or platform.processor()


def _cpuinfo(name: str) -> str:
    """Return what Linux says of the first core under a name; empty where it says nothing."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def may_have_gpu() -> bool:
    """Whether `auto` may mean a GPU here: an NVIDIA device that is not hidden, or a Mac."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return sys.platform == "darwin" or (not hidden and any(Path("/dev").glob("nvidia[0-9]*")))
