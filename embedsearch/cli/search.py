"""The command search."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click

from embedsearch.cli.options import echo_json, example, indexes_option, json_option, option

if TYPE_CHECKING:
    from embedsearch.hits import Answer
    from embedsearch.query import Query
    from embedsearch.search import Searcher


@click.command(
    "search",
    short_help="Find what is nearest to a text, a picture, a word or an item.",
    **example('embedsearch search faq "how do I get my money back" -k 5 --where "label = \'refund\'"'),
)
@click.argument("name")
@click.argument("query", required=False)
@option("--image", type=click.Path(path_type=Path), help="Ask with this picture.")
@option("--item", help="Ask for more like the item of this id.")
@option("--word", help="Which word of the sentence QUERY: its number, counted from 1, or the word itself.")
@option("-k", "k", type=click.IntRange(min=1), default=10, show_default=True, help="How many.")
@option("--where", help="Keep only items whose fields fit, as in: label = 'dress' and price < 40")
@indexes_option
@json_option
def search_command(
    name: str,
    query: str | None,
    image: Path | None,
    item: str | None,
    word: str | None,
    k: int,
    where: str | None,
    indexes: Path | None,
    json: bool,
) -> None:
    """Print the items of the index NAME that are nearest to QUERY, nearest first."""
    asked = asked_of(query, image, item, word)
    from embedsearch.search import open_index

    searcher = open_index(name, indexes)
    answer = searcher.answer(asked, k, where)
    if json:
        manifest = searcher.manifest
        echo_json(
            index=manifest.name,
            build=manifest.build,
            metric=str(manifest.metric),
            verdict=answer.verdict,
            foreign_rate=answer.foreign_rate,
            hits=[hit.as_json() for hit in answer.hits],
        )
    else:
        _print(searcher, answer)


def asked_of(query: str | None, image: Path | None, item: str | None, word: str | None) -> Query:
    """Return the query that a command's QUERY, --image, --item and --word make together.

    Raises:
        click.UsageError: it is none, or more than one.
    """
    if sum(part is not None for part in (query, image, item)) != 1:
        raise click.UsageError("Ask with one of: a QUERY, --image FILE, or --item ID.")
    if word is not None and query is None:
        raise click.UsageError("--word names a word of the sentence QUERY, which is missing.")
    from embedsearch.query import Like, Picture, Text, Word

    if image is not None:
        return Picture(image)
    if item is not None:
        return Like(item)
    if word is not None:
        return Word(str(query), int(word) if word.isdecimal() else word)
    return Text(str(query))


def _print(searcher: Searcher, answer: Answer) -> None:
    from embedsearch.relatedness import Verdict, shown_percentile

    manifest, hits = searcher.manifest, answer.hits
    if answer.verdict is Verdict.NOTHING_CLOSE:
        click.echo(
            f"nothing here is close: {answer.foreign_rate:.0%} of unrelated queries find something as close."
        )
    click.echo(
        f"{manifest.name}: {len(hits)} of {manifest.count:,} {manifest.unit}s by {manifest.metric} distance "
        "(smaller is more related)"
    )
    width = max(40, shutil.get_terminal_size().columns)
    for hit in hits:
        shown = hit.text if hit.text is not None else hit.path or hit.id
        if hit.span:
            start, end = hit.span
            shown = f"{shown[:start]}[{shown[start:end]}]{shown[end:]}"
        head = f"{hit.rank:>3}  {hit.distance:.4f}  "
        said = (
            []
            if hit.percentile is None
            else [f"{hit.closeness}, closer than {shown_percentile(hit.percentile)} % of random pairs"]
        )
        said += [] if hit.score is None else [f"people: {hit.score:.1f}"]
        lines = textwrap.wrap(shown, width - len(head), max_lines=4, placeholder=" ...") or [""]
        click.echo(head + ("\n" + " " * len(head)).join(lines))
        fields = [f"{name} {value}" for name, value in hit.fields.items() if value is not None]
        facts = textwrap.shorten(
            " | ".join([*said, f"id {hit.id}", *fields]), max(60, width), placeholder=" ..."
        )
        click.echo(" " * len(head) + click.style(facts, dim=True))
