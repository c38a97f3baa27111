"""Commands that make indexes and bring them up to date: demo, build, rebuild."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from embedsearch.cli.options import (
    device_option,
    echo_json,
    example,
    indexes_option,
    json_option,
    option,
    plain,
)

if TYPE_CHECKING:
    from embedsearch.cli.progress import Bar
    from embedsearch.index import Index
    from embedsearch.store.facts import SourceChanges

BACKENDS = ["auto", "exact", "hnsw", "hnsw-fp16", "hnsw-sq8", "ivf-rabitq", "ivf-pq"]


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


def _facts(searcher: Index, *, published: bool = True) -> dict[str, Any]:
    """Return what is told of a build; of one that was in force already, that nothing changed."""
    from embedsearch.disk.facts import to_json

    manifest = searcher.manifest
    changes = manifest.changes
    if not published:
        from embedsearch.indexing.changes import unchanged

        changes = unchanged(searcher.build).facts()
    return {
        "index": manifest.name,
        "build": manifest.build,
        "unit": str(manifest.unit),
        "count": manifest.count,
        "metric": str(manifest.metric),
        "backend": manifest.backend,
        "recall": manifest.index.recall,
        "report": to_json(manifest.report),
        "changes": to_json(changes) or {},
    }


def _in_force(name: str, indexes: Path | None) -> str:
    """Return the id of the build in force; empty where there is none, or a damaged one."""
    from embedsearch.recipe import check_name
    from embedsearch.store.folders import current_id, indexes_folder

    return current_id(indexes_folder(indexes) / check_name(name))


def _tell(searcher: Index, json: bool, before: str = "") -> None:
    """Print what came of a build; `before` is the build that was in force."""
    manifest, report = searcher.manifest, searcher.manifest.report
    published = manifest.build != before
    if json:
        echo_json(**_facts(searcher, published=published), published=published)
        return
    if not published:
        click.echo(f"{manifest.name}: nothing changed, {manifest.count:,} {manifest.unit}s")
        return
    if manifest.changes:
        click.echo(f"{manifest.name}: {told(manifest.changes)}")
        kept = manifest.changes.neighbours_kept
        if kept and kept.share is not None:
            click.echo(f"{kept.share:.1%} of the 10 nearest neighbours of {kept.sample:,} items stayed")
    tuned, recall = manifest.index.tuned, manifest.index.recall
    if tuned and recall < tuned.wanted:
        click.echo(
            f"The {manifest.backend} index reaches a recall@10 of {recall:.3f}, not {tuned.wanted:g}. "
            "--backend exact or hnsw, or more --memory, reach more.",
            err=True,
        )
    click.echo(f"{manifest.name}: {manifest.count:,} {manifest.unit}s in {report.seconds:.1f} s")
    if report.truncated:
        lost = f"; {report.lost_words:,} words behind it have no vector" if report.lost_words else ""
        limit = manifest.encoder.spec.max_length
        click.echo(f"{report.truncated:,} texts were cut at the model's limit of {limit} tokens{lost}")
    if report.rejected:
        click.echo(
            f"{report.rejected:,} could not be used; see: embedsearch info {manifest.name} --quarantine"
        )


def told(changes: SourceChanges) -> str:
    """Return what changed in a source, in a line."""
    kinds = ("added", "changed", "removed", "unchanged", "rejected")
    return ", ".join(f"{getattr(changes, kind):,} {kind}" for kind in kinds)


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
@option("--vector", metavar="COLUMN", default="", help="Column that holds vectors made elsewhere.")
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
@option(
    "--backend",
    type=click.Choice(BACKENDS),
    default="auto",
    show_default=True,
    help="Kind of index; auto chooses by size and memory.",
)
@option(
    "--memory",
    default="",
    metavar="SIZE",
    help="What the index may hold: 4GB.  [default: half of the free]",
)
@option(
    "--recall",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.95,
    show_default=True,
    help="recall@10 that an approximate index is tuned to.",
)
@option("--queries", default="", metavar="FILE", help="Queries to tune with, as `eval` reads them.")
@option("--strict", is_flag=True, help="Fail where that recall is not reached.")
@option(
    "--storage", type=click.Choice(["fp32", "fp16"]), default="fp32", show_default=True, help="Of vectors."
)
@option("--keep", type=click.IntRange(min=1), default=2, show_default=True, help="Builds that stay on disk.")
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

    before = _in_force(name, options["indexes"])
    with _bar(name) as bar:
        searcher = build(source, name=name, unit=unit or "", progress=bar, **options)
    _tell(searcher, json, before)


@click.command(
    "rebuild",
    short_help="Bring an index up to date with its source.",
    **example("embedsearch rebuild faq --dry-run"),
)
@click.argument("name")
@option("--full", is_flag=True, help="Embed everything again.")
@option("--dry-run", is_flag=True, help="Say what would happen, and write nothing.")
@option("--strict", is_flag=True, help="Fail where the recall asked for is not reached.")
@option("--backend", type=click.Choice(BACKENDS), help="Another kind of index from now on.")
@option("--memory", default="", metavar="SIZE", help="Other memory from now on.")
@option("--recall", type=click.FloatRange(0, 1, min_open=True), help="Another recall from now on.")
@option("--queries", default="", metavar="FILE", help="Other queries to tune with from now on.")
@option("--keep", type=click.IntRange(min=1), help="As many builds from now on.")
@indexes_option
@json_option
def rebuild_command(
    name: str,
    full: bool,
    dry_run: bool,
    strict: bool,
    backend: str | None,
    memory: str,
    recall: float | None,
    queries: str,
    keep: int | None,
    indexes: Path | None,
    json: bool,
) -> None:
    """Read the source of the index NAME again, and embed what is new or changed.

    A new build is put in force; where nothing changed there is none, and no model is loaded. What to read and
    how stands in indexes/NAME/recipe.toml.
    """
    from embedsearch.disk.facts import to_json
    from embedsearch.index import changes, rebuild

    if dry_run:
        if any((strict, backend, memory, recall, queries, keep)):
            raise click.UsageError("--dry-run tells what becomes of the source; beside it goes --full alone.")
        with _bar(name) as bar:
            found = changes(name, full=full, indexes=indexes, progress=bar)
        if json:
            changed = to_json(found.facts())
            del changed["neighbours_kept"]
            echo_json(index=name, dry_run=True, changes=changed)
            return
        click.echo(f"{name}: {told(found.facts())}; {found.to_embed:,} to embed")
        for kind, identities in found.examples.items():
            for identity in identities:
                click.echo(f"  {kind:<9} {plain(identity)}")
        return
    before = _in_force(name, indexes)
    with _bar(name) as bar:
        searcher = rebuild(
            name,
            full=full,
            strict=strict,
            backend=backend or "",
            memory=memory,
            recall=recall or 0,
            queries=queries,
            keep=keep or 0,
            indexes=indexes,
            progress=bar,
        )
    _tell(searcher, json, before)


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
    from embedsearch.demo.indexes import demo_recipes, make
    from embedsearch.store.folders import indexes_folder

    root = indexes_folder(indexes)
    built = []
    for recipe in demo_recipes(images, device):
        before = _in_force(recipe.name, indexes)
        with _bar(recipe.name) as bar:
            again = images is not None and recipe.name == "pictures"
            built.append((make(recipe, root, again=again, progress=bar), before))
    if json:
        echo_json(indexes=[_facts(searcher) for searcher, _ in built])
    else:
        for searcher, before in built:
            _tell(searcher, False, before)
        if not any(searcher.manifest.name == "pictures" for searcher, _ in built):
            click.echo("No pictures were found; add yours: embedsearch build ~/Pictures --name pictures")
        if not page:
            click.echo("The page on them: embedsearch ui")
    if page:
        from embedsearch.cli.page import serve

        serve(root, port, browser)
