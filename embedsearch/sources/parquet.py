"""Parquet files, read batch by batch: a file of ten million rows never sits in memory."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.parquet as pq

from embedsearch.errors import SourceError
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Entries, Modality, Rejected
from embedsearch.sources.arrowrows import image_columns, rows
from embedsearch.sources.paths import existing_file, printable
from embedsearch.sources.table import RowReader, choose_columns

BATCH_ROWS = 256  # few, because a row may hold an image
BUFFER = 2**20


class ParquetFile:
    """A Parquet file; whole numbers, floats, truth values, dates and times stay what they are."""

    def __init__(self, recipe: SourceRecipe) -> None:
        self._path = existing_file(recipe.location, "a Parquet file")
        with self._open() as file:
            schema = file.schema_arrow
            self._count = int(file.metadata.num_rows)
        self._columns = choose_columns(recipe, schema.names, self._path.name, image_columns(schema))

    def modality(self) -> Modality:
        """Images if a column of them was asked for, else texts."""
        return self._columns.modality

    def count(self) -> int | None:
        """The number of rows, as the file states it."""
        return self._count

    def passed_over(self) -> Mapping[str, int]:
        """Nothing: only a folder holds what is not read."""
        return {}

    def __iter__(self) -> Entries:
        """Yield the rows, in order; those of a damaged row group are all rejected."""
        reader = RowReader(self._columns, self._path.parent)
        name = printable(self._path.name)
        number = 0
        with self._open() as file:
            for group in range(file.num_row_groups):
                end = number + file.metadata.row_group(group).num_rows
                try:
                    for batch in file.iter_batches(BATCH_ROWS, row_groups=[group]):
                        for row in rows(batch):
                            number += 1
                            place = f"{name}:{number}"
                            yield Rejected(place, row) if isinstance(row, str) else reader.entry(row, place)
                except (OSError, pa.ArrowException) as error:
                    reason = f"row group {group} of the file is damaged: {error}"
                    for lost in range(number + 1, end + 1):
                        yield Rejected(f"{name}:{lost}", reason)
                number = end

    def _open(self) -> pq.ParquetFile:
        try:
            # Streamed through a small buffer; `pre_buffer` would load whole row groups.
            return pq.ParquetFile(self._path, pre_buffer=False, buffer_size=BUFFER)
        except (OSError, pa.ArrowException) as error:
            raise SourceError(
                f"{self._path} can't be read as Parquet: {error}. Expected a .parquet file; "
                "for a CSV, TSV or JSON Lines file, give it its own suffix."
            ) from None
