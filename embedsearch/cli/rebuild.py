"""The command rebuild."""

from __future__ import annotations

from pathlib import Path

import click

from embedsearch.cli.built import counted, current, echo_built
from embedsearch.cli.options import (
    address_option,
    allow_removal_option,
    backend_names,
    center_option,
    dim_option,
    echo_json,
    example,
    indexes_option,
    items_option,
    json_option,
    option,
    plain,
    runner_option,
    uri_option,
)


@click.command(
    "rebuild",
    short_help="Bring an index up to date with its source.",
    **example("embedsearch rebuild faq --dry-run"),
)
@click.argument("name")
@option("--full", is_flag=True, help="Embed everything again.")
@option("--dry-run", is_flag=True, help="Show what would change, and write nothing.")
@option("--strict", is_flag=True, help="Fail if the index does not reach the recall asked for.")
@option("--backend", type=backend_names, help="Change the index type (saved in the recipe).")
@uri_option
@items_option
@option("--memory", default="", metavar="SIZE", help="Change the memory limit (saved in the recipe).")
@option(
    "--recall",
    type=click.FloatRange(0, 1, min_open=True),
    help="Change the recall@10 to reach (saved in the recipe).",
)
@option(
    "--queries", default="", metavar="FILE", help="Change the queries to tune with (saved in the recipe)."
)
@option("--keep", type=click.IntRange(min=1), help="Change how many builds are kept (saved in the recipe).")
@option(
    "--shard-size",
    type=click.IntRange(min=1),
    metavar="N",
    help="Change the most vectors in a shard (saved in the recipe).",
)
@center_option
@dim_option
@allow_removal_option
@runner_option
@address_option
@indexes_option
@json_option
def rebuild_command(
    name: str,
    full: bool,
    dry_run: bool,
    strict: bool,
    backend: str | None,
    uri: str,
    items: str | None,
    memory: str,
    recall: float | None,
    queries: str,
    keep: int | None,
    shard_size: int | None,
    center: bool | None,
    dim: int,
    allow_removal: bool,
    runner: str,
    address: str,
    indexes: Path | None,
    json: bool,
) -> None:
    """Read the source of the index NAME again, and embed what is new or changed.

    If something changed, a new build is published. If not, nothing is written and no model is loaded.
    The file indexes/NAME/recipe.toml says what is read, and how.
    """
    from embedsearch.cli.progress import reporter
    from embedsearch.index import rebuild

    if dry_run:
        tuned = (backend, uri, items, memory, recall, queries, keep, shard_size, dim)
        if strict or any(tuned) or center is not None:
            raise click.UsageError(
                "--dry-run only shows what changed in the source. Of the options, only --full fits."
            )
        _dry_run(name, full, indexes, json)
        return
    before = current(name, indexes)
    with reporter(name) as bar:
        index = rebuild(
            name,
            full=full,
            strict=strict,
            allow_removal=allow_removal,
            runner=runner,
            address=address,
            backend=backend or "",
            uri=uri,
            items=items or "",
            memory=memory,
            recall=recall or 0,
            queries=queries,
            keep=keep or 0,
            shard_size=shard_size or 0,
            center=center,
            dim=dim,
            indexes=indexes,
            progress=bar,
        )
    echo_built(index, json, before)


def _dry_run(name: str, full: bool, indexes: Path | None, json: bool) -> None:
    from embedsearch.cli.progress import reporter
    from embedsearch.index import changes
    from embedsearch.indexing.build import MOST_REMOVED

    with reporter(name) as bar:
        found = changes(name, full=full, indexes=indexes, progress=bar)
    if json:
        from embedsearch.serve.schemas import DryRunOutput

        echo_json(DryRunOutput.of(name, found))
        return
    click.echo(f"{name}: {counted(found.facts())}; {found.to_embed:,} to embed")
    for kind, identities in found.examples.items():
        for identity in identities:
            click.echo(f"  {kind:<9} {plain(identity)}")
    if found.removed > MOST_REMOVED * (found.removed + found.changed + found.unchanged):
        click.echo(
            f"More than {MOST_REMOVED:.0%} of the records are gone. Unless they were only renamed, a "
            "rebuild needs "
            "--allow-removal."
        )
