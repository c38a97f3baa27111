"""The walk through a source, and its records' contents."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from embedsearch.errors import ItemError
from embedsearch.modalities import MODALITIES, UNITS, ModalityRow, modality_of
from embedsearch.records import (
    Block,
    Content,
    Document,
    Entry,
    Matrix,
    Modality,
    Outline,
    Record,
    Scalar,
    Unit,
    content_hash,
    stat_of,
    unbroken,
)
from embedsearch.sources import Columnar, Source
from embedsearch.sources.parts import Part, in_turn
from embedsearch.store import source_state
from embedsearch.store.source_state import Entries

# Bytes of images that a batch holds, so that a file is opened once; one beyond is opened again to be decoded.
HELD = 128 * 2**20
# Characters or bytes of texts that are split: a killed run loses a batch, some ten thousand passages.
HELD_TEXTS = 4 * 2**20
Fields = Mapping[str, Scalar]


@dataclass(frozen=True, slots=True)
class Walked:
    """The next entries of a source, before anything of them is read.

    Attributes:
        entries: what the source yields.
        described: (m,) see `embedsearch.store.source_state.describe`.
        digest: of these.
    """

    entries: Sequence[Entry]
    described: Entries
    digest: str


def walk(source: Source, unit: Unit, *, is_split: bool = False) -> Iterator[Walked]:
    """Go through a source once, by as many entries as are embedded together.

    Args:
        source: what is gone through.
        unit: what has a vector.
        is_split: whether long texts have several vectors.
    """
    most = UNITS[unit].records_ahead
    if isinstance(source, Columnar):
        stretches = source.stretches(most, HELD)
    else:
        stretches = _stretches(source, most, _size_of_text if is_split else _size)
    for taken in map(_by_column, stretches):
        described = source_state.describe(taken)
        yield Walked(taken, described, source_state.digest(described))


def _by_column(entries: Sequence[Entry]) -> Sequence[Entry]:
    """Return entries as a block, where all are records of bytes, of one modality that has no facts."""
    if isinstance(entries, Block):
        return entries
    records: list[Record] = []
    contents: list[bytes] = []
    for entry in entries:
        if not isinstance(entry, Record) or not isinstance(entry.content, bytes):
            return entries
        if MODALITIES[entry.modality].facts or (records and entry.modality is not records[0].modality):
            return entries
        records.append(entry)
        contents.append(entry.content)
    digests = [hashlib.sha256(content).digest() for content in contents]
    fields = [record.fields for record in records]
    modality = records[0].modality
    held: Sequence[bytes] = contents
    if modality is Modality.VECTOR and len({len(content) for content in contents}) == 1:
        held = Matrix(np.frombuffer(b"".join(contents), "<f4").reshape(len(contents), -1))  # (m d,) -> (m, d)
    return Block([record.id for record in records], modality, held, digests, fields)


def _stretches(source: Source, most: int, size: Callable[[Entry], float]) -> Iterator[list[Entry]]:
    """Yield the entries of a source, some at a time; see `Columnar.stretches`."""
    entries = iter(source)
    while taken := _stretch(entries, most, size):
        yield taken


def _stretch(entries: Iterator[Entry], most: int, size: Callable[[Entry], float]) -> list[Entry]:
    """Take the next entries: `most` of them, or fewer whose sizes reach 1."""
    taken: list[Entry] = []
    held = 0.0
    for entry in islice(entries, most):
        taken.append(entry)
        held += size(entry)
        if held >= 1:
            break
    return taken


def _size(entry: Entry) -> float:
    """Return which share of a batch's memory a content takes that is held in bytes."""
    held = entry.content if isinstance(entry, Record) else None
    return len(held) / HELD if isinstance(held, bytes) else 0.0


def _size_of_text(entry: Entry) -> float:
    """Return which share of a batch a text makes, which may lie in a file."""
    held = entry.content if isinstance(entry, Record) else None
    if held is None or isinstance(held, bytes):
        return 0.0
    size = 0
    with suppress(OSError):  # it is rejected when it is read
        size = len(held) if isinstance(held, str) else stat_of(held)[0]
    return size / HELD_TEXTS


@dataclass(frozen=True, slots=True)
class Read:
    """What was read of the records of a batch.

    Attributes:
        records: by its place, each that could be read, with what was found in it.
        hashes: of their contents, in this order.
        contents: in this order.
        refused: by its place, why a record has no content.
        lost: by its place, why a record's file could not be read; the next build tries it again.
    """

    records: dict[int, Record]
    hashes: list[str]
    contents: Sequence[Content]
    refused: dict[int, str]
    lost: dict[int, str]


