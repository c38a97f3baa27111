"""A second name for a file."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def link_or_copy(path: Path, target: Path) -> None:
    """Give a file a second name, without a copy where the file system has such links."""
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)
