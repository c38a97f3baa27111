"""Builds that are read from a server, which keeps their vectors, into folders of this machine."""

from __future__ import annotations

import shutil
from pathlib import Path

from embedsearch.backends import elsewhere_at
from embedsearch.disk.lock import write_lock
from embedsearch.errors import RecipeError
from embedsearch.recipe import RECIPE_FILE, check_name
from embedsearch.store.manifest import BUILDS, CURRENT, NOT_READ

KEPT = 2  # builds; the one before may be open still


def is_fetched(build: Path) -> bool:
    """Whether the build in a folder was read from a server: what readers do without is not there."""
    return not any((build / name).exists() for name in NOT_READ)


def fetch_into(indexes: Path, address: str) -> Path:
    """Bring `indexes/NAME` up to date with an index on a server, and return the folder of its current build.

    Args:
        indexes: a folder of indexes.
        address: of the index, such as milvus://host/name.

    Raises:
        RecipeError: it is no such address, its items are not on the server, or an index of that name was
            built in `indexes`.
        IndexNotFoundError, ServerError: the server has no such index, or does not answer.
        IndexBusyError: another process writes it.
    """
    server = elsewhere_at(address)
    folder = indexes / check_name(server.name_at(address))
    if (folder / RECIPE_FILE).exists():
        raise RecipeError(
            f"{folder} holds an index that was built there. Fetch {address} into another folder, with "
            "--indexes."
        )
    folder.mkdir(parents=True, exist_ok=True)
    with write_lock(folder):
        build = server.fetch(address, folder / BUILDS)
        aside = folder / f".{CURRENT}.fetched"
        aside.write_text(f"{build.name}\n", encoding="utf-8")
        aside.replace(folder / CURRENT)
        others = [each for each in (folder / BUILDS).glob("[!.]*") if each != build]
        for old in sorted(others, key=lambda each: each.stat().st_mtime)[: -KEPT + 1]:
            shutil.rmtree(old)
    return build
