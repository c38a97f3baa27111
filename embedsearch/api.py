"""The functions of the Python API: they turn plain arguments into a recipe, and the recipe into a build.

`build` takes plain values; `embedsearch.indexing.build` behind it takes a finished recipe.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from dataclasses import replace as replaced
from itertools import islice
from pathlib import Path
from typing import Any

from embedsearch.analysis import compare as analysis
from embedsearch.analysis.compare import Comparison
from embedsearch.artifacts import alignment, calibration
from embedsearch.disk.paths import expanded
from embedsearch.distances.metric import Metric
from embedsearch.encoders import encoder_spec, open_encoder, preparation_of
from embedsearch.encoders.given import query_recipe
from embedsearch.encoders.own import OwnEncoder, identity_of, loading
from embedsearch.errors import IndexDamagedError, RecipeError, SourceError, SourceNotFoundError
from embedsearch.index import Index, clear_sources, open_index
from embedsearch.indexing.build import build_index, recipe_of
from embedsearch.modalities import MODALITIES, PROJECTION, UNITS, QueryForm, Reader
from embedsearch.models.catalog import MODELS, KnownModel
from embedsearch.models.files import absolute_model
from embedsearch.progress import Progress
from embedsearch.recipe import (
    MEMORY,
    RECIPE_FILE,
    EncoderOptions,
    EncoderRecipe,
    IndexOptions,
    Recipe,
    SourceRecipe,
    absolute_uri,
    check_name,
    columns_of,
    joined,
    layers_of,
    unit_of,
)
from embedsearch.records import Record, Rejected, Unit
from embedsearch.sources import is_labelled, open_source
from embedsearch.sources import memory as in_memory
from embedsearch.sources.addresses import is_address
from embedsearch.sources.guess import guess
from embedsearch.sources.shards import is_pattern
from embedsearch.splitters.passages import passages_rule
from embedsearch.splitters.windows import seconds_of
from embedsearch.store.folders import indexes_folder, list_names
from embedsearch.store.versions import Freed, collect, roll_back, verify_builds
from embedsearch.store.versions import remove as remove_index

LOOKED_AT = 1000  # records that tell the dimension of vectors


def build(
    source: Any,
    *,
    name: str,
    kind: str = "",
    text: str | Sequence[str] = (),
    image: str = "",
    sound: str = "",
    document: str = "",
    vector: str = "",
    spans: str = "",
    id: str = "",
    encoding: str = "utf-8",
    split: str = "",
    exclude: str | Sequence[str] = (),
    header: bool | None = None,
    decimal: str = ".",
    keep_na: bool = False,
    ids: str | Path = "",
    fields: str | Path = "",
    rows: bool = False,
    columns: str | Sequence[str] = (),
    ocr: bool = False,
    unit: Unit | str = "",
    model: str = "",
    revision: str = "",
    pooling: str = "",
    layers: int | Sequence[int] = -1,
    patch_tokens_only: bool = False,
    precision: str = "auto",
    engine: str = "auto",
    decoding: str = "auto",
    views: str = "auto",
    windows: str = "",
    passages: str | int = "auto",
    weights: Mapping[str, float] | Sequence[str] = (),
    device: str = "auto",
    batch_tokens: int = 0,
    query_model: str = "",
    encoder: EncoderOptions | OwnEncoder | None = None,
    metric: str = "",
    backend: str = "auto",
    memory: str = "",
    recall: float = 0.95,
    queries: str | Path = "",
    storage: str = "fp32",
    keep: int = 2,
    max_rejected: float = 0.5,
    captions: str = "caption",
    center: bool | None = None,
    dim: int = 0,
    language: str = "",
    keep_tokens: str = "",
    shard_size: int = 10_000_000,
    uri: str = "",
    items: str = "local",
    index: IndexOptions | None = None,
    indexes: str | Path | None = None,
    replace: bool = False,
    strict: bool = False,
    allow_removal: bool = False,
    runner: str = "local",
    address: str = "",
    progress: Progress | None = None,
) -> Index:
    """Make the index `name`, or bring it up to date, and open it.

    What a program has in memory is kept in the index's folder, so that `Index.add`, `Index.delete` and
    `rebuild` work later. Building again from memory under the same name embeds only what is new.

    Args:
        source: a folder of images, of videos, of sounds, of documents and texts, or of Parquet files; a .csv,
            .tsv, .jsonl, .json, .parquet, .xlsx or .txt file (those of text packed by gzip or not); a data
            set saved on disk, or its id on the hub. Or what is in memory: a list of texts, of dicts, of PIL
            images or of `Path`s of images; a pandas, Arrow or Polars table; or vectors made elsewhere as
            (ids, vectors) or (ids, vectors, table of fields), vectors of shape (n, d), real numbers.
        name: what to call the index.
        kind: the kind of source, where it should not be guessed; see `embedsearch.sources.SOURCES`.
        text: the column, or columns joined by a newline, to embed.
        image: the column that holds images, as paths, as bytes or, in memory, as PIL images.
        sound: the column that holds sounds, as paths or as bytes of sound files.
        document: the column that holds paths or addresses of documents: PDF, Word, HTML, Markdown, plain text
            and what else a folder of documents is read for.
        vector: the column that holds vectors made elsewhere, as lists of numbers.
        spans: the column that holds the labelled spans of the text, `[[start, end, label], ...]` in
            characters. Each span gets a vector and the field `label`; with `unit="word"` each word does.
        id: the column that holds the key of a row; without it the content's hash is the key, and of what is
            in memory the column `id` where there is one.
        encoding: the encoding of text files.
        split: the split of a data set, or the sheet of a workbook.
        exclude: patterns of files and folders in a folder that are not read, as in `"draft*"`.
        header: whether the first row of a CSV, TSV or Excel file holds names; None to find out.
        decimal: `","` where numbers in a CSV or TSV file have a decimal comma.
        keep_na: read NA, null, None, nan and the like in CSV, TSV and Excel files as texts, not as missing.
        rows: embed the rows of a table as they are, by their columns: numbers, categories, dates and texts.
        columns: with `rows`, the columns to use; empty for all except the key.
        ocr: read pages of PDFs that hold no text by optical character recognition; needs the extra `ocr`.
        ids: for a .npy or .npz file of vectors, a file with one id a line, or a .npy of ids.
        fields: for a .npy or .npz file of vectors, a table with one row for each vector; its column `id` may
            hold the ids.
        unit: `text`, `word`, `token`, `span` or `image`; guessed from the source without it.
        model: as in `load_encoder`, and so are the next eleven. Of vectors from memory it is the name of what
            made them.
        revision: see `load_encoder`.
        pooling: see `load_encoder`.
        layers: see `load_encoder`.
        patch_tokens_only: see `load_encoder`.
        precision: see `load_encoder`.
        engine: see `load_encoder`.
        decoding: see `load_encoder`.
        views: see `load_encoder`.
        windows: for sounds, the seconds of a window and of the step to the next; empty for `10/5`.
        passages: how long texts are split into passages, which get a vector each: `"auto"` (a text that is
            longer than the model reads), `"off"`, or the most tokens of a passage.
        weights: with `rows`, the weights of columns in the squared distance, as in `{"price": 2}`.
        device: see `load_encoder`.
        batch_tokens: see `load_encoder`.
        query_model: for vectors made elsewhere, the model that made them. It embeds the texts of queries.
        encoder: the options from `unit` to `query_model` together; an option can't be given twice. Or an
            encoder of your own, anything with a `name` and `encode(list)` that returns (n, d) numbers: it is
            given texts, PIL images or vectors, as the source holds, and `open` and `rebuild` need it again.
        metric: `cosine`, `l2` or `ip`; empty for `l2` of rows and `cosine` of all else.
        backend: `auto`, `exact`, `hnsw`, `hnsw-fp16`, `hnsw-sq8`, `ivf-rabitq`, `ivf-pq` or `sharded`; or
            `milvus` or `pgvector`, with `uri`.
        memory: the memory limit for building and searching, such as `4GB`; empty for half of what is free.
        recall: the recall@10 that an approximate index is tuned to reach, (0, 1].
        queries: a file of queries (JSONL with id and text, or a table of both) to tune with.
        storage: `fp32` or `fp16`, the precision of the stored vectors.
        keep: how many builds stay on disk.
        max_rejected: share of entries (0 to 1) that may be rejected before the build fails.
        captions: for images, the field with their captions. The texts of queries are compared with these
            too. Empty for none.
        center: take the mean of the vectors off before they are compared; False to compare them as the model
            gives them. None for what an index of that name has; a new one of images is centred.
        dim: how many main directions of the centred vectors are kept (principal components); 0 for all.
        language: for texts, the language whose word stems are searched, a name of Snowball such as `english`;
            `none` for words as they are, empty to find out.
        keep_tokens: for texts, `int8` or `1bit` to keep the hidden states of their tokens, so that re-ranking
            takes milliseconds; building takes about twice as long.
        shard_size: for `sharded`, the most vectors in a shard.
        uri: the server that keeps the vectors, such as `http://localhost:19530` or
            `postgresql://user@localhost/database`, or a file for Milvus Lite.
        items: `remote` to put the items on that server too, so that `open("milvus://host/name")` needs no
            folder.
        index: the options from `metric` to `items` together; an option can't be given twice.
        indexes: the folder of indexes; $EMBEDSEARCH_INDEXES or ./indexes without it.
        replace: replace an index of that name even if it was made from something else.
        strict: fail if the index does not reach `recall`.
        allow_removal: whether more than 20 percent of the records of an index that is there may be gone from
            its source. What is given in memory may remove any number.
        runner: who embeds: `local` (this process) or `ray` (the workers of a Ray cluster).
        address: with `ray`, the cluster: `auto`, `host:6379` or `ray://host:10001`; empty to start Ray here.
        progress: gets the progress reports.

    Raises:
        RecipeError: an option is wrong, or given twice, or the name is taken by an index of another source.
        EmbedsearchError: see `embedsearch.indexing.build.build_index`.
    """
    root = indexes_folder(indexes)
    folder = root / check_name(name)
    asked = SourceRecipe(
        kind=kind,
        location="",
        text=columns_of(text),
        image=image,
        sound=sound,
        document=document,
        id=id,
        encoding=encoding,
        split=split,
        vector=vector,
        spans=spans,
        exclude=(exclude,) if isinstance(exclude, str) else tuple(exclude),
        header="" if header is None else "yes" if header else "no",
        decimal=decimal,
        keep_na=keep_na,
        ids=_file(ids),
        fields=_file(fields),
        rows=rows,
        columns=columns_of(columns),
        ocr=ocr,
    )
    own = None if encoder is None or isinstance(encoder, EncoderOptions) else _checked(encoder)
    load = loading(own)
    encoding_with = joined(
        encoder if isinstance(encoder, EncoderOptions) else EncoderOptions(),
        unit=str(unit_of(unit)) if unit else "",
        model=absolute_model(model),
        revision=revision,
        pooling=pooling,
        layers=layers_of(layers),
        patch_tokens_only=patch_tokens_only,
        precision=precision,
        engine=engine,
        decoding=decoding,
        views=views,
        windows=windows,
        passages=str(passages),
        weights=_weights(weights),
        device=device,
        batch_tokens=batch_tokens,
        query_model=absolute_model(query_model),
    )
    indexing_with = joined(
        index or IndexOptions(),
        metric=metric,
        backend=backend,
        memory=memory,
        recall=recall,
        queries=_file(queries),
        storage=storage,
        keep=keep,
        max_rejected=max_rejected,
        captions=captions,
        center=center,
        dim=dim,
        language=language,
        keep_tokens=keep_tokens,
        shard_size=shard_size,
        uri=absolute_uri(uri),
        items=items,
    )
    if isinstance(source, str | Path):
        read = _located(source, asked)
        settled = _settled(encoding_with, read, own)
        recipe = Recipe(name, read, settled, _centring(indexing_with, settled, folder, read, replace=replace))
        made = build_index(
            recipe,
            root,
            replace=replace,
            strict=strict,
            allow_removal=allow_removal,
            progress=progress,
            load=load,
            runner=runner,
            address=address,
        )
        return Index(made, load)
    is_new = not folder.exists()
    try:
        read = in_memory.keep(source, asked, folder)
        settled = _settled(encoding_with, read, own)
        recipe = Recipe(name, read, settled, _centring(indexing_with, settled, folder, read, replace=replace))
        again = replace or _is_like(folder, recipe)
        built = build_index(
            recipe,
            root,
            replace=again,
            strict=strict,
            allow_removal=True,
            progress=progress,
            load=load,
            runner=runner,
            address=address,
        )
    except BaseException:
        if is_new and not (folder / RECIPE_FILE).is_file():
            shutil.rmtree(folder, ignore_errors=True)  # a build that did not begin leaves nothing behind
        raise
    clear_sources(folder)
    return Index(built, load)


def _centring(
    options: IndexOptions, encoder: EncoderRecipe, folder: Path, source: SourceRecipe, *, replace: bool
) -> IndexOptions:
    """Return the options with what they leave open about centring.

    An index that is there stays as it is, unless one of another source or unit takes its place. A new one is
    centred where that was measured to help: by default images, except for encoders that are not known. A
    model whose texts and images have one space is never centred.
    """
    if options.center is not None or options.dim:
        return replaced(options, center=options.centred or None)
    if options.metric not in ("", Metric.COSINE):
        return options
    centred, dim = UNITS[encoder.unit].centred and not encoder.own, 0
    with suppress(IndexDamagedError):  # there is none, or nothing of it can be read
        before = recipe_of(folder)
        same = (before.encoder.unit, before.source.location) == (encoder.unit, source.location)
        if same or not replace:
            centred, dim = before.index.centred, before.index.dim
    if centred and not encoder.own and encoder_spec(encoder).pooling == PROJECTION:
        return options
    return replaced(options, center=centred or None, dim=dim)


def _splitting(unit: Unit, windows: str) -> str:
    """Return how the records of a new index are split."""
    if not windows:
        return UNITS[unit].splitting
    if UNITS[unit].form is not QueryForm.SOUND:
        raise RecipeError(f"Windows are of sounds, and the index is of {UNITS[unit].plural}: leave them out.")
    seconds_of(windows)
    return windows


def _passages(recipe: EncoderRecipe, asked: str) -> str:
    """Return how the long texts of a new index are split; empty where they are not."""
    unit = UNITS[recipe.unit]
    if unit.form is not QueryForm.TEXT or recipe.own:
        if asked not in ("auto", "off"):
            raise RecipeError(
                f"--passages is of texts that a model of embedsearch reads, and the index is of "
                f"{unit.plural}{' with an encoder of your own' * bool(recipe.own)}: leave it out."
            )
        return ""
    spec = encoder_spec(recipe)
    if spec.pooling == PROJECTION:  # compared with images, whose captions are short
        return ""
    return passages_rule(asked, spec.max_length)


def _checked(encoder: Any) -> OwnEncoder:
    if not isinstance(encoder, OwnEncoder) or not str(encoder.name).strip():
        raise RecipeError(
            "An encoder of your own needs a name and a method encode(list) that returns (n, d) numbers; got "
            f"a {type(encoder).__name__}."
        )
    return encoder


def _weights(given: Mapping[str, float] | Sequence[str]) -> tuple[str, ...]:
    """Return the weights of columns as a recipe has them."""
    if isinstance(given, Mapping):
        return tuple(f"{name}={weight}" for name, weight in given.items())
    return (given,) if isinstance(given, str) else tuple(given)


def _located(source: str | Path, asked: SourceRecipe) -> SourceRecipe:
    """Return the recipe of a source that is a file, a folder or a data set."""
    if not str(source).strip():
        raise SourceNotFoundError("The source is empty. Name a folder, a file or a data set.")
    kind, location = (asked.kind, _absolute(source)) if asked.kind else guess(str(source))
    return replaced(asked, kind=kind, location=location)


def _settled(options: EncoderOptions, source: SourceRecipe, own: OwnEncoder | None) -> EncoderRecipe:
    """Return the encoder's recipe; what is not asked for is taken from the source or the caller's own."""
    modality = MODALITIES[open_source(source).modality()]
    values = asdict(options) | {"model": absolute_model(options.model)}
    usual = next((unit for unit in modality.units if unit.is_labelled == is_labelled(source)), None)
    if usual is None:
        raise RecipeError(
            f"--spans names the labelled spans of texts, and {source.location} holds "
            f"{modality.units[0].plural}: leave it out."
        )
    if values["weights"] and not any(unit.by_columns for unit in modality.units):
        raise RecipeError("--weight is of the columns of rows: give --rows too, or leave it out.")
    values["unit"] = unit_of(options.unit) if options.unit else usual.unit
    values["preparation"] = preparation_of(values["unit"])
    values["splitter"] = _splitting(values["unit"], values.pop("windows"))
    passages = values.pop("passages")
    recipe = EncoderRecipe(**values)
    if own is not None:
        if UNITS[recipe.unit].splitter or recipe.model:
            raise RecipeError(
                "An encoder of your own takes whole texts, images and vectors, and has a name: leave out "
                "unit and model."
            )
        recipe = replaced(recipe, model=str(own.name), own=identity_of(own))
    recipe = replaced(recipe, splitter=recipe.splitter or _passages(recipe, passages))
    if modality.reader is not Reader.NONE:
        if recipe.query_model:
            raise RecipeError("--query-model belongs to vectors made elsewhere: leave it out.")
        return recipe
    if recipe.model and own is None and source.kind != MEMORY:
        raise RecipeError(
            f"{source.location} holds vectors made elsewhere, on which no model is run: leave out --model. "
            "With --query-model MODEL, texts are asked through the model that made them."
        )
    recipe = replaced(recipe, dimension=_dimension(source))
    if recipe.query_model and own is None:
        texts = open_encoder(query_recipe(recipe)).dimension
        if texts != recipe.dimension:
            raise RecipeError(
                f"{recipe.query_model} makes vectors of {texts:,} numbers, and those of {source.location} "
                f"have {recipe.dimension:,}. Name the model that made them, or leave out --query-model."
            )
    return recipe


def _dimension(source: SourceRecipe) -> int:
    """Return how many numbers most of the first vectors have.

    Raises:
        SourceError: there is no vector among them.
    """
    first = list(islice(open_source(source), LOOKED_AT))
    sizes = Counter(
        len(each.content) // 4  # float32
        for each in first
        if isinstance(each, Record) and isinstance(each.content, bytes)
    )
    if not sizes:
        reasons = {each.reason for each in first if isinstance(each, Rejected)}
        why = f": {'; '.join(sorted(reasons)[:3])}." if reasons else "."
        raise SourceError(f"{source.location} holds no vector that can be used{why}")
    return sizes.most_common(1)[0][0]


def _is_like(folder: Path, recipe: Recipe) -> bool:
    """Whether the index in `folder` is made from memory too, and of the same unit."""
    try:
        old = Recipe.load(folder)
    except RecipeError:  # there is none, or it is damaged
        return False
    return old.source.kind == recipe.source.kind and old.encoder.unit == recipe.encoder.unit


def _file(path: str | Path) -> str:
    """Return the path of a file as an absolute one, an address as it is; empty for none."""
    return str(path) if not path or is_address(str(path)) else str(expanded(path).resolve())


def _absolute(source: str | Path) -> str:
    """Return a file, folder or pattern as an absolute path; what is none (a hub id, an address) as it is."""
    path = expanded(source)
    if path.exists():
        return str(path.resolve())
    return str(path.absolute()) if is_pattern(str(source)) and not is_address(str(source)) else str(source)


def compare(
    things: Sequence[Any],
    *,
    index: str = "",
    model: str = "",
    pooling: str = "",
    layers: int | Sequence[int] = -1,
    indexes: str | Path | None = None,
) -> Comparison:
    """Compare two or more texts, images or sounds, each with each; texts with others by an index.

    Args:
        things: texts (str), images (`Path`, bytes or PIL image) or sounds (`Sound`, or the `Path` of a file
            with the suffix of one).
        index: compare by the model, the metric and the scale of this index; else by `model` with the cosine
            distance and, for texts, beside pairs of general sentences.
        model: as in `load_encoder`; so are pooling and layers.
        pooling: see `load_encoder`.
        layers: see `load_encoder`.
        indexes: the folder of indexes.

    Raises:
        QueryError: there are fewer than two things, or of two kinds, or the index holds something else.
        ItemError: an image or a sound can't be read.
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
            without it, the captions in the index are used.
        field: the field that holds them.
        text_model: the model that embeds the texts, as in `load_encoder`; empty for the bundled text model.
        indexes: the folder of indexes; $EMBEDSEARCH_INDEXES or ./indexes without it.
        progress: gets the progress reports.

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
    own: str | Path = "",
    lost: float | None = None,
    strictness: float | None = None,
    indexes: str | Path | None = None,
    progress: Progress | None = None,
) -> Index:
    """Measure the distance scale of the index `name` again, and open the index with it.

    Args:
        name: the index's name.
        pairs: a table of two texts and people's score of how related they are. From then on a hit says which
            score people would give. Empty for the judgements that the index has.
        background: a file of unrelated texts, one a line, or a table, or a folder of unrelated images;
            empty for what the index has, or the package's general sentences.
        own: the same for your own queries, which the index should answer and which are not its items; they
            set the limit of the verdict. Empty for those that the index has.
        lost: the share (over 0, under 1) of `own` that may wrongly get `nothing_close`; None for 0.05.
        strictness: the share (over 0, under 1) of unrelated queries that are to get `nothing_close`, in place
            of a limit set by `own`; None for what the index has.
        indexes: the folder of indexes; $EMBEDSEARCH_INDEXES or ./indexes without it.
        progress: gets reports of what can't be read.

    Raises:
        EmbedsearchError: see `embedsearch.artifacts.calibration.calibrate`.
    """
    root = indexes_folder(indexes)
    return Index(
        calibration.calibrate(
            name,
            pairs=pairs,
            background=background,
            own=own,
            lost=lost,
            strictness=strictness,
            root=root,
            progress=progress,
        )
    )


