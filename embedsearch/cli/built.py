"""What the commands that build print."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from embedsearch.cli.options import echo_json, plain

if TYPE_CHECKING:
    from embedsearch.index import Index
    from embedsearch.serve.schemas import Built
    from embedsearch.store.facts import SourceChanges


def current(name: str, indexes: Path | None) -> str:
    """Return the id of an index's current build; empty where there is none, or a damaged one."""
    from embedsearch.recipe import check_name
    from embedsearch.store.folders import current_id, indexes_folder

    return current_id(indexes_folder(indexes) / check_name(name))


def described(index: Index, published: bool) -> Built:
    """Return what `--json` prints of a build; of an index that was up to date, that nothing changed."""
    from embedsearch.indexing.changes import unchanged
    from embedsearch.serve.schemas import Built

    changes = index.manifest.changes if published else unchanged(index.build).facts()
    return Built.of(index.build, changes)


def echo_built(index: Index, json: bool, before: str) -> None:
    """Print what came of a build.

    Args:
        index: the index that was built.
        json: whether to print JSON.
        before: the id of the build that was current before.
    """
    published = index.manifest.build != before
    if json:
        echo_json(described(index, published).with_published(published))
    elif published:
        _echo_published(index)
    else:
        click.echo(f"{index.name}: nothing changed, {index.build.held}")


def _echo_published(index: Index) -> None:
    manifest, report = index.manifest, index.manifest.report
    if manifest.changes:
        click.echo(f"{manifest.name}: {counted(manifest.changes)}")
        kept = manifest.changes.neighbours_kept
        if kept and kept.share is not None:
            click.echo(f"{kept.sample:,} items kept {kept.share:.1%} of their 10 nearest neighbours")
    tuned, recall = manifest.index.tuned, manifest.index.recall
    if tuned and recall < tuned.wanted:
        click.echo(
            f"The {manifest.backend} index reaches a recall@10 of {recall:.3f}, less than the "
            f"{tuned.wanted:g} asked for. --backend exact or hnsw, or more --memory, reaches more.",
            err=True,
        )
    click.echo(f"{manifest.name}: {index.build.held} in {report.seconds:.1f} s")
    if tokens := manifest.artifacts.tokens:
        click.echo(f"{tokens.count:,} tokens are kept as {tokens.kind}: {tokens.size / 1e6:,.2f} MB")
    if report.passed_over:
        click.echo(plain(f"passed over, as files of other kinds: {report.passed}"))
    for note in report.notes:
        click.echo(plain(note))
    if report.truncated:
        limit = manifest.encoder.spec.max_length
        click.echo(f"{report.truncated:,} texts were cut at the model's limit of {limit} tokens")
    if report.lost_words:
        click.echo(
            f"{report.lost_words:,} words have no vector: they are beyond the model's limit, or the "
            "model does "
            "not know them"
        )
    if report.unknown:
        click.echo(
            f"The model does not know more than a third of {report.unknown:,} texts, so their distances are "
            "not judged. Build the index with a multilingual model: --model with a hub id or a folder."
        )
    if report.rejected:
        records = "1 record was" if report.rejected == 1 else f"{report.rejected:,} records were"
        click.echo(f"{records} rejected; see why: embedsearch info {manifest.name} --rejected")


def counted(changes: SourceChanges) -> str:
    """Return how many records were added, changed, ..., in a line."""
    kinds = ("added", "changed", "removed", "unchanged", "rejected")
    return ", ".join(f"{getattr(changes, kind):,} {kind}" for kind in kinds)
