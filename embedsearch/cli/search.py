"""The command search."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from embedsearch.cli.options import (
    echo_json,
    example,
    image_option,
    indexes_option,
    item_option,
    json_option,
    option,
    plain,
    sound_option,
    token_option,
    vector_option,
    word_option,
)
from embedsearch.cli.weighted_terms import WeightedTermsCommand, query_of
from embedsearch.query import DEFAULT_K
from embedsearch.records import as_text

if TYPE_CHECKING:
    from embedsearch.index import Index
    from embedsearch.results import Results
    from embedsearch.serve.client.served_index import ServedIndex


@click.command(
    "search",
    cls=WeightedTermsCommand,
    short_help="Find the items nearest to a query.",
    **example('embedsearch search faq "how do I get my money back" -k 5 --where "label = \'refund\'"'),
)
@click.argument("name")
@click.argument("query", nargs=-1)
@image_option
@sound_option
@item_option
@vector_option
@word_option
@option("-k", "k", type=click.IntRange(min=1), default=DEFAULT_K, show_default=True, help="How many hits.")
@option("--where", help="Find only items whose fields match, as in: label = 'dress' and price < 40")
@option(
    "--strictness",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Share of unrelated queries that are to get the answer 'nothing here is close'.  [default: as "
    "calibrated]",
)
@option(
    "--fold/--no-fold",
    default=True,
    show_default=True,
    help="Show items with the same content once, and count the others.",
)
@indexes_option
@option("--server", metavar="URL", help="Ask the server at this address, as in http://localhost:8000.")
@token_option
@json_option
def search_command(
    name: str,
    query: tuple[str, ...],
    image: tuple[Path, ...],
    sound: tuple[Path, ...],
    item: tuple[str, ...],
    vector: tuple[str, ...],
    word: str | None,
    k: int,
    where: str | None,
    strictness: float | None,
    fold: bool,
    indexes: Path | None,
    server: str | None,
    token: str,
    json: bool,
) -> None:
    """Print the items of the index NAME that are nearest to QUERY, nearest first.

    A query may have several terms with signs and weights: "+beach" "-people:0.5" --item 42:0.5. The query's
    vector is their weighted sum; for cosine distance each is scaled to unit length first. Without a weight, a
    term that is subtracted has -0.25. In an index of vectors made elsewhere, QUERY names items: "king - man +
    woman", with the weights 1 and -1. In an index of rows it gives values of columns: "price=20 colour=red".
    """
    searcher = _opened(name, indexes, server, token)
    asked = query_of(searcher, query, image, item, word, vector, sound)
    results = searcher.search(asked, k, where, strictness, fold=fold)
    if json:
        from embedsearch.serve.schemas import SearchOutput

        echo_json(SearchOutput.of(searcher.manifest, results))
    else:
        _print(searcher, results)


def _opened(name: str, indexes: Path | None, server: str | None, token: str) -> Index | ServedIndex:
    """Return the index of a folder, or of a server."""
    ctx = click.get_current_context()
    if server and ctx.get_parameter_source("indexes") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--indexes names a folder of this machine, --server a server: leave out one.")
    if not server and ctx.get_parameter_source("token") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--token belongs to --server: add it.")
    if server:
        from embedsearch.serve.client import connect

        return connect(server, name, token=token)
    from embedsearch.index import open_index

    return open_index(name, indexes)


def _print(searcher: Index | ServedIndex, results: Results) -> None:
    from embedsearch.distances.pairs import percentile_phrase
    from embedsearch.distances.verdict import Verdict
    from embedsearch.modalities import UNITS, Card, modality_of
    from embedsearch.records import MOST_UNKNOWN, clock, described

    manifest, hits = searcher.manifest, results.hits
    found = f", found {searcher.about}" if results.by else ""
    if results.verdict is Verdict.NOTHING_CLOSE:
        click.echo(f"nothing here is close: {results.reason}")
    click.echo(
        f"{manifest.name}: {len(hits)} of {searcher.answers:,} {UNITS[manifest.unit].plural} by "
        f"{results.metric} distance (smaller is more related){found}"
    )
    if results.verdict is None and results.reason:
        click.echo(results.reason)
    if results.truncated:
        limit = manifest.encoder.spec.max_length
        click.echo(f"The model reads only the first {limit} tokens of the query.")
    _print_vote(searcher, results)
    width = max(40, shutil.get_terminal_size().columns)
    for hit in hits:
        is_row = modality_of(manifest.unit).card is Card.ROW
        whole = described(hit.fields) if is_row else hit.text
        shown = whole if whole is not None else hit.path or hit.id
        if hit.span:
            start, end = hit.span
            shown = f"{shown[:start]}[{shown[start:end]}]{shown[end:]}"
        head = f"{hit.rank:>3}  {hit.distance:.4f}  "
        said = []
        if hit.percentile is not None and hit.label is not None:
            said.append(f"{hit.label}, {percentile_phrase(hit.label, hit.percentile)}")
        if hit.unknown > MOST_UNKNOWN:
            said.append(f"no label: the model does not know {100 * hit.unknown:.0f} % of it")
        said += ["its file is gone"] if hit.is_gone else []
        if hit.found_by:
            said.append(f"found by its {hit.found_by}")
        said += [f"and {hit.copies:,} more with the same content"] if hit.copies else []
        said += [] if hit.human_score is None else [f"people: {hit.human_score:.1f}"]
        lines = textwrap.wrap(shown, width - len(head), max_lines=4, placeholder=" ...") or [""]
        click.echo(head + ("\n" + " " * len(head)).join(map(plain, lines)))
        # the id in full: --item and explain take it
        facts = f"id {plain(hit.id)}" + (f" | at {clock(hit.moment)}" if hit.moment else "")
        known = {hit.id, Path(hit.path or hit.id).name}
        fields = [
            f"{name} {as_text(value)}" for name, value in hit.fields.items() if value not in (None, *known)
        ]
        if fields and not is_row:
            rest = max(40, width - len(head) - len(facts) - 3)
            facts += " | " + plain(textwrap.shorten(" | ".join(fields), rest, placeholder=" ..."))
        for line in (", ".join(said), facts):
            if line:
                click.echo(" " * len(head) + click.style(line, dim=True))
    if results.note:
        click.echo(results.note)


def _print_vote(searcher: Index | ServedIndex, results: Results) -> None:
    """Print what the hits say that a word or span is, where they have labels."""
    from embedsearch.modalities import UNITS

    vote = results.vote() if UNITS[searcher.manifest.unit].votes else None
    if vote is not None:
        counts = ", ".join(f"{plain(label)} {count}" for label, count in vote.counts.items())
        click.echo(f"The neighbours say: {plain(vote.value)} ({counts}).")
