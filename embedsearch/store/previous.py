"""The build before: what a rebuild compares its source with, and whose vectors it keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from embedsearch.records import HEADING_PATH, PAGE, Rejected, Span, Value
from embedsearch.store.build import Build
from embedsearch.store.items import FIELD
from embedsearch.store.source_state import SourceState


class Kept(NamedTuple):
    """What is known of an item without reading its record's content.

    Attributes:
        id: see `embedsearch.store.items.Item`, as all.
        text: the text, or the sentence that holds the word.
        span: the word's.
        image: what is kept of an image without a file of its own.
        place: of a document, the fields that tell its page and its headings.
    """

    id: str
    text: str | None
    span: Span | None
    image: bytes | None
    place: Mapping[str, Value]


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
        names = ["id", "text", "start", "end", "picture"]
        places = [name for name in (PAGE, HEADING_PATH) if f"{FIELD}{name}" in self.build.items.column_names]
        columns = self.build.read(rows, names + [f"{FIELD}{name}" for name in places])
        for identity, text, start, end, image, *values in zip(*columns.values(), strict=True):
            place = {name: value for name, value in zip(places, values, strict=True) if value is not None}
            yield Kept(identity, text, None if start is None else (start, end), image, place)
