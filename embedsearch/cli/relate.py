"""Commands about what distances mean: compare, calibrate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from embedsearch.cli.options import echo_json, example, indexes_option, json_option, option, plain

if TYPE_CHECKING:
    from embedsearch.store.facts import ScaleFacts

BY = {"towers": "its two towers", "conse": "class names (ConSE)", "align": "the alignment with captions"}


@click.command(
    "compare",
    short_help="Compare texts or pictures, each with each.",
    **example('embedsearch compare "a cat sleeps" "a kitten naps" --pooling cls,mean --layers -1,3'),
)
@click.argument("texts", nargs=-1, metavar="TEXT...")
@option("--image", multiple=True, type=click.Path(path_type=Path), help="A picture to compare.")
@option("--index", help="Compare by the model and the scale of this index.")
@option("--model", default="", help="A name of `embedsearch models`, a hub id or a folder.")
@option("--pooling", default="", help="cls or mean; several with commas stand side by side.")
@option("--layers", default="-1", show_default=True, help="Hidden layers; several stand side by side.")
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
    """Print how far each TEXT or picture is from each, and how many percent of random pairs are farther."""
    from embedsearch.api import compare

    if index and (model or pooling or layers != "-1"):
        raise click.UsageError("--index brings its own model, pooling and layers: leave those options out.")
    try:
        chosen = [int(layer) for layer in layers.split(",")]
    except ValueError:
        raise click.UsageError(f"--layers {layers!r}: whole numbers with commas were expected.") from None
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
        echo_json(comparisons=[each.as_json() for each in compared])
        return
    for number, label in enumerate(compared[0].labels, 1):
        click.echo(f"{number:>3}  {plain(label)}")
    for each in compared:
        layer = ",".join(map(str, each.layers))
        by = f", texts and pictures together by {BY[each.by]}" if each.by else ""
        click.echo(f"\n{each.model}, {each.pooling} pooling, layers {layer}{by}: {each.metric} distance")
        _matrix(each.distances, "{:.4f}")
        if each.percentiles is not None:
            click.echo(f"percent of random pairs ({each.pairs_of}) that are farther apart")
            _matrix(each.percentiles, "{:.2f}")


def _matrix(values: Any, form: str) -> None:
    cells = [[form.format(value) for value in row] for row in values]
    width = max(len(cell) for row in cells for cell in row)
    click.echo("     " + "  ".join(f"{number:>{width}}" for number in range(1, len(cells) + 1)))
    for number, row in enumerate(cells, 1):
        click.echo(f"{number:>3}  " + "  ".join(cell.rjust(width) for cell in row))


@click.command(
    "calibrate",
    short_help="Measure what an index's distances mean.",
    **example("embedsearch calibrate faq --pairs judged.tsv"),
)
@click.argument("name")
@option(
    "--pairs", type=click.Path(path_type=Path), help="Pairs of texts with human scores: text1, text2, score."
)
@option(
    "--background",
    type=click.Path(path_type=Path),
    help="Unrelated queries: a file of texts, one a line, or a folder of pictures.",
)
@indexes_option
@json_option
def calibrate_command(
    name: str, pairs: Path | None, background: Path | None, indexes: Path | None, json: bool
) -> None:
    """Measure the distances of random pairs in the index NAME, of nearest items, and of unrelated queries."""
    from embedsearch.api import calibrate
    from embedsearch.disk.facts import to_json

    searcher = calibrate(name, pairs=pairs or "", background=background or "", indexes=indexes)
    facts, scale = searcher.manifest.artifacts.scale, searcher.build.scale
    assert facts is not None  # it was just made
    assert scale is not None
    words = [(str(word), end, scale.percentile(end), scale.human_score(end)) for end, word in scale.labels]
    if json:
        echo_json(
            index=name,
            build=searcher.manifest.build,
            scale=to_json(facts),
            words=[
                {"word": word, "up_to": end, "percentile": percentile, "score": score}
                for word, end, percentile, score in words
            ],
        )
        return
    click.echo(f"{name}: {facts.pairs:,} random pairs, {told_background(facts)}")
    if people := facts.people:
        click.echo(f"people: {people.pairs:,} pairs of {people.of}, Spearman {people.spearman:.3f}")
    for word, end, percentile, score in words:
        judged = "" if score is None else f", people {score:.1f}"
        click.echo(f"{word:<16} up to {end:.4f}: closer than {percentile:.2f} % of random pairs{judged}")


def told_background(facts: ScaleFacts) -> str:
    """Return what the background of a scale is, and what counts as close by it."""
    background = facts.background
    if not background:
        return "no unrelated queries: percentiles only (embedsearch calibrate NAME --background names some)"
    return (
        f"{background.count:,} unrelated queries ({background.of}); nothing is close where more than "
        f"{facts.stated_rate:.1%} of them find something as near"
    )
