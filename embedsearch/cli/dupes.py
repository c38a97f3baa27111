"""The command dupes."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from embedsearch.cli.options import echo_json, example, indexes_option, json_option, option, plain

if TYPE_CHECKING:
    from embedsearch.analysis.duplicates import Duplicates, Group
    from embedsearch.index import Index


@click.command(
    "dupes",
    short_help="Find exact and near copies in an index.",
    **example("embedsearch dupes holidays --others > could-go.txt"),
)
@click.argument("name")
@option(
    "--threshold",
    default="auto",
    show_default=True,
    help="Largest distance between near items; auto derives it from the index.",
)
@option(
    "--check/--no-check",
    default=True,
    show_default=True,
    help="Compare the letters of near texts, or the pixels of near images (needs the extra copies). "
    "Only items "
    "that agree are near copies; with --no-check all within --threshold are.",
)
@option(
    "--keep",
    type=click.Choice(["best", "first"]),
    default="best",
    show_default=True,
    help="Which item of a group to keep: best is the largest image or longest text; first is the first in "
    "the source.",
)
@option(
    "--others", is_flag=True, help="Print only the ids of the copies that are not kept, one on each line."
)
@indexes_option
@json_option
def dupes_command(
    name: str, threshold: str, check: bool, keep: str, others: bool, indexes: Path | None, json: bool
) -> None:
    """Group the items of the index NAME that are copies of one another. Nothing is deleted.

    Exact copies have the same content. Near copies are nearly the same, letter by letter or pixel by pixel.
    Items within --threshold that are not copies, such as texts that say the same, are listed separately.
    """
    from embedsearch.analysis.duplicates import find_duplicates
    from embedsearch.cli.progress import reporter
    from embedsearch.index import open_index

    searcher = open_index(name, indexes)
    with reporter(name) as bar:
        found = find_duplicates(searcher, threshold, keep, bar, check=check)
    if json:
        from embedsearch.serve.schemas import DuplicatesOutput

        echo_json(DuplicatesOutput.of(found))
    elif others:
        for identity in found.others():
            # one on each line for a program; nothing that controls a terminal
            broken = len(identity.splitlines()) > 1 or sys.stdout.isatty()
            click.echo(plain(identity) if broken else identity)
    else:
        _print(searcher, found)


def _print(searcher: Index, found: Duplicates) -> None:
    from embedsearch.modalities import UNITS, modality_of

    manifest = searcher.manifest
    how = "derived from the index" if found.auto else "as asked"
    click.echo(
        f"{found.index}: {len(found.others()):,} of {found.count:,} {UNITS[manifest.unit].plural} are copies "
        "that need not be kept (--others lists them)"
    )
    _print_groups(searcher, "exact copies: the same content", found.exact)
    within = f"within a {found.metric} distance of {found.threshold:.4g} ({how})"
    modality = modality_of(manifest.unit)
    if not found.checked:
        _print_groups(searcher, f"near copies, {within}", found.near)
    else:
        _print_groups(searcher, "near copies, confirmed by the second check", found.near)
        _print_groups(searcher, f"{modality.alike.lower()}, not copies, {within}", found.similar)
    if found.lacks:
        click.echo(f"The second check is off: near copies are judged by the model alone. {found.lacks}")
    if found.near and modality.caution:
        click.echo(modality.caution)


def _print_groups(searcher: Index, about: str, groups: tuple[Group, ...]) -> None:
    counted = f"{len(groups):,} group{'' if len(groups) == 1 else 's'}" if groups else "none"
    click.echo(f"\n{about}: {counted}")
    width = max(40, shutil.get_terminal_size().columns - len("  0.0000  "))
    for group in groups:
        columns = searcher.build.read([each.row for each in group.members], ["id", "text"])
        for place, (each, text) in enumerate(zip(group.members, columns["text"], strict=True)):
            mark = "keep  " if place == 0 else "same  " if group.exact else f"{each.distance:.4f}"
            shown = each.id if text is None else f"{each.id}  {' '.join(text.split())}"
            if text is not None and len(shown) > width:
                shown = shown[: width - 4] + " ..."
            click.echo(f"  {mark}  {plain(shown)}")
        click.echo()
