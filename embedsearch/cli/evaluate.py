"""The command eval."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from embedsearch.cli.options import echo_json, example, indexes_option, json_option, option

FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(
    "eval",
    short_help="Measure an index: recall, latency, quality.",
    **example("embedsearch eval faq --filters --labels topic --json"),
)
@click.argument("name")
@option("-k", "k", type=click.IntRange(min=1), default=10, show_default=True, help="How many neighbours.")
@option(
    "--sample",
    type=click.IntRange(min=1),
    default=500,
    show_default=True,
    help="Items that serve as queries, where --queries is not given.",
)
@option("--queries", type=FILE, help="Queries: JSONL with id and text, or a table of id and text.")
@option("--filters", is_flag=True, help="Also where filters keep 50, 10, 1 and 0.1 percent.")
@option("--labels", metavar="FIELD", default="", help="P@k: how often neighbours have the same value.")
@option("--qrels", type=FILE, help="Judgements of the queries: nDCG@10, MRR, recall@100.")
@option("--pairs", type=FILE, help="Pairs of texts with human scores: Spearman's correlation.")
@indexes_option
@json_option
def eval_command(name: str, indexes: Path | None, json: bool, **options: Any) -> None:
    """Compare the index NAME with exact search, time it, and judge it by labels, qrels or pairs."""
    from embedsearch.analysis.evaluate import evaluate
    from embedsearch.index import open_index

    result = evaluate(open_index(name, indexes), **options)
    if json:
        echo_json(**result)
        return
    k, latency = options["k"], result["latency"]
    built = result["recall_when_built"]
    rows = [
        ("index", f"{name}: {result['count']:,} x {result['dimension']}, {result['backend']}"),
        ("asked", result["asked"]),
        (
            f"recall@{k}",
            f"{result['recall']:.4f} of what exact search finds"
            + (f" (when built: {built:.4f})" if built else ""),
        ),
        ("latency", ", ".join(f"{part} {value:.2f} ms" for part, value in latency.items())),
        ("on disk", f"{result['bytes'] / 1e6:,.1f} MB"),
    ]
    rows += [
        (
            f"{each['share']:.1%} kept",
            f"recall@{k} {each['recall']:.4f} over {each['allowed']:,} items, p50 {each['p50']:.2f} ms, "
            f"p95 {each['p95']:.2f} ms",
        )
        for each in result.get("filters", ())
    ]
    for part in ("labels", "judged", "pairs"):
        if part in result:
            rows.append((part, ", ".join(f"{name} {value}" for name, value in result[part].items())))
    for head, text in rows:
        click.echo(f"{head:<12} {text}")
