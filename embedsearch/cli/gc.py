"""The command gc."""

from __future__ import annotations

from pathlib import Path

import click

from embedsearch.cli.options import echo_json, example, indexes_option, json_option, option


@click.command(
    "gc", short_help="Delete builds that are no longer kept.", **example("embedsearch gc faq --keep 1")
)
@click.argument("name")
@option("--keep", type=click.IntRange(min=1), help="How many builds stay.  [default: as the recipe says]")
@option("--unfinished", is_flag=True, help="Also delete the work of an interrupted build.")
@indexes_option
@json_option
def gc_command(name: str, keep: int | None, unfinished: bool, indexes: Path | None, json: bool) -> None:
    """Delete old builds of the index NAME. The current build always stays."""
    from embedsearch.store.folders import indexes_folder
    from embedsearch.store.versions import collect

    freed = collect(indexes_folder(indexes), name, keep, unfinished=unfinished)
    if json:
        from embedsearch.serve.schemas import CollectOutput

        removed = [folder.name for folder in freed.folders]
        echo_json(CollectOutput(index=name, removed=removed, bytes=freed.bytes))
    else:
        click.echo(f"{name}: {len(freed.folders)} deleted, {freed.bytes / 1e6:,.1f} MB freed")
