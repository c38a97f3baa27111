"""What this machine has. Loads no torch."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path


@cache
def cpu_has_bf16() -> bool:
    """Whether the processor multiplies bfloat16 matrices in hardware (AVX-512 BF16 or AMX)."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.is_file():
        return False
    flags = next((line for line in cpuinfo.read_text().splitlines() if line.startswith("flags")), "")
    return bool({"avx512_bf16", "amx_bf16"} & set(flags.split()))


def may_have_gpu() -> bool:
    """Whether `auto` may mean a GPU here: an NVIDIA device that is not hidden, or a Mac."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return sys.platform == "darwin" or (not hidden and any(Path("/dev").glob("nvidia[0-9]*")))
