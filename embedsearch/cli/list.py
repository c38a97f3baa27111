"""The command list."""

from __future__ import annotations

from pathlib import Path

import click

from embedsearch.cli.options import echo_json, echo_table, example, indexes_option, json_option


@click.command("list", short_help="List the indexes.", **example("embedsearch list --json"))
@indexes_option
@json_option
def list_command(indexes: Path | None, json: bool) -> None:
    """List the indexes with their unit, size, metric and model."""
    from embedsearch.store.build import manifests
    from embedsearch.store.folders import indexes_folder
    from embedsearch.store.manifest import Manifest

    root = indexes_folder(indexes)
    found = manifests(root)
    if json:
        from embedsearch.serve.schemas import ListOutput

        echo_json(ListOutput.of(root, found))
        return
    if not found:
        click.echo(f"There is no index in {root}. Build one: embedsearch build ~/Pictures --name images")
        return
    rows = [
        [
            name,
            str(each.unit),
            f"{each.count:,}",
            str(each.metric),
            each.encoder.spec.model,
            each.created,
        ]
        for name, each in found.items()
        if isinstance(each, Manifest)
    ]
    if rows:
        echo_table(["NAME", "UNIT", "COUNT", "METRIC", "MODEL", "BUILT"], rows)
    for name, each in found.items():
        if isinstance(each, str):
            click.echo(f"{name}: damaged: {each}", err=True)
