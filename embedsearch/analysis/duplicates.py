"""Duplicates among the items of an index: exact copies by their content, near copies by a second check.

Exact copies have the same content, byte by byte; identical vectors are not enough. Near copies have different
contents, and the first item of each content stands for it. So an item that is kept of its exact copies may
also be in a group of near copies.

Vectors find the candidates: what a model takes for the same, such as a paraphrase, need not be a copy. A
second check compares the letters of texts (`embedsearch.analysis.same_text`) and the pixels of images
(`embedsearch.analysis.same_image`). Items whose vectors lie within the threshold and that are no copies are
reported apart. Without a second check the threshold alone decides.

The grouping is greedy, so that no chain of links can grow: each item of a group makes a pair with the item
that is kept, and kept items make none; see `embedsearch.analysis.grouping`.
"""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path

import numpy as np

from embedsearch.analysis.grouping import greedy_groups
from embedsearch.analysis.neighbours import (
    Distances,
    Pairs,
    Usual,
    all_within,
    measure_usual,
    overflows,
    paired,
    pairs_within,
)
from embedsearch.analysis.second_check import Check
from embedsearch.analysis.sizes import Size
from embedsearch.backends import Filter, Mask, Rows
from embedsearch.disk.cache import keep, kept
from embedsearch.distances.metric import Metric
from embedsearch.errors import QueryError
from embedsearch.modalities import UNITS, modality_of
from embedsearch.progress import Progress, Silent
from embedsearch.records import MOST_UNKNOWN
from embedsearch.search.searcher import Searcher
from embedsearch.store.build import Build, record_of

AUTO = "auto"
KEEP = ("best", "first")
BATCH = 4096  # items whose sizes are read at a time
KEPT_AFTER = 10_000  # pairs that are checked before the results are kept


@dataclass(frozen=True, slots=True)
class Member:
    """One item of a group.

    Attributes:
        id: the item's identity.
        row: its row in the build.
        distance: to the item that is kept; 0 for that item and for exact copies.
    """

    id: str
    row: int
    distance: float


@dataclass(frozen=True, slots=True)
class Group:
    """Items that are copies of one another, or near each other.

    Attributes:
        exact: whether they have the same content; else their contents differ.
        members: the item to keep, then the others, nearest first.
        distance: the largest distance of a member to the item to keep.
    """

    exact: bool
    members: tuple[Member, ...]
    distance: float


@dataclass(frozen=True, slots=True)
class Duplicates:
    """What `find_duplicates` found.

    Attributes:
        index: the index's name.
        build: the build's id.
        metric: which distance.
        threshold: the largest distance of two items that are near each other.
        auto: whether the threshold was derived from the index.
        keep: which item of a group is kept, `best` or `first`.
        checked: whether a second check found the near copies; else they are what lies within the threshold.
        lacks: how to install what the second check needs, where it was wanted; else empty.
        count: the number of items of the index.
        groups: exact copies first, in the order of the source; then near copies, nearest first.
        similar: with a second check, groups of items within the threshold that are no copies, such as
            paraphrases; all of them are kept. Nearest first.
    """

    index: str
    build: str
    metric: Metric
    threshold: float
    auto: bool
    keep: str
    checked: bool
    lacks: str
    count: int
    groups: tuple[Group, ...]
    similar: tuple[Group, ...]

    @property
    def exact(self) -> tuple[Group, ...]:
        """The groups of exact copies."""
        return tuple(group for group in self.groups if group.exact)

    @property
    def near(self) -> tuple[Group, ...]:
        """The groups of near copies."""
        return tuple(group for group in self.groups if not group.exact)

    def others(self) -> list[str]:
        """Return the ids of all items that are not kept; without them no two items are copies."""
        return list(dict.fromkeys(each.id for group in self.groups for each in group.members[1:]))


