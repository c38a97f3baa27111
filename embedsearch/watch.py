"""Watch the source of an index, and rebuild the index whenever its folder or file changes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from threading import Event

from watchfiles import Change
from watchfiles import watch as changes

from embedsearch.errors import EmbedsearchError, RecipeError
from embedsearch.index import Index, rebuild
from embedsearch.progress import Progress
from embedsearch.recipe import Recipe
from embedsearch.store.folders import current_id, index_folder, indexes_folder

QUIET = 1600  # milliseconds without a change, before a rebuild
POLL = 500  # milliseconds between looks at whether to stop
log = logging.getLogger("embedsearch")


def watch(
    name: str,
    *,
    indexes: str | Path | None = None,
    progress: Progress | None = None,
    stop: Event | None = None,
) -> Iterator[tuple[Index, bool]]:
    """Rebuild the index `name` now and after each change of its source.

    A rebuild that fails is logged; then it waits for the next change.

    Args:
        name: the index's name.
        indexes: the folder of indexes.
        progress: gets the progress reports.
        stop: set it to end the watch.

    Yields:
        The open index after each rebuild, and whether that published a new build.

    Raises:
        RecipeError: its source is not a folder or file on this machine.
        IndexNotFoundError: there is no index of that name.
    """
    root = indexes_folder(indexes)
    folder = index_folder(root, name)
    recipe = Recipe.load(folder).source
    source = Path(recipe.location)
    if not source.is_absolute() or not source.exists():
        raise RecipeError(
            f"The index {name!r} is made from {source}, which is not a folder or file that can be watched. "
            f"Update it with: embedsearch rebuild {name}"
        )
    # Editors replace files, and a watch on the old file sees nothing: watch its folder.
    single = source.is_file()
    watched = source.parent if single else source
    # the ids and the fields of a file of vectors may lie in other folders
    files = {source, *(Path(each) for each in (recipe.ids, recipe.fields) if each)}
    beside = {file.parent for file in files} - {watched} if single else frozenset[Path]()

    def concerns(change: Change, path: str) -> bool:
        changed = Path(path)
        gone = changed == watched and change is Change.deleted
        return (not single or changed in files or gone) and not changed.is_relative_to(root)

    def begin() -> Iterator[set[tuple[Change, str]]]:
        events = changes(
            watched,
            *beside,
            watch_filter=concerns,
            debounce=QUIET,
            step=QUIET // 4,
            stop_event=stop,
            rust_timeout=POLL,
            yield_on_timeout=True,
            recursive=not single,
        )
        next(events, None)  # start watching before the rebuild, so that no change is missed
        return events

    events, lost = begin(), False
    while True:
        try:
            before = current_id(folder)
            searcher = rebuild(name, indexes=root, progress=progress)
        except (EmbedsearchError, OSError) as error:
            log.warning("%s: %s", name, error)
        else:
            yield searcher, searcher.manifest.build != before
        for found in events:
            lost = lost or (Change.deleted, str(watched)) in found
            if lost and watched.is_dir():  # the folder is a new one; the watch on the old one is silent
                events, lost = begin(), False
                break
            if found:
                break
        else:
            return
