"""The command info."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from embedsearch.cli.calibrate import background_of, pairs_of
from embedsearch.cli.options import (
    echo_facts,
    echo_json,
    example,
    indexes_option,
    json_option,
    option,
    plain,
)

SHOWN = 12  # columns of a table
DOMINATES = 0.5  # share of the squared distance that one of several columns makes

if TYPE_CHECKING:
    from embedsearch.backends.facts import IndexFacts
    from embedsearch.crossmodal import Crossmodal
    from embedsearch.store.build import Build
    from embedsearch.store.facts import CentringFacts
    from embedsearch.store.manifest import Manifest


@click.command("info", short_help="Show all about an index.", **example("embedsearch info faq --diagnostics"))
@click.argument("name")
@option("--rejected", is_flag=True, help="List the rejected records, and why each was rejected.")
@option("--quarantine", is_flag=True, hidden=True, help="The name of --rejected in 0.6.")
@option(
    "--diagnostics",
    is_flag=True,
    help="Measure hubs, copies, and the common direction and lengths of the vectors.",
)
@indexes_option
@json_option
def info_command(
    name: str, rejected: bool, quarantine: bool, diagnostics: bool, indexes: Path | None, json: bool
) -> None:
    """Show what the index NAME holds and what it was built from, and verify its files."""
    from embedsearch.crossmodal import open_crossmodal
    from embedsearch.encoders import open_encoder
    from embedsearch.recipe import EncoderRecipe
    from embedsearch.store.build import open_build
    from embedsearch.store.folders import indexes_folder

    build = open_build(indexes_folder(indexes), name)
    own = EncoderRecipe(build.manifest.unit)
    crossmodal = open_crossmodal(build, open_encoder, lambda: open_encoder(own))
    listed = build.rejected() if rejected or quarantine else None
    measured = _diagnose(build) if diagnostics else None
    if json:
        from embedsearch.serve.schemas import InfoOutput

        echo_json(InfoOutput.of(name, build, crossmodal, listed, measured))
    elif listed is None:
        echo_facts(_facts(name, build, crossmodal))
        for line in _diagnostic_lines(measured) if measured else ():
            click.echo(line)
    else:
        for each in listed:
            click.echo(plain(f"{each['id']}: {each['reason']}"))
        if not listed:
            click.echo(f"Nothing was rejected when {name} was built.")


def _facts(name: str, build: Build, crossmodal: Crossmodal | None) -> list[tuple[str, str]]:
    from embedsearch.crossmodal import summary
    from embedsearch.modalities import good_for

    manifest = build.manifest
    encoder, report, source = manifest.encoder, manifest.report, manifest.recipe.source
    spec = encoder.spec
    decoding = f", decoding {encoder.decoding}" if encoder.decoding else ""
    crossed = f"{summary(crossmodal, manifest)}, read by {crossmodal.model}" if crossmodal else ""
    return [
        ("index", f"{name} (build {manifest.build}, {manifest.created})"),
        ("source", f"{source.kind} {source.location}"),
        (
            "holds",
            f"{build.held}, {manifest.dimension}-d, {build.bytes_on_disk / 1e6:,.1f} MB",
        ),
        ("distance", f"{manifest.metric}; smaller is more related"),
        ("search", _search(manifest)),
        *([("words", words)] if (words := _words(manifest)) else []),
        ("scale", _scale(build)),
        *([("tokens", _tokens(manifest))] if manifest.artifacts.tokens else []),
        *([(f"by {crossmodal.asks}", crossed)] if crossmodal else []),
        ("model", f"{spec.model} {spec.revision}".rstrip()),
        *([("good for", good)] if (good := good_for(manifest.unit, spec.model)) else []),
        (
            "vector",
            f"{spec.pooling} pooling, layers {','.join(map(str, spec.layers))}, {encoder.precision} on "
            f"{encoder.device} with {encoder.engine}{decoding}",
        ),
        *([("centred", _centred(manifest.centring, manifest.dimension))] if manifest.centring else []),
        ("fingerprint", encoder.fingerprint),
        ("fields", ", ".join(f"{field} ({kind})" for field, kind in manifest.fields.items()) or "none"),
        ("built", f"{report.entries:,} records in {report.seconds:.1f} s"),
        ("truncated", f"{report.truncated:,} texts; {report.lost_words:,} words without a vector"),
        *([("unknown", f"more than a third of {report.unknown:,} texts")] if report.unknown else []),
        ("rejected", f"{report.rejected:,} records{' (--rejected lists them)' if report.rejected else ''}"),
        *([("passed over", plain(report.passed))] if report.passed_over else []),
        *(("note", plain(note)) for note in report.notes),
        ("verified", f"{len(manifest.files)} files match their checksums"),
    ]


def _centred(facts: CentringFacts, dimension: int) -> str:
    """Return how the vectors were centred."""
    kept = ""
    if dimension < facts.numbers:
        kept = (
            f"; {dimension:,} of {facts.numbers:,} directions are kept, with {facts.explained:.1%} of the "
            "variance"
        )
    return f"the mean of {facts.items:,} vectors is subtracted{kept} ({facts.fingerprint[:12]})"


def _diagnose(build: Build) -> dict[str, Any]:
    from embedsearch.analysis.diagnostics import diagnose
    from embedsearch.cli.progress import reporter

    with reporter(build.manifest.name) as bar:
        return diagnose(build, progress=bar)


def _diagnostic_lines(measured: dict[str, Any]) -> list[str]:
    """Return each figure with a sentence that says what it means."""
    hubness, norms, copies = measured["hubness"], measured["norms"], measured["duplicates"]
    skewness, mean = hubness["skewness"], measured["anisotropy"]
    lines = [
        f"hubness      {'-' if skewness is None else f'{skewness:.2f}'}: how uneven the results are: "
        f"how often each item is among the {hubness['k']} nearest of others (skewness).",
        "             Near 0: all items equally often. Far above 1: a few items appear in many results:",
        *(f"             {each['count']:,} times {each['id']}" for each in hubness["hubs"][:5]),
        f"             among the nearest of {measured['asked']:,} items; the average is "
        f"{hubness['mean']:.3g} times.",
        f"anisotropy   {'-' if mean is None else f'{mean:.3f}'}: mean cosine of two random items.",
        "             Near 0: the vectors point in all directions. Near 1: all point the same way, and all "
        "distances are small.",
    ]
    if copies is None:
        lines.append(
            "duplicates   not measured: this needs whole texts or images, and the metric cosine or l2."
        )
    else:
        how = (
            "confirmed by the second check"
            if copies["checked"]
            else f"within {copies['threshold']:.4g} of another item"
        )
        lines += [
            f"duplicates   {copies['exact']:.2%} exact: items with the same content as an earlier one.",
            f"             {copies['near']:.1%} near: similar content, {how}. List them: embedsearch "
            "dupes NAME.",
        ]
    columns = measured["columns"] or []
    if columns:
        shown = ", ".join(f"{plain(each['name'])} {each['share']:.0%}" for each in columns[:SHOWN])
        lines.append(f"columns      {shown}: share of the squared distance of random pairs.")
    if columns and columns[0]["share"] > DOMINATES and len(columns) > 1:
        name = plain(columns[0]["name"])
        lines.append(
            f"             {name} dominates. To change that, build with --weight {name}=NUMBER below 1."
        )
    return [
        *lines,
        f"norms        {norms['mean']:.4g} ± {norms['std']:.3g} ({norms['min']:.4g} to {norms['max']:.4g}): "
        "lengths of the vectors.",
        "             The metric cosine ignores them; ip and l2 do not.",
    ]


def _search(manifest: Manifest) -> str:
    """Return how the index is searched, and the share of the nearest items that it finds."""
    facts, tuned = manifest.index, manifest.index.tuned
    if tuned is None or not facts.queries:
        return f"{manifest.backend}: every vector is compared"
    short = "" if facts.recall >= tuned.wanted else f" (asked for: {tuned.wanted:g})"
    made = "extended" if facts.made == "extended" else "rebuilt"
    return (
        f"{manifest.backend}, recall@10 {facts.recall:.3f}{short} on {facts.queries:,} {_asked(facts)}"
        f"; {made}, with {tuned.added:,} added and {tuned.masked:,} removed since it was made"
    )


def _asked(facts: IndexFacts) -> str:
    """Return which queries the recall was measured with, for one or several."""
    one = facts.asked.replace("queries", "query", 1).replace("items", "item", 1)
    return one if facts.queries == 1 else facts.asked


def _words(manifest: Manifest) -> str:
    """Return how the words of texts are searched; empty for an index without."""
    facts = manifest.artifacts.lexical
    if facts is None:
        return ""
    counted = f"{facts.language} stems" if facts.language else "words as they are"
    by = {"vector": "vectors", "lexical": "words", "hybrid": "vectors and words"}[facts.mode]
    tuned = f", tuned with {facts.tuned.queries:,} queries of {plain(facts.tuned.of)}" if facts.tuned else ""
    return (
        f"{facts.terms:,} terms, {counted}; {facts.words:,} words in the median text; searched by {by} "
        f"without --mode; weight of vectors in hybrid {facts.weight:g}{tuned}"
    )


def _tokens(manifest: Manifest) -> str:
    """Return what is kept of tokens for re-ranking."""
    facts = manifest.artifacts.tokens
    assert facts is not None
    return f"{facts.count:,} of {facts.dimension}-d, kept as {facts.kind} in {facts.size / 1e6:,.2f} MB"


def _scale(build: Build) -> str:
    """Return what the distances are compared with."""
    facts, scale = build.manifest.artifacts.scale, build.scale
    if facts is None or scale is None:
        return f"none; measure it: embedsearch calibrate {build.manifest.name}"
    return f"{pairs_of(facts)}, {background_of(build.manifest, facts, scale)}"
