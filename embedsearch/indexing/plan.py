"""What a build has to do: which records are new, changed or gone, and which encoder embeds them.

For each record, by its content hash: the build before has its vectors, or this build has met the content, or
it is embedded.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from embedsearch.encoders import Encoder
from embedsearch.encoders.unloaded import UnloadedEncoder
from embedsearch.errors import IndexDamagedError, ItemError, MissingExtraError, ModelError
from embedsearch.indexing.batch import Batch, Far, Part
from embedsearch.indexing.changes import Changes, sum_of
from embedsearch.indexing.dedupe import Originals
from embedsearch.indexing.read import (
    HERE,
    Read,
    Reading,
    Walked,
    is_broken,
    may_be_broken,
    walk,
    with_facts,
)
from embedsearch.modalities import PASSAGES, modality_of
from embedsearch.models.spec import EncoderSpec
from embedsearch.progress import Progress
from embedsearch.recipe import EncoderRecipe, Recipe
from embedsearch.records import Block, Clip, Content, Matrix, Passages, Record, Rejected, Sentence, unbroken
from embedsearch.sources import Divisible, Source
from embedsearch.splitters import Splitter, splitter_of
from embedsearch.store import source_state
from embedsearch.store.build import Build
from embedsearch.store.facts import Artifacts
from embedsearch.store.folders import current_build
from embedsearch.store.items import FIELD
from embedsearch.store.manifest import Manifest
from embedsearch.store.previous import PreviousBuild
from embedsearch.store.source_state import Entries, Places, SourceState
from embedsearch.store.versions import builds_of

# What changes the last digits of vectors, and not their meaning.
COMPUTED_BY = ("precision", "engine", "decoding")
UNSPLIT = ("", PASSAGES)  # rules by which a text that the model reads whole has one vector
Describe = Callable[[EncoderRecipe], EncoderSpec]
Contents = Mapping[int, Content] | Sequence[Content]  # by the place of a record


@dataclass(frozen=True, slots=True)
class _Begun:
    """A stretch of the source whose contents are being read.

    Attributes:
        walked: the stretch.
        records: of it.
        unread: what of it the source could not read.
        rows: (m,) of the records.
        found: (m,) which records of the build before these are; -1 for none.
        kept: (m,) those whose content need not be read; -1 for the others.
        places: (r,) of the others.
        read: returns what was read of them; None of a block, which holds its contents.
    """

    walked: Walked
    records: Sequence[Record]
    unread: Sequence[Rejected]
    rows: Entries
    found: Places
    kept: Places
    places: Places
    read: Callable[[], Read] | None


class Plan:
    """Goes through a source once, and says of each record where its vectors come from.

    Attributes:
        source: what is gone through.
        previous: the build whose vectors are kept; None where none serves.
        changes: what changed since then, complete when the last batch was given out.
    """

    def __init__(self, recipe: Recipe, source: Source, previous: PreviousBuild | None) -> None:
        self.source = source
        self.previous = previous if previous is not None and previous.reusable else None
        self.changes = Changes()
        self._unit = recipe.encoder.unit
        self._modality = modality_of(self._unit)
        self._split = splitter_of(self._unit, recipe.encoder.splitter)
        # the encoder splits what is too long, as it alone knows the tokens
        self._has_passages = self._split is None and bool(recipe.encoder.splitter)
        nothing = SourceState(np.empty(0, source_state.ENTRY))
        self._known = nothing if self.previous is None else self.previous.source_state
        self._stale = _stale(self.previous, recipe.encoder.splitter)
        self._still = np.zeros(len(self._known), np.bool_)  # which of the known records are there
        self._originals = Originals()
        self._records = 0
        self._unread = 0

    def walk(self, reading: Reading = HERE) -> Iterator[Walked]:
        """Go through the source, without reading what lies in files; `reading` reads its parts."""
        if isinstance(self.source, Divisible):
            self.source.divide(reading.parts)
        return walk(self.source, self._unit, is_split=self._has_passages)

    def batches(self, walked: Iterable[Walked], reading: Reading = HERE) -> Iterator[Batch]:
        """Yield what is to be done for each stretch of the source; a file that is as it was is not read.

        Args:
            walked: the stretches.
            reading: who reads the contents.
        """
        begun: deque[_Begun] = deque()
        for each in walked:
            begun.append(self._begin(each, reading))
            while len(begun) > reading.ahead:
                yield self._batch(begun.popleft())
        while begun:
            yield self._batch(begun.popleft())
        self._originals = Originals()  # it takes memory that making the index needs
        if self.previous is not None:
            gone = np.flatnonzero(~self._still)
            self.changes.removed = len(gone)
            self.changes.note("removed", map(self.previous.id, gone.tolist()))
            self.changes.rejects_others |= self._unread != sum_of(self.previous.unread)

    def resume(self, walked: Walked, rows: Entries, unread: Sequence[Rejected]) -> None:
        """Take in a stretch that an interrupted run has done.

        Args:
            walked: the stretch.
            rows: (m,) of its records, from that run.
            unread: what of it the source could not read.
        """
        ids = {
            key: entry.id for key, entry in zip(walked.described["key"].tolist(), walked.entries, strict=True)
        }
        found = self._known.find(rows["key"])
        same = self._known.same(rows, found)
        self.changes.to_embed += int(
            (~same & (self._known.find_content(rows["high"], rows["low"]) < 0)).sum()
        )
        self._count(rows, found, [ids[key] for key in rows["key"].tolist()], unread)
        if self._split is None:
            good = np.flatnonzero((rows["rows"] == 1) & (rows["bad"] == 0))
            self._originals.first(rows["high"][good], rows["low"][good], self._records + good)
        self._records += len(rows)

    def _count(self, rows: Entries, found: Places, ids: Sequence[str], unread: Iterable[Rejected]) -> None:
        self._still[found[found >= 0]] = True
        unread = list(unread)
        self._unread += sum_of(unread)
        self.changes.rejected += len(unread)
        self.changes.count(self._known, rows, found, ids)

    def _begin(self, walked: Walked, reading: Reading) -> _Begun:
        records, unread, rows = _parted(walked)
        found = self._known.find(rows["key"])
        kept = self._fitting(np.where(self._known.untouched(rows, found), found, -1))
        rows["modified"] = source_state.trusted(rows["modified"])
        places = np.flatnonzero(kept < 0)
        read = (
            None
            if isinstance(records, Block)
            else reading.begin({at: records[at] for at in places.tolist()}, self._unit)
        )
        return _Begun(walked, records, unread, rows, found, kept, places, read)

    def _batch(self, begun: _Begun) -> Batch:
        walked, records, unread, rows = begun.walked, begun.records, begun.unread, begun.rows
        found, kept = begun.found, begun.kept
        contents, read, refused = self._read(begun)
        self._copy(rows, kept, "high", "low")
        kept[read] = self._fitting(self._with_same_content(rows[read], found[read]))
        others = ~self._known.same(rows, found)
        for at in np.flatnonzero(others).tolist() if self._may_be_unfit(records) else ():
            if at not in refused and (reason := self._unfit(records[at])):
                refused[at], kept[at] = reason, -1
        self._copy(rows, kept, "rows", "truncated", "lost", "bad")
        self._keep_facts(records, np.setdiff1d(np.flatnonzero(kept >= 0), read), kept)
        new = read[kept[read] < 0]
        if refused:
            new = np.setdiff1d(new, list(refused))
        copies = np.full(len(rows), -1, np.int64)
        parted = self._split is not None
        batch = Batch(len(walked.entries), walked.digest, records, rows, kept, copies, parted)
        if self._split is None:
            self._take_whole(batch, new, contents, read)
        else:
            if isinstance(contents, Far):
                contents = dict(zip(read.tolist(), contents.fetch(), strict=True))
            self._take_parts(batch, new, contents, refused, self._split)
        rows["rows"][batch.copies >= 0] = 1
        batch.rejected = [(Rejected(unbroken(each.id), unbroken(each.reason)), None) for each in unread]
        if self.previous is not None:
            for at in np.flatnonzero(rows["bad"] > 0).tolist():
                batch.rejected += [(each, at) for each in self.previous.rejected.get(int(kept[at]), ())]
        for at, reason in sorted([*refused.items(), *self._bad_spans(records, new.tolist())]):
            rows["bad"][at] += 1
            batch.rejected.append((Rejected(unbroken(records[at].id), unbroken(reason)), at))
        self._records += len(records)
        self.changes.to_embed += len(set(new.tolist()) - refused.keys()) if refused else len(new)
        self._count(rows, found, _ids_of(records), unread)
        return batch

    def _bad_spans(self, records: Sequence[Record], new: Iterable[int]) -> Iterator[tuple[int, str]]:
        """Yield the place of each span that can't be used, and why, of records that are split now."""
        for at in new if self._split is not None else ():
            labels = records[at].labels
            yield from ((at, reason) for reason in (labels.rejected if labels is not None else ()))

    def _copy(self, rows: Entries, kept: Places, *names: str) -> None:
        """Copy columns of known records into rows whose vectors are kept."""
        there = np.flatnonzero(kept >= 0)
        for name in names:
            rows[name][there] = self._known.entries[name][kept[there]]

    def _keep_facts(self, records: Sequence[Record], unread: Places, kept: Places) -> None:
        """Give records whose content is not read the fields of its own that it had in the build before."""
        if self.previous is None or not self._modality.fact_names:
            return
        build = self.previous.build
        names = [name for name in self._modality.fact_names if name in build.manifest.fields]
        # a text in memory has no facts of its own
        places = [
            at
            for at in unread.tolist()
            if self._known.entries["rows"][kept[at]] and not isinstance(records[at].content, str)
        ]
        rows = self._known.starts[kept[places]].tolist() if names and places else []
        columns = build.read(rows, [f"{FIELD}{name}" for name in names]) if rows else {}
        for at, *values in zip(places, *columns.values(), strict=True) if columns else ():
            assert isinstance(records, list)  # the contents of a block have no fields of their own
            facts = {name: value for name, value in zip(names, values, strict=True) if value is not None}
            records[at] = with_facts(records[at], facts)

    def _may_be_unfit(self, records: Sequence[Record]) -> bool:
        """Whether one of the records can be unfit; False only of a block where none is."""
        if isinstance(records, Block) and records.modality is not self._modality.modality:
            return True
        return may_be_broken(records)

    def _unfit(self, record: Record) -> str:
        """Return why a record can't be used, whatever its content is; empty where it can."""
        if is_broken(record):
            return "its text, fields or file name hold a broken character, which UTF-8 can't store"
        wanted = self._modality.modality
        if record.modality is not wanted:
            return f"the source gives a {record.modality}, the unit {self._unit} needs a {wanted}"
        return ""

    def _read(self, begun: _Begun) -> tuple[Contents, Places, dict[int, str]]:
        """Take in what was read of records, and note the hashes of the contents.

        Returns:
            The contents by the record's place, or in the order of the places that were read; the places (r,)
            of those that were read, ascending, and why there is none, by the record's place.
        """
        records, rows = begun.records, begun.rows
        if isinstance(records, Block):
            highs, lows = source_state.halves_of_digests(records.digests)  # (m,) each
            rows["high"][begun.places], rows["low"][begun.places] = highs[begun.places], lows[begun.places]
            return records.contents, begun.places, {}
        assert begun.read is not None and isinstance(records, list)
        found = begun.read()
        for at, record in found.records.items():
            records[at] = record
        rows["modified"][list(found.lost)] = 0  # it is tried again, though the file's time stays
        read = np.array(list(found.records), np.int64)
        rows["high"][read], rows["low"][read] = source_state.halves(found.hashes)
        refused = {**found.refused, **found.lost}
        if isinstance(found.contents, Far):
            return found.contents, read, refused
        return dict(zip(found.records, found.contents, strict=True)), read, refused

    def _with_same_content(self, rows: Entries, found: Places) -> Places:
        """Return known records with the same content, (m,): the one of the same id, else any; -1 for none.

        What was rejected is the same only with the same fields, for it may have been rejected for them.
        """
        elsewhere = self._known.find_content(rows["high"], rows["low"])
        if not len(self._known):
            return elsewhere
        then = self._known.entries[np.maximum(found, 0)]
        own = (found >= 0) & (rows["high"] == then["high"]) & (rows["low"] == then["low"])
        own &= (then["bad"] == 0) | (rows["facts"] == then["facts"])
        return np.where(own, found, elsewhere)

    def _fitting(self, kept: Places) -> Places:
        """Return known records (m,) without those that are split otherwise now, -1 in their place."""
        return np.where((kept >= 0) & self._stale[kept], -1, kept) if self._stale.any() else kept

    def _take_whole(self, batch: Batch, new: Places, contents: Contents, read: Places) -> None:
        """Embed each content at the places `new` (r,) that this build has not met; see `_read`."""
        first = self._originals.first(batch.rows["high"][new], batch.rows["low"][new], self._records + new)
        is_copy = first != self._records + new
        batch.copies[new[is_copy]] = first[is_copy]
        batch.whole = new[~is_copy]
        if isinstance(contents, Matrix):
            batch.contents = contents.take(batch.whole)
        elif isinstance(contents, Far):
            places = np.searchsorted(read, batch.whole)
            batch.contents = replace(contents, places=places, wraps=self._has_passages)
        else:
            held = [contents[at] for at in batch.whole.tolist()]
            wraps = self._has_passages
            batch.contents = [Passages(each) if wraps and isinstance(each, str) else each for each in held]

    def _take_parts(
        self, batch: Batch, new: Places, contents: Contents, refused: dict[int, str], split: Splitter
    ) -> None:
        """Embed each different part of the contents at the places `new`, (r,)."""
        numbers: dict[Sentence | Clip, int] = {}
        for at in new.tolist():
            try:
                content, record = contents[at], batch.records[at]
                for offset, part in split(content if record.labels is None else record):
                    number = numbers.setdefault(part, len(numbers))
                    if isinstance(part, Clip):
                        batch.parts.append(Part(at, offset, number, clip=part.span))
                    else:
                        batch.parts.append(Part(at, offset, number, part.text))
            except ItemError as error:
                refused[at] = str(error)
        batch.contents = list(numbers)


