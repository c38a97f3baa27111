"""An index that follows its source: rebuilt whenever the folder or the file changes."""

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

QUIET = 1600  # milliseconds; changes that come closer together are taken as one
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

    A rebuild that fails is logged, and the next change is waited for.

    Args:
        name: the index's name.
        indexes: the folder of indexes.
        progress: who is told how rebuilds go on.
        stop: ends the watch when it is set.

    Yields:
        The open index after each rebuild, and whether that put a new build in force.

    Raises:
        RecipeError: its source is no folder or file of this machine.
        IndexNotFoundError: there is no index of that name.
    """
    root = indexes_folder(indexes)
    folder = index_folder(root, name)
    source = Path(Recipe.load(folder).source.location)
    if not source.is_absolute() or not source.exists():
        raise RecipeError(
            f"The index {name!r} is made from {source}, which is no folder or file that can be watched. "
            f"Bring it up to date with: embedsearch rebuild {name}"
        )
    # A file is watched through its folder: editors replace files, and a watch on the old one sees nothing.
    single = source.is_file()
    watched = source.parent if single else source

    def concerns(change: Change, path: str) -> bool:
        changed = Path(path)
        gone = changed == watched and change is Change.deleted
        return (not single or changed == source or gone) and not changed.is_relative_to(root)

    def begin() -> Iterator[set[tuple[Change, str]]]:
        events = changes(
            watched,
            watch_filter=concerns,
            debounce=QUIET,
            step=QUIET // 4,
            stop_event=stop,
            rust_timeout=POLL,
            yield_on_timeout=True,
            recursive=not single,
        )
        next(events, None)  # the watch begins before the next rebuild, so that nothing falls between them
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
            if lost and watched.is_dir():  # made anew, and the watch is on the old one, which tells no more
                events, lost = begin(), False
                break
            if found:
                break
        else:
            return
