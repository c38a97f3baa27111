"""What changed in a source since a build: new, changed, gone, the same. No model is loaded for it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import numpy.typing as npt

from embedsearch.records import Rejected, unbroken
from embedsearch.store.build import Build
from embedsearch.store.facts import NeighboursKept, SourceChanges
from embedsearch.store.source_state import Entries, Places, SourceState, hash_of

BLOCK = 65_536
EXAMPLES = 5


@dataclass(slots=True)
class Changes:
    """A source compared with a build, counted in records.

    Attributes:
        added: their id is not in the build.
        changed: their id is, with another content or other fields.
        removed: they are in the build, and no longer in the source.
        unchanged: they are the same.
        rejected: entries that can't be used now.
        to_embed: the build has no vector of their content.
        rejects_others: whether other entries are rejected than in the build, or for other reasons.
        examples: a few ids of each kind.
    """

    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0
    rejected: int = 0
    to_embed: int = 0
    rejects_others: bool = False
    examples: dict[str, list[str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed or self.rejects_others)

    def facts(self, neighbours_kept: NeighboursKept | None = None) -> SourceChanges:
        """Return what a manifest says of it."""
        return SourceChanges(
            added=self.added,
            changed=self.changed,
            removed=self.removed,
            unchanged=self.unchanged,
            rejected=self.rejected,
            to_embed=self.to_embed,
            examples={kind: tuple(ids) for kind, ids in self.examples.items()},
            neighbours_kept=neighbours_kept,
        )

    def note(self, kind: str, ids: Iterable[str]) -> None:
        """Keep the ids of records, as long as they are among the first of their kind."""
        examples = self.examples.get(kind, [])
        if found := [*examples, *islice(ids, EXAMPLES - len(examples))]:
            self.examples[kind] = found

    def count(self, previous: SourceState, rows: Entries, found: Places, ids: Sequence[str] = ()) -> None:
        """Count records that are new, changed, the same, or rejected.

        Args:
            previous: of the build.
            rows: (m,) of the records, as they are now.
            found: (m,) where they stand in `previous`, -1 for nowhere.
            ids: of the records, where examples are wanted.
        """
        there, same, bad = found >= 0, previous.same(rows, found), unusable(rows)
        self.rejected += int(bad.sum())
        self.rejects_others |= bool((bad & ~same).any())
        self.unchanged += int((same & ~bad).sum())
        added, changed = np.flatnonzero(~there & ~bad), np.flatnonzero(there & ~same & ~bad)
        self.added += len(added)
        self.changed += len(changed)
        if ids:
            self.note("added", (ids[at] for at in added.tolist()))
            self.note("changed", (ids[at] for at in changed.tolist()))


def unusable(rows: Entries) -> npt.NDArray[np.bool_]:
    """Return which records have no vector because all of them was rejected: (n,) of truth values."""
    return np.asarray((rows["rows"] == 0) & (rows["bad"] > 0))


def sum_of(rejected: Iterable[Rejected]) -> int:
    """Return a number that stands for rejections, in whatever order: the sum of 256 bits of each."""
    written = (repr((unbroken(each.id), unbroken(each.reason))) for each in rejected)
    return sum(int.from_bytes(hashlib.sha256(each.encode()).digest(), "big") for each in written)


def final(planned: Changes, previous: SourceState, rows: Entries, rejected: int) -> Changes:
    """Return what changed, now that the encoder has tried: what it could not use counts as rejected.

    Args:
        planned: what was found before anything was embedded.
        previous: of the build before.
        rows: (n,) of the new build's source state.
        rejected: how many entries the source could not read.
    """
    made = Changes(removed=planned.removed, to_embed=planned.to_embed, rejected=rejected)
    bad: set[int] = set()
    for start in range(0, len(rows), BLOCK):
        part = rows[start : start + BLOCK]
        made.count(previous, part, previous.find(part["key"]))
        bad.update(part["key"][unusable(part)].tolist())
    for kind, ids in planned.examples.items():
        good = [each for each in ids if kind == "removed" or hash_of(each) not in bad]
        made.note(kind, good)
    return made


def unchanged(build: Build) -> Changes:
    """Return what a comparison finds where a build's source is as it was."""
    report, bad = build.manifest.report, int(unusable(build.source_state.entries).sum())
    rejected = report.entries - report.records + bad
    return Changes(unchanged=report.records - bad, rejected=rejected)
