"""What flows through a build: the records that are embedded together, and their vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, overload

import numpy as np

from embedsearch.distances.metric import Vectors
from embedsearch.encoders.probes import Probe
from embedsearch.records import Block, Clip, Content, Matrix, Passages, Record, Rejected, Sentence, Span
from embedsearch.store.source_state import Entries, Places


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one content.

    Attributes:
        units: the spans of its vectors in the text; None where it has just one vector.
        shares: of a long text, `unknown` of each passage; else empty.
        truncated: whether the model's limit cut it.
        lost: words that get no vector: they lie beyond the limit, or the model does not know them.
        reason: why it has no vector; empty where it has some.
        unknown: share (0 to 1) of the text that the model does not know.
        notes: what was done to show what it holds, see `Prepared`.
    """

    units: tuple[Span, ...] | None = None
    truncated: bool = False
    lost: int = 0
    reason: str = ""
    unknown: float = 0.0
    notes: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()

    @property
    def rows(self) -> int:
        """How many vectors it has."""
        if self.reason:
            return 0
        return 1 if self.units is None else len(self.units)


WHOLE = Outcome()  # of most contents


def _nothing() -> Vectors:
    return np.empty((0, 0), np.float32)


@dataclass(slots=True)
class Embedded:
    """What a runner made of a batch.

    Attributes:
        outcomes: of each content.
        vectors: (n, d) float32, raw, of the contents in their order.
        probes: a few contents as the model takes them, with their vectors; see `embedsearch.encoders.probes`.
        waited: seconds that the runner waited for input.
        computed: seconds that it waited for the model.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    vectors: Vectors = field(default_factory=_nothing)
    probes: list[Probe] = field(default_factory=list)
    waited: float = 0.0
    computed: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Far(Sequence[Content]):
    """Contents that lie elsewhere, where a runner read them; asked for one, it fetches all.

    Attributes:
        reference: of all that was read, for the runner.
        fetch: returns all that was read.
        places: (r,) which of it these are.
        wraps: whether a text stands for its passages.
    """

    reference: Any
    fetch: Callable[[], Sequence[Content]]
    places: Places
    wraps: bool = False

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, at: int) -> Content: ...
    @overload
    def __getitem__(self, at: slice) -> Far: ...
    def __getitem__(self, at: int | slice) -> Content | Far:
        if isinstance(at, slice):
            return replace(self, places=self.places[at])
        content: Content = self.fetch()[int(self.places[at])]
        return content


class Part(NamedTuple):
    """A sentence or clip of a record, or all of it, that is embedded.

    Attributes:
        record: which of the batch's records it is of.
        offset: where it starts: a character of the record's text, or a millisecond.
        content: which of the batch's contents it is.
        text: the sentence; None for a clip and for a whole record.
        clip: the span of a clip in milliseconds; None for anything else.
    """

    record: int
    offset: int
    content: int
    text: str | None = None
    clip: Span | None = None


@dataclass(slots=True)
class Batch:
    """The next records of the source, and what has to be embedded of them.

    Attributes:
        entries: how many entries of the source it covers.
        digest: of these, so that a later run recognises them.
        records: those that could be read.
        rows: (m,) of `embedsearch.store.source_state.ENTRY`, one for each record.
        kept: (m,) where in the build before its vectors are; -1 for those that it has no vectors of.
        copies: (m,) the first record of this build with the same content; -1 for those that are no copies.
        parted: whether a record has several parts, each with vectors of its own.
        whole: (r,) which records are embedded as they are, a content each.
        parts: what is embedded of records that have parts, in the order of the records.
        contents: what the encoder reads, each once; empty again when it is embedded.
        rejected: what can't be used, and which of `records` it is; None for what is not among them.
        embedded: what the runner made of `contents`.
    """

    entries: int
    digest: str
    records: Sequence[Record]
    rows: Entries
    kept: Places
    copies: Places
    parted: bool
    whole: Places = field(default_factory=lambda: np.empty(0, np.int64))
    parts: list[Part] = field(default_factory=list)
    contents: Sequence[Content | Sentence | Clip | Passages] = field(default_factory=list)
    rejected: list[tuple[Rejected, int | None]] = field(default_factory=list)
    embedded: Embedded = field(default_factory=Embedded)

    @property
    def size(self) -> int:
        """How many characters or bytes the contents of its records hold in memory."""
        if isinstance(self.records, Block):
            contents = self.records.contents
            return contents.rows.nbytes if isinstance(contents, Matrix) else sum(map(len, contents))
        return sum(len(each.content) for each in self.records if isinstance(each.content, str | bytes))
