"""The command build."""

from __future__ import annotations

from typing import Any

import click

from embedsearch.cli.built import current, echo_built
from embedsearch.cli.options import (
    allow_removal_option,
    backend_names,
    device_option,
    example,
    indexes_option,
    json_option,
    layers_given,
    model_option,
    option,
)
from embedsearch.recipe import VIEWS


def _columns(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:  # noqa: ARG001
    return tuple(name.strip() for name in value.split(",") if name.strip())


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
@option(
    "--vectors",
    "--vector",
    "vector",
    metavar="COLUMN",
    default="",
    help="Column of vectors that were made elsewhere; of a .npz the name of their array.",
)
@option("--ids", metavar="FILE", default="", help="Of a .npy or .npz of vectors: a file with one id a line.")
@option(
    "--fields", metavar="FILE", default="", help="Of a .npy or .npz of vectors: a table with a row for each."
)
@option(
    "--query-model",
    metavar="MODEL",
    default="",
    help="The model that made the vectors: texts are asked through it. A name, a hub id, or a folder.",
)
@option(
    "--spans",
    metavar="COLUMN",
    default="",
    help="Column of the text's labelled spans, [[start, end, label], ...] in characters; each gets a vector.",
)
@option("--rows", is_flag=True, help="Compare rows by their columns: numbers, categories, dates and texts.")
@option(
    "--columns",
    metavar="NAMES",
    default="",
    callback=_columns,
    help="Of --rows: the columns that count, as in price,colour.  [default: all]",
)
@option(
    "--weight",
    "weights",
    metavar="COLUMN=NUMBER",
    multiple=True,
    help="Of --rows: how often the squared distance of a column counts, as in price=2.",
)
@option(
    "--id",
    metavar="COLUMN",
    default="",
    help="Column with the id of a row.  [default: a hash of the content]",
)
@option(
    "--unit",
    type=click.Choice(["text", "word", "token", "span", "image", "frame", "sound"]),
    help="What gets a vector.  [default: text, image or labelled span, as the source holds]",
)
@model_option
@option("--revision", default="", help="Branch, tag or commit of the model on the hub.")
@option(
    "--pooling",
    default="",
    help="cls or mean; for words and spans mean or first.  [default: as the model declares]",
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
    help="What of an image counts: its middle, the whole, or both, which takes twice as long. auto takes "
    "both for wide and tall images.",
)
@option(
    "--windows",
    metavar="SECONDS/SECONDS",
    default="",
    help="How sounds are split: length of a window, and from one to the next.  [default: 10/5]",
)
@device_option
@option(
    "--batch-tokens",
    type=click.IntRange(min=0),
    default=0,
    help="Padded tokens in a batch.  [default: chosen by the encoder]",
)
@option(
    "--metric",
    type=click.Choice(["cosine", "l2", "ip"]),
    help="Distance: cosine, Euclidean (l2), or negative inner product (ip).  [default: cosine; of rows l2]",
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
    help="Memory that building and searching may take, as in 4GB.  [default: half of what is free]",
)
@option(
    "--recall",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.95,
    show_default=True,
    help="recall@10 that an approximate index is tuned to reach.",
)
@option(
    "--queries",
    default="",
    metavar="FILE",
    help="Queries to tune with: JSONL with id and text, or a table of id and text.",
)
@option("--strict", is_flag=True, help="Fail if the index does not reach that recall.")
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
    help="Of images: the field with their captions, which texts are compared with too.",
)
@option(
    "--kind",
    default="",
    help="Kind of source: images, videos, sounds, texts, csv, jsonl, excel, parquet, arrow, lines, conll, "
    "webdataset, vectors, word-vectors or dataset.  [default: guessed]",
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
    help="Whether the first row of a CSV, TSV or Excel file holds names.  [default: found out]",
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
@option("--split", default="", help="Split of a data set, or sheet of a workbook.")
@option("--replace", is_flag=True, help="Replace an index of that name that has another source or unit.")
@allow_removal_option
@indexes_option
@json_option
def build_command(
    source: str, name: str, unit: str | None, metric: str | None, json: bool, **options: Any
) -> None:
    """Build an index from SOURCE, and publish it.

    SOURCE is a folder of images, of videos, of sounds, of text files or of Parquet files; a .zip of such
    files; a .csv, .tsv, .jsonl, .json, .parquet, .arrow, .xlsx, .txt or .conll file; the .tar files of a
    WebDataset, as in 'part-{000..099}.tar'; a data set saved on disk, or the id of a data set on the hub;
    vectors made elsewhere as .npy or .npz, or in a file of word2vec, GloVe or fastText. It may lie at an
    address, such as s3://bucket/images. An index that is there already is brought up to date.
    """
    from embedsearch.api import build
    from embedsearch.cli.progress import Bar

    before = current(name, options["indexes"])
    with Bar(name) as bar:
        index = build(source, name=name, unit=unit or "", metric=metric or "", progress=bar, **options)
    echo_built(index, json, before)
