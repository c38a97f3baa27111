"""One index in shards: indexes of their own over stretches of the rows, made one after another.

So building takes the memory of one shard. Shards are searched in parallel, and their hits merged by distance.
A rebuild uses the files of those whose vectors are all as they were.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np

from embedsearch.backends import (
    SHARD,
    Backend,
    Filter,
    Rows,
    Settings,
    Stored,
    Take,
    backend_class,
    choose,
    grown,
    taking,
)
from embedsearch.backends.facts import IndexFacts, Tuned
from embedsearch.backends.flat import findable, nothing, once
from embedsearch.backends.threads import limit_threads
from embedsearch.disk.facts import from_json, to_json
from embedsearch.disk.links import link_or_copy
from embedsearch.distances.metric import Metric, Vectors
from embedsearch.errors import IndexDamagedError

KIND = "sharded"
ROOM = 1.2  # a shard may outgrow the size asked for by a fifth before it is divided


@dataclass(frozen=True, slots=True)
class Shard:
    """A stretch of the rows, and the index over them.

    Attributes:
        start: its first row.
        end: the row behind its last one.
        backend: the index, whose row 0 is `start`.
    """

    start: int
    end: int
    backend: Backend


class Sharded:
    """Indexes over stretches of the rows, searched as one."""

    def __init__(
        self, shards: Sequence[Shard], metric: Metric, facts: IndexFacts, path: Path | None = None
    ) -> None:
        """Keep the shards; `path` is where each was written when it was made."""
        self._shards, self._metric, self.facts, self._path = list(shards), metric, facts, path
        self._count = shards[-1].end if shards else 0

    @classmethod
    def build(cls, kind: str, vectors: Vectors, metric: Metric, settings: Settings) -> Self:  # noqa: ARG003
        """See `Backend.build`."""
        pieces = _pieces(0, len(vectors), settings.shard_size)
        shards = [
            _made(number, start, end, vectors, metric, settings) for number, (start, end) in enumerate(pieces)
        ]
        return cls(shards, metric, _facts(shards, settings), settings.path)

    @classmethod
    def locate(cls, path: Path, take: Take, metric: Metric, facts: IndexFacts) -> Self:
        """See `Backend.locate`."""
        try:
            shards, start = [], 0
            for number, each in enumerate(json.loads(path.read_text(encoding="utf-8"))["shards"]):
                count = int(each.pop("count"))
                of_shard = from_json(IndexFacts, each)
                shards.append(_opened(number, start, start + count, path, take, metric, of_shard))
                start += count
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            raise IndexDamagedError(f"{path} can't be read as a list of shards: {error}") from None
        return cls(shards, metric, facts, path)

    def save(self, path: Path) -> None:
        """See `Backend.save`; shards that were written when they were made are there already."""
        for number, shard in enumerate(self._shards if path != self._path else ()):
            _clear(path, number)
            shard.backend.save(_file(path, number))
        told = [{"count": shard.end - shard.start, **to_json(shard.backend.facts)} for shard in self._shards]
        path.write_text(json.dumps({"shards": told}, indent=1) + "\n", encoding="utf-8")

    def extend(self, path: Path, vectors: Vectors, kept: Rows, settings: Settings) -> Self | None:
        """See `Backend.extend`; None where rows changed their order, or smaller shards are asked for.

        A new row belongs to the shard of the row before it, so each shard stays a stretch.
        """
        if self.facts.tuned is None or self.facts.tuned.wanted != settings.recall:
            return None
        ends = np.array([shard.end for shard in self._shards])
        stays = np.flatnonzero(kept >= 0)
        owners = np.searchsorted(ends, kept[stays], side="right")  # (m,) the shard of each row that stays
        sizes = [shard.end - shard.start for shard in self._shards]
        if not len(stays) or (np.diff(owners) < 0).any() or max(sizes) > ROOM * settings.shard_size:
            return None
        shards: list[Shard] = []
        start = 0
        for owner in np.unique(owners).tolist():
            behind = stays[owners > owner]
            end = int(behind[0]) if len(behind) else len(vectors)
            shards += self._extended(owner, len(shards), start, end, path, vectors, kept, settings)
            start = end
        return type(self)(shards, self._metric, _facts(shards, settings), settings.path)

    def _extended(
        self,
        owner: int,
        number: int,
        start: int,
        end: int,
        path: Path,
        vectors: Vectors,
        kept: Rows,
        settings: Settings,
    ) -> list[Shard]:
        """Return what becomes of the shard `owner`, whose rows are now those from `start` to `end`.

        Args:
            owner: its number.
            number: the number that it has from now on.
            start: its first row.
            end: the row behind its last one.
            path: where this index was saved.
            vectors: (n, d) all vectors, raw.
            kept: (n,) the row of this index that holds the same vector; -1 for a new one.
            settings: see `build`.
        """
        old = self._shards[owner]
        own = kept[start:end]
        of_old = np.where((own >= old.start) & (own < old.end), own - old.start, -1)
        if len(of_old) == old.end - old.start and (of_old == np.arange(len(of_old))).all():
            if settings.path is None:
                return [replace(old, start=start, end=end)]
            _clear(settings.path, number)
            for file in _files(path, owner):
                rest = file.name.removeprefix(_stem(path, owner))
                link_or_copy(file, settings.path.with_name(_stem(settings.path, number) + rest))
            known = taking(vectors), self._metric, old.backend.facts
            return [_opened(number, start, end, settings.path, *known)]
        if end - start <= ROOM * settings.shard_size:
            some = vectors[start:end]
            index = old.backend.extend(_file(path, owner), some, of_old, settings)
            if index is not None:
                return [_written(number, start, end, index, vectors, self._metric, settings)]
        pieces = _pieces(start, end, settings.shard_size)
        return [
            _made(number + at, first, last, vectors, self._metric, settings)
            for at, (first, last) in enumerate(pieces)
        ]

    def __len__(self) -> int:
        return self._count

    def search(
        self, queries: Vectors, k: int, filter: Filter | None = None, exclude: Sequence[int] = ()
    ) -> tuple[Vectors, Rows]:
        """See `Backend.search`."""
        left_out = once(exclude)
        k = min(k, findable(len(self), filter, left_out))
        if k == 0:
            return nothing(queries)

        def ask(shard: Shard) -> tuple[Vectors, Rows]:
            limit_threads(max(1, (os.cpu_count() or 1) // len(self._shards)))
            start, end = shard.start, shard.end
            some = None if filter is None else Filter(lambda: filter.mask[start:end])
            less = left_out[(left_out >= start) & (left_out < end)] - start
            far, rows = shard.backend.search(queries, k, some, less.tolist())
            return far, rows + start

        found = list(self._threads.map(ask, self._shards))
        far, rows = (np.concatenate(parts, axis=1) for parts in zip(*found, strict=True))  # (q, more than k)
        order = np.lexsort((rows, far))[:, :k]
        return np.take_along_axis(far, order, 1), np.take_along_axis(rows, order, 1)

    def within(
        self, query: Vectors, limit: float, filter: Filter | None = None, exclude: Sequence[int] = ()
    ) -> tuple[Vectors, Rows]:
        """See `Backend.within`."""
        return grown(lambda k: self.search(query, k, filter, exclude), limit)

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="shard")


def _pieces(start: int, end: int, size: int) -> list[tuple[int, int]]:
    """Divide rows into stretches of about the same size, none larger than `size`; none of no rows."""
    count = -(-(end - start) // size)
    ends = [start + (end - start) * at // count for at in range(count + 1)] if count else [start]
    return list(pairwise(ends))


def _made(number: int, start: int, end: int, vectors: Vectors, metric: Metric, settings: Settings) -> Shard:
    """Make the shard over the rows from `start` to `end`."""
    some = vectors[start:end]
    kind = choose(min(len(some), SHARD), vectors.shape[1], settings.memory)
    settings.stage(f"shard {number + 1}: {end - start:,} vectors, {kind}", None)
    index = backend_class(kind).build(kind, some, metric, settings)
    return _written(number, start, end, index, vectors, metric, settings)


def _written(
    number: int, start: int, end: int, index: Backend, vectors: Vectors, metric: Metric, settings: Settings
) -> Shard:
    """Return the shard of an index; where there is a path it is written there, and leaves the memory."""
    if settings.path is None:
        return Shard(start, end, index)
    _clear(settings.path, number)
    index.save(_file(settings.path, number))
    return _opened(number, start, end, settings.path, taking(vectors), metric, index.facts)


def _opened(
    number: int, start: int, end: int, path: Path, take: Take, metric: Metric, facts: IndexFacts
) -> Shard:
    """Open the shard `number` of the index that was saved at `path`."""
    some: Take = lambda rows: take(rows + start)  # noqa: E731
    if isinstance(take, Stored):
        some = taking(take.vectors[start:end])
    kind = backend_class(facts.kind)
    return Shard(start, end, kind.locate(_file(path, number), some, metric, facts))


def _facts(shards: Sequence[Shard], settings: Settings) -> IndexFacts:
    """Return what the manifest says of all shards: the least recall of any."""
    known = [shard.backend.facts for shard in shards]
    tuned = Tuned(
        settings.recall,
        masked=sum(each.tuned.masked for each in known if each.tuned),
        added=sum(each.tuned.added for each in known if each.tuned),
    )
    recall, queries = min((each.recall for each in known), default=1.0), sum(each.queries for each in known)
    return IndexFacts(KIND, tuned, recall, queries)


def _stem(path: Path, number: int) -> str:
    return f"{path.stem}.{number}."


def _file(path: Path, number: int) -> Path:
    """Return the file of a shard of the index at `path`; what belongs to it begins with the same."""
    return path.with_name(f"{_stem(path, number)}faiss")


def _files(path: Path, number: int) -> list[Path]:
    """Return all files of a shard."""
    return sorted(path.parent.glob(f"{_stem(path, number)}*"))


def _clear(path: Path, number: int) -> None:
    """Delete the files of a shard: they may be other names of files of the build before."""
    for file in _files(path, number):
        file.unlink()
