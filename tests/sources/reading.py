"""What the tests of the sources share: open by recipe, read it all twice."""

from dataclasses import replace
from pathlib import Path

from embedsearch.errors import ItemError
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Entry, Record, Rejected
from embedsearch.sources import Source, open_source


def source(kind: str, path: Path | str, text: tuple[str, ...] = (), **options: str) -> Source:
    """Open the source at `path`."""
    return open_source(SourceRecipe(kind, str(path), text=text, **options))


def read(kind: str, path: Path | str, text: tuple[str, ...] = (), **options: str) -> list[Entry]:
    """Read the source at `path`, twice; the two readings are the same, with unique ids and the count told."""
    opened = source(kind, path, text, **options)
    entries = list(opened)
    assert list(opened) == entries
    ids = [entry.id for entry in entries]
    assert len(set(ids)) == len(ids)
    assert opened.count() in (None, len(entries))
    assert {entry.modality for entry in entries if isinstance(entry, Record)} <= {opened.modality()}
    return [_in_hand(entry) for entry in entries]


def _in_hand(entry: Entry) -> Entry:
    """Return an entry with its text read, where that lies in a file; rejected where the file holds none."""
    if isinstance(entry, Rejected) or isinstance(entry.content, str | bytes | Path):
        return entry
    try:
        return replace(entry, content=entry.content.read())
    except ItemError as error:
        return Rejected(entry.id, str(error))


def contents(entries: list[Entry]) -> list[object]:
    """Return the records' contents."""
    return [entry.content for entry in entries if isinstance(entry, Record)]


def fields(entries: list[Entry]) -> list[dict[str, object]]:
    """Return the records' fields."""
    return [dict(entry.fields) for entry in entries if isinstance(entry, Record)]


def rejected(entries: list[Entry]) -> dict[str, str]:
    """Return the reasons by id."""
    return {entry.id: entry.reason for entry in entries if isinstance(entry, Rejected)}
