"""The command models."""

from __future__ import annotations

from dataclasses import asdict

import click

from embedsearch.cli.options import echo_json, echo_table, example, json_option, option


@click.command("models", short_help="List the models known by name.", **example("embedsearch models --json"))
@option("--here", is_flag=True, help="Show how fast each engine is on this machine; measured once.")
@json_option
def models_command(here: bool, json: bool) -> None:
    """List the models known by name. Any other model is named by its hub id or its folder."""
    if here:
        _print_rates(json)
        return
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


def _print_rates(json: bool) -> None:
    from embedsearch.encoders.engines.rates import Kind, rates

    found = [(kind, each) for kind in Kind for each in rates(kind)]
    if json:
        from embedsearch.serve.schemas import EngineRate, RatesOutput

        echo_json(RatesOutput(here=[EngineRate(kind=kind, **asdict(each)) for kind, each in found]))
        return
    echo_table(
        ["MODELS OF", "ENGINE", "PRECISION", "ITEMS/S"],
        [[str(kind), each.engine, each.precision, f"{each.rate:,.0f}"] for kind, each in found],
    )
    click.echo(
        "On a CPU `auto` takes the first of a kind whose vectors keep a cosine of 0.999 to torch in fp32.\n"
        "Each rate is measured once and kept. To measure again, on an idle machine, delete the cache: "
        "embedsearch gc --cache"
    )