class DuplicateFinder:
    """Finds the duplicates in one build; further thresholds take little time. Threads may share it."""

    def __init__(self, build: Build) -> None:
        """Open a build.

        Raises:
            QueryError: it holds words, or its metric is the inner product.
        """
        manifest = build.manifest
        row = UNITS[manifest.unit]
        if not row.has_duplicates:
            raise QueryError(
                f"The index {manifest.name!r} holds {row.plural}: the same word in two sentences is no "
                "duplicate. Build an index of whole texts from the same source: --unit text."
            )
        if manifest.metric is Metric.IP:
            raise QueryError(
                f"The index {manifest.name!r} compares by the inner product, in which a long vector is "
                "nearer to an item than the item's own copy. Build it with --metric cosine to find copies."
            )
        self.build = build
        self._pairs: Pairs | None = None
        self._sizes: dict[int, Size] = {}
        self._lock = threading.RLock()
        self._candidates: tuple[Rows, Rows] | None = None  # pairs beyond those that the vectors find
        self._same: dict[tuple[int, int], bool] = {}  # pairs of rows that were checked, the smaller first

    @cached_property
    def _contents(self) -> tuple[Rows, Rows]:
        """The rows sorted by content (n,), and where in them each of m contents starts (m,).

        Of a record of several clips it is the first row: its clips are no copies of each other.
        """
        column = self.build.items["hash"].dictionary_encode()
        parts = [chunk.indices.to_numpy() for chunk in column.chunks]
        codes = np.concatenate(parts) if parts else np.empty(0, np.int32)
        records = self.build.records
        rows = np.arange(len(codes)) if records is None else records.starts
        order = rows[np.argsort(codes[rows], kind="stable")]
        return order, np.flatnonzero(np.diff(codes[order], prepend=-1))

    @cached_property
    def firsts(self) -> Rows:
        """The first row of each content that the model knows, ascending."""
        order, starts = self._contents
        rows = np.sort(order[starts])
        known: Rows = rows[self.build.unknown[rows] <= MOST_UNKNOWN]
        return known

    @cached_property
    def chosen(self) -> Filter | None:
        """The same as a filter; None where all contents differ."""
        if len(self.firsts) == self.build.manifest.count:
            return None
        mask = np.zeros(self.build.manifest.count, np.bool_)
        mask[self.firsts] = True
        return Filter(lambda: mask)

    @cached_property
    def usual(self) -> Usual:
        """What is usual among the different contents of the index."""
        return measure_usual(self.build, self.firsts, self.chosen)

    @cached_property
    def check(self) -> type[Check] | None:
        """The second check of near copies; None where there is nothing to check."""
        module, _, name = modality_of(self.build.manifest.unit).check.partition(":")
        check: type[Check] | None = getattr(import_module(module), name) if module else None
        return check

    def _checker(self) -> Check:
        """Make a check; it holds what it read of the items, so nobody keeps it."""
        assert self.check is not None
        return self.check(self._contents_of, self.build.manifest.count)

    @property
    def checkable(self) -> bool:
        """Whether there is a second check, and what it needs is installed."""
        return self.check is not None and not self.check.lacks()

    @property
    def compared(self) -> bool:
        """Whether the items were compared already, which takes most of the time."""
        return self._pairs is not None

    def compare(self, limit: float, progress: Progress | None = None) -> Pairs:
        """Return the pairs of items within a distance, or within a larger one of an earlier call."""
        with self._lock:
            if self._pairs is None or self._pairs.limit < limit:
                self._pairs = pairs_within(
                    self.build, self.firsts, self.chosen, limit, self.usual, progress or Silent()
                )
            return self._pairs

    def check_nearest(self, progress: Progress | None = None) -> None:
        """Check the pairs of near items, which takes most of the time of `find` after `compare`.

        What was checked is kept on disk too, for all indexes of the same contents.
        """
        with self._lock:
            if self.checkable and self._pairs is not None and self._candidates is None:
                self._load_checked()
                checker, progress = self._checker(), progress or Silent()
                if self._candidates is None:
                    progress.stage("looking at each item", len(self.firsts))
                    self._candidates = checker.candidates(self.firsts, progress)
                self._checked(*self._nearest(self._pairs), checker, progress)

    def _nearest(self, pairs: Pairs) -> tuple[Rows, Rows]:
        """Return the pairs of items that may be copies, the smaller row first, each once."""
        first, second = self._candidates or (np.empty(0, np.int64),) * 2
        a, b = np.append(pairs.first[pairs.nearest], first), np.append(pairs.second[pairs.nearest], second)
        count = self.build.manifest.count
        keys = np.unique(np.minimum(a, b) * count + np.maximum(a, b))
        return keys // count, keys % count

    @property
    def _key(self) -> str:
        """What the results of the check depend on: its rules and the contents."""
        assert self.check is not None
        contents = hashlib.sha256("\n".join(self.build.items["hash"].to_pylist()).encode())
        return f"{self.check.__name__} {self.check.version} {contents.hexdigest()}"

    def _load_checked(self) -> None:
        """Read what another process has checked."""
        if self.check is None or not self.check.version:
            return
        pairs, candidates = kept("copies", self._key), kept("candidates", self._key)
        if candidates is not None and pairs is not None:
            self._candidates = candidates[:, 0], candidates[:, 1]
            self._same.update(((a, b), bool(same)) for a, b, same in pairs.tolist())

    def _keep_checked(self) -> None:
        if self.check is not None and self.check.version and self._candidates is not None:
            keep("candidates", self._key, np.stack(self._candidates, axis=1))
            keep(
                "copies", self._key, np.array([(*pair, same) for pair, same in self._same.items()], np.int64)
            )

    def find(
        self,
        threshold: float | str = AUTO,
        keep: str = "best",
        progress: Progress | None = None,
        *,
        check: bool = True,
    ) -> Duplicates:
        """See `find_duplicates`."""
        if keep not in KEEP:
            raise QueryError(f"keep is 'best' or 'first'; got {keep!r}.")
        limit = self.usual.threshold if threshold == AUTO else checked(threshold)
        pairs = self.compare(limit, progress)
        by_check = check and self.checkable
        exact, similar = self._exact_groups(), []
        if by_check:
            near = self._copies(pairs, keep, progress or Silent())
            gone = [each.row for group in (*exact, *near) for each in group.members[1:]]
            similar = self._near_groups(pairs, limit, keep, np.array(gone, np.int64))
        else:
            near = self._near_groups(pairs, limit, keep)
        manifest = self.build.manifest
        return Duplicates(
            index=manifest.name,
            build=manifest.build,
            metric=manifest.metric,
            threshold=limit,
            auto=threshold == AUTO,
            keep=keep,
            checked=by_check,
            lacks=self.check.lacks() if check and self.check is not None else "",
            count=self.build.answers,
            groups=(*exact, *near),
            similar=tuple(similar),
        )

    def _exact_groups(self) -> list[Group]:
        order, starts = self._contents
        groups = [rows for rows in np.split(order, starts[1:]) if len(rows) > 1]
        groups.sort(key=lambda rows: int(rows[0]))
        return [self._group(True, rows, np.zeros(len(rows))) for rows in groups]

    def _near_groups(self, pairs: Pairs, limit: float, keep: str, gone: Rows | None = None) -> list[Group]:
        """Return groups of the items within `limit` of each other, except those of the rows `gone`."""
        last = int(np.searchsorted(pairs.distances, limit, side="right"))
        first, second, distances = pairs.first[:last], pairs.second[:last], pairs.distances[:last]
        left = np.ones(self.build.manifest.count, np.bool_)
        left[[] if gone is None else gone] = False
        both = left[first] & left[second]
        first, second, distances = first[both], second[both], distances[both]

        def around(row: int) -> tuple[Rows, Distances]:
            rows, far = all_within(self.build, row, self.chosen, limit, self.usual)
            return rows[left[rows]], far[left[rows]]

        rank = self._ranks(np.union1d(first, second), keep)
        more = overflows(pairs, limit, self.usual)
        return self._groups(*greedy_groups(first, second, distances, rank, more, around))

    def _copies(self, pairs: Pairs, keep: str, progress: Progress) -> list[Group]:
        """Return groups of the items that the second check takes for copies, among the nearest of each.

        In a large group the kept item is not among the nearest of all. So where two items of different groups
        are copies, those that are kept of both are checked too.
        """
        self.check_nearest(progress)
        first, second = self._nearest(pairs)
        asked = set(zip(first.tolist(), second.tolist(), strict=True))
        checker = self._checker()
        count = self.build.manifest.count
        alone = np.zeros(count, np.bool_)
        while True:
            same = self._checked(first, second, checker, progress)
            first, second = first[same], second[same]
            distances = paired(self.build, first, second)
            rank = self._ranks(np.union1d(first, second), keep)
            kept, distance = greedy_groups(first, second, distances, rank, alone, _none_more)
            centre = np.where(kept >= 0, kept, np.arange(count))
            one, other = centre[first], centre[second]
            wanted = {(min(pair), max(pair)) for pair in zip(one.tolist(), other.tolist(), strict=True)}
            new = sorted(pair for pair in wanted - asked if pair[0] != pair[1])
            if not new:
                return self._groups(kept, distance)
            asked |= wanted
            more = np.array(new, np.int64)
            first, second = np.append(first, more[:, 0]), np.append(second, more[:, 1])

    def _checked(self, first: Rows, second: Rows, checker: Check, progress: Progress) -> Mask:
        """Return which pairs of rows, the smaller first, are copies by the second check, (p,)."""
        pairs = list(zip(first.tolist(), second.tolist(), strict=True))
        with self._lock:
            new = np.array([pair not in self._same for pair in pairs], np.bool_)
            if new.any():
                progress.stage("checking near items against each other", int(new.sum()))
                for start in range(0, int(new.sum()), KEPT_AFTER):
                    part = slice(start, start + KEPT_AFTER)
                    a, b = first[new][part], second[new][part]
                    same = checker.same(a, b, progress).tolist()
                    self._same.update(zip(zip(a.tolist(), b.tolist(), strict=True), same, strict=True))
                    self._keep_checked()
        return np.array([self._same[pair] for pair in pairs], np.bool_)

    def _groups(self, kept: Rows, distance: Distances) -> list[Group]:
        """Return groups from the row that each row joins, (n,), and the distance to it."""
        others = np.flatnonzero(kept >= 0)
        others = others[np.lexsort((distance[others], kept[others]))]
        centres, starts = np.unique(kept[others], return_index=True)
        groups = []
        for centre, start, end in zip(centres, starts, np.append(starts, len(others))[1:], strict=True):
            part = others[start:end]
            rows = np.concatenate([[centre], part])
            groups.append(self._group(False, rows, np.concatenate([[0.0], distance[part]])))
        return sorted(groups, key=lambda group: (group.distance, group.members[0].row))

    def _group(self, exact: bool, rows: Rows, distances: Distances) -> Group:
        ids = self.build.read(rows.tolist(), ["id"])["id"]
        if self.build.records is not None:
            starts = self.build.read(rows.tolist(), ["start"])["start"]
            ids = [record_of(*each) for each in zip(ids, starts, strict=True)]
        members = zip(ids, rows.tolist(), distances.tolist(), strict=True)
        return Group(exact, tuple(Member(*each) for each in members), float(distances.max()))

    def _ranks(self, rows: Rows, keep: str) -> Rows:
        """Return the rank of each row (n,); smaller ranks are kept first, and rows not in `rows` last."""
        rank = np.arange(self.build.manifest.count) + self.build.manifest.count
        if keep == "first":
            return rank
        self._measure(row for row in rows.tolist() if row not in self._sizes)
        ordered = sorted(rows.tolist(), key=lambda row: (*(-size for size in self._sizes[row]), row))
        rank[np.array(ordered, np.int64)] = np.arange(len(ordered))
        return rank

    def _measure(self, rows: Iterable[int]) -> None:
        """Read the sizes of items: pixels and bytes of an image, characters of a text."""
        module, name = modality_of(self.build.manifest.unit).size.split(":")
        size: Callable[[str | Path | bytes], Size] = getattr(import_module(module), name)
        missing = list(rows)
        for start in range(0, len(missing), BATCH):
            part = missing[start : start + BATCH]
            contents = self._contents_of(np.array(part, np.int64))
            self._sizes.update((row, size(held)) for row, held in zip(part, contents, strict=True))

    def _contents_of(self, rows: Rows) -> list[str | Path | bytes]:
        """Return the contents of items: texts, files or bytes."""
        columns = self.build.read(rows.tolist(), ["text", "path", "picture"])
        held = zip(*columns.values(), strict=True)
        return [
            text if text is not None else Path(path or "") if image is None else image
            for text, path, image in held
        ]


