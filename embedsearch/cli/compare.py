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
    short_help="Print the distances between texts, images or sounds.",
    **example('embedsearch compare "a cat sleeps" "a kitten naps" --pooling cls,mean --layers -1,3'),
)
@click.argument("texts", nargs=-1, metavar="TEXT...")
@option("--image", multiple=True, type=click.Path(path_type=Path), help="An image file to compare.")
@option("--sound", multiple=True, type=click.Path(path_type=Path), help="A sound file to compare.")
@option("--index", help="Use the model, the metric and the scale of this index.")
@model_option
@option(
    "--pooling", default="", help="cls or mean. Several, separated by commas, are shown one after the other."
)
@option(
    "--layers",
    default="-1",
    show_default=True,
    help="Hidden layer. Several, separated by commas, are shown one after the other.",
)
@indexes_option
@json_option
def compare_command(
    texts: tuple[str, ...],
    image: tuple[Path, ...],
    sound: tuple[Path, ...],
    index: str | None,
    model: str,
    pooling: str,
    layers: str,
    indexes: Path | None,
    json: bool,
) -> None:
    """Print the distance of each TEXT, image or sound to each other one.

    A TEXT that is the path of an image or sound file stands for that file. Where random pairs were measured,
    print also the percent of them that are farther apart.
    """
    from embedsearch.api import compare
    from embedsearch.distances.pairs import shown_percentile
    from embedsearch.query import Sound

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
            [*map(_file_or_text, texts), *image, *map(Sound, sound)],
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
            click.echo(f"percentage of random pairs ({each.pairs_of}) that are farther apart")
            _matrix(each.percentiles, shown_percentile)


def _file_or_text(given: str) -> Path | str:
    from embedsearch.sources.folder import SOUND_SUFFIXES
    from embedsearch.sources.image_files import image_suffixes

    path = Path(given)
    is_known = path.suffix.lower() in SOUND_SUFFIXES | image_suffixes()
    return path if is_known and path.is_file() else given


def _matrix(values: Vectors, shown: Callable[[float], str]) -> None:
    cells = [[shown(value) for value in row] for row in values.tolist()]
    width = max(len(cell) for row in cells for cell in row)
    click.echo("     " + "  ".join(f"{number:>{width}}" for number in range(1, len(cells) + 1)))
    for number, row in enumerate(cells, 1):
        click.echo(f"{number:>3}  " + "  ".join(cell.rjust(width) for cell in row))
