"""The command align."""

from __future__ import annotations

from pathlib import Path

import click

from embedsearch.cli.options import echo_json, example, indexes_option, json_option, option

ROWS = {"conse": "class names (ConSE)", "ridge": "captions (ridge)", "both": "both"}


@click.command(
    "align",
    short_help="Fit an index of pictures to captions, so that texts find them.",
    **example("embedsearch align holidays --captions captions.csv"),
)
@click.argument("name")
@option(
    "--captions",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A .csv, .tsv or .jsonl with the columns image (id or path) and caption.  "
    "[default: the captions in the index]",
)
@option("--field", default="caption", show_default=True, help="The field that holds the captions.")
@option("--text-model", default="", help="What texts are asked through.  [default: the bundled text model]")
@indexes_option
@json_option
def align_command(
    name: str, captions: Path | None, field: str, text_model: str, indexes: Path | None, json: bool
) -> None:
    """Fit the pictures of the index NAME to captions, and measure by cross-validation how they are found."""
    from embedsearch.api import align
    from embedsearch.cli.progress import Bar
    from embedsearch.disk.facts import to_json

    bar = Bar(name)
    try:
        searcher = align(
            name, captions or "", field=field, text_model=text_model, indexes=indexes, progress=bar
        )
    finally:
        bar.close()
    crossmodal = searcher.manifest.artifacts.crossmodal
    assert crossmodal is not None
    facts, text = crossmodal.align, crossmodal.text
    assert facts is not None
    assert text is not None
    if json:
        echo_json(index=name, build=searcher.manifest.build, text=to_json(text), align=to_json(facts))
        return
    click.echo(
        f"{name}: {facts.images:,} pictures aligned with {facts.captions:,} captions, through {text.model}"
    )
    click.echo(f"{'':<20} recall@1  recall@5  recall@10  median rank of {facts.answers:,}")
    for part, measured in facts.measured.items():
        recalls = "  ".join(f"{measured[f'recall@{k}']:.3f}".rjust(len(f"recall@{k}")) for k in (1, 5, 10))
        click.echo(f"{ROWS[part]:<20} {recalls}  {measured['median_rank']:g}")
    click.echo(
        f"By cross-validation, no caption both fitted and asked. Strength {facts.strength:.3g}, share of "
        f"the captions {facts.share:g}."
    )