def _none_more(row: int) -> tuple[Rows, Distances]:  # noqa: ARG001
    return np.empty(0, np.int64), np.empty(0)


def checked(threshold: float | str) -> float:
    """Return a threshold, a distance, as a number.

    Raises:
        QueryError: it is none, or is below 0.
    """
    try:
        number = float(threshold)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise QueryError(f"A threshold is {AUTO!r} or a distance of 0 or more; got {threshold!r}.")
    return number


def find_duplicates(
    searcher: Searcher,
    threshold: float | str = AUTO,
    keep: str = "best",
    progress: Progress | None = None,
    *,
    check: bool = True,
) -> Duplicates:
    """Find the items of an index that are copies of one another, in groups; nothing is deleted.

    Args:
        searcher: an open index of texts or images.
        threshold: the distance up to which two items of different contents are near each other; `auto`
            derives it from the index, see `embedsearch.analysis.neighbours.Usual.threshold`.
        keep: which item of a group to keep: `best` the largest (images by pixels, then by bytes; texts by
            characters), `first` the first in the order of the source. Of exact copies it is the first.
        progress: gets reports of the progress.
        check: compare the letters of near texts, or the pixels of near images (extra `copies`), and take only
            those for near copies that are; else, and without the extra, the threshold decides.

    Raises:
        QueryError: the index holds words or compares by the inner product, or an argument is none of these.

    Example:
        >>> find_duplicates(open_index("holidays")).others()
        ['2019/IMG_0042 (1).jpg']
    """
    return DuplicateFinder(searcher.build).find(threshold, keep, progress, check=check)
