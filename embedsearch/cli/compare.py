"""The command compare."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from embedsearch.cli.options import (
    echo_json,
    example,
    indexes_option,
    json_option,
    model_option,
    option,
    plain,
)

if TYPE_CHECKING:
    from embedsearch.distances.metric import Vectors

BY = {"towers": "its two towers", "conse": "class names (ConSE)", "align": "captions"}


@click.command(
    "compare",
    short_help="Compare texts or images, each with each.",
    **example('embedsearch compare "a cat sleeps" "a kitten naps" --pooling cls,mean --layers -1,3'),
)
@click.argument("texts", nargs=-1, metavar="TEXT...")
@option("--image", multiple=True, type=click.Path(path_type=Path), help="An image file to compare.")
@option("--index", help="Use the model, the metric and the scale of this index.")
@model_option
@option("--pooling", default="", help="cls or mean; several, separated by commas, are compared.")
@option(
    "--layers",
    default="-1",
    show_default=True,
    help="Hidden layer; several, separated by commas, are compared.",
)
@indexes_option
@json_option
def compare_command(
    texts: tuple[str, ...],
    image: tuple[Path, ...],
    index: str | None,
    model: str,
    pooling: str,
    layers: str,
    indexes: Path | None,
    json: bool,
) -> None:
    """Print the distance of each TEXT or image to each other one.

    Where random pairs were measured, print also the percent of them that are farther apart.
    """
    from embedsearch.api import compare
    from embedsearch.distances.pairs import shown_percentile

    if index and (model or pooling or layers != "-1"):
        raise click.UsageError(
            "--index has its own model, pooling and layers: leave out --model, --pooling and --layers."
        )
    try:
        chosen = [int(layer) for layer in layers.split(",")]
    except ValueError:
        raise click.UsageError(f"--layers {layers!r}: expected whole numbers separated by commas.") from None
    compared = [
        compare(
            [*texts, *image],
            index=index or "",
            model=model,
            pooling=each,
            layers=layer,
            indexes=indexes,
        )
        for each in pooling.split(",")
        for layer in chosen
    ]
    if json:
        from embedsearch.serve.schemas import CompareOutput, Comparison

        echo_json(CompareOutput(comparisons=[Comparison.of(each) for each in compared]))
        return
    for number, label in enumerate(compared[0].labels, 1):
        click.echo(f"{number:>3}  {plain(label)}")
    for each in compared:
        layer = ",".join(map(str, each.layers))
        by = f", texts with images by {BY[each.by]}" if each.by else ""
        click.echo(f"\n{each.model}, {each.pooling} pooling, layers {layer}{by}: {each.metric} distance")
        _matrix(each.distances, "{:.4f}".format)
        if each.percentiles is not None:
            click.echo(f"percent of random pairs ({each.pairs_of}) that are farther apart")
            _matrix(each.percentiles, shown_percentile)


def _matrix(values: Vectors, shown: Callable[[float], str]) -> None:
    cells = [[shown(value) for value in row] for row in values.tolist()]
    width = max(len(cell) for row in cells for cell in row)
    click.echo("     " + "  ".join(f"{number:>{width}}" for number in range(1, len(cells) + 1)))
    for number, row in enumerate(cells, 1):
        click.echo(f"{number:>3}  " + "  ".join(cell.rjust(width) for cell in row))
