"""Which folders are indexes, and which build of one is current."""

from __future__ import annotations

import os
import re
from pathlib import Path

from embedsearch.disk.paths import expanded
from embedsearch.errors import IndexDamagedError, IndexNotFoundError, nearest
from embedsearch.recipe import RECIPE_FILE, check_name
from embedsearch.store.manifest import BUILDS, CURRENT, MANIFEST, mend

STOPPED = "stopped.txt"  # why a first build came to nothing, until the next one begins
BUILD_RULE = re.compile(r"[\w-]{1,99}")


def indexes_folder(folder: str | Path | None = None) -> Path:
    """Return the folder that holds the indexes: `folder`, else $EMBEDSEARCH_INDEXES, else ./indexes."""
    return expanded(folder or os.environ.get("EMBEDSEARCH_INDEXES") or "indexes").resolve()


def list_names(indexes: Path) -> list[str]:
    """Return the names of the published indexes in the folder `indexes`, sorted."""
    if not indexes.is_dir():
        return []
    return sorted(folder.name for folder in indexes.iterdir() if is_published(folder))


def is_published(folder: Path) -> bool:
    """Whether an index in `folder` was ever published; its pointer may have been lost since."""
    return (folder / CURRENT).is_file() or any(folder.glob(f"{BUILDS}/[!.]*/{MANIFEST}"))


def current_id(folder: Path) -> str:
    """Return the id of the current build of the index in `folder`; empty for none, or a damaged one."""
    try:
        return current_build(folder).name
    except IndexDamagedError:
        return ""


def index_folder(indexes: Path, name: str) -> Path:
    """Return the folder of a published index.

    Raises:
        RecipeError: `name` can't be an index's name.
        IndexNotFoundError: there is none; the nearest name is suggested.
    """
    folder = indexes / check_name(name)
    if not is_published(folder):
        names = list_names(indexes)
        has = f"it holds {', '.join(names)}" if names else "it holds none"
        unfinished = ""
        if (folder / RECIPE_FILE).is_file():
            why = why_stopped(folder)
            ended = f"stopped: {why} When that is mended" if why else "was never finished"
            unfinished = f" Its first build {ended}: embedsearch rebuild {name}."
        raise IndexNotFoundError(
            f"There is no index {name!r} in {indexes} ({has}).{nearest(name, names)}{unfinished}"
        )
    return folder


def unfinished_names(indexes: Path) -> list[str]:
    """Return the names of indexes whose first build was never finished, sorted."""
    if not indexes.is_dir():
        return []
    folders = (each for each in indexes.iterdir() if not each.name.startswith("."))
    return sorted(each.name for each in folders if (each / RECIPE_FILE).is_file() and not is_published(each))


def why_stopped(folder: Path) -> str:
    """Return why the first build of the index in `folder` stopped, sentences; empty where it was killed."""
    file = folder / STOPPED
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def current_build(folder: Path) -> Path:
    """Return the folder of the current build of the index in `folder`.

    Raises:
        IndexDamagedError: `current` names no build.
    """
    check_pointer(folder)
    try:
        text = (folder / CURRENT).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        text = ""
    build = folder / BUILDS / text
    if not BUILD_RULE.fullmatch(text) or not build.is_dir():
        raise IndexDamagedError(
            f"{folder / CURRENT} names the build {text[:60]!r}, which does not exist. {mend(folder)}"
        )
    return build


def check_pointer(folder: Path) -> None:
    """Check that `current` is no folder.

    Raises:
        IndexDamagedError: it is.
    """
    if (folder / CURRENT).is_dir():
        raise IndexDamagedError(
            f"{folder / CURRENT} is a folder, where one line was expected. Move that folder away, "
            f"then make a build current: embedsearch rollback {folder.name}, or rebuild {folder.name}"
        )
