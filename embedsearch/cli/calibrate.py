"""The command calibrate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from embedsearch.cli.options import echo_json, example, indexes_option, json_option, option

if TYPE_CHECKING:
    from embedsearch.store.facts import ScaleFacts


@click.command(
    "calibrate",
    short_help="Measure what an index's distances mean.",
    **example("embedsearch calibrate faq --pairs judged.tsv"),
)
@click.argument("name")
@option(
    "--pairs",
    type=click.Path(path_type=Path),
    help="Pairs of texts with human scores: a table of text1, text2, score.",
)
@option(
    "--background",
    type=click.Path(path_type=Path),
    help="Unrelated queries: a file with a text on each line, or a folder of images.",
)
@indexes_option
@json_option
def calibrate_command(
    name: str, pairs: Path | None, background: Path | None, indexes: Path | None, json: bool
) -> None:
    """Measure the distances of random pairs, of nearest items and of unrelated queries in the index NAME.

    Hits then have a percentile, a label and a verdict; with --pairs also the score that people would give.
    """
    from embedsearch.api import calibrate

    index = calibrate(name, pairs=pairs or "", background=background or "", indexes=indexes)
    facts, scale = index.manifest.artifacts.scale, index.build.scale
    assert facts is not None  # it was just made
    assert scale is not None
    if json:
        from embedsearch.serve.schemas import CalibrateOutput

        echo_json(CalibrateOutput.of(index.build, facts, scale))
        return
    click.echo(f"{name}: {facts.pairs:,} random pairs, {background_of(facts)}")
    if people := facts.people:
        click.echo(f"people: {people.pairs:,} pairs of {people.of}, Spearman {people.spearman:.3f}")
    for end, word in scale.labels:
        score = scale.human_score(end)
        judged = "" if score is None else f", people {score:.1f}"
        click.echo(
            f"{word:<16} up to {end:.4f}: closer than {scale.percentile(end):.2f} % of random pairs{judged}"
        )


def background_of(facts: ScaleFacts) -> str:
    """Return what the background of a scale is, and what counts as close by it."""
    background = facts.background
    if not background:
        return "no unrelated queries, so no verdict (add some: embedsearch calibrate NAME --background ...)"
    return (
        f"{background.count:,} unrelated queries ({background.of}); nothing is close if more than "
        f"{facts.stated_rate:.1%} of them find something as near"
    )
