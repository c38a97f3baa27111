"""Hits and items as cards. All text that comes from a source passes through `html.escape`."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from embedsearch.distances.metric import Metric
from embedsearch.distances.pairs import Closeness, percentile_phrase
from embedsearch.modalities import MODALITIES, Card
from embedsearch.query import Crop
from embedsearch.records import HEADING_PATH, MOST_UNKNOWN, PAGE, Span, Value, as_text, clock, described
from embedsearch.results import Hit, found_by_phrase
from embedsearch.ui import media
from embedsearch.ui.url_state import short
from embedsearch.ui.widgets import player
from embedsearch.ui.widgets.job_panel import may_build

METRIC_HELP = {
    Metric.COSINE: "Cosine distance, 0 to 2: smaller is more related.",
    Metric.L2: "Euclidean distance, from 0: smaller is more related.",
    Metric.IP: "Negative inner product, without bounds: smaller is more related.",
}
LONG, LONGEST, VALUE = 320, 4000, 300  # characters: folded, cut, and of a field's value
FIELDS = 6  # shown at once; the rest folds out
Marks = Callable[[str], list[Span]]
Link = Callable[[str, Value], str]
_WRAPPED = re.compile(r"(?<=[\w,])\n(?=[a-z])")  # a break inside a sentence
AROUND = 160  # characters of a long sentence shown on each side of its word
# percent of the accent behind the word for a distance, over which text is easy to read in both themes
DEPTHS = dict(zip(Closeness, (62, 52, 42, 30, 16, 5, 5), strict=True))


def is_image(hit: Hit) -> bool:
    """Whether a hit is shown as an image; a video is, by its frame, and a sound by its spectrogram."""
    return MODALITIES[hit.modality].card in (Card.IMAGE, Card.VIDEO, Card.SOUND)


def chip(label: Closeness | None) -> str:
    """Return the HTML of the label of a distance, the nearer the deeper shaded; empty where there is none."""
    return "" if label is None else f'<b class="es-chip" style="--share: {DEPTHS[label]}%">{label}</b>'


def said(hit: Hit) -> str:
    """Return the HTML of what the distance of a hit means, where that is known, and of a lost file."""
    lost = '<p class="es-said">its file is gone</p>' if hit.is_gone else ""
    return lost + _meaning(hit)


def _meaning(hit: Hit) -> str:
    if hit.unknown > MOST_UNKNOWN:
        share = f"{100 * hit.unknown:.0f}\u00a0%"
        return f'<p class="es-said">not judged: the model does not know {share} of it</p>'
    said = []
    if hit.percentile is not None and hit.label is not None:
        said.append(percentile_phrase(hit.label, hit.percentile).replace(" %", "\u00a0%"))
        said += [] if hit.human_score is None else [f"people: {hit.human_score:.1f}"]
    said += [found_by_phrase(hit.found_by)] if hit.found_by else []
    said += [] if hit.bm25 is None else [f"BM25 {hit.bm25:.2f}"]
    return f'<p class="es-said">{" · ".join(said)}</p>' if said else ""


def image(hit: Hit) -> str:
    """Return the HTML of a hit's thumbnail, which a click enlarges or plays; a placeholder without a file."""
    name, card = title(hit), MODALITIES[hit.modality].card
    named = html.escape(name, quote=True)
    if hit.image is None and (hit.is_gone or not hit.path):
        why = "The file is gone"
        return (
            f'<div class="es-missing" role="img" aria-label="{named}: {why}">'
            f"<span>{named}</span><small>{why}</small></div>"
        )
    at = media.of_hit(hit)
    door = f"Play {short(name)}" if card is Card.VIDEO else f"Enlarge {short(name)}"
    about = {
        "media": at,
        "kind": card,
        "name": name,
        "item": hit.id,
        "path": path(hit),
        "lost": f"The {hit.modality} can’t be read",
        **({"moment": f"{hit.moment[0]:.3f}", "reason": player.cant_play(hit)} if hit.moment else {}),
    }
    data = " ".join(f'data-{key}="{html.escape(value, quote=True)}"' for key, value in about.items())
    door = html.escape(door, quote=True)
    listens = player.listen(hit, name) if card is Card.SOUND else ""
    return (
        f'<div class="es-image" {data}>'
        f'<img alt="{named}" loading="lazy" decoding="async" src="{at}{media.SMALL}">'
        f'<button type="button" class="es-enlarge es-{card}" aria-label="{door}"></button>{listens}</div>'
    )


