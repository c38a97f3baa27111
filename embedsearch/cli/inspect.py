"""Commands that look at indexes and models, and the one that deletes: list, info, models, remove."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from embedsearch.cli.options import echo_json, example, indexes_option, json_option, option, plain

if TYPE_CHECKING:
    from embedsearch.store.build import Build
    from embedsearch.store.manifest import Manifest


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    for row in [head, *rows]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@click.command("list", short_help="List the indexes.", **example("embedsearch list --json"))
@indexes_option
@json_option
def list_command(indexes: Path | None, json: bool) -> None:
    """List the indexes with their size, metric and model."""
    from embedsearch.errors import EmbedsearchError
    from embedsearch.store.folders import current_build, indexes_folder, list_names
    from embedsearch.store.manifest import Manifest

    root = indexes_folder(indexes)
    found: list[dict[str, Any]] = []
    for name in list_names(root):
        try:
            manifest = Manifest.load(current_build(root / name))
        except EmbedsearchError as error:
            found.append({"name": name, "error": str(error)})
            continue
        found.append(
            {
                "name": name,
                "unit": str(manifest.unit),
                "count": manifest.count,
                "dimension": manifest.dimension,
                "metric": str(manifest.metric),
                "model": manifest.encoder.spec.model,
                "created": manifest.created,
            }
        )
    if json:
        echo_json(folder=str(root), indexes=found)
        return
    if not found:
        click.echo(f"{root} holds no index yet. Make one: embedsearch build ~/Pictures --name pictures")
        return
    whole = [each for each in found if "error" not in each]
    if whole:
        _table(
            ["NAME", "UNIT", "COUNT", "METRIC", "MODEL", "BUILT"],
            [
                [
                    each["name"],
                    each["unit"],
                    f"{each['count']:,}",
                    each["metric"],
                    each["model"],
                    each["created"],
                ]
                for each in whole
            ],
        )
    for each in found:
        if "error" in each:
            click.echo(f"{each['name']}: damaged: {each['error']}", err=True)


@click.command("info", short_help="Tell all about an index.", **example("embedsearch info faq --diagnostics"))
@click.argument("name")
@option("--quarantine", is_flag=True, help="List what the build could not use, and why.")
@option(
    "--diagnostics", is_flag=True, help="Measure hubs, a common direction, copies and lengths of vectors."
)
@indexes_option
@json_option
def info_command(name: str, quarantine: bool, diagnostics: bool, indexes: Path | None, json: bool) -> None:
    """Tell what the index NAME was made from and what it holds; its files are verified."""
    from embedsearch.crossmodal import open_crossmodal, summary
    from embedsearch.encoders import open_encoder
    from embedsearch.recipe import EncoderRecipe
    from embedsearch.store.build import open_build
    from embedsearch.store.folders import indexes_folder

    build = open_build(indexes_folder(indexes), name)
    manifest = build.manifest
    crossmodal = open_crossmodal(build, open_encoder, lambda: open_encoder(EncoderRecipe(manifest.unit)))
    crossing = (
        {"by": crossmodal.by, "asks": str(crossmodal.asks), "model": crossmodal.model} if crossmodal else None
    )
    rejected = build.rejected() if quarantine else []
    measured = _diagnose(build) if diagnostics else {}
    if json:
        values = manifest.to_json()
        echo_json(
            index=name,
            build=manifest.build,
            created=manifest.created,
            version=manifest.version,
            unit=str(manifest.unit),
            count=manifest.count,
            dimension=manifest.dimension,
            metric=str(manifest.metric),
            backend=manifest.backend,
            search=values["index"],
            bridge=crossing,
            changes=values["changes"],
            additions=values["additions"],
            bytes=build.bytes_on_disk,
            fields=values["fields"],
            encoder=values["encoder"],
            recipe=values["recipe"],
            report=values["report"],
            **({"quarantine": rejected} if quarantine else {}),
            **({"diagnostics": measured} if diagnostics else {}),
        )
        return
    if quarantine:
        for each in rejected:
            click.echo(plain(f"{each['id']}: {each['reason']}"))
        if not rejected:
            click.echo(f"The build of {name} could use everything.")
        return
    encoder, report, source = manifest.encoder, manifest.report, manifest.recipe.source
    spec = encoder.spec
    hint = " (--quarantine lists them)" if report.rejected else ""
    size = f"{build.bytes_on_disk / 1e6:,.1f} MB"
    layers = ",".join(map(str, spec.layers))
    decoding = f", decoding {encoder.decoding}" if encoder.decoding else ""
    rows = [
        ("index", f"{name} (build {manifest.build}, {manifest.created})"),
        ("source", f"{source.kind} {source.location}"),
        ("holds", f"{manifest.count:,} {manifest.unit}s, {manifest.dimension}-d, {size}"),
        ("distance", f"{manifest.metric}; smaller is more related"),
        ("search", _search(manifest)),
        ("scale", _scale(manifest)),
        *(
            [(f"by {crossmodal.asks}", f"{summary(crossmodal, manifest)}, read by {crossmodal.model}")]
            if crossmodal
            else []
        ),
        ("model", f"{spec.model} {spec.revision}".rstrip()),
        (
            "vector",
            f"{spec.pooling} pooling, layers {layers}, {encoder.precision} on {encoder.device} "
            f"with {encoder.engine}{decoding}",
        ),
        ("fingerprint", encoder.fingerprint),
        ("fields", ", ".join(f"{field} ({kind})" for field, kind in manifest.fields.items()) or "none"),
        ("built", f"{report.entries:,} entries in {report.seconds:.1f} s"),
        ("truncated", f"{report.truncated:,} texts, {report.lost_words:,} words without a vector"),
        ("quarantine", f"{report.rejected:,} entries{hint}"),
        ("verified", f"{len(manifest.files)} files have the checksums of the manifest"),
    ]
    for head, text in rows:
        click.echo(f"{head:<12} {text}")
    for line in _diagnostic_lines(measured) if diagnostics else ():
        click.echo(line)


def _diagnose(build: Build) -> dict[str, Any]:
    from embedsearch.analysis.diagnostics import diagnose
    from embedsearch.cli.progress import Bar

    bar = Bar(build.manifest.name)
    try:
        return diagnose(build, progress=bar)
    finally:
        bar.close()


def _diagnostic_lines(measured: dict[str, Any]) -> list[str]:
    """Return each figure with a sentence that says what it means."""
    hubness, norms, copies = measured["hubness"], measured["norms"], measured["duplicates"]
    skewness, mean = hubness["skewness"], measured["anisotropy"]
    lines = [
        f"hubness      {'-' if skewness is None else f'{skewness:.2f}'}: skewness of how many items' "
        f"{hubness['k']} nearest an item is among.",
        "             Near 0 all are found alike; far above 1 a few stand in everybody's results:",
        *(f"             {each['count']:,} times {each['id']}" for each in hubness["hubs"][:5]),
        f"             of {measured['asked']:,} items asked, where {hubness['mean']:.3g} is the average.",
        f"anisotropy   {'-' if mean is None else f'{mean:.3f}'}: mean cosine of two random items.",
        "             Near 0 the vectors point everywhere; near 1 all point one way and distances are small.",
    ]
    if copies is None:
        lines.append("duplicates   not measured: they are told of whole texts and pictures, not by ip.")
    else:
        lines += [
            f"duplicates   {copies['exact']:.2%} exact: items of the same content as an earlier one.",
            f"             {copies['near']:.1%} near: of different content, within {copies['threshold']:.4g} "
            "of another; embedsearch dupes lists them.",
        ]
    return [
        *lines,
        f"norms        {norms['mean']:.4g} ± {norms['std']:.3g} ({norms['min']:.4g} to {norms['max']:.4g}): "
        "lengths of the vectors.",
        "             Cosine ignores them; by ip and l2 they decide with.",
    ]


def _search(manifest: Manifest) -> str:
    """Return how the index is searched, and how much of what is nearest it finds."""
    facts, tuned = manifest.index, manifest.index.tuned
    if tuned is None or not facts.queries:
        return f"{manifest.backend}, every vector is compared"
    short = "" if facts.recall >= tuned.wanted else f" (asked for: {tuned.wanted:g})"
    return (
        f"{manifest.backend}, recall@10 {facts.recall:.3f}{short} on {facts.queries:,} {facts.asked}"
        f"; {facts.made}, {tuned.added:,} added and {tuned.masked:,} masked since it was made"
    )


def _scale(manifest: Manifest) -> str:
    """Return what the distances are compared with."""
    from embedsearch.cli.relate import told_background

    facts = manifest.artifacts.scale
    if facts is None:
        return f"none: embedsearch calibrate {manifest.name}"
    return f"{facts.pairs:,} random pairs, {told_background(facts)}"


@click.command("models", short_help="List the models known by name.", **example("embedsearch models --json"))
@json_option
def models_command(json: bool) -> None:
    """List the models known by name; any other encoder is named by its hub id or its folder."""
    from dataclasses import asdict

    from embedsearch.models.catalog import MODELS

    if json:
        echo_json(models=[asdict(row) | {"bundled": bool(row.package)} for row in MODELS])
        return
    _table(
        ["MODEL", "READS", "DIM", "POOLING", "TOKENS", "LICENCE", "MB", "BUNDLED"],
        [
            [
                row.name,
                str(row.modality),
                str(row.dimension),
                row.pooling,
                str(row.max_length or "-"),
                row.licence,
                str(row.megabytes),
                "yes" if row.package else "",
            ]
            for row in MODELS
        ],
    )


@click.command("remove", short_help="Delete an index.", **example("embedsearch remove faq --yes"))
@click.argument("name")
@option("--yes", is_flag=True, help="Do not ask.")
@indexes_option
@json_option
def remove_command(name: str, yes: bool, indexes: Path | None, json: bool) -> None:
    """Delete the index NAME with all its builds; what it was made from is not touched."""
    from embedsearch.store.folders import index_folder, indexes_folder
    from embedsearch.store.versions import remove

    root = indexes_folder(indexes)
    if not yes and index_folder(root, name).is_dir():
        if not sys.stdin.isatty():
            raise click.UsageError(f"Nobody can be asked whether to delete {name}; add --yes to delete it.")
        click.confirm(f"Delete {index_folder(root, name)}?", abort=True, err=True)
    folder = remove(root, name)
    if json:
        echo_json(removed=name, folder=str(folder))
    else:
        click.echo(f"Removed {folder}")
