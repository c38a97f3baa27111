"""Commands about what distances mean: calibrate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from embedsearch.cli.options import echo_json, example, indexes_option, json_option, option


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
    from embedsearch.calibrate import calibrate

    searcher = calibrate(name, pairs=pairs or "", background=background or "", indexes=indexes)
    facts, scale = searcher.manifest.additions["scale"], searcher.build.scale
    assert scale is not None  # it was just made
    words = [(str(word), end, scale.percentile(end), scale.score(end)) for end, word in scale.words]
    if json:
        echo_json(
            index=name,
            build=searcher.manifest.build,
            scale=dict(facts),
            words=[
                {"word": word, "up_to": end, "percentile": percentile, "score": score}
                for word, end, percentile, score in words
            ],
        )
        return
    click.echo(f"{name}: {facts['pairs']:,} random pairs, {told_background(facts)}")
    if facts["people"]:
        people = facts["people"]
        click.echo(f"people: {people['pairs']:,} pairs of {people['of']}, Spearman {people['spearman']:.3f}")
    for word, end, percentile, score in words:
        judged = "" if score is None else f", people {score:.1f}"
        click.echo(f"{word:<16} up to {end:.4f}: closer than {percentile:.2f} % of random pairs{judged}")


def told_background(facts: dict[str, Any]) -> str:
    """Return what the background of a scale is, and what counts as close by it."""
    background = facts["background"]
    if not background:
        return "no background: percentiles only (--background names one)"
    return (
        f"{background['count']:,} unrelated queries ({background['of']}); nothing is close where more than "
        f"{facts['stated_rate']:.1%} of them find as much"
    )
