"""Parquet files, read batch by batch: a file of ten million rows never sits in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from embedsearch.errors import SourceError
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Entries, Entry, Rejected
from embedsearch.sources.arrowrows import image_columns, leaf_columns, notes, rows
from embedsearch.sources.labels import features_of, namers
from embedsearch.sources.paths import PassedOver, not_found, printable, walk
from embedsearch.sources.table import Reading, RowReader, Table, choose_columns, unique_names

BATCH_ROWS = 256  # few, because a row may hold an image
BUFFER = 2**20
SUFFIX = ".parquet"


class ParquetFile(Table):
    """A Parquet file, or a folder of such files; numbers, truth values, dates and times stay what they are.

    Classes come as their names where `datasets` has written these into the file.
    """

    def __init__(self, recipe: SourceRecipe) -> None:
        path = Path(recipe.location).resolve()
        if not path.exists():
            raise not_found(path)
        self._folder = path if path.is_dir() else path.parent
        self._passed_over = PassedOver()
        self._files = [path] if path.is_file() else _files(path, self._passed_over)
        self._count = 0
        self._damaged: dict[Path, str] = {}
        columns: dict[str, None] = {}
        objects: dict[str, None] = {}
        images: dict[str, None] = {}
        for file in self._files:
            try:
                with _open(file) as opened:
                    schema = opened.schema_arrow
                    self._count += int(opened.metadata.num_rows)
            except SourceError as error:
                if len(self._files) == 1:
                    raise
                self._damaged[file] = str(error)
                self._count += 1
                continue
            names = unique_names(schema.names, file.name)
            fields = [field.with_name(name) for field, name in zip(schema, names, strict=True)]
            columns.update(dict.fromkeys(leaf_columns(fields)))
            objects.update(dict.fromkeys(names))
            images.update(dict.fromkeys(image_columns(pa.schema(fields))))
        self._columns = choose_columns(recipe, list(columns), path.name, list(images), list(objects))
        self._reading = Reading()

    def count(self) -> int | None:
        """The number of rows, as the files state it."""
        return self._count

    def passed_over(self) -> Mapping[str, int]:
        """The files of a folder that are no Parquet, by suffix."""
        return self._passed_over.kinds

    def __iter__(self) -> Entries:
        """Yield the rows, in order; those of a damaged row group, and a damaged file, are rejected."""
        lost: Counter[str] = Counter()
        self._reading = Reading()
        reader = RowReader(self._columns, self._folder)
        for file in self._files:
            place = printable(str(file.relative_to(self._folder)))
            if file in self._damaged:
                yield Rejected(place, self._damaged[file])
                continue
            with _open(file) as opened:
                yield from _entries(opened, place, reader, lost, self._columns.vector)
        self._reading.notes = notes(lost)


def _entries(
    file: pq.ParquetFile, name: str, reader: RowReader, lost: Counter[str], vector: str
) -> Iterator[Entry]:
    number = 0
    schema = file.schema_arrow
    names, labels = unique_names(schema.names, name), namers(features_of(schema.metadata))
    for group in range(file.num_row_groups):
        end = number + file.metadata.row_group(group).num_rows
        try:
            for batch in file.iter_batches(BATCH_ROWS, row_groups=[group]):
                for row in rows(batch, names, lost, vector):
                    number += 1
                    for column in labels.keys() & row.keys():
                        row[column] = labels[column](row[column])
                    yield reader.entry(row, f"{name}:{number}")
        except (OSError, pa.ArrowException) as error:
            reason = f"row group {group} of the file is damaged: {error}"
            for place in range(number + 1, end + 1):
                yield Rejected(f"{name}:{place}", reason)
        number = end


def _files(folder: Path, passed_over: PassedOver) -> list[Path]:
    """Return the Parquet files in a folder and the folders in it, sorted."""
    found = [
        folder / name
        for name, _ in walk(folder, lambda entry: entry.name.lower().endswith(SUFFIX), passed_over)
    ]
    if not found:
        raise SourceError(f"{folder} holds no Parquet files ({SUFFIX}).")
    return found


def _open(path: Path) -> pq.ParquetFile:
    try:
        # Streamed through a small buffer; `pre_buffer` would load whole row groups.
        return pq.ParquetFile(path, pre_buffer=False, buffer_size=BUFFER)
    except (OSError, pa.ArrowException) as error:
        raise SourceError(
            f"{path} can't be read as Parquet: {error}. Expected a .parquet file; "
            "for a CSV, TSV or JSON Lines file, give it its own suffix."
        ) from None
