"""The indexes that the server holds open, and their models: each is loaded once."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from embedsearch.encoders import Encoder, encoder_spec, open_encoder
from embedsearch.errors import EmbedsearchError, IndexDamagedError
from embedsearch.index import Index
from embedsearch.query import AnyQuery, Mode, SearchOptions
from embedsearch.recipe import EncoderRecipe
from embedsearch.results import Results
from embedsearch.search.filters import conditions
from embedsearch.search.searcher import Placed
from embedsearch.serve.http.work import Batches
from embedsearch.serve.requests import MOST_HITS, Finding
from embedsearch.serve.schemas import SearchOutput
from embedsearch.store.build import Build, open_current
from embedsearch.store.folders import current_build, index_folder, list_names

log = logging.getLogger("embedsearch")

LOOK = 0.2  # seconds between two looks for a new build


class Encoders:
    """One encoder for all indexes that a model made; it goes with the last of them."""

    def __init__(self) -> None:
        self._made: weakref.WeakValueDictionary[tuple[str, ...], Encoder] = weakref.WeakValueDictionary()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._made)

    def load(self, recipe: EncoderRecipe) -> Encoder:
        """Return the encoder of a recipe; errors as `open_encoder`."""
        spec = encoder_spec(recipe).fingerprint
        key = (spec, recipe.precision, recipe.engine, recipe.decoding, recipe.device)
        with self._lock:
            made = self._made.get(key)
            if made is None:
                made = self._made[key] = open_encoder(recipe)
            return made


@dataclass(frozen=True, slots=True)
class Question:
    """A query of an index, and how its hits are chosen; see `Index.search`."""

    query: AnyQuery
    options: SearchOptions

    @classmethod
    def of(
        cls,
        query: AnyQuery,
        finding: Finding,
        strictness: float | None = None,
        mode: Mode | None = None,
    ) -> Question:
        """Return the question of a request.

        Raises:
            FilterError: `where` is no filter.
            QueryError: two options contradict one another.
        """
        where = conditions(finding.where) if isinstance(finding.where, Mapping) else finding.where
        k = MOST_HITS if finding.close and finding.k is None else finding.k
        options = SearchOptions(
            k,
            where,
            strictness,
            finding.fold,
            close=finding.close,
            diverse=finding.diverse,
            feedback=finding.feedback,
            rerank=finding.rerank,
            sort=finding.sort,
            facets=finding.facets,
            mode=mode,
            by=finding.by,
        )
        return cls(query, options)


def answer(index: Index, question: Question) -> Results:
    """Return the results of one question."""
    (results,) = answers(index, [question])
    if isinstance(results, Exception):
        raise results
    return results


def answers(index: Index, questions: Sequence[Question]) -> list[Results | Exception]:
    """Return the results of several questions, or the error that one is answered with.

    Their queries go through the model together. Those whose hits are chosen alike are compared together.
    """
    found: dict[int, Results | Exception] = {}
    alike: dict[str, list[tuple[int, Placed]]] = {}  # by the text of their options, since 1 equals true
    for at, placed in enumerate(_placed(index, [each.query for each in questions])):
        if isinstance(placed, Exception):
            found[at] = placed
        else:
            alike.setdefault(repr(questions[at].options), []).append((at, placed))
    for group in alike.values():
        places = [at for at, _ in group]
        options = questions[places[0]].options
        found.update(zip(places, _searched(index, [placed for _, placed in group], options), strict=True))
    return [found[at] for at in range(len(questions))]


def _searched(
    index: Index, placed: Sequence[Placed], options: SearchOptions
) -> Sequence[Results | Exception]:
    """Return the results of queries; where one fails, each by itself, so that the others do not."""
    try:
        return index.search_placed(placed, options)
    except Exception as error:
        if len(placed) == 1:
            return [error]
        return [each for one in placed for each in _searched(index, [one], options)]


def _placed(index: Index, queries: Sequence[AnyQuery]) -> list[Placed | Exception]:
    """Return queries as vectors; where some fail, each half by itself, so that the others do not."""
    try:
        return [*index.placed(queries)]
    except Exception as error:
        if len(queries) == 1:
            return [error]
        half = len(queries) // 2
        return [*_placed(index, queries[:half]), *_placed(index, queries[half:])]


def _warn(what: str, error: Exception) -> None:
    """Log an error, with its traceback where it is not of the library."""
    log.warning("%s: %s", what, error, exc_info=None if isinstance(error, EmbedsearchError) else error)


class Opened:
    """An index that is open, and the queries that wait for it."""

    def __init__(self, index: Index, batches: Batches[Question, SearchOutput]) -> None:
        self.index, self.batches = index, batches
        self.looked = time.monotonic()
        self.renewing: asyncio.Task[None] | None = None
        self.refused: Path | None = None  # a build that can't be opened


class OpenIndexes:
    """The indexes of a folder, opened by the first request for them.

    A new build is opened beside the current one, and takes its place once its model is loaded.
    """

    def __init__(
        self, folder: Path, batches: Callable[[Index], Batches[Question, SearchOutput]], *, warm: bool
    ) -> None:
        self.folder = folder
        self._warm = warm
        self.encoders = Encoders()
        self._batches = batches
        self._held: dict[str, Opened] = {}
        self._opening: dict[str, asyncio.Task[Opened]] = {}
        self._threads = ThreadPoolExecutor(1, "opening")

    def __len__(self) -> int:
        return len(self._held)

    def held(self) -> list[Index]:
        """Return the indexes that are open, by name."""
        return [self._held[name].index for name in sorted(self._held)]

    async def warm(self) -> None:
        """Open all indexes and load their models; one that can't be opened is logged."""
        for name in list_names(self.folder):
            try:
                await self.get(name)
            except Exception as error:
                _warn(f"The index {name} can't be opened", error)

    async def get(self, name: str) -> Opened:
        """Return an open index.

        Raises:
            RecipeError, IndexNotFoundError, IndexDamagedError: as `embedsearch.open`.
        """
        held = self._held.get(name)
        if held is None:
            index_folder(self.folder, name)  # what names no index does not wait for a thread
            if (task := self._opening.get(name)) is None:
                task = self._opening[name] = asyncio.create_task(self._first(name))
            return await asyncio.shield(task)  # it goes on when this request is given up
        now = time.monotonic()
        if now - held.looked >= LOOK:
            held.looked = now
            self._look(name, held)
        return held

    async def _first(self, name: str) -> Opened:
        try:
            held = self._held[name] = await self._opened(name)
            return held
        finally:
            del self._opening[name]

    def _look(self, name: str, held: Opened) -> None:
        """Have a new build opened where there is one; forget an index that was removed."""
        try:
            build = current_build(index_folder(self.folder, name))
        except IndexDamagedError as error:  # its pointer; the build that is open answers on
            log.warning("%s", error)
            return
        except EmbedsearchError:
            self.forget(name, held)
            raise
        if build not in (held.index.build.folder, held.refused) and held.renewing is None:
            held.renewing = asyncio.create_task(self._renew(name, held, build))

    def forget(self, name: str, held: Opened) -> None:
        """Close an index that is damaged or removed; the next request opens it again."""
        if self._held.get(name) is held:
            del self._held[name]

    async def _renew(self, name: str, held: Opened, build: Path) -> None:
        try:
            made = await self._opened(name)
        except Exception as error:
            _warn("The build before goes on answering", error)
            held.refused = build
        else:
            if self._held.get(name) is held:
                self._held[name] = made
        finally:
            held.renewing = None

    async def _opened(self, name: str) -> Opened:
        loop = asyncio.get_running_loop()
        index = await loop.run_in_executor(self._threads, self._open, name)
        return Opened(index, self._batches(index))

    def _open(self, name: str) -> Index:
        """Open an index, and load its models where that is not left to the first query."""
        index = open_current(self.folder, name, lambda build: Index(Build(build), self.encoders.load))
        if not self._warm:
            return index
        try:
            _ = index.encoder
            index.warm()
        except Exception as error:  # each query says so, where it matters
            _warn(f"The models of the index {name} can't be loaded", error)
        return index

    def close(self) -> None:
        """Open nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)
