"""Why a hit is near: its words shaded, or its image with a heat map over it."""

from __future__ import annotations

import html
from collections.abc import Sequence

import streamlit as st

from embedsearch.distances.metric import Metric
from embedsearch.explain.explanation import Explanation, Part
from embedsearch.explain.heatmap import RAMP, overlay
from embedsearch.explain.shown import image_of
from embedsearch.index import Index
from embedsearch.query import AnyQuery, MoreLike, Query, Row, Sound, Text, Word, as_single
from embedsearch.results import Hit
from embedsearch.ui.widgets import cards
from embedsearch.ui.widgets.notes import calm

LITTLE = 0.05
OWN = "Yellow parts fit {} more than they fit the average {} of this index; dark blue parts do not."
WITHIN = "Yellow marks the parts of this {1} that fit {0} best, dark blue those that fit it least."
QUOTED = 80  # characters of a query that a sentence repeats
NAMED, STANDS_OUT = 3, 0.25  # words that are named, and the share of the score that they must make
SEEN = 0.1  # share of the deepest shade that is seen as one
MEANT = {
    Metric.COSINE: "1 − distance",
    Metric.IP: "the distance without its sign",
    Metric.L2: "q·v of distance² = |q|² + |v|² − 2 q·v",
}


@st.dialog("Why was this found?", width="medium", on_dismiss="rerun")  # so that the page knows it is closed
def show(searcher: Index, query: AnyQuery, hit: Hit) -> None:
    """Explain a hit in a dialog, computed now, while it opens."""
    with calm():
        asked = f'<span class="es-label">You asked for</span> {_asked(searcher, query)}'
        meaning = f'<div class="es-head">{cards.chip(hit.label)}{cards.said(hit)}</div>'
        st.html(f'<div class="es-why"><p>{asked}</p>{meaning if hit.label else ""}</div>')
        with st.spinner("Computing the score of each part …"):
            made = searcher.explain(query, hit)
        if made.columns:
            st.html(f'<div class="es-why">{_columns(made)}</div>')
            return
        if made.drawn is not None:
            _image(hit, made, query)
        else:
            _text(hit, made)
        st.html(f'<div class="es-why">{_sum(made)}</div>')