def path(hit: Hit) -> str:
    """Return where the file of a hit lies; empty without one, and for visitors from elsewhere."""
    return hit.path or "" if may_build() else ""


def whole_image(
    source: Path | bytes, name: str, about: Mapping[str, str], part: tuple[Crop, bytes] | None
) -> str:
    """Return the HTML of an image that a click enlarges; it shows a part of it where one is given.

    Args:
        source: the image.
        name: what it is called.
        about: more of what assets/lightbox.js reads of it.
        part: its edges, and the part itself as JPEG.
    """
    at = media.address(media.Shown(source, Card.IMAGE))
    shown = f"{at}{media.SMALL}"
    box = {}
    if part is not None:
        box = {"box": ",".join(f"{edge:g}" for edge in part[0])}
        shown = f"data:image/jpeg;base64,{base64.b64encode(part[1]).decode()}"
    said = {"media": at, "kind": Card.IMAGE, "name": name, "lost": "The image can’t be read", **about, **box}
    data = " ".join(f'data-{key}="{html.escape(value, quote=True)}"' for key, value in said.items())
    named = html.escape(name, quote=True)
    return (
        f'<div class="es-image" {data}><img alt="{named}" decoding="async" src="{shown}">'
        f'<button type="button" class="es-enlarge" aria-label="Enlarge {named}"></button></div>'
    )


def title(hit: Hit) -> str:
    """Return what to call a hit in one line: the image's caption or name, the row's values, or its text."""
    if is_image(hit):
        caption = hit.fields.get("caption")
        return str(caption) if caption else Path(hit.path or hit.id).name
    return described(hit.fields) if _is_row(hit) else hit.text or hit.id


def _is_row(hit: Hit) -> bool:
    return MODALITIES[hit.modality].card is Card.ROW


def text(hit: Hit, marks: Sequence[Span] = ()) -> str:
    """Return the HTML of a hit's text, its word or the spans `marks` marked; a long one folds out."""
    whole = _unwrapped(title(hit)) if _is_of_document(hit) else title(hit)
    if hit.span:
        start, end = hit.span
        left, right = max(0, start - AROUND), min(len(whole), end + AROUND)
        shown = (
            ("…" if left else "")
            + html.escape(whole[left:start])
            + f"<mark>{html.escape(whole[start:end])}</mark>"
            + html.escape(whole[end:right])
            + ("…" if right < len(whole) else "")
        )
        return f'<p class="es-text">{shown}</p>'
    shown = _marked(whole[:LONGEST], marks)
    if len(whole) > LONGEST:
        shown += f" … <small>({len(whole):,} characters in all)</small>"
    if len(whole) <= LONG and whole.count("\n") < 6:
        return f'<p class="es-text">{shown}</p>'
    return f'<details class="es-long"><summary><p class="es-text">{shown}</p></summary></details>'


def _unwrapped(text: str) -> str:
    """Return a text of a document without breaks inside sentences and ends of pages, as long as before."""
    return _WRAPPED.sub(" ", text.replace("\f", "\n"))


def _marked(whole: str, marks: Sequence[Span]) -> str:
    """Return a text as HTML, some spans marked, in order and apart."""
    shown, at = [], 0
    for start, end in marks:
        shown += [html.escape(whole[at:start]), f"<mark>{html.escape(whole[start:end])}</mark>"]
        at = end
    return "".join([*shown, html.escape(whole[at:])])


def fields(hit: Hit, only: Collection[str] | None = None, link: Link = lambda *_: "") -> str:
    """Return the HTML of a hit's fields, the first few at once.

    Args:
        hit: the hit.
        only: the fields to show; None for all.
        link: gives the attributes of a link at the value of a field; empty for no link.
    """
    named = title(hit)
    shown_above = {"title", PAGE, HEADING_PATH} if _where(hit) else set()
    rows = [
        f"<dt>{html.escape(name)}</dt><dd>{_linked(html.escape(_value(value)), link(name, value))}</dd>"
        for name, value in hit.fields.items()
        if value is not None and str(value).strip() and str(value) != named and name not in shown_above
        if only is None or name in only
    ]
    first, rest = "".join(rows[:FIELDS]), "".join(rows[FIELDS:])
    shown = f'<dl class="es-fields">{first}</dl>' if first else ""
    if rest:
        more = f"<summary>{len(rows) - FIELDS} more fields</summary>"
        shown += f'<details class="es-rest">{more}<dl class="es-fields">{rest}</dl></details>'
    return shown