def _stale(previous: PreviousBuild | None, splitter: str) -> npt.NDArray[np.bool_]:
    """Return which records of a build that serves the rule `splitter` splits otherwise, (n,); see `suits`."""
    if previous is None:
        return np.zeros(0, np.bool_)
    entries = previous.source_state.entries
    if previous.build.manifest.recipe.encoder.splitter == splitter:
        return np.zeros(len(entries), np.bool_)
    return np.asarray((entries["truncated"] > 0) | (entries["rows"] > 1))


def _parted(walked: Walked) -> tuple[Sequence[Record], Sequence[Rejected], Entries]:
    """Return the records of a stretch, what its source could not read, and the rows (m,) of the records."""
    entries = walked.entries
    if isinstance(entries, Block):
        return entries, (), walked.described
    records = [entry for entry in entries if isinstance(entry, Record)]
    unread = [entry for entry in entries if isinstance(entry, Rejected)]
    return records, unread, walked.described[[isinstance(entry, Record) for entry in entries]]


def _ids_of(records: Sequence[Record]) -> Sequence[str]:
    return records.ids if isinstance(records, Block) else [record.id for record in records]


class EncoderChangedError(Exception):
    """The encoder computes other digits than the one that made the build before; no error for a user."""


class PlannedEncoder:
    """Which encoder a build takes; loaded when something has to be embedded.

    Attributes:
        recipe: the recipe of the encoder; what it leaves open is as in the build before, where that can be.
    """

    def __init__(
        self,
        recipe: EncoderRecipe,
        previous: PreviousBuild | None,
        describe: Describe,
        load: Callable[..., Encoder],
        loaded: Encoder | None = None,
    ) -> None:
        """Choose.

        Args:
            recipe: what is asked for.
            previous: the build before.
            describe: what tells of an encoder's meaning without loading it.
            load: what makes an encoder.
            loaded: the encoder, where it is loaded already.
        """
        self._asked, self._previous = recipe, previous
        self._describe, self._load, self._loaded = describe, load, loaded
        made = None if previous is None else previous.build.manifest
        # how the build before was computed, where its vectors mean the same
        self._made: dict[str, str] = {}
        if made is not None and _meaning(made.recipe.encoder) == _meaning(recipe):
            self._made = {name: getattr(made.encoder, name) for name in COMPUTED_BY}
        precision, engine, decoding = (
            (self._made.get(name) or asked) if asked == "auto" else asked
            for name, asked in ((name, getattr(recipe, name)) for name in COMPUTED_BY)
        )
        self.recipe = replace(recipe, precision=precision, engine=engine, decoding=decoding)

    @property
    def is_loaded(self) -> bool:
        """Whether the encoder was loaded."""
        return self._loaded is not None

    @property
    def current(self) -> Encoder:
        """The encoder; an `UnloadedEncoder` as long as nothing had to be embedded."""
        if self._loaded is not None:
            return self._loaded
        assert self._previous is not None  # else it is loaded before anything is read
        manifest, spec = self._previous.build.manifest, self._describe(self._asked)
        made = replace(manifest.encoder.spec, splitter=spec.splitter)  # see `suits`
        known = replace(manifest.encoder, spec=made, fingerprint=spec.fingerprint)
        return UnloadedEncoder(spec, manifest.model_dimension, known)

    def load(self, recipe: EncoderRecipe) -> Encoder:
        """Load the encoder, once.

        Args:
            recipe: `self.recipe`, as a runner is given it.

        Raises:
            ModelError: it can't be loaded.
            EncoderChangedError: it would give other digits than the vectors that are kept.
        """
        if self._loaded is None:
            try:
                self._loaded = self._load(recipe)
            except (ModelError, MissingExtraError):
                if recipe == self._asked:
                    raise
                self._loaded = self._load(self._asked)  # the engine of then is not here
            changed = [
                f"{name} {value}, now {getattr(self._loaded, name)}"
                for name, value in self._made.items()
                if value not in ("", getattr(self._loaded, name))
            ]
            if changed and self._previous is not None and self._previous.reusable:
                raise EncoderChangedError("; ".join(changed))
        return self._loaded


