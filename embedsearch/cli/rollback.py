"""The command rollback."""

from __future__ import annotations

from pathlib import Path

import click

from embedsearch.cli.options import echo_json, example, indexes_option, json_option, option


@click.command("rollback", short_help="Go back to an earlier build.", **example("embedsearch rollback faq"))
@click.argument("name")
@option("--to", default="", metavar="BUILD", help="Id of the build; `embedsearch verify` lists the ids.")
@indexes_option
@json_option
def rollback_command(name: str, to: str, indexes: Path | None, json: bool) -> None:
    """Make an earlier build of the index NAME the current one, with its recipe.

    Without --to, that is the newest undamaged build before the current one.
    """
    from embedsearch.store.folders import indexes_folder
    from embedsearch.store.versions import roll_back

    manifest = roll_back(indexes_folder(indexes), name, to).manifest
    if json:
        from embedsearch.serve.schemas import RollbackOutput

        echo_json(
            RollbackOutput(index=name, build=manifest.build, created=manifest.created, count=manifest.count)
        )
    else:
        click.echo(f"{name}: the current build is {manifest.build}, with {manifest.count:,} items")
