"""What is learnt from a table before its rows are embedded, or taken over from the build before."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from embedsearch.distances.metric import Vectors, normalized
from embedsearch.encoders import Encoder
from embedsearch.encoders.columns import Kind, Learnt, Summary, changed, learn, summary
from embedsearch.encoders.rows import RowEncoder, learnt_of, text_recipe
from embedsearch.errors import IndexDamagedError, ModelError, SourceError
from embedsearch.modalities import UNITS
from embedsearch.progress import Progress
from embedsearch.recipe import EncoderRecipe, Recipe, weights_of
from embedsearch.records import Record
from embedsearch.sources import Source
from embedsearch.store.folders import current_build
from embedsearch.store.manifest import COLUMNS

SAMPLE = 50_000  # rows of a table that are looked at together
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ready:
    """The encoder of a build, when what it has to learn from the source is learnt.

    Attributes:
        recipe: of the encoder.
        loaded: the encoder, where learning has loaded it.
        notes: what a person should know of what was learnt; sentences.
    """

    recipe: EncoderRecipe
    loaded: Encoder | None = None
    notes: tuple[str, ...] = ()


@contextmanager
def learning(
    recipe: Recipe,
    source: Source,
    folder: Path,
    progress: Progress,
    load: Callable[..., Encoder],
    *,
    full: bool,
) -> Iterator[Ready]:
    """Learn what the encoder of a recipe has to learn from the source; what was learnt lasts for the block.

    Args:
        recipe: what is asked for.
        source: is read once from start to end where something is to be learnt.
        folder: of the index; what its current build has learnt is kept where the table has changed little.
        progress: is told what is learnt, and why again.
        load: what makes the encoder of texts.
        full: whether to learn again in any case.
    """
    if not UNITS[recipe.encoder.unit].by_columns:
        yield Ready(recipe.encoder)
        return
    known = _known(folder)
    progress.stage(f"reading the columns of {recipe.source.location}", source.count())
    now = _summary(recipe, source, progress)
    why = "" if known is None else changed(known[1], now)
    if known is not None and not why and not full:
        yield Ready(replace(recipe.encoder, table=str(known[0])), notes=known[1].notes)
        return
    notes: tuple[str, ...] = ()
    if why:
        notes = (f"The statistics of the columns were computed again: {why}.",)
        progress.stage(f"computing the statistics of the columns again: {why}")
    with TemporaryDirectory(prefix="embedsearch-") as scratch:
        asked = replace(recipe.encoder, table=str(Path(scratch) / COLUMNS))
        encoder = _learn(asked, now, load)
        yield Ready(asked, encoder, (*notes, *encoder.learnt.notes))


def known_table(recipe: Recipe, source: Source, folder: Path, progress: Progress) -> EncoderRecipe | None:
    """Return the recipe of the encoder with what the current build has learnt; None to learn it again.

    Args:
        recipe: what is asked for.
        source: is read once where something was learnt.
        folder: of the index.
        progress: is told why it is to be learnt again.
    """
    if not UNITS[recipe.encoder.unit].by_columns:
        return recipe.encoder
    known = _known(folder)
    why = "" if known is None else changed(known[1], _summary(recipe, source, progress))
    if known is None or why:
        progress.stage(f"the statistics of the columns must be computed again: {why}")
        return None
    return replace(recipe.encoder, table=str(known[0]))


def _learn(recipe: EncoderRecipe, now: Summary, load: Callable[..., Encoder]) -> RowEncoder:
    """Learn the columns, write what was learnt to the file that the recipe names, and return the encoder."""
    texts = None
    if any(column.kind is Kind.TEXT for column in now.columns):
        texts = load(text_recipe(recipe))

    def embed(held: list[str]) -> Vectors:
        assert texts is not None
        return normalized(texts.encode(held))

    learn(now, embed).save(Path(recipe.table))
    return RowEncoder(recipe, texts)


def _known(folder: Path) -> tuple[Path, Learnt] | None:
    """Return what the current build of an index has learnt, and its file; None where there is none."""
    try:
        path = current_build(folder) / COLUMNS
        return path, learnt_of(str(path))
    except (IndexDamagedError, ModelError):
        return None


def _summary(recipe: Recipe, source: Source, progress: Progress) -> Summary:
    """Return what the columns of a table hold, by a sample of its rows.

    Raises:
        SourceError: no column can be compared, or a weight is of none.
    """
    weights = weights_of(recipe.encoder.weights)
    rows = _sample(source, progress)
    _give_types(rows, source)
    names = recipe.source.columns or tuple(dict.fromkeys(name for row in rows for name in row))
    found = summary(rows, names, weights, comma=recipe.source.decimal == ",")
    if unknown := [name for name in weights if name not in names]:
        raise SourceError(
            f"{recipe.source.location} has no column {unknown[0]!r} to weigh; it has {', '.join(names)}."
        )
    if not found.columns:
        raise SourceError(
            f"{recipe.source.location} has no column to compare rows by. {' '.join(found.notes)}".rstrip()
        )
    return found


def _sample(source: Source, progress: Progress) -> list[Row]:
    """Return rows drawn at random, each as likely, in one walk (Vitter's algorithm R)."""
    draw, rows, seen = random.Random(0), list[Row](), 0
    for entry in source:
        progress.advance(1)
        if not isinstance(entry, Record) or not isinstance(entry.content, bytes):
            continue
        seen += 1
        place = len(rows) if len(rows) < SAMPLE else draw.randrange(seen)
        if place < SAMPLE:
            held = json.loads(entry.content)
            fields = entry.fields
            row = {**fields, **{name: value for name, value in held.items() if name not in fields}}
            rows[place : place + 1] = [row]
    return rows


def _give_types(rows: list[Row], source: Source) -> None:
    """Give cells of text the types that their columns have, now that all of them are known."""
    import pyarrow as pa

    for name, cells in source.reading().cells.items():
        there = [row for row in rows if isinstance(row.get(name), str)]
        if there and len(there) == sum(row.get(name) is not None for row in rows):
            typed = cells.array(pa.array([row[name] for row in there], pa.string()))
            for row, value in zip(there, typed.to_pylist(), strict=True):
                row[name] = value
