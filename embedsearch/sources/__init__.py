"""The sources: whatever can be read as a stream of records.

A source reads lazily: nothing that grows with the number of records is held in memory but the ids
that uniqueness needs. What it can't read it yields as `Rejected`, with the reason, and goes on.
To add one: a file here with a class of the `Source` shape, and its row in `SOURCES`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Protocol, cast, runtime_checkable

from embedsearch.errors import RecipeError, nearest
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Entries, Entry, Modality
from embedsearch.sources.addresses import is_address, local_file
from embedsearch.sources.parts import ReadParts
from embedsearch.sources.table import Reading


class Source(Protocol):
    """A stream of records that can be read again from the start, in the same order."""

    def __init__(self, recipe: SourceRecipe) -> None:
        """Check what can be checked without reading it all.

        Raises:
            SourceNotFoundError: the location does not exist.
            SourceError: it can't be read as asked (an unknown column, say).
            MissingExtraError: a library that this source needs is not installed.
        """

    def modality(self) -> Modality:
        """What this source yields."""

    def count(self) -> int | None:
        """How many entries iteration will yield, perhaps about, where that is cheap to know; else None."""

    def passed_over(self) -> Mapping[str, int]:
        """How many files it does not read, by kind, such as ".pdf"; empty for what is no folder."""

    def reading(self) -> Reading:
        """What the last reading found, when it is at its end."""

    def __iter__(self) -> Entries:
        """Yield `Record` and `Rejected` in a stable order; ids are unique."""


@runtime_checkable
class Columnar(Protocol):
    """What a source has beside `Source` that holds its records as columns, such as a matrix of vectors."""

    def stretches(self, most: int, held: int) -> Iterator[Sequence[Entry]]:
        """Yield what iteration yields, in the same order, by many entries at a time.

        Where each entry of a stretch is a record, the stretch is a `Block`, which is indexed by column.

        Args:
            most: entries of a stretch.
            held: bytes of contents; a stretch ends with the record that reaches them.
        """


@runtime_checkable
class Divisible(Protocol):
    """What a source has beside `Source` that can be read in parts, by others."""

    def divide(self, read: ReadParts) -> None:
        """Have the parts of the next readings read by `read`."""


# kind -> "module:class", imported on first use
SOURCES: dict[str, str] = {
    "images": "embedsearch.sources.folder:ImageFolder",
    "texts": "embedsearch.sources.folder:TextFolder",
    "documents": "embedsearch.sources.folder:DocumentFolder",
    "videos": "embedsearch.sources.folder:VideoFolder",
    "sounds": "embedsearch.sources.folder:SoundFolder",
    "csv": "embedsearch.sources.delimited:DelimitedFile",
    "jsonl": "embedsearch.sources.jsonl:JsonFile",
    "excel": "embedsearch.sources.excel:Workbook",
    "parquet": "embedsearch.sources.parquet:ParquetFile",
    "arrow": "embedsearch.sources.arrow:ArrowFile",
    "vectors": "embedsearch.sources.vectors:VectorFile",
    "word-vectors": "embedsearch.sources.word_vectors:WordVectors",
    "lines": "embedsearch.sources.lines:TextLines",
    "conll": "embedsearch.sources.conll:ConllFile",
    "dataset": "embedsearch.sources.dataset:HubDataset",
    "webdataset": "embedsearch.sources.webdataset:WebDataset",
    "memory": "embedsearch.sources.memory:MemorySource",
    "emoji": "embedsearch.demo.emoji:EmojiImages",
    "python-docs": "embedsearch.demo.pydocs:PythonDocs",
    "python-sentences": "embedsearch.demo.pydocs:PythonSentences",
}
LABELLED = frozenset(("conll",))  # the kinds whose texts have labelled spans without a column of them
# the kinds that read files of their own, which can be excluded
FOLDERS = frozenset(("images", "texts", "documents", "videos", "sounds"))
# the kinds that may be compared by their columns
WITH_COLUMNS = frozenset(("csv", "jsonl", "excel", "parquet", "arrow", "dataset", "memory"))
# the kinds that read one file
TABLES = frozenset(("csv", "jsonl", "excel", "parquet", "arrow", "lines", "conll", "word-vectors"))


def is_labelled(recipe: SourceRecipe) -> bool:
    """Whether the texts of a source have labelled spans."""
    return bool(recipe.spans) or recipe.kind in LABELLED


def open_source(recipe: SourceRecipe) -> Source:
    """Return the source that `recipe` describes.

    Raises:
        RecipeError: no source of that kind.
        SourceNotFoundError, SourceError, MissingExtraError: as `Source.__init__`.
    """
    if recipe.exclude and recipe.kind not in FOLDERS:
        raise RecipeError(
            f"--exclude leaves out files of a folder; {recipe.location} is not read file by file. "
            "Leave --exclude out."
        )
    # a table of fields beside vectors is opened by the recipe that names it
    if {recipe.ids, recipe.fields} - {"", recipe.location} and recipe.kind != "vectors":
        raise RecipeError(
            f"--ids and --fields belong to a .npy or .npz file of vectors; {recipe.location} is none. "
            "Leave them out."
        )
    if (recipe.rows or recipe.columns) and recipe.kind in SOURCES and recipe.kind not in WITH_COLUMNS:
        raise RecipeError(f"--rows and --columns are of a table; {recipe.location} is none. Leave them out.")
    if recipe.kind not in SOURCES:
        raise RecipeError(
            f"No kind of source is called {recipe.kind!r}; there are {', '.join(SOURCES)}."
            + nearest(recipe.kind, SOURCES)
        )
    if recipe.kind in TABLES and is_address(recipe.location):
        recipe = replace(recipe, location=str(local_file(recipe.location, "a table")))
    if recipe.kind == "vectors":
        recipe = _copied(recipe)
    module, name = SOURCES[recipe.kind].split(":")
    return cast(type[Source], getattr(import_module(module), name))(recipe)


def _copied(recipe: SourceRecipe) -> SourceRecipe:
    """Return the recipe of vectors with a copy in place of each of its files that lies at an address."""

    def held(place: str, what: str) -> str:
        return str(local_file(place, what)) if is_address(place) else place

    return replace(
        recipe,
        location=held(recipe.location, "a .npy or .npz file"),
        ids=held(recipe.ids, "a file with one id a line, or a .npy of ids"),
        fields=held(recipe.fields, "a table"),
    )
