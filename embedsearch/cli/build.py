"""Commands that make indexes: demo, build, rebuild."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from embedsearch.cli.options import device_option, echo_json, example, indexes_option, json_option, option

if TYPE_CHECKING:
    from embedsearch.cli.progress import Bar
    from embedsearch.search import Searcher


def _layers(ctx: click.Context, param: click.Parameter, value: str) -> tuple[int, ...]:  # noqa: ARG001
    try:
        return tuple(int(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(
            f"{value!r}: whole numbers with commas were expected, as in -1 or -1,-2"
        ) from None


@contextmanager
def _bar(name: str) -> Iterator[Bar]:
    from embedsearch.cli.progress import Bar

    bar = Bar(name)
    try:
        yield bar
    finally:
        bar.close()


def _facts(searcher: Searcher) -> dict[str, Any]:
    manifest = searcher.manifest
    return {
        "index": manifest.name,
        "build": manifest.build,
        "unit": str(manifest.unit),
        "count": manifest.count,
        "metric": str(manifest.metric),
        "report": dict(manifest.report),
    }


def _tell(searcher: Searcher, json: bool) -> None:
    if json:
        echo_json(**_facts(searcher))
        return
    manifest, report = searcher.manifest, searcher.manifest.report
    click.echo(f"{manifest.name}: {manifest.count:,} {manifest.unit}s in {report['seconds']:.1f} s")
    if report["truncated"]:
        lost = f"; {report['lost_words']:,} words behind it have no vector" if report["lost_words"] else ""
        limit = manifest.encoder["max_length"]
        click.echo(f"{report['truncated']:,} texts were cut at the model's limit of {limit} tokens{lost}")
    if report["rejected"]:
        click.echo(
            f"{report['rejected']:,} could not be used; see: embedsearch info {manifest.name} --quarantine"
        )


@click.command(
    "build",
    short_help="Make an index from a folder, a table or a data set.",
    **example(
        'embedsearch build questions.csv --text question --name faq, then embedsearch search faq "..."'
    ),
)
@click.argument("source")
@option("--name", required=True, help="What to call the index.")
@option(
    "--text", multiple=True, metavar="COLUMN", help="Column to embed; several are joined by a line break."
)
@option("--image", metavar="COLUMN", default="", help="Column that holds pictures, as paths or bytes.")
@option("--id", metavar="COLUMN", default="", help="Column that names a row.  [default: content hash]")
@option(
    "--unit", type=click.Choice(["text", "word", "token", "image"]), help="What gets a vector of its own."
)
@option("--model", default="", help="A name of `embedsearch models`, a hub id, or a folder.")
@option("--revision", default="", help="Branch, tag or commit on the hub.")
@option(
    "--pooling", default="", help="cls or mean; mean or first for words.  [default: as the model declares]"
)
@option(
    "--layers", default="-1", callback=_layers, show_default=True, help="Hidden layers to average: -1,-2."
)
@option("--patch-tokens-only", is_flag=True, help="Leave CLS and register tokens out of an image's mean.")
@option("--precision", type=click.Choice(["auto", "fp32", "bf16", "fp16"]), default="auto", show_default=True)
@option("--engine", type=click.Choice(["auto", "torch", "openvino"]), default="auto", show_default=True)
@option(
    "--decoding",
    type=click.Choice(["auto", "full", "draft"]),
    default="auto",
    show_default=True,
    help="draft decodes large JPEGs at a smaller scale.",
)
@device_option
@option("--batch-tokens", type=click.IntRange(min=0), default=0, help="Padded tokens in a batch; 0 chooses.")
@option("--metric", type=click.Choice(["cosine", "l2", "ip"]), default="cosine", show_default=True)
@option("--backend", type=click.Choice(["exact"]), default="exact", show_default=True)
@option(
    "--max-rejected",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Share of entries that may be quarantined.",
)
@option("--kind", default="", help="Kind of source: images, texts, csv, jsonl, parquet, lines, dataset.")
@option("--encoding", default="utf-8", show_default=True, help="Encoding of text files.")
@option("--split", default="", help="Split of a data set.")
@option("--replace", is_flag=True, help="Replace an index of that name that was made from something else.")
@indexes_option
@json_option
def build_command(source: str, name: str, unit: str | None, json: bool, **options: Any) -> None:
    """Make an index from SOURCE and put it in force.

    SOURCE is a folder of pictures or of text files, a .csv, .tsv, .jsonl, .parquet or .txt file, a data
    set saved on disk, or the id of one on the hub.
    """
    from embedsearch.api import build

    with _bar(name) as bar:
        searcher = build(source, name=name, unit=unit or "", progress=bar, **options)
    _tell(searcher, json)


@click.command(
    "rebuild",
    short_help="Make an index again from its recipe.",
    **example("embedsearch rebuild faq"),
)
@click.argument("name")
@indexes_option
@json_option
def rebuild_command(name: str, indexes: Path | None, json: bool) -> None:
    """Read the source of the index NAME again and put a new build in force.

    What to read and how stands in indexes/NAME/recipe.toml.
    """
    from embedsearch.api import rebuild

    with _bar(name) as bar:
        searcher = rebuild(name, indexes=indexes, progress=bar)
    _tell(searcher, json)


@click.command(
    "demo",
    short_help="Build the demo indexes and open the page on them.",
    **example("embedsearch demo --images ~/Pictures"),
)
@option(
    "--images",
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder of pictures.  [default: the Tux Paint stamps, where that package is installed]",
)
@option("--page/--no-page", default=True, help="Open the page when the indexes are built.", show_default=True)
@option("--browser/--no-browser", default=True, help="Open a browser window on the page.", show_default=True)
@option(
    "--port", type=click.IntRange(1, 65535), help="Port of the page.  [default: the first free one from 8501]"
)
@device_option
@indexes_option
@json_option
def demo_command(
    images: Path | None,
    page: bool,
    browser: bool,
    port: int | None,
    device: str,
    indexes: Path | None,
    json: bool,
) -> None:
    """Build indexes of this Python's documentation, of words in it, and of pictures.

    What is built already stays; with --images the pictures are read again.
    """
    from embedsearch.demo import demo_recipes, make
    from embedsearch.store import indexes_folder

    root = indexes_folder(indexes)
    built = []
    for recipe in demo_recipes(images, device):
        with _bar(recipe.name) as bar:
            built.append(
                make(recipe, root, again=images is not None and recipe.name == "pictures", progress=bar)
            )
    if json:
        echo_json(indexes=[_facts(searcher) for searcher in built])
    else:
        for searcher in built:
            _tell(searcher, False)
        if not any(searcher.manifest.name == "pictures" for searcher in built):
            click.echo("No pictures were found; add yours: embedsearch build ~/Pictures --name pictures")
    if page:
        from embedsearch.ui.launch import launch

        raise SystemExit(launch(root, port, browser))
