"""The command eval."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from embedsearch.cli.options import (
    echo_facts,
    echo_json,
    echo_table,
    example,
    indexes_option,
    json_option,
    layers_given,
    option,
    plain,
)

FILE = click.Path(dir_okay=False, path_type=Path)
LISTED = 5  # rejected queries; --json has all


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
    help="How many items serve as queries if there are no --queries.",
)
@option("--queries", type=FILE, help="Queries: JSONL with id and text, or a table of id and text.")
@option("--filters", is_flag=True, help="Also measure with filters that keep 50, 10, 1 and 0.1 percent.")
@option(
    "--labels",
    metavar="FIELD",
    default="",
    help="Measure P@k: how often neighbours have the same value of this field.",
)
@option(
    "--test",
    type=FILE,
    help="File of labelled texts. Measure F1 of the labels that the neighbours give to its words or spans.",
)
@option(
    "--layers",
    default="",
    callback=layers_given,
    help="With --test: the hidden layers to compare, as in -1,3.  [default: that of the index]",
)
@option("--qrels", type=FILE, help="File of judgements of the queries. Measure nDCG@10, MRR and recall@100.")
@option(
    "--tune",
    is_flag=True,
    help="With --queries and --qrels: choose by them the mode of the index, and the weight of vectors in "
    "hybrid.",
)
@option(
    "--pairs", type=FILE, help="File of pairs of texts with human scores. Measure Spearman's correlation."
)
@option(
    "--judged",
    is_flag=True,
    help="Measure with the hits that were marked as right or wrong on the page: nDCG@10, MRR and recall@100.",
)
@indexes_option
@json_option
def eval_command(
    name: str,
    k: int,
    sample: int,
    queries: Path | None,
    filters: bool,
    labels: str,
    test: Path | None,
    layers: tuple[int, ...],
    qrels: Path | None,
    tune: bool,
    pairs: Path | None,
    judged: bool,
    indexes: Path | None,
    json: bool,
) -> None:
    """Measure the index NAME: its recall against exact search, its latency and its size.

    --labels, --qrels and --pairs also measure how good its answers are. In an index of labelled words or
    spans, --test with --labels label does too.
    """
    from embedsearch.analysis.evaluate import evaluate
    from embedsearch.cli.progress import reporter
    from embedsearch.index import open_index
    from embedsearch.store.folders import index_folder, indexes_folder
    from embedsearch.store.judged import Judged, unmarked

    if judged:
        if queries is not None or qrels is not None:
            raise click.UsageError("--judged takes what was marked on the page: leave out the files.")
        marked = Judged(index_folder(indexes_folder(indexes), name))
        if not len(marked):
            raise click.UsageError(unmarked(name))
        queries, qrels = marked.queries, marked.qrels
    if tune and (queries is None or qrels is None):
        raise click.UsageError("--tune needs judged queries: --queries FILE and --qrels FILE.")
    with reporter(name) as bar:
        index = open_index(name, indexes)
        if tune and queries is not None and qrels is not None:
            index = index.tune(queries, qrels, progress=bar)
        result = evaluate(
            index,
            k=k,
            sample=sample,
            queries=queries,
            filters=filters,
            labels=labels,
            test=test,
            layers=layers,
            qrels=qrels,
            pairs=pairs,
            progress=bar,
        )
    lexical = index.manifest.artifacts.lexical if tune else None
    if lexical is not None and lexical.tuned is not None:
        result["tuned"] = {
            "mode": lexical.mode,
            "weight": lexical.weight,
            "measured": dict(lexical.tuned.measured),
        }
    if json:
        from embedsearch.serve.schemas import EvalOutput

        echo_json(EvalOutput(**result))
        return
    latency = result["latency"]
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
    if rejected := result.get("rejected"):
        listed = "; ".join(f"{plain(each['id'])}: {each['reason']}" for each in rejected[:LISTED])
        more = "; ..." if len(rejected) > LISTED else ""
        rows.append(("rejected", f"{len(rejected):,} queries: {listed}{more}"))
    rows += [
        (
            f"{each['share']:.1%} kept",
            f"recall@{k} {each['recall']:.4f} over {each['allowed']:,} items, p50 {each['p50']:.2f} ms, "
            f"p95 {each['p95']:.2f} ms",
        )
        for each in result.get("filters", ())
    ]
    if "tuned" in result:
        figures = ", ".join(f"{mode} {value:.4f}" for mode, value in result["tuned"]["measured"].items())
        rows.append(
            (
                "tuned",
                f"{result['tuned']['mode']}, weight of vectors in hybrid "
                f"{result['tuned']['weight']:g}; nDCG@10 {figures}",
            )
        )
    for part in ("labels", "judged", "pairs"):
        if part in result:
            rows.append((part, ", ".join(f"{name} {value}" for name, value in result[part].items())))
    echo_facts(rows)
    if "vote" in result:
        _print_vote(result["vote"])


def _print_vote(vote: dict[str, Any]) -> None:
    bad = f", {vote['rejected']:,} rejected" if vote["rejected"] else ""
    click.echo(f"vote of {vote['k']} neighbours on {vote['units']:,} units of {vote['test']}{bad}")
    names = ("f1", "precision", "recall")
    rows = []
    for each in vote["layers"]:
        figures = [f"{each[part][name]:.4f}" for part in ("token", "entity") for name in names]
        rows.append([",".join(map(str, each["layers"])), *figures])
    echo_table(("layer", "token F1", "precision", "recall", "entity F1", "precision", "recall"), rows)
