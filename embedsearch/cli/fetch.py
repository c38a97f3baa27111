"""The command fetch."""

from __future__ import annotations

from pathlib import Path

import click

from embedsearch.cli.options import echo_json, example, indexes_option, json_option


@click.command(
    "fetch",
    short_help="Read an index from a server that keeps its vectors.",
    **example("embedsearch fetch milvus://localhost/faq, then embedsearch ui"),
)
@click.argument("address")
@indexes_option
@json_option
def fetch_command(address: str, indexes: Path | None, json: bool) -> None:
    """Read the index at ADDRESS into the folder of indexes.

    ADDRESS is like milvus://host:19530/NAME or postgresql://user@host/database/NAME.

    Its items are read; its vectors stay on the server, which each search asks. Run the command again after a
    rebuild: open pages and servers then take the new build.
    """
    from embedsearch.store.fetched import fetch_into
    from embedsearch.store.folders import indexes_folder
    from embedsearch.store.manifest import Manifest

    manifest = Manifest.load(fetch_into(indexes_folder(indexes), address))
    if json:
        from embedsearch.serve.schemas import RollbackOutput

        echo_json(
            RollbackOutput(
                index=manifest.name, build=manifest.build, created=manifest.created, count=manifest.count
            )
        )
    else:
        click.echo(f"{manifest.name}: {manifest.count:,} items; the build is {manifest.build}")
