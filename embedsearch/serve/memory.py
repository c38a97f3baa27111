"""What keeps the memory of a server level, which many threads ask for texts of all lengths."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress

# With a heap for each thread, no other reuses what one frees. And oneDNN keeps code for up to 1,024 shapes of
# batches, 1 MB each in bf16.
MEMORY = {
    "MALLOC_ARENA_MAX": "2",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "32",
    "LRU_CACHE_CAPACITY": "32",  # the same of the layer between torch and oneDNN
}
_ARENAS = -8  # M_ARENA_MAX of glibc, which has read its variable when this process began


def keep_level() -> None:
    """Set them for this process; to be called before torch and Arrow are imported."""
    for name, value in MEMORY.items():
        os.environ.setdefault(name, value)
    with suppress(OSError, AttributeError, ValueError):  # another C library, or no number is set
        ctypes.CDLL(None).mallopt(_ARENAS, int(os.environ["MALLOC_ARENA_MAX"]))
