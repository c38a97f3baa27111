"""The Python face of building: plain arguments to a recipe to a build.

`build` takes plain values; `embedsearch.builder` behind it takes a finished recipe.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from embedsearch.builder import Progress, build_index
from embedsearch.encoders.files import absolute_model
from embedsearch.recipe import RECIPE_FILE, EncoderRecipe, IndexRecipe, Recipe, SourceRecipe, check_name
from embedsearch.records import Modality, Unit
from embedsearch.search import Searcher
from embedsearch.sources import open_source
from embedsearch.sources.guess import guess
from embedsearch.store import index_folder, indexes_folder


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
    backend: str = "exact",
    max_rejected: float = 0.5,
    indexes: str | Path | None = None,
    replace: bool = False,
    progress: Progress | None = None,
) -> Searcher:
    """Make the index `name` from a folder, a table or a data set, and open it.

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
        backend: `exact`.
        max_rejected: share of entries (0 to 1) that may be quarantined before the build fails.
        indexes: the folder of indexes; $EMBEDSEARCH_INDEXES or ./indexes without it.
        replace: whether an index of that name made from something else may be replaced.
        progress: who is told how the build goes on.

    Raises:
        EmbedsearchError: see `embedsearch.builder.build_index`.
    """
    check_name(name)
    guessed, location = (kind, _absolute(source)) if kind else guess(str(source))
    source_recipe = SourceRecipe(
        kind=guessed,
        location=location,
        text=(text,) if isinstance(text, str) else tuple(text),
        image=image,
        id=id,
        encoding=encoding,
        split=split,
    )
    if not unit:
        unit = Unit.IMAGE if open_source(source_recipe).modality() is Modality.IMAGE else Unit.TEXT
    recipe = Recipe(
        name=name,
        source=source_recipe,
        encoder=EncoderRecipe(
            unit=Unit(unit),
            model=absolute_model(model),
            revision=revision,
            pooling=pooling,
            layers=(layers,) if isinstance(layers, int) else tuple(layers),
            patch_tokens_only=patch_tokens_only,
            precision=precision,
            engine=engine,
            decoding=decoding,
            device=device,
            batch_tokens=batch_tokens,
        ),
        index=IndexRecipe(metric=metric, backend=backend, max_rejected=max_rejected),
    )
    return Searcher(build_index(recipe, indexes_folder(indexes), replace=replace, progress=progress))


def _absolute(source: str | Path) -> str:
    """Return a file or folder as an absolute path, and what is none (a hub id) as it is."""
    path = Path(source).expanduser()
    return str(path.resolve()) if path.exists() else str(source)


def rebuild(name: str, *, indexes: str | Path | None = None, progress: Progress | None = None) -> Searcher:
    """Make the index `name` again from its recipe, and open it.

    Raises:
        IndexNotFoundError: there is neither an index nor a recipe of that name.
        EmbedsearchError: see `embedsearch.builder.build_index`.
    """
    root = indexes_folder(indexes)
    folder = root / check_name(name)
    if not (folder / RECIPE_FILE).is_file():
        folder = index_folder(root, name)
    return Searcher(build_index(Recipe.load(folder), root, progress=progress))
