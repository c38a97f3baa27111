"""The command models."""

from __future__ import annotations

import click

from embedsearch.cli.options import echo_json, echo_table, example, json_option


@click.command("models", short_help="List the models known by name.", **example("embedsearch models --json"))
@json_option
def models_command(json: bool) -> None:
    """List the models known by name. Any other model is named by its hub id or its folder."""
    from embedsearch.models.catalog import MODELS

    if json:
        from embedsearch.serve.schemas import ListedModel, ModelsOutput

        echo_json(ModelsOutput(models=[ListedModel.of(row) for row in MODELS]))
        return
    echo_table(
        ["MODEL", "READS", "DIM", "POOLING", "TOKENS", "LICENCE", "MB", "BUNDLED"],
        [
            [
                row.name,
                str(row.modality),
                str(row.dimension),
                row.pooling,
                str(row.max_length or "-"),
                row.licence,
                str(row.megabytes),
                "yes" if row.package else "",
            ]
            for row in MODELS
        ],
    )
