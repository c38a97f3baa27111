"""The command explain."""

from __future__ import annotations

from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING

import click

from embedsearch.cli.options import (
    crop_option,
    echo_json,
    echo_table,
    example,
    image_option,
    indexes_option,
    item_option,
    json_option,
    option,
    plain,
    sound_option,
    word_option,
)
from embedsearch.cli.weighted_terms import GUARD, WeightedTermsCommand, query_of
from embedsearch.errors import QueryError

if TYPE_CHECKING:
    from embedsearch.explain.explanation import Explanation, Part
    from embedsearch.index import Index

SHOWN = 40  # characters of a value
BAR = 24  # characters of the longest bar
SHADES = " ·░▒▓█"


@click.command(
    "explain",
    cls=WeightedTermsCommand,
    short_help="Show which words, patches or columns make a hit similar.",
    **example('embedsearch explain faq "how do I get my money back" 5f0c'),
)
@click.argument("name")
@click.argument("asked", nargs=-1, required=True, metavar="[QUERY]... HIT_ID")
@image_option
@crop_option
@sound_option
@item_option
@word_option
@option(
    "--save",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the image with its heatmap to this file.",
)
@indexes_option
@json_option
def explain_command(
    name: str,
    asked: tuple[str, ...],
    image: tuple[Path, ...],
    crop: str,
    sound: tuple[Path, ...],
    item: tuple[str, ...],
    word: str | None,
    save: Path | None,
    indexes: Path | None,
    json: bool,
) -> None:
    """Show how much each word, patch or column of the item HIT_ID adds to its similarity to QUERY.

    `embedsearch search` prints the ids of its hits, and takes the same QUERY and options.
    """
    from embedsearch.index import open_index

    searcher = open_index(name, indexes)
    query = query_of(searcher, asked[:-1], image, item, word, sounds=sound, crop=crop)
    made = searcher.explain(query, asked[-1].removeprefix(GUARD))
    if save is not None:
        _save(searcher, made, save)
    if json:
        from embedsearch.serve.schemas import ExplainOutput

        echo_json(ExplainOutput.of(searcher.manifest, made))
    else:
        _print(made)


def _save(searcher: Index, made: Explanation, path: Path) -> None:
    if made.drawn is None:
        raise QueryError(
            f"--save writes an image with its heat map, and {made.id!r} has none. Leave --save out."
        )
    from embedsearch.explain.heatmap import overlay
    from embedsearch.explain.shown import image_of

    image = overlay(image_of(searcher.item(made.id)), made.drawn, made.box)
    try:
        image.save(path)
    except ValueError:
        raise QueryError(f"{path} has no ending of an image file: name it .png or .jpg.") from None


def _print(made: Explanation) -> None:
    click.echo(
        f"{plain(made.id)}: {made.metric} distance {made.stored:.4f}, recomputed in float32 "
        f"{made.recomputed:.4f}"
    )
    if made.columns:
        _print_columns(made)
        return
    if made.grid is not None:
        _print_grid(made)
    parts = (*made.words, *made.rest)
    most = max((abs(part.score) for part in (*parts, *made.neighbours)), default=0.0)
    for part in parts:
        click.echo(_line(part, most))
    meant = {"cosine": "1 - distance", "ip": "- distance", "l2": "q.v of |q|² + |v|² - 2 q.v"}[made.metric]
    if made.exact:
        click.echo(f"{made.score:>9.4f}  = {made.similarity:.4f}, {meant}")
    else:
        click.echo(f"{made.similarity:>9.4f}  {meant}; the parts approximate it")
    if made.neighbours:
        click.echo("How much the similarity falls without each of the words around it:")
        for part in made.neighbours:
            click.echo(_line(part, most))
    for head, only in (("Only in this sentence", made.only_here), ("Only in the query", made.only_asked)):
        if only:
            click.echo(plain(f"{head}: {', '.join(only)}"))
    if made.note:
        click.echo(made.note)


def _print_grid(made: Explanation) -> None:
    assert made.grid is not None
    assert made.drawn is not None
    (rows, columns), (left, upper, right, lower) = made.grid.shape, made.box
    more = "" if made.typical is None else " beyond the average item"
    click.echo(
        f"{rows} x {columns} patches, from {left:.0%} to {right:.0%} of the width and {upper:.0%} to "
        f"{lower:.0%} of the height; darker patches add more{more}:"
    )
    top = max(float(made.drawn.max()), 1e-12)
    for row in made.drawn:
        steps = [round(float(each) / top * (len(SHADES) - 1)) for each in row]
        click.echo("    " + "".join(2 * SHADES[step] for step in steps))
    click.echo(f"{float(made.grid.sum()):>9.4f}  all patches")


def _print_columns(made: Explanation) -> None:
    what = "squared distance" if made.metric == "l2" else "distance"
    head = ("apart", "random rows", "column", "query", "item")
    rows = [
        (
            f"{column.apart:.4f}",
            f"{column.typical:.4f}",
            plain(column.name),
            *(_value(each) for each in (column.asked, column.held)),
        )
        for column in made.columns
    ]
    echo_table(head, rows)
    click.echo(
        f"{made.score:.4f} in all: the {what}. The columns that bring the two rows together come first."
    )


def _value(value: str | None) -> str:
    return "-" if value is None else shorten(plain(value), SHOWN, placeholder=" ...") or "(missing)"


def _line(part: Part, most: float) -> str:
    bar = ("█" if part.score >= 0 else "▒") * round(BAR * abs(part.score) / most if most else 0)
    text = plain(" ".join(part.text.split())) or "(space)"
    return f"{part.score:>9.4f}  {text:<20} {bar}".rstrip()
