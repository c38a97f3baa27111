"""An index as a card of the Indexes page: what it holds, how well it is searched, and its builds."""

from __future__ import annotations

import base64
import html
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st

from embedsearch.errors import EmbedsearchError
from embedsearch.index import Index
from embedsearch.modalities import UNITS, Card, modality_of
from embedsearch.results import Hit
from embedsearch.store.build import Build
from embedsearch.store.manifest import Manifest
from embedsearch.store.versions import builds_of
from embedsearch.ui.widgets import cards, thumbnails

IMAGES, TEXTS = 6, 2  # samples on a card
REASONS, EACH = 6, 8  # kinds of rejected items that are listed, and items of each


@dataclass(frozen=True, slots=True)
class Facts:
    """What a card says of a build.

    Attributes:
        held: how many items there are, in words.
        size: bytes of the build.
        rates: what verdicts come to; empty without.
        rejected: what was rejected, as (id, reason).
        images: some of its items, as JPEG.
        texts: some of its items, as text.
    """

    held: str
    size: int
    rates: str
    rejected: tuple[tuple[str, str], ...]
    images: tuple[bytes, ...]
    texts: tuple[str, ...]


@st.cache_data(max_entries=60, show_spinner=False)
def facts(folder: Path) -> Facts:
    """Return what there is to say of the build in `folder`.

    Raises:
        IndexDamagedError: it can't be opened.
    """
    build = Build(folder)
    searcher, card = Index(build), modality_of(build.manifest.unit).card
    pictured = card in (Card.IMAGE, Card.VIDEO, Card.SOUND)
    hits = _some(searcher, IMAGES if pictured else TEXTS)
    images = tuple(each for hit in hits if pictured and (each := thumbnails.of_hit(hit)))
    return Facts(
        build.held,
        build.bytes_on_disk,
        build.scale.rates if build.scale else "",
        tuple((str(each["id"]), str(each["reason"])) for each in build.rejected()),
        images,
        () if pictured else tuple(_line(hit) for hit in hits),
    )


def _some(searcher: Index, count: int) -> list[Hit]:
    rows = np.unique(np.linspace(0, len(searcher) - 1, min(count + 2, len(searcher))).astype(int))
    chosen = rows[1:-1] if len(rows) > count else rows  # neither end, which is often the odd one
    return searcher.items(chosen.tolist(), [0.0] * len(chosen))


def _line(hit: Hit) -> str:
    text = " ".join(cards.title(hit).split())
    return text if len(text) <= 110 else text[:109].rstrip() + "…"


def body(name: str, manifest: Manifest, build: Path, folder: Path, *, paths: bool) -> str:
    """Return the HTML of a card.

    Args:
        name: of the index.
        manifest: of its current build.
        build: the folder of that.
        folder: the index's own.
        paths: whether to say where its source lies.
    """
    row, report = UNITS[manifest.unit], manifest.report
    known = facts(build)
    strip = "".join(
        f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(each).decode()}">'
        for each in known.images
    )
    lines = "".join(f"<li>{html.escape(each)}</li>" for each in known.texts)
    sample = f'<div class="es-strip">{strip}</div>' if strip else f'<ul class="es-lines">{lines}</ul>'
    model = manifest.encoder.spec.model.rstrip("/").rpartition("/")[2]
    rows = {
        "model": f"{model}, {manifest.dimension:,} numbers a vector",
        "size": size(known.size),
        "search": _search(manifest),
        "calibration": _calibration(manifest, known),
        **_crossed(manifest),
        **({"from": manifest.recipe.source.location} if paths else {}),
    }
    listed = "".join(
        f"<dt>{key}</dt><dd>{html.escape(value).replace(' %', chr(160) + '%')}</dd>"
        for key, value in rows.items()
    )
    return (
        f'<div class="es-index"><div class="es-index-head"><h2>{html.escape(name)}</h2>'
        f'<span class="es-badge">{html.escape(row.plural)}</span>'
        f'<strong>{html.escape(known.held)}</strong></div>{sample}<dl class="es-facts">{listed}</dl>'
        f"{_rejected(known.rejected, report.rejected)}{_passed(manifest)}{_builds(folder, build.name)}</div>"
    )


