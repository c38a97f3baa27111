"""The command gc."""

from __future__ import annotations

from pathlib import Path

import click

from embedsearch.cli.options import echo_json, example, indexes_option, json_option, option


@click.command(
    "gc", short_help="Delete builds that are no longer kept.", **example("embedsearch gc faq --keep 1")
)
@click.argument("name", required=False)
@option("--keep", type=click.IntRange(min=1), help="How many builds stay.  [default: as the recipe says]")
@option("--unfinished", is_flag=True, help="Also delete the work of an interrupted build.")
@option("--cache", is_flag=True, help="Also delete this machine's cache. Needs no NAME.")
@indexes_option
@json_option
def gc_command(
    name: str | None, keep: int | None, unfinished: bool, cache: bool, indexes: Path | None, json: bool
) -> None:
    """Delete old builds of the index NAME. The current build always stays."""
    from embedsearch.disk.cache import cache_folder, clear_cache
    from embedsearch.store.folders import indexes_folder
    from embedsearch.store.versions import Freed, collect

    if name is None and not cache:
        raise click.UsageError("Give the NAME of an index, or --cache.")
    freed = collect(indexes_folder(indexes), name, keep, unfinished=unfinished) if name else Freed()
    cleared = clear_cache() if cache else None
    if json:
        from embedsearch.serve.schemas import CollectOutput

        removed = [folder.name for folder in freed.folders]
        output = CollectOutput(index=name, removed=removed, bytes=freed.bytes)
        echo_json(output if cleared is None else output.model_copy(update={"cache_bytes": cleared}))
        return
    if name:
        click.echo(f"{name}: {len(freed.folders)} folders deleted, {freed.bytes / 1e6:,.1f} MB freed")
    if cleared is not None:
        click.echo(f"{cache_folder()}: {cleared / 1e6:,.1f} MB freed")
