"""The command versus."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click

from embedsearch.cli.options import (
    crop_option,
    echo_json,
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
from embedsearch.cli.weighted_terms import WeightedTermsCommand, query_of
from embedsearch.query import DEFAULT_K

if TYPE_CHECKING:
    from embedsearch.results import Hit

LEAST = 20  # characters of a hit, however long the names of the indexes are


@click.command(
    "versus",
    cls=WeightedTermsCommand,
    short_help="Ask two indexes the same, side by side.",
    **example('embedsearch versus faq faq-cls "how do I get my money back"'),
)
@click.argument("name")
@click.argument("other")
@click.argument("query", nargs=-1)
@image_option
@crop_option
@sound_option
@item_option
@word_option
@option("-k", "k", type=click.IntRange(min=1), default=DEFAULT_K, show_default=True, help="How many hits.")
@option("--where", help="Find only items whose fields match, as in: label = 'dress' and price < 40")
@indexes_option
@json_option
def versus_command(
    name: str,
    other: str,
    query: tuple[str, ...],
    image: tuple[Path, ...],
    crop: str,
    sound: tuple[Path, ...],
    item: tuple[str, ...],
    word: str | None,
    k: int,
    where: str | None,
    indexes: Path | None,
    json: bool,
) -> None:
    """Ask the indexes NAME and OTHER the same QUERY, and print the rank of each hit in both.

    Use it to see what another model, pooling or layer changes. A hit is the same where it has the same id, or
    else the same text or the same file.
    """
    from embedsearch.index import open_index

    left, right = open_index(name, indexes), open_index(other, indexes)
    asked = query_of(left, query, image, item, word, sounds=sound, crop=crop)
    found = left.versus(right, asked, k, where)
    if json:
        from embedsearch.serve.schemas import VersusOutput

        echo_json(VersusOutput.of(left.manifest, right.manifest, found))
        return
    for line in (*(f"{what}: {a} | {b}" for what, a, b in found.differs), *found.notes, found.sentence):
        click.echo(plain(line))
    there = dict(found.pairs)
    both = set(there.values())
    widths = [max(4, len(each)) for each in (name, other)]
    click.echo(f"{name:>{widths[0]}}  {other:>{widths[1]}}")
    rows: list[tuple[int | str, int | str, Hit]] = [
        (hit.rank, there[at] + 1 if at in there else "-", hit) for at, hit in enumerate(found.left)
    ]
    rows += [("-", hit.rank, hit) for at, hit in enumerate(found.right) if at not in both]
    wide = max(LEAST, shutil.get_terminal_size().columns - sum(widths) - 4)
    for first, second, hit in rows:
        shown = plain(textwrap.shorten(hit.text or hit.path or hit.id, wide, placeholder=" ..."))
        click.echo(f"{first:>{widths[0]}}  {second:>{widths[1]}}  {shown}")
