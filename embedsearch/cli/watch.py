"""The command watch."""

from __future__ import annotations

from pathlib import Path

import click

from embedsearch.cli.built import counted
from embedsearch.cli.options import example, indexes_option


@click.command(
    "watch",
    short_help="Rebuild an index whenever its source changes.",
    **example("embedsearch watch holidays"),
)
@click.argument("name")
@indexes_option
def watch_command(name: str, indexes: Path | None) -> None:
    """Rebuild the index NAME now, and again whenever its folder or file changes, until Ctrl-C."""
    from embedsearch.cli.progress import Bar
    from embedsearch.watch import watch

    bar = Bar(name)
    for index, published in watch(name, indexes=indexes, progress=bar):
        bar.close()
        manifest = index.manifest
        if published:
            changes = f" ({counted(manifest.changes)})" if manifest.changes else ""
            click.echo(f"{name}: build {manifest.build}, {index.build.held}{changes}")