class Reading(Protocol):
    """Who reads contents.

    Attributes:
        ahead: how many batches are begun before the first of them is wanted.
    """

    @property
    def ahead(self) -> int:
        """See above."""

    def begin(self, records: Mapping[int, Record], unit: Unit) -> Callable[[], Read]:
        """Begin to read records by their places, ascending; the function returned waits for it."""

    def parts(self, parts: Iterable[Part]) -> Iterator[Iterable[Any]]:
        """Read parts of a source; see `embedsearch.sources.parts`."""


class Here:
    """Reads contents when they are wanted; see `Reading`."""

    ahead = 0

    def begin(self, records: Mapping[int, Record], unit: Unit) -> Callable[[], Read]:
        """See `Reading.begin`."""
        return partial(read_contents, records, unit)

    parts = staticmethod(in_turn)


HERE = Here()


def read_contents(records: Mapping[int, Record], unit: Unit) -> Read:
    """Read the contents of the records of one batch, by their places, ascending."""
    reader = Reader(modality_of(unit))
    read: dict[int, Record] = {}
    hashes: list[str] = []
    contents: list[Content] = []
    refused: dict[int, str] = {}
    lost: dict[int, str] = {}
    for at, record in records.items():
        try:
            found, content, content_hash = reader.read(record)
        except ItemError as error:
            refused[at] = str(error)
        except OSError as error:
            lost[at] = f"it can't be read: {error.strerror or error}"
        else:
            read[at] = found
            hashes.append(content_hash)
            contents.append(content)
    return Read(read, hashes, contents, refused, lost)


class Reader:
    """Reads the contents of one batch."""

    def __init__(self, modality: ModalityRow) -> None:
        """Begin a batch.

        Args:
            modality: of the records; their contents may have fields of their own.
        """
        self._held = 0
        self._facts: Callable[[Content], Fields] | None = _function(modality.facts)
        self._kept: Callable[[bytes], bytes] | None = _function(modality.kept)

    def read(self, record: Record) -> tuple[Record, Content, str]:
        """Read what a record holds; a file is opened once.

        Returns:
            The record, with its text, or what an item keeps of its bytes, where that had to be read, and with
            the fields that its content has of its own; the content for the encoder; and its hash.

        Raises:
            ItemError: it holds nothing that can be used.
            OSError: a file can't be read.
        """
        held = record.content
        content = held if isinstance(held, str | Path | bytes) else held.read()
        if isinstance(content, Document):
            record = replace(with_facts(record, content.fields), outline=Outline.of(content.text))
            content = content.text
        if isinstance(content, Path):
            if self._held + content.stat().st_size <= HELD:
                content = content.read_bytes()
                self._held += len(content)
        elif content is not held:
            shown = self._kept(content) if self._kept and isinstance(content, bytes) else content
            record = replace(record, content=shown)
        if self._facts is not None:
            record = with_facts(record, self._facts(content))
        if record.labels is not None:
            return record, content, content_hash(f"{record.labels.boundaries}\0{content!s}")
        return record, content, content_hash(content)


def _function(name: str) -> Callable[..., Any] | None:
    """Return the function "module:function"; None for no name."""
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute) if module else None


def with_facts(record: Record, facts: Fields) -> Record:
    """Return a record with fields that its content has of its own; the source's own of that name stay."""
    return replace(
        record, fields={**record.fields, **{n: v for n, v in facts.items() if n not in record.fields}}
    )


def is_broken(record: Record) -> bool:
    """Whether a record's id, text, path or fields hold halves of surrogate pairs."""
    held = (record.id, record.content, *record.fields, *record.fields.values())
    return any(isinstance(each, str | Path) and _is_broken(str(each)) for each in held)


def may_be_broken(records: Sequence[Record]) -> bool:
    """Whether one of the records can be broken; False only of a block where none is."""
    if not isinstance(records, Block):
        return True
    values = (each for fields in records.fields if fields for each in (*fields, *fields.values()))
    return _is_broken("".join(records.ids)) or any(
        isinstance(each, str) and _is_broken(each) for each in values
    )


def _is_broken(text: str) -> bool:
    return not text.isascii() and unbroken(text) != text