def list_indexes(indexes: str | Path | None = None) -> list[str]:
    """Return the names of the indexes in a folder; $EMBEDSEARCH_INDEXES or ./indexes without one."""
    return list_names(indexes_folder(indexes))


def list_models() -> tuple[KnownModel, ...]:
    """Return the models known by name; any other is named by its hub id or its folder."""
    return MODELS


def verify(name: str, *, indexes: str | Path | None = None) -> list[tuple[str, str]]:
    """Read every file of every build of the index `name`, which may be too damaged to open.

    Returns:
        Each build's id and what is wrong with it, empty where it is undamaged.

    Raises:
        IndexNotFoundError: there is no index of that name.
    """
    return verify_builds(indexes_folder(indexes), name)


def rollback(name: str, to: str = "", *, indexes: str | Path | None = None) -> Index:
    """Go back to an earlier build of the index `name`, which may be too damaged to open.

    Args:
        name: the index's name.
        to: the id of the build; empty for the newest undamaged one before the current one.
        indexes: the folder of indexes; $EMBEDSEARCH_INDEXES or ./indexes without it.

    Raises:
        RecipeError: there is no such build.
        IndexDamagedError: that build is damaged, too.
        IndexNotFoundError, IndexBusyError: there is no index of that name, or it is being written.
    """
    return Index(roll_back(indexes_folder(indexes), name, to))


def gc(
    name: str, keep: int | None = None, *, unfinished: bool = False, indexes: str | Path | None = None
) -> Freed:
    """Delete builds of the index `name` that are no longer kept.

    Args:
        name: the index's name.
        keep: how many builds stay; as the recipe says without it. The current one always stays.
        unfinished: whether the work of an interrupted run is deleted too.
        indexes: the folder of indexes; $EMBEDSEARCH_INDEXES or ./indexes without it.

    Returns:
        The folders that were deleted, and their size.

    Raises:
        IndexNotFoundError, IndexBusyError: there is no index of that name, or it is being written.
    """
    return collect(indexes_folder(indexes), name, keep, unfinished=unfinished)


def remove(name: str, *, indexes: str | Path | None = None) -> Path:
    """Delete the index `name` with all its builds, finished or not, and return the folder that held it.

    What it was made from stays, unless that was in memory.

    Raises:
        IndexNotFoundError, IndexBusyError: there is no index of that name, or it is being written.
    """
    return remove_index(indexes_folder(indexes), name)
