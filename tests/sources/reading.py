"""What the tests of the sources share: open by recipe, read it all twice."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from embedsearch.errors import ItemError
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Entry, Record, Rejected
from embedsearch.sources import Source, open_source
from embedsearch.sources.text_cells import CellType

FEW, LARGE = 1500, 2**19  # records, bytes


def source(kind: str, path: Path | str, text: tuple[str, ...] = (), **options: Any) -> Source:
    """Open the source at `path`."""
    return open_source(SourceRecipe(kind, str(path), text=text, **options))


def read(kind: str, path: Path | str, text: tuple[str, ...] = (), **options: Any) -> list[Entry]:
    """Read the source at `path`, twice; the two readings are the same, with unique ids and the count told."""
    opened = source(kind, path, text, **options)
    entries = list(opened)
    assert list(opened) == entries
    ids = [entry.id for entry in entries]
    assert len(set(ids)) == len(ids)
    cut_off = any("is cut off" in entry.reason for entry in entries if isinstance(entry, Rejected))
    large = len(entries) > FEW or (Path(path).is_file() and Path(path).stat().st_size > LARGE)
    assert opened.count() in (None, len(entries)) or large or cut_off  # which is estimated, or stated
    assert {entry.modality for entry in entries if isinstance(entry, Record)} <= {opened.modality()}
    return _typed([_in_hand(entry) for entry in entries], opened.reading().cells)


def _typed(entries: list[Entry], cells: dict[str, CellType]) -> list[Entry]:
    """Return entries whose cells of text have the type of their column, as in a build."""
    records = [entry for entry in entries if isinstance(entry, Record)]
    columns = {
        name: kind.array(pa.array([record.fields.get(name) for record in records], pa.string())).to_pylist()
        for name, kind in cells.items()
        if all(isinstance(record.fields.get(name), str | None) for record in records)
    }
    typed = iter(
        replace(
            record,
            fields={
                **record.fields,
                **{name: values[row] for name, values in columns.items() if name in record.fields},
            },
        )
        for row, record in enumerate(records)
    )
    return [next(typed) if isinstance(entry, Record) else entry for entry in entries]


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
