"""The Python face of building: plain arguments to a recipe to a build.

`build` takes plain values; `embedsearch.indexing.build` behind it takes a finished recipe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace as replaced
from pathlib import Path
from typing import Any

from embedsearch.analysis import compare as analysis
from embedsearch.analysis.compare import Comparison
from embedsearch.artifacts import alignment, calibration
from embedsearch.errors import SourceNotFoundError
from embedsearch.index import Index, open_index
from embedsearch.indexing.build import build_index, compare_index
from embedsearch.indexing.changes import Changes
from embedsearch.modalities import MODALITIES
from embedsearch.models.files import absolute_model
from embedsearch.progress import Progress
from embedsearch.recipe import (
    RECIPE_FILE,
    EncoderRecipe,
    IndexRecipe,
    Recipe,
    SourceRecipe,
    check_name,
    columns_of,
    layers_of,
    unit_of,
)
from embedsearch.records import Unit
from embedsearch.sources import open_source
from embedsearch.sources.guess import guess
from embedsearch.store.folders import index_folder, indexes_folder


def build(
    source: str | Path,
    *,
    name: str,
    kind: str = "",
    text: str | Sequence[str] = (),
    image: str = "",
    id: str = "",
    encoding: str = "utf-8",
    split: str = "",
    unit: Unit | str = "",
    model: str = "",
    revision: str = "",
    pooling: str = "",
    layers: int | Sequence[int] = -1,
    patch_tokens_only: bool = False,
    precision: str = "auto",
    engine: str = "auto",
    decoding: str = "auto",
    device: str = "auto",
    batch_tokens: int = 0,
    metric: str = "cosine",
    backend: str = "auto",
    memory: str = "",
    recall: float = 0.95,
    queries: str | Path = "",
    storage: str = "fp32",
    keep: int = 2,
    max_rejected: float = 0.5,
    indexes: str | Path | None = None,
    replace: bool = False,
    strict: bool = False,
    progress: Progress | None = None,
) -> Index:
    """Make the index `name` from a folder, a table or a data set, or bring it up to date, and open it.

    Args:
        source: a folder of pictures or texts; a .csv, .tsv, .jsonl, .parquet or .txt file; a data set
            saved on disk, or its id on the hub.
        name: what to call the index.
        kind: the kind of source, where it should not be guessed; see `embedsearch.sources.SOURCES`.
        text: the column, or columns joined by a newline, to embed.
        image: the column that holds pictures, as paths or as bytes.
        id: the column that holds the key of a row.
        encoding: the encoding of text files.
        split: the split of a data set.
        unit: `text`, `word`, `token` or `image`; guessed from the source without it.
        model: as in `load_encoder`; so are revision, pooling, layers, patch_tokens_only, precision,
            engine, decoding, device and batch_tokens.
        revision: see `load_encoder`.
        pooling: see `load_encoder`.
        layers: see `load_encoder`.
        patch_tokens_only: see `load_encoder`.
        precision: see `load_encoder`.
        engine: see `load_encoder`.
        decoding: see `load_encoder`.
        device: see `load_encoder`.
        batch_tokens: see `load_encoder`.
        metric: `cosine`, `l2` or `ip`.
        backend: `auto`, `exact`, `hnsw`, `hnsw-fp16`, `hnsw-sq8`, `ivf-rabitq` or `ivf-pq`.
        memory: what making and serving the index may hold, such as `4GB`; empty for half of what is free.
        recall: recall@10 that an approximate index is tuned to, (0, 1].
        queries: a file of queries (JSONL with id and text, or a table of both) to tune with.
        storage: `fp32` or `fp16`, what the vectors are kept in.
        keep: how many builds stay on disk.
        max_rejected: share of entries (0 to 1) that may be quarantined before the build fails.
        indexes: the folder of indexes; $EMBEDSEARCH_INDEXES or ./indexes without it.
        replace: whether an index of that name made from something else may be replaced.
        strict: fail where the recall asked for is not reached.
        progress: who is told how the build goes on.

    Raises:
        EmbedsearchError: see `embedsearch.indexing.build.build_index`.
    """
    check_name(name)
    if not str(source).strip():
        raise SourceNotFoundError("The source is empty. Name a folder, a file or a data set.")
    guessed, location = (kind, _absolute(source)) if kind else guess(str(source))
    source_recipe = SourceRecipe(
        kind=guessed,
        location=location,
        text=columns_of(text),
        image=image,
        id=id,
        encoding=encoding,
        split=split,
    )
    if not unit:
        unit = MODALITIES[open_source(source_recipe).modality()].units[0].unit
    recipe = Recipe(
        name=name,
        source=source_recipe,
        encoder=EncoderRecipe(
            unit=unit_of(unit),
            model=absolute_model(model),
            revision=revision,
            pooling=pooling,
            layers=layers_of(layers),
            patch_tokens_only=patch_tokens_only,
            precision=precision,
            engine=engine,
            decoding=decoding,
            device=device,
            batch_tokens=batch_tokens,
        ),
        index=IndexRecipe(
            metric=metric,
            backend=backend,
            memory=memory,
            recall=recall,
            queries=str(Path(queries).expanduser().resolve()) if queries else "",
            storage=storage,
            keep=keep,
            max_rejected=max_rejected,
        ),
    )
    return Index(
        build_index(recipe, indexes_folder(indexes), replace=replace, strict=strict, progress=progress)
    )


def _absolute(source: str | Path) -> str:
    """Return a file or folder as an absolute path, and what is none (a hub id) as it is."""
    path = Path(source).expanduser()
    return str(path.resolve()) if path.exists() else str(source)


def rebuild(
    name: str,
    *,
    full: bool = False,
    strict: bool = False,
    backend: str = "",
    memory: str = "",
    recall: float = 0,
    queries: str | Path = "",
    keep: int = 0,
    indexes: str | Path | None = None,
    progress: Progress | None = None,
) -> Index:
    """Bring the index `name` up to date with its source, and open it.

    Only what is new or changed is embedded; where nothing changed, nothing is published.

    Args:
        name: the index's name.
        full: embed everything again.
        strict: fail where the recall asked for is not reached.
        backend: see `build`; from now on, as are the next four. Empty or 0 for what the recipe says.
        memory: see `build`.
        recall: see `build`.
        queries: see `build`.
        keep: see `build`.
        indexes: the folder of indexes.
        progress: who is told how it goes on.

    Raises:
        IndexNotFoundError: there is neither an index nor a recipe of that name.
        EmbedsearchError: see `embedsearch.indexing.build.build_index`.
    """
    root = indexes_folder(indexes)
    recipe = _stored(root, name)
    index = replaced(
        recipe.index,
        backend=backend or recipe.index.backend,
        memory=memory or recipe.index.memory,
        recall=recall or recipe.index.recall,
        queries=str(Path(queries).expanduser().resolve()) if queries else recipe.index.queries,
        keep=keep or recipe.index.keep,
    )
    recipe = replaced(recipe, index=index)
    return Index(build_index(recipe, root, full=full, strict=strict, progress=progress))


def changes(
    name: str,
    *,
    full: bool = False,
    indexes: str | Path | None = None,
    progress: Progress | None = None,
) -> Changes:
    """Return what `rebuild` would find new, changed and gone, and write nothing.

    Args:
        name: the index's name.
        full: as for `rebuild`.
        indexes: the folder of indexes.
        progress: who is told how it goes on.

    Raises:
        IndexNotFoundError: there is no index of that name.
        EmbedsearchError: see `embedsearch.indexing.build.compare_index`.
    """
    root = indexes_folder(indexes)
    index_folder(root, name)
    return compare_index(_stored(root, name), root, full=full, progress=progress)


def _stored(root: Path, name: str) -> Recipe:
    """Return the recipe of an index, finished or not."""
    folder = root / check_name(name)
    if not (folder / RECIPE_FILE).is_file():
        folder = index_folder(root, name)
    return Recipe.load(folder)


def compare(
    things: Sequence[Any],
    *,
    index: str = "",
    model: str = "",
    pooling: str = "",
    layers: int | Sequence[int] = -1,
    indexes: str | Path | None = None,
) -> Comparison:
    """Compare two or more texts or images, each with each; texts with images by an index.

    Args:
        things: texts (str), or images (`Path`, bytes or PIL image).
        index: compare by the model, the metric and the scale of this index; else by `model` with the cosine
            distance and, for texts, beside pairs of general sentences.
        model: as in `load_encoder`; so are pooling and layers.
        pooling: see `load_encoder`.
        layers: see `load_encoder`.
        indexes: the folder of indexes.

    Raises:
        QueryError: there are fewer than two things, or of two kinds, or the index holds something else.
        ItemError: an image can't be read.
        ModelError, IndexNotFoundError, IndexDamagedError: as `load_encoder`, `open_index`.
    """
    opened = open_index(index, indexes) if index else None
    return analysis.compare(things, index=opened, model=model, pooling=pooling, layers=layers)


def align(
    name: str,
    captions: str | Path = "",
    *,
    field: str = "caption",
    text_model: str | Path = "",
    indexes: str | Path | None = None,
    progress: Progress | None = None,
) -> Index:
    """Align the images of the index `name` with captions, and open it; see `embedsearch.artifacts.alignment`.

    Args:
        name: the index's name.
        captions: a .csv, .tsv or .jsonl with the columns `image` (an item's id, or its path) and `caption`;
            without it the captions in the index serve.
        field: the field that holds them.
        text_model: what texts are asked through: as in `load_encoder`; the bundled text model without it.
        indexes: the folder of indexes; $EMBEDSEARCH_INDEXES or ./indexes without it.
        progress: who is told how it goes on.

    Raises:
        EmbedsearchError: see `embedsearch.artifacts.alignment.align`.
    """
    root = indexes_folder(indexes)
    made = alignment.align(name, captions, field=field, text_model=text_model, root=root, progress=progress)
    return Index(made)


def calibrate(
    name: str,
    *,
    pairs: str | Path = "",
    background: str | Path = "",
    indexes: str | Path | None = None,
) -> Index:
    """Measure the distance scale of the index `name` again, and open the index with it.

    Args:
        name: the index's name.
        pairs: a table of two texts and people's score of how related they are. From then on a hit says which
            score people would give. Empty for the judgements that the index has.
        background: a file of unrelated texts, one a line, or a table, or a folder of unrelated images;
            empty for what the index has, or the package's general sentences.
        indexes: the folder of indexes; $EMBEDSEARCH_INDEXES or ./indexes without it.

    Raises:
        EmbedsearchError: see `embedsearch.artifacts.calibration.calibrate`.
    """
    root = indexes_folder(indexes)
    return Index(calibration.calibrate(name, pairs=pairs, background=background, root=root))