def _asked(searcher: Index, query: AnyQuery) -> str:
    """Return the HTML of what was asked, in a line."""
    if isinstance(query, Query):
        signs = ("−" if part.weight < 0 else "+" if place else "" for place, part in enumerate(query.terms))
        parts = (_asked(searcher, as_single(part.query)) for part in query.terms)
        return " ".join(f"{sign} {part}".strip() for sign, part in zip(signs, parts, strict=True))
    if isinstance(query, Row):
        return f"“{_short(str(query))}”"
    if isinstance(query, Text):
        return f"“{_short(query.text)}”"
    if isinstance(query, Word) and isinstance(query.word, int):
        spans = searcher.queries.words(query.sentence)
        start, end = spans[query.word - 1]
        left, right = query.sentence[max(0, start - QUOTED // 2) : start], query.sentence[end:][: QUOTED // 2]
        word = f"<mark>{html.escape(query.sentence[start:end])}</mark>"
        return f"“{html.escape(left)}{word}{html.escape(right)}”"
    if isinstance(query, MoreLike):
        return f"more like “{_short(cards.title(searcher.item(query.id)))}”"
    return "your sound" if isinstance(query, Sound) else "your image"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return html.escape(text if len(text) <= QUOTED else text[: QUOTED - 1].rstrip() + "…")


def _image(hit: Hit, made: Explanation, query: AnyQuery) -> None:
    assert made.drawn is not None
    image = overlay(image_of(hit), made.drawn, made.box)
    with st.container(key="es-why-image"):
        st.image(image, alt=f"Heat over {cards.title(hit)}", width="stretch")
    left, top, right, bottom = made.box
    whole = min(left, top) <= 0.01 and max(1 - right, 1 - bottom) <= 0.01
    asked = "your query"
    if isinstance(query, Text) and len(query.text) <= QUOTED:
        asked = f"“{_short(query.text)}”"
    said = WITHIN if made.typical is None else OWN
    st.html(
        f'<div class="es-why">{_colours()}<p>{said.format(asked, made.kind)}</p>'
        + ("" if whole else "<p>The model does not see the dark edges.</p>")
        + "</div>"
    )


def _columns(made: Explanation) -> str:
    """Return the HTML of a row's columns: both values, a bar of how far apart they are, and a mark."""
    most = max((max(abs(each.apart), abs(each.typical)) for each in made.columns), default=0.0) or 1.0
    shown = []
    for column in made.columns:
        values = [_value(each) for each in (column.asked, column.held) if each is not None]
        far = " es-far" if column.apart > column.typical else ""
        shown.append(
            f"<dt>{html.escape(column.name)}</dt><dd>{' → '.join(values)}"
            f'<span class="es-apart{far}" title="{column.apart:.4f}, in random pairs {column.typical:.4f}">'
            f'<i style="width:{100 * max(column.apart, 0) / most:.1f}%"></i>'
            f'<b style="left:{100 * max(column.typical, 0) / most:.1f}%"></b></span></dd>'
        )
    about = (
        "A short bar means that the two are near in this column. The mark shows two random rows of the table "
        "on average. The columns that bring the two together come first."
    )
    rows = "".join(
        _row(each.name, each.apart, f"{each.typical:.4f} in random pairs") for each in made.columns
    )
    meant = "distance²" if made.metric is Metric.L2 else "distance"
    rows += f'<tr class="es-total"><th>together</th><td>{made.score:.4f} = {meant}</td></tr>'
    rows += _row("distance", made.stored)
    summary = "<summary>How the numbers add up</summary>"
    return (
        f'<dl class="es-columns">{"".join(shown)}</dl><p>{about}</p>'
        f'<details class="es-sum">{summary}<table>{rows}</table></details>'
    )


def _value(value: str) -> str:
    return _short(value) if value else "<small>missing</small>"


def _colours() -> str:
    """Return the HTML of the heat's colours from least to most."""
    ends = ", ".join(f"rgb({red} {green} {blue}) {at:.0%}" for at, red, green, blue, _ in RAMP)
    return (
        '<div class="es-heat" aria-hidden="true"><span>fits least</span>'
        f'<i style="background: linear-gradient(to right, {ends})"></i><span>fits best</span></div>'
    )


def _text(hit: Hit, made: Explanation) -> None:
    text = hit.text or ""
    shown = f'<p class="es-shaded">{_shaded(text, made.words)}</p>'
    about = f"<p>{_most(made.words)}The stronger a word is shaded, the more it adds to the score.</p>"
    if made.kind == "word":
        shown = f'<p class="es-shaded">{_shaded(text, made.neighbours, hit.span)}</p>'
        about = (
            "<p>The framed word is compared, in its sentence. The stronger a word around it is shaded, the "
            "more the score falls without that word.</p>"
        )
        for head, only in (("Only in this sentence", made.only_here), ("Only in yours", made.only_asked)):
            if only:
                about += f"<p><small>{head}: {html.escape(', '.join(only))}</small></p>"
    if _against(made.neighbours if made.kind == "word" else made.words):
        about += "<p>Red words lower the score.</p>"
    st.html(f'<div class="es-why">{shown}{about}</div>')


def _most(parts: Sequence[Part]) -> str:
    """Return the HTML of a sentence that names the words which add most; nothing where none stands out."""
    sums: dict[str, float] = {}
    names: dict[str, str] = {}  # as the text writes them first
    for part in parts:
        if any(letter.isalnum() for letter in part.text):
            word = part.text.strip()
            names.setdefault(word.casefold(), word)
            sums[word.casefold()] = sums.get(word.casefold(), 0.0) + part.score
    best = sorted(sums, key=lambda word: -sums[word])[:NAMED]
    total, named = sum(part.score for part in parts), sum(sums[word] for word in best)
    if len(sums) <= NAMED or total <= 0 or named < STANDS_OUT * total:
        return ""
    share = "Most" if named > total / 2 else f"{100 * named / total:.0f}\u00a0%"
    return f"{share} of the match comes from <b>{html.escape(', '.join(names[word] for word in best))}</b>. "


def _against(parts: Sequence[Part]) -> bool:
    """Whether some words make the score smaller by so much that their shade is seen."""
    most = max((abs(part.score) for part in parts), default=0.0)
    return any(-part.score >= SEEN * max(most, LITTLE) for part in parts)


def _shaded(text: str, parts: tuple[Part, ...], framed: tuple[int, int] | None = None) -> str:
    """Return the HTML of a text whose parts are shaded by their scores, the greatest fully."""
    # what a word around another one does is often next to nothing, and is not to look like much
    most = max([abs(part.score) for part in parts] + ([LITTLE] if framed else [])) or 1.0
    pieces, at = [], 0
    marks = [(part.span, part.score) for part in parts if part.span] + ([(framed, None)] if framed else [])
    for (start, end), score in sorted(marks, key=lambda mark: mark[0]):
        pieces.append(html.escape(text[at:start]))
        at = max(at, end)
        word = html.escape(text[start:end])
        if score is None:
            pieces.append(f'<mark class="es-framed">{word}</mark>')
        else:
            against = ' class="es-against"' if score < 0 else ""
            share = round(65 * abs(score) / most)
            pieces.append(f'<mark{against} style="--share: {share}%" title="{score:+.4f}">{word}</mark>')
    tail = html.escape(text[at:])
    return "".join(pieces) + (tail if framed else f'<span class="es-unread">{tail}</span>')


def _sum(made: Explanation) -> str:
    """Return the HTML of how the parts add up to the distance."""
    rest = "".join(_row(part.text, part.score) for part in made.rest)
    if made.grid is not None:
        many = f"{made.grid.size} patches" if made.grid.size > 1 else "one patch"
        rows = _row(many if made.typical is not None else f"{many}, each alone", float(made.grid.sum()))
    else:
        total = sum(part.score for part in made.words)
        rows = _row("the word" if made.kind == "word" else f"{len(made.words)} words and signs", total)
    head, answer = "together", f"{made.score:.4f} {'=' if made.exact else '≈'}"
    if not made.exact or f"{made.score:.4f}" != f"{made.similarity:.4f}":
        answer += f" {made.similarity:.4f},"
    if made.grid is not None and made.typical is None:  # patches on their own, which add up to nothing
        head, answer = "the whole image", f"{made.similarity:.4f} ="
    rows += rest + f'<tr class="es-total"><th>{head}</th><td>{answer} {MEANT[made.metric]}</td></tr>'
    kept = cards.number(made.stored)
    same = kept == cards.number(made.recomputed)
    rows += _row("distance", made.recomputed, f"computed now{', as' if same else f'; {kept}'} in the index")
    note = f'<p class="es-quiet">{html.escape(made.note)}</p>' if made.note else ""
    summary = "<summary>How the numbers add up</summary>"
    return note + f'<details class="es-sum">{summary}<table>{rows}</table></details>{_numbers(made)}'


def _numbers(made: Explanation) -> str:
    """Return the HTML of all words with their numbers, folded; a shade alone is not for everybody."""
    parts = made.neighbours or made.words
    if made.grid is not None or not parts:
        return ""
    rows = "".join(_row(part.text, part.score) for part in sorted(parts, key=lambda part: -part.score))
    return f"<details><summary>The number of each word</summary><table>{rows}</table></details>"


def _row(name: str, number: float, more: str = "") -> str:
    said = f" <small>{html.escape(more)}</small>" if more else ""
    return f"<tr><th>{html.escape(name)}</th><td>{cards.number(number)}{said}</td></tr>"
