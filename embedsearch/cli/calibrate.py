"""The command calibrate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from embedsearch.cli.options import echo_json, example, indexes_option, json_option, option

if TYPE_CHECKING:
    from embedsearch.distances.scale import Scale
    from embedsearch.store.facts import ScaleFacts
    from embedsearch.store.manifest import Manifest


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
    "--judged",
    is_flag=True,
    help="Take as pairs the hits that were marked as right (1) or wrong (0) on the page.",
)
@option(
    "--foreign",
    "--background",
    "background",
    type=click.Path(path_type=Path),
    help="Unrelated queries: a file with a text on each line, a table, or a folder of images.",
)
@option(
    "--own",
    type=click.Path(path_type=Path),
    help="Queries that the index should answer, in the same forms. They set the limit of the verdict.",
)
@option(
    "--lost",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Share of the queries of --own that may wrongly get 'nothing here is close'.  [default: 0.05]",
)
@option(
    "--strictness",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Share of unrelated queries that are to get the answer 'nothing here is close'.  "
    "[default: the index chooses]",
)
@indexes_option
@json_option
def calibrate_command(
    name: str,
    pairs: Path | None,
    judged: bool,
    background: Path | None,
    own: Path | None,
    lost: float | None,
    strictness: float | None,
    indexes: Path | None,
    json: bool,
) -> None:
    """Measure the distances of random pairs, nearest items and known queries in the index NAME.

    Afterwards each hit has a percentile and a label, and each answer has a verdict. With --pairs each hit
    also has the score that people would give it. With --own, at most the share --lost of your own queries
    gets the verdict "nothing here is close".
    """
    from embedsearch.api import calibrate
    from embedsearch.cli.progress import reporter
    from embedsearch.distances.pairs import shown_percentile
    from embedsearch.store.folders import index_folder, indexes_folder
    from embedsearch.store.judged import Judged, unmarked

    if judged:
        if pairs is not None:
            raise click.UsageError("--judged takes the pairs of the page: leave out --pairs.")
        pairs = Judged(index_folder(indexes_folder(indexes), name)).pairs
        if not pairs.is_file():
            raise click.UsageError(unmarked(name))
    with reporter(name) as bar:
        index = calibrate(
            name,
            pairs=pairs or "",
            background=background or "",
            own=own or "",
            lost=lost,
            strictness=strictness,
            indexes=indexes,
            progress=bar,
        )
    facts, scale = index.manifest.artifacts.scale, index.build.scale
    assert facts is not None  # it was just made
    assert scale is not None
    if json:
        from embedsearch.serve.schemas import CalibrateOutput

        echo_json(CalibrateOutput.of(index.build, facts, scale))
        return
    click.echo(f"{name}: {pairs_of(facts)}, {background_of(index.manifest, facts, scale)}")
    if given := facts.own:
        click.echo(
            f"own queries: {given.count:,} ({given.of}). {given.lost:.1%} of them get the verdict "
            "'nothing here "
            f"is close', and so do {given.flagged:.1%} of the unrelated ones; each half was measured "
            "with the "
            "limit that the other half set"
        )
    if people := facts.people:
        click.echo(f"people: {people.pairs:,} pairs of {people.of}, Spearman {people.spearman:.3f}")
    if scale.pairs.note:
        click.echo(scale.pairs.note)
    for end, word in scale.pairs.labels:
        score = scale.human_score(end)
        by_hand = "" if score is None else f", people {score:.1f}"
        reached = shown_percentile(scale.pairs.percentile(end))
        click.echo(f"{word:<16} up to {end:.4f}: closer than {reached} % of random pairs{by_hand}")


def pairs_of(facts: ScaleFacts) -> str:
    """Return the number of the random pairs of a scale, and what they are of."""
    return f"{facts.pairs:,} random pairs{' of ' * bool(facts.pairs_of)}{facts.pairs_of}"


def background_of(manifest: Manifest, facts: ScaleFacts, scale: Scale) -> str:
    """Return what the background of a scale is, and what counts as close by it.

    The rates are those of the scale: what a manifest holds was measured with the limit of its version.
    """
    from embedsearch.modalities import UNITS

    background = facts.background
    if not background:
        unjudged = UNITS[manifest.encoder.spec.unit].unjudged
        return f"{unjudged[:1].lower()}{unjudged[1:]}".rstrip(".") or (
            f"no unrelated queries, so no verdict (add some: embedsearch calibrate {manifest.name} "
            "--foreign ...)"
        )
    known = f"{background.count:,} unrelated queries ({background.of})"
    return f"{known}. {scale.unfit}" if scale.unfit else f"{known}; {scale.rates}"