def _linked(value: str, attributes: str) -> str:
    return f"<a {attributes}>{value}</a>" if attributes else value


def number(distance: float) -> str:
    """Return a distance as text."""
    return f"{distance:.4f}" if abs(distance) < 100 else f"{distance:,.1f}"


def track(share: float) -> str:
    """Return the HTML of a line with a mark at `share` (0 is near, 1 is far) of its length."""
    at = round(100 * min(max(share, 0.0), 1.0), 1)
    return f'<span class="es-track" aria-hidden="true"><i style="left:{at}%"></i></span>'


def content(hit: Hit, marks: Marks | None = None) -> str:
    """Return the HTML of what a hit is; `marks` returns where words of the query stand in a text."""
    if is_image(hit):
        name = html.escape(title(hit)[:VALUE])
        kind = "es-title" if hit.fields.get("caption") else "es-name"
        when = f'<p class="es-said">{clock(hit.moment)}</p>' if hit.moment else ""
        return f'<p class="{kind}" title="{name}">{name}</p>{when}'
    if _is_row(hit):
        return f'<p class="es-name">{html.escape(hit.id)}</p>'
    return _where(hit) + text(hit, hit.lit or _matching(hit, marks))


def _where(hit: Hit) -> str:
    """Return the HTML of the document of a passage, its page and its headings; empty for no document."""
    if not _is_of_document(hit):
        return ""
    page, heading = hit.fields.get(PAGE), hit.fields.get(HEADING_PATH)
    headings = " > ".join(map(short, str(heading or "").split(" > ")))  # a PDF may have a paragraph as one
    name = str(hit.fields.get("title") or (Path(hit.path).name if hit.path else hit.id))
    place = " · ".join(each for each in (f"page {page}" if page else "", headings) if each and each != name)
    shown = f'<p class="es-title" title="{html.escape(hit.id)}">{html.escape(name)}</p>'
    whole = html.escape(str(heading or ""))
    return shown + (f'<p class="es-said" title="{whole}">{html.escape(place)}</p>' if place else "")


def _is_of_document(hit: Hit) -> bool:
    return hit.passage is not None or any(hit.fields.get(name) is not None for name in (PAGE, HEADING_PATH))


def _matching(hit: Hit, marks: Marks | None) -> list[Span]:
    """Return where words of the query stand in a passage, or in a text that was searched by its words."""
    if marks is None or (hit.passage is None and hit.bm25 is None):
        return []
    return marks((hit.text or "")[:LONGEST])


def copies(hit: Hit) -> str:
    """Return the HTML of how many items of the same content a hit stands for; empty for none."""
    return f'<p class="es-said">and {hit.copies:,} more with the same content</p>' if hit.copies else ""


def ends(hits: Sequence[Hit], metric: Metric | None) -> tuple[float, float]:
    """Return the distances at the two ends of the tracks."""
    if metric is Metric.COSINE or not hits:
        return 0.0, 1.0
    low = 0.0 if metric is Metric.L2 else min(hit.distance for hit in hits)
    return low, max(hit.distance for hit in hits)


def head(hit: Hit, metric: Metric, span: tuple[float, float]) -> str:
    """Return the HTML of a hit's rank, word and distance, of a bar that is fullest where it is near."""
    low, high = span
    share = (hit.distance - low) / (high - low) if high > low else 0.0
    full = round(100 * (1 - min(max(share, 0.0), 1.0)), 1)
    return (
        f'<div class="es-head"><span class="es-rank">{hit.rank}</span>{chip(hit.label)}'
        f'<span class="es-distance" title="{html.escape(METRIC_HELP[metric])}">{number(hit.distance)}</span>'
        "</div>"
        f'<div class="es-near" aria-hidden="true"><i style="width:{full}%"></i></div>{said(hit)}'
    )


def _value(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = as_text(value)
    return text if len(text) <= VALUE else text[:VALUE] + "…"
