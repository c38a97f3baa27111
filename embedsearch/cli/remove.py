"""The command remove."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from embedsearch.cli.options import echo_json, example, indexes_option, json_option, option


@click.command("remove", short_help="Delete an index.", **example("embedsearch remove faq --yes"))
@click.argument("name")
@option("--yes", is_flag=True, help="Do not ask for confirmation.")
@indexes_option
@json_option
def remove_command(name: str, yes: bool, indexes: Path | None, json: bool) -> None:
    """Delete the index NAME with all its builds. Its source is not touched.

    NAME may be milvus://host/name or postgresql://host/database/name, for an index on a server whose folder
    is gone.
    """
    from embedsearch.backends import elsewhere_at, is_address
    from embedsearch.serve.schemas import RemoveOutput
    from embedsearch.store.folders import index_folder, indexes_folder
    from embedsearch.store.versions import remove

    if is_address(name):
        if not yes:
            raise click.UsageError(f"Others may use it: pass --yes to delete {name}.")
        elsewhere_at(name).delete(name)
        if json:
            echo_json(RemoveOutput(removed=name, folder=""))
        else:
            click.echo(f"Deleted {name}")
        return
    root = indexes_folder(indexes)
    if not yes and index_folder(root, name).is_dir():
        if not sys.stdin.isatty():
            raise click.UsageError(f"Not a terminal: pass --yes to delete {name}.")
        click.confirm(f"Delete {index_folder(root, name)}?", abort=True, err=True)
    folder = remove(root, name)
    if json:
        echo_json(RemoveOutput(removed=name, folder=str(folder)))
    else:
        click.echo(f"Deleted {folder}")
