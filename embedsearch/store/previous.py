"""The build before: what a rebuild compares its source with, and whose vectors it keeps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

from embedsearch.records import Rejected, Span
from embedsearch.store.build import Build
from embedsearch.store.source_state import SourceState


class Kept(NamedTuple):
    """What is known of an item without reading its record's content.

    Attributes:
        id: see `embedsearch.store.items.Item`, as all.
        text: the text, or the sentence that holds the word.
        span: the word's.
        image: what is kept of an image without a file of its own.
    """

    id: str
    text: str | None
    span: Span | None
    image: bytes | None


class PreviousBuild:
    """The build that was current when this one began; of a damaged one the newest intact build.

    Attributes:
        build: the build.
        reusable: whether its vectors are those that the recipe asks for.
    """

    def __init__(self, build: Build, *, reusable: bool) -> None:
        self.build = build
        self.reusable = reusable

    @cached_property
    def source_state(self) -> SourceState:
        """What it knows of the records that it was made from."""
        return self.build.source_state

    @cached_property
    def rejected(self) -> dict[int, list[Rejected]]:
        """What was rejected of each record, by the record's place in the source state."""
        found: dict[int, list[Rejected]] = {}
        for each in self.build.rejected():
            if each["entry"] is not None:
                found.setdefault(each["entry"], []).append(Rejected(each["id"], each["reason"]))
        return found

    @cached_property
    def unread(self) -> list[Rejected]:
        """What its source could not read: no record came of it."""
        rejected = self.build.rejected()
        return [Rejected(each["id"], each["reason"]) for each in rejected if each["entry"] is None]

    def rows(self, record: int) -> Span:
        """Return the rows `[start, end)` of a record's vectors."""
        starts = self.source_state.starts
        return int(starts[record]), int(starts[record + 1])

    def id(self, record: int) -> str:
        """Return the id of a record; of one without vectors, how it was listed."""
        start, end = self.rows(record)
        if start == end:
            rejected = self.rejected.get(record)
            return rejected[0].id if rejected else "?"
        row = self.build.read([start], ["id", "start"])
        return row["id"][0] if row["start"][0] is None else str(row["id"][0]).rpartition("#")[0]

    def items(self, rows: Sequence[int]) -> Iterator[Kept]:
        """Yield what is known of items."""
        columns = self.build.read(rows, ["id", "text", "start", "end", "picture"])
        for identity, text, start, end, image in zip(*columns.values(), strict=True):
            yield Kept(identity, text, None if start is None else (start, end), image)
