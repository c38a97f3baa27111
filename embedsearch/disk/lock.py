"""One writer per index at a time."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from embedsearch.errors import IndexBusyError

LOCK_FILE = ".lock"
HOLDER_FILE = ".lock-holder"


@contextlib.contextmanager
def write_lock(folder: Path) -> Iterator[None]:
    """Lock the index `folder` for writing; the system frees the lock if the process dies.

    Raises:
        IndexBusyError: another process holds the lock; the message names the process and since when.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / LOCK_FILE)
    holder = folder / HOLDER_FILE
    try:
        lock.acquire(timeout=0)
    except Timeout:
        who = "unknown"
        with contextlib.suppress(OSError):  # the holder may end now
            who = holder.read_text(encoding="utf-8")
        raise IndexBusyError(
            f"The index {folder.name!r} is being written by another process ({who}). Wait for it to end."
        ) from None
    try:
        with contextlib.suppress(OSError):  # on a full disk; `gc` must run there
            holder.write_text(
                f"pid {os.getpid()}, since {datetime.now():%Y-%m-%d %H:%M:%S}", encoding="utf-8"
            )
        yield
    finally:
        with contextlib.suppress(OSError):
            holder.unlink(missing_ok=True)
        lock.release()


def is_locked(folder: Path) -> bool:
    """Whether a process writes the index `folder`, as far as its note tells; the lock is not touched."""
    import psutil

    with contextlib.suppress(OSError):
        noted = re.match(r"pid (\d+)", (folder / HOLDER_FILE).read_text(encoding="utf-8"))
        return noted is not None and psutil.pid_exists(int(noted[1]))
    return False
