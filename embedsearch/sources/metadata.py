"""`metadata.csv` and `metadata.jsonl` beside images: a row for each, as in an ImageFolder of `datasets`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from embedsearch.errors import EmbedsearchError
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Deferred, Rejected, Value
from embedsearch.sources.delimited import DelimitedFile
from embedsearch.sources.files import Files
from embedsearch.sources.jsonl import JsonFile
from embedsearch.sources.table import Ids

FILE_NAME = "file_name"  # the column with the path of the file, relative to the table
METADATA: Mapping[str, type[DelimitedFile] | type[JsonFile]] = {
    "metadata.csv": DelimitedFile,
    "metadata.jsonl": JsonFile,
}
Fields = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Metadata:
    """What the tables beside files say of them; held in memory.

    Attributes:
        rows: the fields by the path of the file; those that are given out are taken away.
        tables: the names of the tables by their folder.
        rejected: what of them can't be used.
    """

    rows: dict[str, Fields]
    tables: dict[PurePosixPath, str]
    rejected: list[Rejected]

    @classmethod
    def read(cls, files: Files, recipe: SourceRecipe) -> Metadata:
        """Read the tables among files.

        Args:
            files: the files.
            recipe: says how tables are read.
        """
        metadata = cls({}, {}, [])
        for name in files.tables:
            try:
                metadata._read(name, files.beside(name), recipe)
            except (EmbedsearchError, OSError) as error:
                metadata.rejected.append(Rejected(name, f"its rows are not used: {error}"))
        return metadata

    def take(self, name: str) -> Fields | Rejected:
        """Return the fields of a file, none where no table covers its folder; or why it has no row."""
        fields = self.rows.pop(name, None)
        if fields is not None:
            return fields
        table = next((self.tables[each] for each in PurePosixPath(name).parents if each in self.tables), None)
        return Rejected(name, f"{table} has no row for it") if table else {}

    def left(self) -> Iterator[Rejected]:
        """Yield the rows whose file was not there, and what else can't be used."""
        for name in self.rows:
            yield Rejected(f"{name} (row)", "there is no such file for this row of metadata")
        yield from self.rejected

    def _read(self, name: str, content: Path | Deferred | None, recipe: SourceRecipe) -> None:
        assert content is not None  # it was listed
        import pyarrow as pa

        path, ids = PurePosixPath(name), Ids()
        asked = replace(recipe, text=(FILE_NAME,), image="", id="", vector="", exclude=())
        with _on_disk(content, path.name) as file:
            table = METADATA[path.name](replace(asked, location=str(file)))
            rows: dict[str, dict[str, Value]] = {}
            for entry in table:
                if isinstance(entry, Rejected):
                    self.rejected.append(Rejected(str(path.with_name(entry.id)), entry.reason))
                    continue
                of = str(path.parent / str(entry.content).strip().replace("\\", "/"))
                if of in rows:
                    again = f"an earlier row of {name} is of this file"
                    self.rejected.append(Rejected(ids.counted(f"{of} (second row)"), again))
                else:
                    rows[of] = dict(entry.fields)
        for column, kind in table.reading().cells.items():
            held = [row.get(column) for row in rows.values()]
            if all(isinstance(value, str | None) for value in held):
                typed = kind.array(pa.array(held, pa.string())).to_pylist()
                for row, value in zip(rows.values(), typed, strict=True):
                    row[column] = value
        self.rows.update(rows)
        self.tables[path.parent] = name


@contextmanager
def _on_disk(content: Path | Deferred, name: str) -> Iterator[Path]:
    """Give a table a file of its own for as long as it is read."""
    if isinstance(content, Path):
        yield content
        return
    with tempfile.TemporaryDirectory() as folder:
        data = content.read()
        assert isinstance(data, bytes)
        path = Path(folder) / name
        path.write_bytes(data)
        yield path
