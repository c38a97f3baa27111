"""An embedded batch to items, and where the vector of each comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

import numpy as np
import numpy.typing as npt

from embedsearch.distances.metric import Vectors
from embedsearch.indexing.batch import WHOLE, Batch, Outcome, Part
from embedsearch.modalities import MODALITIES
from embedsearch.records import LABEL, Block, Record, Rejected, Span, unbroken
from embedsearch.store.items import Item, ItemColumns, by_column
from embedsearch.store.previous import Kept, PreviousBuild
from embedsearch.store.source_state import Places

NEW = -1  # the vector was embedded; a kept one has the row of the build before
Spans = npt.NDArray[np.int32]
COPY = -2  # and a copy this less the number of the first record with its content


@dataclass(slots=True)
class Laid:
    """A batch as a build has it.

    Attributes:
        items: one for each vector.
        origins: (n,) where each vector comes from: `NEW`, a row of the build before, or `COPY` and below.
        unknown: (n,) share (0 to 1) of each new one's text that the model does not know, 0 for the others.
        vectors: (n, d) float32, the new ones.
        rejected: what can't be used, and which of the batch's records it is.
    """

    items: ItemColumns
    origins: Places
    unknown: npt.NDArray[np.float16]
    vectors: Vectors
    rejected: list[tuple[Rejected, int | None]]


def lay_down(
    batch: Batch, previous: PreviousBuild | None, failed: dict[int, str], split: dict[int, Spans], first: int
) -> Laid:
    """Return the items of an embedded batch, and complete its `rows`.

    Args:
        batch: with its vectors.
        previous: the build that kept vectors are of.
        failed: records of this build that have no vector, and why; those of the batch are added.
        split: the passages (p, 2) of records of this build that are embedded and split; as `failed`.
        first: the number of the batch's first record in this build.
    """
    rows = batch.rows
    digits = np.stack([rows["high"], rows["low"]], 1).astype(">u8").tobytes().hex()  # (m, 2) -> 32 m digits
    hashes = [digits[at : at + 32] for at in range(0, len(digits), 32)]
    starts = np.zeros(1, np.int64) if previous is None else previous.source_state.starts
    kept_starts = starts[np.maximum(batch.kept, 0)]  # (m,)
    if _is_smooth(batch, failed):
        return _lay_columns(batch, hashes, kept_starts)
    kept_items, kept_rows = _kept_items(batch, previous), kept_starts.tolist()
    parts: dict[int, list[Part]] = {}
    whole = (Part(at, 0, number) for number, at in enumerate(batch.whole.tolist()))
    for part in batch.parts if batch.parted else whole:
        parts.setdefault(part.record, []).append(part)
    counts, bad, truncated, lost = (rows[name].tolist() for name in ("rows", "bad", "truncated", "lost"))

    laid: list[tuple[Item, int, float]] = []
    rejected = list(batch.rejected)

    def reject(at: int, identity: str, reason: str) -> None:
        rejected.append((Rejected(unbroken(identity), unbroken(reason)), at))
        bad[at] += 1

    def take(at: int, record: Record, content_hash: str, part: Part, outcome: Outcome) -> None:
        counts[at] += outcome.rows
        truncated[at] += outcome.truncated
        lost[at] += outcome.lost
        if outcome.shares:
            split[first + at] = np.array(outcome.units, np.int32)
        shares = outcome.shares or (outcome.unknown,) * outcome.rows
        for (start, span), unknown in zip(_places(part, outcome), shares, strict=True):
            laid.append((_item(record, content_hash, part.text, start, span), NEW, unknown))

    taken: list[int] = []
    places = zip(batch.records, hashes, batch.kept.tolist(), batch.copies.tolist(), strict=True)
    for at, (record, content_hash, kept, copy) in enumerate(places):
        if kept >= 0:
            for row in range(kept_rows[at], kept_rows[at] + counts[at]):
                laid.append((_kept_item(record, content_hash, kept_items.get(row)), row, 0.0))
        elif copy in failed:
            counts[at] = 0
            reject(at, record.id, failed[copy])
        elif copy >= 0:
            held = _places_of(split.get(copy))
            counts[at] = len(held)
            for start, span in held:
                laid.append((_item(record, content_hash, None, start, span), COPY - copy, 0.0))
        for part in parts.get(at, ()):
            outcome = batch.embedded.outcomes[part.content]
            if outcome.reason:
                if part.text is None and part.clip is None:
                    failed[first + at] = outcome.reason
                    reject(at, record.id, outcome.reason)
                else:
                    reject(at, f"{record.id}#{part.offset}", outcome.reason)
                continue
            taken.append(part.content)
            take(at, record, content_hash, part, outcome)
    rows["rows"], rows["bad"], rows["truncated"], rows["lost"] = counts, bad, truncated, lost
    items, origins, unknown = zip(*laid, strict=True) if laid else ((), (), ())
    return Laid(
        by_column(_bytes_once(items, counts)),
        np.array(origins, np.int64),
        np.array(unknown, np.float16),
        _in_order(batch, taken),
        rejected,
    )


def _bytes_once(items: Sequence[Item], counts: Sequence[int]) -> list[Item]:
    """Return items of which the first of each record has its bytes, and no other; `counts` of each record."""
    firsts = set(accumulate(counts, initial=0))
    return [
        item if item.content is None or at in firsts else item._replace(content=None)
        for at, item in enumerate(items)
    ]


def _is_smooth(batch: Batch, failed: Mapping[int, str]) -> bool:
    """Whether a batch is a block of records with a vector each: new ones, kept ones, or copies."""
    outcomes = batch.embedded.outcomes
    return (
        isinstance(batch.records, Block)
        and not batch.parted
        and not batch.rejected
        and bool((batch.rows["rows"][batch.kept >= 0] == 1).all())
        and outcomes.count(WHOLE) == len(outcomes)
        and (not failed or failed.keys().isdisjoint(batch.copies.tolist()))
    )


def _lay_columns(batch: Batch, hashes: list[str], kept_starts: Places) -> Laid:
    """Return the items of a smooth batch, by column; see `lay_down`."""
    block, copies = batch.records, batch.copies
    assert isinstance(block, Block)
    none = [None] * len(block)
    contents = block.contents if MODALITIES[block.modality].keeps_bytes else none
    batch.rows["rows"] = 1
    return Laid(
        items=ItemColumns(block.ids, none, none, none, hashes, block.fields, contents),
        origins=np.where(batch.kept >= 0, kept_starts, np.where(copies >= 0, COPY - copies, NEW)),
        unknown=np.zeros(len(block), np.float16),
        vectors=batch.embedded.vectors,
        rejected=[],
    )


def _places(part: Part, outcome: Outcome) -> list[tuple[int, Span | None]]:
    """Return where each vector of a part starts in its record, and its span; no span for a whole record."""
    if part.clip is not None or outcome.units is None:
        return [(part.offset, part.clip)]
    return [(part.offset + span[0], span) for span in outcome.units]


def _places_of(passages: Spans | None) -> list[tuple[int, Span | None]]:
    """Return where each vector of a copy starts, and its span; `passages` (p, 2) of a text that is split."""
    return [(0, None)] if passages is None else [(start, (start, end)) for start, end in passages.tolist()]


def _in_order(batch: Batch, taken: list[int]) -> Vectors:
    """Return the vectors of contents in the order in which they are taken, (n, d)."""
    outcomes, vectors = batch.embedded.outcomes, batch.embedded.vectors
    if taken == [at for at, outcome in enumerate(outcomes) if not outcome.reason]:
        return vectors
    ends = list(accumulate(outcome.rows for outcome in outcomes))
    slices = [vectors[ends[at] - outcomes[at].rows : ends[at]] for at in taken]
    return np.concatenate([vectors[:0], *slices])


def _item(
    record: Record, content_hash: str, text: str | None = None, start: int = 0, span: Span | None = None
) -> Item:
    """Return the item of a vector.

    Args:
        record: that it is of.
        content_hash: of the record.
        text: the sentence of a word; None for the record's own text, a passage of it, and what is no text.
        start: where a word, clip or passage starts in its record.
        span: its `[start, end)` in the sentence or record; None for a whole record.
    """
    content, fields = record.content, record.fields
    if text is None and span is not None and isinstance(content, str):
        text = content[slice(*span)]
    if record.outline is not None:
        fields = {**fields, **record.outline.fields(start)}
    identity = record.id if span is None else f"{record.id}#{start}"
    if span is not None and record.labels is not None:
        fields = {**fields, LABEL: record.labels.of(start, start + span[1] - span[0])}
    file = content if isinstance(content, Path) else record.path
    path = None if file is None else str(file)
    if isinstance(content, str):
        return Item(identity, content if text is None else text, path, span, content_hash, fields)
    keeps = MODALITIES[record.modality].keeps_bytes
    image = content if isinstance(content, bytes) and keeps else None
    return Item(identity, text, path, span, content_hash, fields, image)


def _kept_items(batch: Batch, previous: PreviousBuild | None) -> Mapping[int, Kept]:
    """Return what is known of the items of kept vectors by row, where the record alone does not tell it."""
    if previous is None:
        return {}
    places = zip(batch.records, batch.kept.tolist(), batch.rows["rows"].tolist(), strict=True)
    wanted = [
        row
        for record, kept, count in places
        if kept >= 0 and (batch.parted or count > 1 or not isinstance(record.content, str | bytes | Path))
        for row in range(*previous.rows(kept))
    ]
    return dict(zip(wanted, previous.items(wanted), strict=True)) if wanted else {}


def _kept_item(record: Record, content_hash: str, known: Kept | None) -> Item:
    """Return an item of the build before as its record has it now: its id, path and fields."""
    if known is None:
        return _item(record, content_hash)
    if record.outline is None and not isinstance(record.content, str | bytes | Path):
        record = replace(record, fields={**known.place, **record.fields})  # it was not read
    # the id of a word, a clip or a passage tells where it starts
    start = 0 if known.span is None else int(known.id.rpartition("#")[2])
    item = _item(record, content_hash, known.text, start, known.span)
    return item if item.content is not None else item._replace(content=known.image)
