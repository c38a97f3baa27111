"""Arrow files (also called Feather), and streams of Arrow batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from embedsearch.errors import SourceError
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Entries
from embedsearch.sources.arrowrows import image_columns, leaf_columns, notes, rows
from embedsearch.sources.labels import features_of, namers
from embedsearch.sources.paths import existing_file, printable
from embedsearch.sources.table import Reading, RowReader, Table, choose_columns, unique_names


class ArrowFile(Table):
    """An Arrow file or stream, memory-mapped; values keep their types as in Parquet."""

    def __init__(self, recipe: SourceRecipe) -> None:
        self._path = existing_file(recipe.location, "an Arrow file")
        with _open(self._path) as reader:
            schema = reader.schema
        self._names = unique_names(schema.names, self._path.name)
        fields = [field.with_name(name) for field, name in zip(schema, self._names, strict=True)]
        images = image_columns(pa.schema(fields))
        self._columns = choose_columns(recipe, leaf_columns(fields), self._path.name, images, self._names)
        self._labels = namers(features_of(schema.metadata))
        self._reading = Reading()

    def count(self) -> int | None:
        """Not known without reading the file."""
        return None

    def __iter__(self) -> Entries:
        """Yield the rows, in order.

        Raises:
            SourceError: the file is damaged.
        """
        self._reading = Reading()
        lost: Counter[str] = Counter()
        reader, number = RowReader(self._columns, self._path.parent), 0
        for batch in _batches(self._path):
            for row in rows(batch, self._names, lost, self._columns.vector):
                number += 1
                for column in self._labels.keys() & row.keys():
                    row[column] = self._labels[column](row[column])
                yield reader.entry(row, f"{printable(self._path.name)}:{number}")
        self._reading.notes = notes(lost)


def _open(path: Path) -> pa.RecordBatchFileReader | pa.RecordBatchStreamReader:
    try:
        file = pa.memory_map(str(path))
        try:
            return pa.ipc.open_file(file)
        except pa.ArrowInvalid:
            file.seek(0)
            return pa.ipc.open_stream(file)
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"{path} can't be read as Arrow: {error}. Write it again.") from None


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    with _open(path) as reader:
        try:
            if hasattr(reader, "num_record_batches"):
                yield from map(reader.get_batch, range(reader.num_record_batches))
            else:
                yield from reader
        except (OSError, pa.ArrowException) as error:
            raise SourceError(f"{path} is damaged: {error}. Write it again.") from None
