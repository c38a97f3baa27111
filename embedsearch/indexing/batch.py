"""What flows through a build: items, and the stretches of the source that are embedded together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from embedsearch.distances.metric import Vectors
from embedsearch.encoders import Prepared
from embedsearch.encoders.probes import Probe
from embedsearch.records import Content, Record, Rejected, Sentence, Span
from embedsearch.store import source_state
from embedsearch.store.items import Item


@dataclass(slots=True)
class Chunk:
    """A stretch of the source, embedded.

    Attributes:
        entries: how many entries of the source it covers.
        items: one per vector.
        vectors: (n, d) float32, raw.
        source_state: (m,) of `embedsearch.store.source_state.ENTRY`, a row for each record that could be
            read.
        rejected: what could not be used, and where in `source_state` its record is; None where it is not
            there.
        reused: how many of its vectors are those of the build before.
        probes: a few of its inputs with their vectors; see `embedsearch.encoders.probes`.
        digest: of its entries, so that a later run knows them again.
        waited: seconds that the pass waited for input.
        computed: seconds that the pass waited for the model.
    """

    entries: int
    items: list[Item]
    vectors: Vectors
    source_state: source_state.Entries
    rejected: list[tuple[Rejected, int | None]] = field(default_factory=list)
    reused: int = 0
    probes: list[Probe] = field(default_factory=list)
    digest: str = ""
    waited: float = 0.0
    computed: float = 0.0


@dataclass(slots=True)
class Input:
    """One thing that gets vectors, and the record it comes from.

    Attributes:
        record: where it comes from.
        entry: where the record stands in the chunk's source_state.
        content: what the encoder reads: the record's content, or one sentence of it.
        offset: where the sentence starts in the record's text.
        hash: the record's content hash.
        old: the rows `[start, end)` of the build before that hold its vectors already.
        again: the row of this pass that holds its vector already, for its content was seen; -1 for none.
    """

    record: Record
    entry: int
    content: Content | Sentence
    offset: int
    hash: str
    old: Span | None = None
    again: int = -1

    def id(self, span: Span | None) -> str:
        """Return the identity of the item that `span` of this input makes."""
        if not isinstance(self.content, Sentence):
            return self.record.id
        return f"{self.record.id}#{self.offset + (span[0] if span else 0)}"


@dataclass(slots=True)
class Work:
    """A chunk on its way; inputs that are alike are prepared and computed once.

    Attributes:
        chunk: what becomes of it.
        inputs: what gets vectors, in the source's order.
        prepared: the different ones among those that are computed.
        which: for each input, where in `prepared` it is; -1 for those that have a vector already.
    """

    chunk: Chunk
    inputs: list[Input]
    prepared: list[Prepared]
    which: list[int]


def empty(entries: int, dimension: int, rows: Sequence[tuple[int, ...]]) -> Chunk:
    """Return a chunk of which nothing is embedded yet, its source_state made of `rows`."""
    return Chunk(entries, [], np.empty((0, dimension), np.float32), np.array(rows, source_state.ENTRY))
