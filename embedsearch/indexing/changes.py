"""What became of a source since a build: new, changed, gone, the same. No model is loaded for it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from embedsearch.records import Entry, Record, Rejected, content_hash, unbroken
from embedsearch.store import source_state as source_states
from embedsearch.store.facts import NeighboursKept, SourceChanges
from embedsearch.store.source_state import SourceState

if TYPE_CHECKING:
    from embedsearch.store.build import Build

BLOCK = 4096
EXAMPLES = 5


@dataclass(slots=True)
class Changes:
    """A source held against a build, counted in records.

    Attributes:
        added: of an identity that the build does not know.
        changed: of a known identity, with another content or other fields.
        removed: of the build, and no longer in the source.
        unchanged: the same in all.
        quarantined: entries that can't be used now: which the source can't read, or the encoder could not
            when it last tried.
        to_embed: whose content the build has no vector of.
        requarantined: whether the source can't read other entries than then, or for other reasons.
        examples: a few identities of each kind.
    """

    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0
    quarantined: int = 0
    to_embed: int = 0
    requarantined: bool = False
    examples: dict[str, list[str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed or self.requarantined)

    def facts(self, neighbours_kept: NeighboursKept | None = None) -> SourceChanges:
        """Return what a manifest says of it."""
        return SourceChanges(
            added=self.added,
            changed=self.changed,
            removed=self.removed,
            unchanged=self.unchanged,
            rejected=self.quarantined,
            to_embed=self.to_embed,
            examples={kind: tuple(named) for kind, named in self.examples.items()},
            neighbours_kept=neighbours_kept,
        )

    def note(self, kind: str, identity: str) -> None:
        """Count a record, and keep the first few identities of its kind."""
        setattr(self, kind, getattr(self, kind) + 1)
        named = self.examples.setdefault(kind, [])
        if len(named) < EXAMPLES:
            named.append(identity)


@dataclass(slots=True)
class Seen:
    """One record as it is now, and as a build knows it.

    Attributes:
        described: see `embedsearch.store.source_state.describe`.
        known: where the source_state has the same identity; else -1.
        hash: its content hash, 32 hex digits.
        same: whether content and fields are those of the source_state too.
        source: where the source_state has the same content, and so its vectors; else -1.
    """

    described: source_states.Described
    known: int
    hash: str = ""
    same: bool = False
    source: int = -1


Looked = tuple[Record, Seen] | Rejected


def look(
    entries: Sequence[Entry], described: Sequence[source_states.Described], source_state: SourceState | None
) -> list[Looked]:
    """Compare entries with a source state. A file of the same size and time is not read.

    Args:
        entries: what the source yields.
        described: of each, see `embedsearch.store.source_state.describe`.
        source_state: of the build before, where there is one.

    Returns:
        Each record with what was seen of it, or `Rejected` where it can't be read.
    """
    source_state = source_state or SourceState(np.empty(0, source_states.ENTRY))
    found = source_state.find([facts[0] for facts in described])
    rows = source_state.rows(found)
    looked: list[Looked] = []
    touched: list[Seen] = []
    for entry, facts, known, row in zip(entries, described, found.tolist(), rows, strict=True):
        seen = Seen(facts, known)
        if isinstance(entry, Rejected):
            looked.append(entry)
            continue
        if row is not None and row.untouched(facts):
            seen.hash, seen.same, seen.source = row.hash, True, known
        else:
            try:
                seen.hash = content_hash(entry.content)
            except OSError as error:
                looked.append(Rejected(entry.id, str(error)))
                continue
            if row is not None and row.hash == seen.hash:
                seen.same = row.facts == facts[1]
                # what was quarantined may have been so for its fields
                seen.source = known if seen.same or not row.bad else -1
            else:
                touched.append(seen)
        looked.append((entry, seen))
    elsewhere = source_state.find_content([each.hash for each in touched])
    for seen, source in zip(touched, elsewhere.tolist(), strict=True):
        seen.source = source
    return looked


def rejection(rejected: Rejected) -> int:
    """Return 256 bits that stand for one rejection; their sum stands for many, in whatever order."""
    told = repr((unbroken(rejected.id), unbroken(rejected.reason)))
    return int.from_bytes(hashlib.sha256(told.encode()).digest(), "big")


def compare(
    source: Iterable[Entry],
    source_state: SourceState,
    quarantined: int,
    removed_id: Callable[[int], str],
    on_progress: Callable[[int], None],
) -> Changes:
    """Count what changed since the build that `source_state` is of.

    Args:
        source: all entries, as they are now.
        source_state: of the build.
        quarantined: the sum of `rejection` over what the source could not read then.
        removed_id: gives the identity of a row of the source_state.
        on_progress: called with the number of entries just read.
    """
    changes = Changes()
    still = np.zeros(len(source_state), np.bool_)
    unusable = _unusable(source_state.entries)
    rejections = 0
    entries: Iterator[Entry] = iter(source)
    while block := list(islice(entries, BLOCK)):
        for each in look(block, [source_states.describe(entry) for entry in block], source_state):
            if isinstance(each, Rejected):
                changes.quarantined += 1
                rejections += rejection(each)
                continue
            record, seen = each
            if seen.known >= 0:
                still[seen.known] = True
            if seen.same and unusable[seen.known]:
                changes.quarantined += 1
            elif seen.same:
                changes.unchanged += 1
            else:
                changes.note("changed" if seen.known >= 0 else "added", record.id)
            changes.to_embed += seen.source < 0
        on_progress(len(block))
    gone = np.flatnonzero(~still)
    changes.removed = len(gone)
    changes.examples["removed"] = [removed_id(at) for at in gone[:EXAMPLES].tolist()]
    changes.requarantined = rejections != quarantined
    return changes


def with_unusable(changes: Changes, source_state: SourceState, entries: source_states.Entries) -> Changes:
    """Return what changed, records that the encoder could not use counted as quarantined.

    Args:
        changes: as `compare` counts them, before anything is embedded.
        source_state: of the build before.
        entries: the rows of the new build's source_state.
    """
    bad = entries[_unusable(entries)]
    known = source_state.find(bad["key"])
    there = known >= 0
    same = there.copy()
    for name in ("facts", "high", "low"):
        same[there] &= source_state.entries[name][known[there]] == bad[name][there]
    added, changed = int((~there).sum()), int((there & ~same).sum())  # the same ones are counted already
    unusable = set(bad["key"].tolist())
    examples = {
        kind: [each for each in named if kind == "removed" or source_states.hash_of(each) not in unusable]
        for kind, named in changes.examples.items()
    }
    return replace(
        changes,
        examples={kind: named for kind, named in examples.items() if named},
        added=changes.added - added,
        changed=changes.changed - changed,
        quarantined=changes.quarantined + added + changed,
    )


def unchanged(build: Build) -> Changes:
    """Return what `compare` finds where a build's source is as it was then."""
    report, unusable = build.manifest.report, int(_unusable(build.source_state.entries).sum())
    bad = report.entries - report.records + unusable
    return Changes(unchanged=report.records - unusable, quarantined=bad)


def _unusable(entries: source_states.Entries) -> npt.NDArray[np.bool_]:
    """Return which records have no vector, for all of them was quarantined: (n,) of truth values."""
    return np.asarray((entries["rows"] == 0) & (entries["bad"] > 0))
