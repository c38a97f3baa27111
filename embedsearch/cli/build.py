"""The command build."""

from __future__ import annotations

from pathlib import Path

import click

from embedsearch.cli.built import current, echo_built
from embedsearch.cli.options import (
    address_option,
    allow_removal_option,
    backend_names,
    center_option,
    device_option,
    dim_option,
    example,
    indexes_option,
    items_option,
    json_option,
    layers_given,
    model_option,
    option,
    runner_option,
    uri_option,
)
from embedsearch.recipe import KEPT_TOKENS, VIEWS


def _columns(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:  # noqa: ARG001
    from embedsearch.sources.column_names import split_names

    return split_names(value)


@click.command(
    "build",
    short_help="Build an index from a folder, a table or a data set.",
    **example(
        'embedsearch build questions.csv --text question --name faq, then embedsearch search faq "..."'
    ),
)
@click.argument("source")
@option("--name", required=True, help="Name of the index.")
@option("--text", multiple=True, metavar="COLUMN", help="Column to embed; several are joined by line breaks.")
@option("--image", metavar="COLUMN", default="", help="Column of images, as paths or bytes.")
@option("--sound", metavar="COLUMN", default="", help="Column of sounds, as paths or bytes.")
@option("--document", metavar="COLUMN", default="", help="Column of paths of documents: PDF, DOCX, ...")
@option(
    "--vectors",
    "--vector",
    "vector",
    metavar="COLUMN",
    default="",
    help="Column of vectors made elsewhere; for a .npz file, the name of the array.",
)
@option(
    "--ids", metavar="FILE", default="", help="For a .npy or .npz file of vectors: a file with one id a line."
)
@option(
    "--fields",
    metavar="FILE",
    default="",
    help="For a .npy or .npz file of vectors: a table with one row for each vector.",
)
@option(
    "--query-model",
    metavar="MODEL",
    default="",
    help="The model that made the vectors; it embeds the texts that you search for. A name, a hub id or a "
    "folder.",
)
@option(
    "--spans",
    metavar="COLUMN",
    default="",
    help="Column of labelled spans of the text: [[start, end, label], ...] in characters. Each gets a "
    "vector.",
)
@option("--rows", is_flag=True, help="Embed each row by its columns: numbers, categories, dates and texts.")
@option(
    "--columns",
    metavar="NAMES",
    default="",
    callback=_columns,
    help="With --rows: the columns to use, as in price,colour; a name with a comma in quotes.  "
    "[default: all]",
)
@option(
    "--weight",
    "weights",
    metavar="COLUMN=NUMBER",
    multiple=True,
    help="With --rows: the weight of a column in the squared distance, as in price=2.",
)
@option(
    "--id",
    metavar="COLUMN",
    default="",
    help="Column with the id of each row.  [default: a hash of the content]",
)
@option(
    "--unit",
    type=click.Choice(["text", "word", "token", "span", "image", "frame", "sound"]),
    help="What gets a vector.  [default: chosen by what the source holds]",
)
@model_option
@option("--revision", default="", help="Branch, tag or commit of the model on the hub.")
@option(
    "--pooling",
    default="",
    help="How the token vectors become one: cls or mean; for words and spans, mean or first.  "
    "[default: as the model declares]",
)
@option(
    "--layers",
    default="-1",
    callback=layers_given,
    show_default=True,
    help="Hidden layers to average, as in -1,-2.",
)
@option(
    "--patch-tokens-only",
    is_flag=True,
    help="Average only the patches of an image, without CLS and register tokens.",
)
@option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
    default="auto",
    show_default=True,
    help="Precision that the model computes in.",
)
@option(
    "--engine",
    type=click.Choice(["auto", "torch", "openvino"]),
    default="auto",
    show_default=True,
    help="What runs the model.",
)
@option(
    "--decoding",
    type=click.Choice(["auto", "full", "draft"]),
    default="auto",
    show_default=True,
    help="draft decodes large JPEGs at a smaller size, which is faster.",
)
@option(
    "--views",
    type=click.Choice(VIEWS),
    default="auto",
    show_default=True,
    help="Which part of an image to embed: its centre, the whole, or both, which takes twice as long. auto "
    "uses both for wide and tall images.",
)
@option(
    "--windows",
    metavar="SECONDS/SECONDS",
    default="",
    help="For sounds: the length of a window, and the step to the next one.  [default: 10/5]",
)
@option(
    "--passages",
    metavar="auto|off|TOKENS",
    default="auto",
    show_default=True,
    help="Split long texts into passages, each with a vector: those longer than the model reads (auto), "
    "none (off), or those of more than this many tokens.",
)
@device_option
@option(
    "--batch-tokens",
    type=click.IntRange(min=0),
    default=0,
    help="Most tokens in a batch, padding included.  [default: chosen by the encoder]",
)
@option(
    "--metric",
    type=click.Choice(["cosine", "l2", "ip"]),
    help="Distance: cosine, Euclidean (l2), or negative inner product (ip).  [default: cosine; l2 with "
    "--rows]",
)
@option(
    "--backend",
    type=backend_names,
    default="auto",
    show_default=True,
    help="Index type; auto chooses by size and memory.",
)
@option(
    "--memory",
    default="",
    metavar="SIZE",
    help="Memory limit for building and searching, as in 4GB.  [default: half of the free memory]",
)
@option(
    "--recall",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.95,
    show_default=True,
    help="The recall@10 that an approximate index is tuned to reach.",
)
@option(
    "--queries",
    default="",
    metavar="FILE",
    help="Queries for the tuning: JSONL with id and text, or a table of id and text.",
)
@option(
    "--shard-size",
    type=click.IntRange(min=1),
    default=10_000_000,
    show_default=True,
    metavar="N",
    help="With --backend sharded: the most vectors in a shard.",
)
@uri_option
@items_option
@option("--strict", is_flag=True, help="Fail if the index does not reach the recall of --recall.")
@option(
    "--storage",
    type=click.Choice(["fp32", "fp16"]),
    default="fp32",
    show_default=True,
    help="Precision of the stored vectors.",
)
@option(
    "--keep", type=click.IntRange(min=1), default=2, show_default=True, help="How many builds stay on disk."
)
@option(
    "--max-rejected",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Share of records that may be rejected before the build fails.",
)
@option(
    "--captions",
    metavar="FIELD",
    default="caption",
    show_default=True,
    help="For images: the field with their captions. Texts that you search for are also compared with these.",
)
@center_option
@dim_option
@option(
    "--language",
    default="",
    help="For texts: the language whose word stems are searched, such as english; none for words as they "
    "are.  [default: found out]",
)
@option(
    "--keep-tokens",
    default="",
    type=click.Choice(["", *KEPT_TOKENS]),
    metavar="[int8|1bit]",
    help="For texts: keep the hidden states of their tokens, so that search --rerank takes milliseconds. "
    "Building takes about twice as long; the size is printed.",
)
@option(
    "--kind",
    default="",
    help="Kind of source: images, videos, sounds, documents, texts, csv, jsonl, excel, parquet, arrow, "
    "lines, conll, webdataset, vectors, word-vectors or dataset.  [default: guessed]",
)
@option("--encoding", default="utf-8", show_default=True, help="Encoding of text files.")
@option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="Do not read files and folders of this name or path, as in 'draft*'.",
)
@option(
    "--header/--no-header",
    default=None,
    help="Whether the first row of a CSV, TSV or Excel file holds the column names.  [default: detected]",
)
@option(
    "--decimal",
    type=click.Choice([".", ","]),
    default=".",
    show_default=True,
    help="Decimal sign of numbers in CSV and TSV files.",
)
@option(
    "--keep-na",
    is_flag=True,
    help="Read NA, null, None, nan and \\N in tables as texts, not as missing values.",
)
@option(
    "--ocr",
    is_flag=True,
    help="Read scanned pages of PDFs by optical character recognition; needs the extra ocr.",
)
@option("--split", default="", help="Split of a data set, or sheet of a workbook.")
@option(
    "--replace", is_flag=True, help="Replace an index of this name even if it has another source or unit."
)
@allow_removal_option
@runner_option
@address_option
@indexes_option
@json_option
def build_command(
    source: str,
    name: str,
    kind: str,
    text: tuple[str, ...],
    image: str,
    sound: str,
    document: str,
    vector: str,
    spans: str,
    id: str,
    encoding: str,
    split: str,
    exclude: tuple[str, ...],
    header: bool | None,
    decimal: str,
    keep_na: bool,
    ids: str,
    fields: str,
    rows: bool,
    columns: tuple[str, ...],
    ocr: bool,
    unit: str | None,
    model: str,
    revision: str,
    pooling: str,
    layers: tuple[int, ...],
    patch_tokens_only: bool,
    precision: str,
    engine: str,
    decoding: str,
    views: str,
    windows: str,
    passages: str,
    weights: tuple[str, ...],
    device: str,
    batch_tokens: int,
    query_model: str,
    metric: str | None,
    backend: str,
    memory: str,
    recall: float,
    queries: str,
    storage: str,
    keep: int,
    max_rejected: float,
    captions: str,
    center: bool | None,
    dim: int,
    language: str,
    keep_tokens: str,
    shard_size: int,
    uri: str,
    items: str | None,
    indexes: Path | None,
    replace: bool,
    strict: bool,
    allow_removal: bool,
    runner: str,
    address: str,
    json: bool,
) -> None:
    """Build an index from SOURCE.

    SOURCE is a folder of images, of videos, of sounds, of documents (PDF, DOCX, PPTX, HTML, Markdown, EPUB,
    e-mail, text) or of Parquet files; a .zip of such files; a .csv, .tsv, .jsonl, .json, .parquet, .arrow,
    .xlsx, .txt or .conll file; the .tar files of a WebDataset, as in 'part-{000..099}.tar'; a data set saved
    on disk, or the id of a data set on the hub; vectors made elsewhere, in a .npy or .npz file or a file of
    word2vec, GloVe or fastText. It may be an address, such as s3://bucket/images. If the index exists
    already, it is brought up to date.
    """
    from embedsearch.api import build
    from embedsearch.cli.progress import reporter

    before = current(name, indexes)
    with reporter(name) as bar:
        index = build(
            source,
            name=name,
            kind=kind,
            text=text,
            image=image,
            sound=sound,
            document=document,
            vector=vector,
            spans=spans,
            id=id,
            encoding=encoding,
            split=split,
            exclude=exclude,
            header=header,
            decimal=decimal,
            keep_na=keep_na,
            ids=ids,
            fields=fields,
            rows=rows,
            columns=columns,
            ocr=ocr,
            unit=unit or "",
            model=model,
            revision=revision,
            pooling=pooling,
            layers=layers,
            patch_tokens_only=patch_tokens_only,
            precision=precision,
            engine=engine,
            decoding=decoding,
            views=views,
            windows=windows,
            passages=passages,
            weights=weights,
            device=device,
            batch_tokens=batch_tokens,
            query_model=query_model,
            metric=metric or "",
            backend=backend,
            memory=memory,
            recall=recall,
            queries=queries,
            storage=storage,
            keep=keep,
            max_rejected=max_rejected,
            captions=captions,
            center=center,
            dim=dim,
            language=language,
            keep_tokens=keep_tokens,
            shard_size=shard_size,
            uri=uri,
            items=items or "local",
            indexes=indexes,
            replace=replace,
            strict=strict,
            allow_removal=allow_removal,
            runner=runner,
            address=address,
            progress=bar,
        )
    echo_built(index, json, before)
