"""Commands that keep indexes up to date and whole: watch, verify, rollback, gc."""

from __future__ import annotations

from pathlib import Path

import click

from embedsearch.cli.options import echo_json, example, indexes_option, json_option, option


@click.command(
    "watch",
    short_help="Rebuild an index whenever its source changes.",
    **example("embedsearch watch holidays"),
)
@click.argument("name")
@indexes_option
def watch_command(name: str, indexes: Path | None) -> None:
    """Rebuild the index NAME now, and again whenever its folder or file changes, until Ctrl-C."""
    from embedsearch.cli.build import told
    from embedsearch.cli.progress import Bar
    from embedsearch.watch import watch

    bar = Bar(name)
    for searcher, published in watch(name, indexes=indexes, progress=bar):
        bar.close()
        manifest = searcher.manifest
        if published:
            changes = f" ({told(manifest.changes)})" if manifest.changes else ""
            click.echo(f"{name}: build {manifest.build}, {manifest.count:,} {manifest.unit}s{changes}")


@click.command(
    "verify", short_help="Check every file of an index.", **example("embedsearch verify faq --json")
)
@click.argument("name")
@indexes_option
@json_option
def verify_command(name: str, indexes: Path | None, json: bool) -> None:
    """Read all files of all builds of the index NAME and compare them with their checksums.

    Exit code 1 where one is damaged.
    """
    from embedsearch.store.folders import indexes_folder
    from embedsearch.store.versions import verify_builds

    found = verify_builds(indexes_folder(indexes), name)
    if json:
        echo_json(index=name, builds=[{"build": build, "error": error} for build, error in found])
    else:
        for build, error in found:
            click.echo(f"{build}: {error or 'whole'}")
    if any(error for _, error in found):
        raise SystemExit(1)


@click.command("rollback", short_help="Go back to the build before.", **example("embedsearch rollback faq"))
@click.argument("name")
@option("--to", default="", metavar="BUILD", help="Which build; `embedsearch verify` lists them.")
@indexes_option
@json_option
def rollback_command(name: str, to: str, indexes: Path | None, json: bool) -> None:
    """Put an earlier build of the index NAME in force, the newest whole one before the present one."""
    from embedsearch.store.folders import indexes_folder
    from embedsearch.store.versions import roll_back

    manifest = roll_back(indexes_folder(indexes), name, to).manifest
    if json:
        echo_json(index=name, build=manifest.build, created=manifest.created, count=manifest.count)
    else:
        click.echo(f"{name}: the build {manifest.build} is in force, {manifest.count:,} items")


@click.command(
    "gc", short_help="Delete builds that are no longer kept.", **example("embedsearch gc faq --keep 1")
)
@click.argument("name")
@option("--keep", type=click.IntRange(min=1), help="How many stay.  [default: as the recipe says]")
@option("--unfinished", is_flag=True, help="Also the work of a run that was stopped.")
@indexes_option
@json_option
def gc_command(name: str, keep: int | None, unfinished: bool, indexes: Path | None, json: bool) -> None:
    """Delete builds of the index NAME beyond those kept; the one in force always stays."""
    from embedsearch.store.folders import indexes_folder
    from embedsearch.store.versions import collect

    freed = collect(indexes_folder(indexes), name, keep, unfinished=unfinished)
    if json:
        echo_json(index=name, removed=[folder.name for folder in freed.folders], bytes=freed.bytes)
    else:
        click.echo(f"{name}: {len(freed.folders)} deleted, {freed.bytes / 1e6:,.1f} MB freed")