def find_previous(
    recipe: Recipe, folder: Path, describe: Describe, progress: Progress, *, full: bool
) -> PreviousBuild | None:
    """Return the current build; where it is damaged the newest intact one, or None: then all is embedded.

    Where artifacts alone are damaged (see `embedsearch.artifacts`), the current build serves.

    Args:
        recipe: what is asked for.
        folder: of the index.
        describe: what tells of an encoder's meaning without loading it.
        progress: who is told of damage, and why vectors can't be kept.
        full: whether no vector is kept in any case.
    """
    build = _intact(folder, progress)
    return (
        None
        if build is None
        else PreviousBuild(build, reusable=not full and suits(recipe, build, describe, progress))
    )


def _intact(folder: Path, progress: Progress) -> Build | None:
    had = Artifacts()
    try:
        current = current_build(folder)
        with contextlib.suppress(IndexDamagedError):
            had = Manifest.load(current).artifacts
        build = Build(current, spare=True)
        if build.damaged:
            progress.stage(f"the current build is damaged: {', '.join(sorted(build.damaged))}")
        return build
    except IndexDamagedError as error:
        progress.stage(f"the current build is damaged: {error}")
    for path in reversed(builds_of(folder)):
        try:
            build = Build(path)
        except IndexDamagedError:
            continue
        _report_lost(folder.name, had, build.manifest.artifacts, progress)
        return build
    progress.stage("embedding everything again: every build is damaged")
    _report_lost(folder.name, had, Artifacts(), progress)
    return None


