"""The command search."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

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
    token_option,
    vector_option,
    word_option,
)
from embedsearch.cli.weighted_terms import WeightedTermsCommand, query_of
from embedsearch.query import DEFAULT_K, MODES, RERANK_K, TOKENS, By, Mode
from embedsearch.records import PAGE, as_text

if TYPE_CHECKING:
    from embedsearch.index import Index
    from embedsearch.results import Hit, Results
    from embedsearch.serve.client.served_index import ServedIndex


MOST_VALUES = 12  # of a facet


@click.command(
    "search",
    cls=WeightedTermsCommand,
    short_help="Find the items nearest to a query.",
    **example('embedsearch search faq "how do I get my money back" -k 5 --where "label = \'refund\'"'),
)
@click.argument("name")
@click.argument("query", nargs=-1)
@image_option
@crop_option
@sound_option
@item_option
@vector_option
@word_option
@option(
    "-k",
    "k",
    type=click.IntRange(min=1),
    help=f"How many hits.  [default: {DEFAULT_K}; with --close all]",
)
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
@option("--close", is_flag=True, help="Find all that is within the limit of the verdict, and only that.")
@option("--sort", default="", metavar="FIELD", help="Sort what was found by a field; -FIELD to descend.")
@option("--facets", default="", metavar="FIELDS", help="Count the values of fields, as in label,year.")
@option(
    "--export",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write all that was found to a .csv, .jsonl or .parquet file.",
)
@option("--diverse", is_flag=True, help="Choose hits that differ from one another.")
@option("--feedback", is_flag=True, help="Search again with the mean of the first 3 hits added to the query.")
@option(
    "--rerank",
    is_flag=False,
    flag_value=TOKENS,
    default="",
    metavar="[N|MODEL]",
    help=f"Order the first N hits (default: {RERANK_K}) again by their tokens; 50 texts of 200 tokens take "
    "0.5 to 1.4 s on two cores. Or by a cross-encoder: a hub id, or a folder with a / in its path.",
)
@option(
    "--rerank-k",
    type=click.IntRange(min=1),
    default=RERANK_K,
    show_default=True,
    help="How many hits are ordered again, where --rerank names no number.",
)
@option(
    "--mode",
    type=click.Choice(MODES),
    help="Search by vectors, by the words of texts (lexical), or by both (hybrid).  [default: as the index "
    "has it]",
)
@option(
    "--by",
    type=click.Choice(["record", "passage"]),
    default="record",
    show_default=True,
    help="A hit for each text, sound or video, with its nearest passage or moment; or a hit for each passage "
    "or moment.",
)
@indexes_option
@option("--server", metavar="URL", help="Ask the server at this address, as in http://localhost:8000.")
@token_option
@json_option
def search_command(
    name: str,
    query: tuple[str, ...],
    image: tuple[Path, ...],
    crop: str,
    sound: tuple[Path, ...],
    item: tuple[str, ...],
    vector: tuple[str, ...],
    word: str | None,
    k: int,
    where: str | None,
    strictness: float | None,
    fold: bool,
    close: bool,
    sort: str,
    facets: str,
    export: Path | None,
    diverse: bool,
    feedback: bool,
    rerank: str,
    rerank_k: int,
    mode: Mode | None,
    by: By,
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
    asked = query_of(searcher, query, image, item, word, vector, sound, crop=crop)
    results = searcher.search(
        asked,
        None if close and export else k,  # the file holds all
        where,
        strictness,
        fold=fold,
        by=by,
        close=close,
        diverse=diverse,
        feedback=feedback,
        rerank=int(rerank) if rerank.isdecimal() else rerank,
        rerank_k=rerank_k,
        sort=sort,
        facets=[name.strip() for name in facets.split(",") if name.strip()],
        mode=mode,
    )
    if export is not None:
        written = _exported(results, export)
        if not json:
            click.echo(written)
        results = replace(results, hits=results.hits[:k])
    if json:
        from embedsearch.serve.schemas import SearchOutput

        echo_json(SearchOutput.of(searcher.manifest, results))
    else:
        _print(searcher, results, by)


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


def _print(searcher: Index | ServedIndex, results: Results, by: By) -> None:
    from embedsearch.distances.verdict import Verdict
    from embedsearch.results import order_sentences

    if results.verdict is Verdict.NOTHING_CLOSE:
        click.echo(f"nothing here is close: {results.reason}")
    click.echo(_head(searcher, results, by))
    said = order_sentences(results)
    if results.mode == "vector":  # which goes without saying
        said = said[1:]
    for line in (*said, *_facets(results)):
        click.echo(plain(line))
    if results.mode == "lexical" and not results.close and not len(results):
        click.echo("No item has a word of the query.")
    if results.verdict is None and results.reason:
        click.echo(results.reason)
    if results.truncated:
        limit = searcher.manifest.encoder.spec.max_length
        click.echo(f"The model reads only the first {limit} tokens of the query.")
    _print_vote(searcher, results)
    width = max(40, shutil.get_terminal_size().columns)
    for hit in results:
        for line in _hit(searcher, hit, width):
            click.echo(line)
    if results.note:
        click.echo(results.note)


def _head(searcher: Index | ServedIndex, results: Results, by: By) -> str:
    """Return the line that says how many hits there are, and by which distance."""
    from embedsearch.modalities import UNITS
    from embedsearch.results import DISTANCE

    unit, count, hits = UNITS[searcher.manifest.unit], searcher.manifest.count, results.hits
    found = f", found {searcher.about}" if results.by else ""
    in_parts = by == "passage" and searcher.answers != count
    of = f"of {count:,} {unit.part or unit.unit}s" if in_parts else f"of {searcher.answers:,} {unit.plural}"
    name = searcher.manifest.name
    if not results.close:
        verb = "by" if results.order == DISTANCE else "with their"
        how = f"{verb} {results.metric} distance (smaller is more related)"
        return f"{name}: {len(hits)} {of} {how}{found}"
    shown = f"; the first {len(hits):,} are shown" if len(hits) < results.found else ""
    within = f"within a {results.metric} distance of {results.limit:.4f}"
    return f"{name}: {results.found:,} {of} {within}{shown}{found}"


def _hit(searcher: Index | ServedIndex, hit: Hit, width: int) -> Iterator[str]:
    """Yield the lines of a hit: what it holds, what is said of it, and its id and fields."""
    from embedsearch.distances.pairs import percentile_phrase
    from embedsearch.modalities import Card, modality_of
    from embedsearch.records import MOST_UNKNOWN, clock, described
    from embedsearch.results import found_by_phrase

    is_row = modality_of(searcher.manifest.unit).card is Card.ROW
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
    said += [] if hit.bm25 is None else [f"BM25 {hit.bm25:.2f}"]
    said += ["its file is gone"] if hit.is_gone else []
    said += [found_by_phrase(hit.found_by)] if hit.found_by else []
    said += [f"and {hit.copies:,} more with the same content"] if hit.copies else []
    said += [] if hit.rerank_score is None else [f"re-ranked by {hit.rerank_score:.4f}"]
    said += [] if hit.human_score is None else [f"people: {hit.human_score:.1f}"]
    lines = textwrap.wrap(shown, width - len(head), max_lines=4, placeholder=" ...") or [""]
    yield head + ("\n" + " " * len(head)).join(map(plain, lines))
    # the id in full: --item and explain take it
    facts = f"id {plain(hit.id)}" + (f" | at {clock(hit.moment)}" if hit.moment else "")
    facts += f" | from character {hit.passage.span[0]:,}" if hit.passage else ""
    known = {hit.id, Path(hit.path or hit.id).name}
    named = sorted(hit.fields.items(), key=lambda field: field[0] != PAGE or hit.passage is None)  # first
    fields = [f"{name} {as_text(value)}" for name, value in named if value not in (None, *known)]
    if fields and not is_row:
        rest = max(40, width - len(head) - len(facts) - 3)
        facts += " | " + plain(textwrap.shorten(" | ".join(fields), rest, placeholder=" ..."))
    for line in (", ".join(said), facts):
        if line:
            yield " " * len(head) + click.style(line, dim=True)


def _facets(results: Results) -> list[str]:
    """Return a line for each field that was counted: its most frequent values."""
    lines = []
    for name, counts in results.facets.items():
        each = [f"{'(none)' if value is None else as_text(value)} {count:,}" for value, count in counts]
        more = f", and {len(each) - MOST_VALUES:,} more" if len(each) > MOST_VALUES else ""
        lines.append(f"{name}: {', '.join(each[:MOST_VALUES])}{more}")
    return lines


def _exported(results: Results, path: Path) -> str:
    """Write the hits to a file; return a sentence that says so."""
    try:
        results.export(path)
    except OSError as error:
        raise click.UsageError(f"{path} can't be written: {error.strerror or error}.") from None
    return f"{len(results):,} hits are written to {path}."


def _print_vote(searcher: Index | ServedIndex, results: Results) -> None:
    """Print what the hits say that a word or span is, where they have labels."""
    from embedsearch.modalities import UNITS

    vote = results.vote() if UNITS[searcher.manifest.unit].votes else None
    if vote is not None:
        counts = ", ".join(f"{plain(label)} {count}" for label, count in vote.counts.items())
        click.echo(f"The neighbours say: {plain(vote.value)} ({counts}).")