def size(count: int) -> str:
    """Return a number of bytes in words."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:,.1f} {unit}"
    return f"{count} bytes"


def date(created: str) -> str:
    """Return the day and the minute of a time in ISO form."""
    return created[:16].replace("T", " ")


def _search(manifest: Manifest) -> str:
    if not manifest.index.queries:
        kept = "" if manifest.backend == "exact" else f"{manifest.backend}, "
        return f"{kept}exact: recall 100 %"
    return f"{manifest.backend}, recall {manifest.index.recall:.1%} of the 10 nearest".replace("%", " %")


def _calibration(manifest: Manifest, known: Facts) -> str:
    measured = manifest.artifacts.scale
    if measured is None:
        return "none: Manage, then Calibrate, measures what its distances mean"
    said = f"{measured.pairs:,} random pairs"
    return f"{said}; {known.rates}" if known.rates else said


def _crossed(manifest: Manifest) -> dict[str, str]:
    facts = manifest.artifacts.crossmodal
    if facts is None or facts.align is None:
        return {}
    return {"aligned": f"{facts.align.images:,} images with {facts.align.captions:,} captions"}


def _rejected(rejected: tuple[tuple[str, str], ...], count: int) -> str:
    """Return the HTML of what was rejected, by reason, the most frequent first."""
    if not count:
        return ""
    reasons = Counter(reason for _, reason in rejected)
    parts = []
    for reason, number in reasons.most_common(REASONS):
        names = [each for each, why in rejected if why == reason]
        more = f" and {number - EACH:,} more" if number > EACH else ""
        listed = ", ".join(html.escape(each) for each in names[:EACH])
        parts.append(f"<li><b>{number:,}</b> {html.escape(reason)}: {listed}{more}</li>")
    if len(reasons) > REASONS:
        parts.append(f"<li>and {len(reasons) - REASONS:,} more reasons</li>")
    return (
        f'<details class="es-more"><summary>{count:,} rejected</summary><ul>{"".join(parts)}</ul></details>'
    )


def _passed(manifest: Manifest) -> str:
    report = manifest.report
    notes = "".join(f"<li>{html.escape(each)}</li>" for each in report.notes)
    passed = report.passed
    if passed:
        notes += f"<li>Files that are not read: {html.escape(passed)}</li>"
    head = "Passed over" if passed else "Notes"
    return f'<details class="es-more"><summary>{head}</summary><ul>{notes}</ul></details>' if notes else ""


@st.cache_data(max_entries=200, show_spinner=False)
def _manifest(build: Path) -> Manifest:
    return Manifest.load(build)


def builds(folder: Path) -> list[Manifest]:
    """Return the manifests of the builds of an index that can be read, newest first."""
    found = []
    for build in reversed(builds_of(folder)):
        try:
            found.append(_manifest(build))
        except EmbedsearchError:
            continue
    return found


def _builds(folder: Path, current: str) -> str:
    """Return the HTML of the builds of an index, newest first."""
    rows = "".join(
        f"<li><b>{date(each.created)}</b> {each.count:,} vectors, {each.report.seconds:,.0f} s"
        f"{_changes(each)}{' <i>current</i>' if each.build == current else ''}</li>"
        for each in builds(folder)
    )
    count = rows.count("<li>")
    head = f"Built {date(_created(folder, current))}"
    more = f", {count} builds" if count > 1 else ""
    return f'<details class="es-more"><summary>{head}{more}</summary><ul>{rows}</ul></details>'


def _created(folder: Path, current: str) -> str:
    return next((each.created for each in builds(folder) if each.build == current), "")


def _changes(manifest: Manifest) -> str:
    changes = manifest.changes
    if changes is None:
        return ""
    counted = [
        f"{number:,} {kind}"
        for kind, number in (
            ("added", changes.added), ("changed", changes.changed), ("removed", changes.removed),
        )
        if number
    ]  # fmt: skip
    return f": {', '.join(counted)}" if counted else ""
