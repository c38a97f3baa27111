"""Which build of an index is current: publish, go back, delete. Most callers hold the write lock.

To publish is four steps: the name of the new build is written beside `current`, its folder takes its place
under `builds/`, its recipe replaces `recipe.toml`, and the name replaces `current`. A run that is killed
between two of them leaves a whole build, and the next writer completes the steps.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from embedsearch.backends import Elsewhere, elsewhere_class, is_elsewhere
from embedsearch.disk.checksums import note
from embedsearch.disk.lock import write_lock
from embedsearch.errors import EmbedsearchError, IndexDamagedError, RecipeError, ServerError, nearest
from embedsearch.recipe import RECIPE_FILE, Recipe, check_name
from embedsearch.store.build import Build
from embedsearch.store.fetched import is_fetched
from embedsearch.store.folders import BUILD_RULE, check_pointer, current_build, current_id, index_folder
from embedsearch.store.manifest import (
    BUILDS,
    CURRENT,
    INDEX,
    ITEMS,
    MANIFEST,
    NOT_READ,
    VECTORS,
    Manifest,
)

COMING = f".{CURRENT}.new"
ASIDE, STAGING = ".new-", ".staging"
# what to reach a server may raise that stays away; a missing package or a busy file can be put right
_SERVER_GONE = (IndexDamagedError, RecipeError, ServerError)


def publish(folder: Path, aside: Path, build: str, recipe: Recipe) -> Path:
    """Publish the finished build in `aside` as `build`, and keep as many builds as the recipe says.

    The build that was current before is kept.
    """
    before = folder / BUILDS / (current_id(folder) or ASIDE)
    target = folder / BUILDS / build
    _write(folder / COMING, build)
    _sync(aside)
    aside.replace(target)
    _sync(folder / BUILDS)
    _make_current(folder, recipe)
    for name, facts in Manifest.load(target).files.items():
        note(target / name, facts.sha256)
    _delete(folder, _surplus(folder, recipe.index.keep, before if _is_whole(before) else None))
    return target


def recover(folder: Path) -> None:
    """Complete or undo what a killed writer began, and delete builds that were not finished.

    Raises:
        IndexDamagedError: a folder is in the place of `current`.
    """
    check_pointer(folder)
    coming = folder / COMING
    if coming.is_file():
        if build := _named_build(folder, coming):
            _make_current(folder, replace(build.recipe, name=folder.name))
        else:
            coming.unlink()
    for left in (folder / BUILDS).glob(f"{ASIDE}*"):
        shutil.rmtree(left)


def settle(folder: Path) -> None:
    """Do as `recover` where a killed writer had begun to publish, so that the recipe is the new build's.

    Raises:
        IndexBusyError: the writer is alive.
    """
    if (folder / COMING).is_file():
        with write_lock(folder):
            recover(folder)


def builds_of(folder: Path) -> list[Path]:
    """Return the folders of the builds of an index, oldest first."""
    builds = folder / BUILDS
    found = builds.iterdir() if builds.is_dir() else ()
    return sorted(path for path in found if not path.name.startswith(".") and path.is_dir())


def roll_back(indexes: Path, name: str, to: str = "") -> Build:
    """Make an earlier build of the index `name` the current one, with its recipe.

    Args:
        indexes: the folder of indexes.
        name: the index's name.
        to: the id of the build; without it the newest whole one before the current one.

    Raises:
        RecipeError: there is no such build, or none before the current one.
        IndexDamagedError: the build asked for is damaged.
        IndexNotFoundError, IndexBusyError: as `index_folder`, `write_lock`.
    """
    folder = index_folder(indexes, name)
    with write_lock(folder):
        recover(folder)
        build = _earlier(folder, to)
        _write(folder / COMING, build.folder.name)
        _make_current(folder, replace(build.manifest.recipe, name=name))
    return build


def _earlier(folder: Path, to: str) -> Build:
    builds = builds_of(folder)
    names = [build.name for build in builds]
    if to:
        if to not in names:
            raise RecipeError(
                f"The index {folder.name!r} has no build {to!r}; it has {', '.join(names)}."
                + nearest(to, names)
            )
        return Build(folder / BUILDS / to)
    current = current_id(folder)
    if current:
        earlier = [build for build in builds if build.name < current]
        with contextlib.suppress(IndexDamagedError):  # what it was made after comes first
            last = folder / BUILDS / Manifest.load(folder / BUILDS / current).before
            earlier = sorted(earlier, key=lambda build: build == last)
    else:  # `current` is damaged: any build is better than none
        earlier = builds
    for build in reversed(earlier):
        try:
            return Build(build)
        except IndexDamagedError:
            continue
    raise RecipeError(
        f"The index {folder.name!r} has no undamaged build before {current or 'this'!r} to go back to. "
        f"Build it again: embedsearch rebuild {folder.name}"
    )


def verify_builds(indexes: Path, name: str) -> list[tuple[str, str]]:
    """Read every file of every build of the index `name`.

    Returns:
        Each build's id and what is wrong with it; empty where it is whole.

    Raises:
        IndexNotFoundError, RecipeError: as `index_folder`.
    """
    folder = index_folder(indexes, name)
    found = []
    try:
        current_build(folder)
    except IndexDamagedError as error:
        found.append((CURRENT, str(error)))
    for build in builds_of(folder):
        try:
            Build(build, whole=True)
        except IndexDamagedError as error:
            if build.is_dir():  # else it is no longer kept, since this moment
                found.append((build.name, str(error)))
        else:
            found.append((build.name, ""))
    return found


@dataclass(slots=True)
class Freed:
    """What was deleted: folders, and their bytes together."""

    folders: list[Path] = field(default_factory=list)
    bytes: int = 0


def collect(indexes: Path, name: str, keep: int | None = None, *, unfinished: bool = False) -> Freed:
    """Delete builds of the index `name` that are no longer kept.

    Args:
        indexes: the folder of indexes.
        name: the index's name.
        keep: how many builds stay, the current one among them; as the recipe says without it.
        unfinished: whether the work of an interrupted run is deleted too; else the next run resumes it.

    Raises:
        IndexNotFoundError, IndexBusyError, RecipeError: as `index_folder`, `write_lock`, `Recipe.load`.
    """
    folder = index_folder(indexes, name)
    with write_lock(folder):
        recover(folder)
        gone = _surplus(folder, Recipe.load(folder).index.keep if keep is None else keep, None)
        if unfinished and (folder / BUILDS / STAGING).is_dir():
            gone.append(folder / BUILDS / STAGING)
        _reach(gone)
        freed = Freed(gone, _held_alone(gone))
        _delete(folder, gone)
    return freed


def remove(indexes: Path, name: str) -> Path:
    """Delete the index `name`, finished or not, and return the folder that held it.

    Raises:
        RecipeError, IndexNotFoundError: as `index_folder`.
        IndexBusyError: another process is writing it.
    """
    folder = indexes / check_name(name)
    if not (folder / RECIPE_FILE).is_file():
        folder = index_folder(indexes, name)
    with write_lock(folder):
        _reach(builds_of(folder))
        if not (folder / CURRENT).is_dir():
            (folder / CURRENT).unlink(missing_ok=True)  # first, so that no reader finds half of it
        _delete(folder, builds_of(folder))
        _sweep(folder)
        shutil.rmtree(folder)
    return folder


def _surplus(folder: Path, keep: int, before: Path | None) -> list[Path]:
    """Return the builds beyond the `keep` newest; the current one and the one `before` it count as newest.

    Where all of these hold the same items, for only artifacts were made again, one more stays: there is to be
    something to go back to.
    """
    try:
        current = current_build(folder)
    except EmbedsearchError:
        return []  # which one is good is not known
    newest = sorted(builds_of(folder), key=_is_whole)[::-1]  # damaged ones last
    order = list(dict.fromkeys([current, *([before] if before else []), *newest]))
    kept, rest = order[: max(1, keep)], order[max(1, keep) :]
    if len(kept) > 1 and len({_content(build) for build in kept}) == 1:
        spare = next(
            (build for build in rest if _is_whole(build) and _content(build) != _content(kept[0])), None
        )
        rest = [build for build in rest if build != spare]
    return rest


def _content(build: Path) -> tuple[str, ...]:
    """Return what tells builds of other items or vectors apart."""
    try:
        files = Manifest.load(build).files
    except IndexDamagedError:
        return (build.name,)
    return tuple(files[name].sha256 for name in (ITEMS, VECTORS) if name in files)


def _is_whole(build: Path) -> bool:
    try:
        Build(build)
    except IndexDamagedError:
        return False
    return True


def _make_current(folder: Path, recipe: Recipe) -> None:
    """Make the coming build, which `recipe` made, the current one; first where a server keeps it."""
    recipe.save(folder)
    _publish_elsewhere(folder)
    (folder / COMING).replace(folder / CURRENT)
    _sync(folder)


def _publish_elsewhere(folder: Path) -> None:
    """Make the coming build the current one on its server; withdraw the current one where that has none."""
    coming = folder / BUILDS / (folder / COMING).read_text(encoding="utf-8").strip()
    manifest = Manifest.load(coming)
    if is_fetched(coming):
        return
    if is_elsewhere(manifest.backend):
        remote = manifest.recipe.index.items == "remote"
        names = sorted(manifest.files.keys() - NOT_READ) if remote else []
        files = [coming / name for name in (*names, MANIFEST)]
        elsewhere_class(manifest.backend).publish(coming / INDEX, files)
    elif server := _server_of(current := folder / BUILDS / (current_id(folder) or ASIDE)):
        with contextlib.suppress(*_SERVER_GONE):  # a server that is gone finds nothing either
            server.withdraw(current / INDEX)


def _server_of(build: Path) -> type[Elsewhere] | None:
    """Return the class that keeps the vectors of a build on a server; None where they are in files.

    None too of a build that was fetched: what its server does is not for its readers to say.
    """
    if is_fetched(build):
        return None
    try:
        kind = Manifest.load(build).backend
    except IndexDamagedError:
        return None
    return elsewhere_class(kind) if is_elsewhere(kind) else None


def _held_alone(folders: Sequence[Path]) -> int:
    """Return the bytes of files that have no name outside of some folders; builds may share shards."""
    names: dict[tuple[int, int], list[os.stat_result]] = {}
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file():
                facts = path.stat()
                names.setdefault((facts.st_dev, facts.st_ino), []).append(facts)
    return sum(found[0].st_size for found in names.values() if found[0].st_nlink <= len(found))


def _reach(gone: Sequence[Path]) -> None:
    """Check that the servers of builds that are to be deleted can be asked, before anything is changed.

    Raises:
        MissingExtraError: what speaks to a server is not installed.
        IndexBusyError: another process has the file of an embedded server open.
    """
    for build in gone:
        if server := _server_of(build):
            with contextlib.suppress(*_SERVER_GONE):
                server.is_there(build / INDEX)


def _delete(folder: Path, gone: Sequence[Path]) -> None:
    """Delete builds of the index in `folder`, and what servers keep of them alone."""
    kept = [build for build in builds_of(folder) if build not in gone]
    for build in gone:
        if server := _server_of(build):
            alike = [each / INDEX for each in kept if _server_of(each) is server]
            with contextlib.suppress(*_SERVER_GONE):  # what is left there takes place, and nothing else
                server.tidy([build / INDEX], alike)
        shutil.rmtree(build)


def _sweep(folder: Path) -> None:
    """Delete what killed runs left on the server that the recipe names, where it can be asked."""
    with contextlib.suppress(*_SERVER_GONE):
        chosen = Recipe.load(folder).index
        if is_elsewhere(chosen.backend):
            elsewhere_class(chosen.backend).sweep(chosen.uri, folder)


def _named_build(folder: Path, pointer: Path) -> Manifest | None:
    """Return the manifest of the build that a pointer names; None where there is none."""
    name = pointer.read_text(encoding="utf-8", errors="replace").strip()
    try:
        return Manifest.load(folder / BUILDS / name) if BUILD_RULE.fullmatch(name) else None
    except IndexDamagedError:
        return None


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Write a folder's entries to the disk, where the system can."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