def _report_lost(name: str, had: Artifacts, has: Artifacts, progress: Progress) -> None:
    """Report which artifacts that a person made are lost with a damaged build."""
    aligned = [each.crossmodal is not None and each.crossmodal.by == "align" for each in (had, has)]
    if aligned == [True, False]:
        progress.stage(f"the alignment with captions is lost: embedsearch align {name}")
    if had.map is not None and has.map is None:
        progress.stage(f"the map is lost: embedsearch map {name}")


def suits(recipe: Recipe, build: Build, describe: Describe, progress: Progress) -> bool:
    """Whether a build's vectors are those that the recipe asks for; if not, report why.

    They are, too, where one of the two splits what the model does not read whole and the other does not: of
    the other texts.
    """
    manifest = build.manifest
    why = ""
    spec = describe(recipe.encoder)
    rules = UNSPLIT if spec.splitter in UNSPLIT else (spec.splitter,)
    if manifest.encoder.fingerprint not in [replace(spec, splitter=rule).fingerprint for rule in rules]:
        why = "another model, unit, pooling, layer, preparation of images or columns"
    elif recipe.index.storage == "fp32" and build.vectors.dtype != np.float32:
        why = "vectors in fp16"
    elif manifest.recipe.index.dim not in (0, recipe.index.dim) and manifest.centring is not None:
        why = f"vectors reduced to {manifest.dimension} dimensions"
    else:
        asked = {name: getattr(recipe.encoder, name) for name in COMPUTED_BY}
        why = "; ".join(
            f"{name} {getattr(manifest.encoder, name)}"
            for name, value in asked.items()
            if value != "auto" and getattr(manifest.encoder, name) not in ("", value)
        )
    if why:
        progress.stage(f"embedding everything again: the current build has {why}")
    return not why


def _meaning(encoder: EncoderRecipe) -> EncoderRecipe:
    """Return what in an encoder's recipe decides what its vectors mean, the rest as it is by default."""
    return replace(
        encoder,
        precision="auto",
        engine="auto",
        decoding="auto",
        device="auto",
        batch_tokens=0,
        table="",
        splitter="" if encoder.splitter in UNSPLIT else encoder.splitter,
    )
