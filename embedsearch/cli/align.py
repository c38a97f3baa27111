"""The command align."""

from __future__ import annotations

from pathlib import Path

import click

from embedsearch.cli.options import echo_json, example, indexes_option, json_option, option

ROWS = {"conse": "class names (ConSE)", "ridge": "captions (ridge)", "both": "both"}


@click.command(
    "align",
    short_help="Fit an index of images to captions, so that texts find them.",
    **example("embedsearch align holidays --captions captions.csv"),
)
@click.argument("name")
@option(
    "--captions",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A .csv, .tsv or .jsonl file with the columns image (id or path) and caption.  "
    "[default: the captions in --field]",
)
@option("--field", default="caption", show_default=True, help="Field that holds the captions.")
@option("--text-model", default="", help="Model that reads the texts.  [default: the bundled text model]")
@indexes_option
@json_option
def align_command(
    name: str, captions: Path | None, field: str, text_model: str, indexes: Path | None, json: bool
) -> None:
    """Fit the images of the index NAME to captions, so that texts find them.

    The command prints how well texts find images, measured by cross-validation.
    """
    from embedsearch.api import align
    from embedsearch.cli.progress import reporter

    with reporter(name) as bar:
        index = align(name, captions or "", field=field, text_model=text_model, indexes=indexes, progress=bar)
    crossmodal = index.manifest.artifacts.crossmodal
    assert crossmodal is not None
    facts, text = crossmodal.align, crossmodal.text
    assert facts is not None
    assert text is not None
    if json:
        from embedsearch.serve.schemas import AlignOutput

        echo_json(AlignOutput(index=name, build=index.manifest.build, text=text, align=facts))
        return
    click.echo(
        f"{name}: {facts.images:,} images aligned with {facts.captions:,} captions, through {text.model}"
    )
    click.echo(f"{'':<20} recall@1  recall@5  recall@10  median rank of {facts.answers:,}")
    for part, measured in facts.measured.items():
        recalls = "  ".join(f"{measured[f'recall@{k}']:.3f}".rjust(len(f"recall@{k}")) for k in (1, 5, 10))
        click.echo(f"{ROWS[part]:<20} {recalls}  {measured['median_rank']:g}")
    click.echo(
        "Measured by cross-validation, on captions that were left out of the fit. "
        f"Strength {facts.strength:.3g}, share of the captions {facts.share:g}."
    )
