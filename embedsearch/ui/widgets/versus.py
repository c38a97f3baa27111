"""The answers of two indexes to one query, side by side: lines join what both found."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import streamlit as st
from streamlit.components.v2 import component

from embedsearch.analysis.side_by_side import SideBySide, fits, side_by_side
from embedsearch.index import Index
from embedsearch.query import AnyQuery, SearchOptions, Tree
from embedsearch.results import Hit, Results
from embedsearch.store.manifest import Manifest
from embedsearch.ui import asset, url_state
from embedsearch.ui.cached import Opened
from embedsearch.ui.url_state import Asked, short
from embedsearch.ui.widgets import cards, query_input, share
from embedsearch.ui.widgets.notes import literal, show_notices

OTHER, KEY, DID = "search-versus", "search-versus-hits", "did"
ALONE = "No other index"
MOST = 50  # hits of each index
ROW = 100  # of the lines' own units


def choose(known: Mapping[str, Manifest | None], searcher: Index, query: AnyQuery, asked: Asked) -> str:
    """Show the list of indexes that can be asked the same; return the chosen one, empty for none."""
    left = searcher.manifest
    others = [name for name, each in known.items() if each and fits(left, each, query)]
    if asked.versus and asked.versus not in others:
        show_notices((f"The index {asked.versus!r:.80} can't be asked the same, so it is not shown beside.",))
    if not others:
        return ""

    chosen = asked.versus if asked.versus in others else ""
    key = url_state.in_menu(OTHER, chosen or ALONE)

    def changed() -> None:
        other = st.session_state[key]
        url_state.change({"index": left.name, "versus": "" if other == ALONE else other})

    label = f"Side by side with {literal(short(chosen))}" if chosen else "Side by side"
    with st.popover(label, icon=":material/compare_arrows:"):
        st.radio(
            "Ask another index the same, to see what its model, pooling or layers change",
            [ALONE, *others],
            key=key,
            format_func=literal,
            on_change=changed,
        )
    return chosen


def show(
    opened: Opened, other: Opened, query: AnyQuery, asked: Asked, where: Tree | None, spelled: str
) -> None:
    """Ask both indexes, and show how far they agree, and their hits; `spelled` is the filter as text."""
    left, right = opened.searcher, other.searcher
    options = SearchOptions(min(asked.count, MOST), where, fold=asked.fold, by=asked.by)
    with st.spinner("Searching in both …"):
        found = side_by_side(left, right, query, options)
    show_notices(found.notes)
    with st.container(key="es-count"):
        st.html(f'<p class="es-quiet es-announced">{html.escape(found.sentence)}</p>')
    with st.container(horizontal=True, vertical_alignment="center", key="es-order"):
        share.show(left, share.of_both(left, right, query, options, spelled, found))
    st.html(_differs(left.manifest, right.manifest, found))
    if not found.depth:
        return
    drawn = _drawn(left.manifest, right.manifest, found)
    acted = partial(_act, left, right, found)
    _mount()(key=KEY, data={"html": drawn}, on_did_change=acted)


def _differs(left: Manifest, right: Manifest, found: SideBySide) -> str:
    """Return the HTML of what the two indexes differ in."""
    rows = "".join(
        f'<tr><th scope="row">{html.escape(name)}</th><td>{html.escape(a)}</td><td>{html.escape(b)}</td></tr>'
        for name, a, b in found.differs
    )
    heads = "".join(f'<th scope="col">{html.escape(each.name)}</th>' for each in (left, right))
    return (
        '<table class="es-differs"><caption class="es-unseen">What the two indexes differ in</caption>'
        f"<thead><tr><td></td>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    )


def _drawn(left: Manifest, right: Manifest, found: SideBySide) -> str:
    """Return the HTML of both lists, and of the lines between them."""
    there, back = dict(found.pairs), {b: a for a, b in found.pairs}
    lines = "".join(
        f'<line data-left="{a}" data-right="{b}" x1="0" y1="{ROW * a + ROW // 2}" x2="{ROW}" '
        f'y2="{ROW * b + ROW // 2}"/>'
        for a, b in found.pairs
    )
    return (
        f"{_side('left', left, found.left, there, right.name)}"
        f'<svg class="es-lines-between" aria-hidden="true" preserveAspectRatio="none" '
        f'style="--rows: {found.depth}" viewBox="0 0 {ROW} {ROW * found.depth}">{lines}</svg>'
        f"{_side('right', right, found.right, back, left.name)}"
    )


def _side(side: str, manifest: Manifest, results: Results, other: Mapping[int, int], beside: str) -> str:
    hits = "".join(_hit(side, at, hit, other.get(at), beside) for at, hit in enumerate(results))
    name = html.escape(manifest.name, quote=True)
    return (
        f'<section class="es-side"><h2 class="es-h">{name}</h2>'
        f'<ol aria-label="Hits of {name}">{hits}</ol></section>'
    )


def _hit(side: str, at: int, hit: Hit, other: int | None, beside: str) -> str:
    """Return the HTML of a hit: its rank, what it is, its distance, and its rank in the other index."""
    name = html.escape(short(cards.title(hit)), quote=True)
    image = cards.image(hit) if cards.is_image(hit) else ""
    beside = html.escape(beside, quote=True)
    if other is None:
        mark = '<b class="es-only">only here</b>'
    else:
        move = at - other
        sign = f"{'▲' if move < 0 else '▼'}{abs(move)}" if move else "="
        mark = (
            f'<span title="Rank {other + 1} in {beside}" aria-hidden="true">{sign}</span>'
            f'<span class="es-unseen">rank {other + 1} in {beside}</span>'
        )
    return (
        f'<li class="es-beside{" es-alone" if other is None else ""}" data-side="{side}" data-at="{at}">'
        f'<span class="es-rank">{hit.rank}</span>{image}<div><p>{_shown(hit)}</p>'
        f'<small><span class="es-far">{hit.distance:.4f}</span> {mark}</small></div>'
        f'<button type="button" data-act="like" title="Find what is near this one, in both">'
        f'<span aria-hidden="true">≈</span><span class="es-unseen">More like {name}</span></button></li>'
    )


def _shown(hit: Hit) -> str:
    """Return the HTML of what a hit is in a few lines, its word marked."""
    if hit.text is None or not hit.span:
        return html.escape(cards.title(hit)[:300])
    start, end = hit.span
    before, word, after = (
        html.escape(each) for each in (hit.text[:start], hit.text[start:end], hit.text[end:])
    )
    return f"{before}<mark>{word}</mark>{after}"


def _act(left: Index, right: Index, found: SideBySide) -> None:
    """Ask for more like a hit; one that only the right index has is asked of that one first."""
    did = st.session_state[KEY].get(DID)
    at = did.get("at") if isinstance(did, dict) else None
    results = found.left if isinstance(did, dict) and did.get("side") == "left" else found.right
    if not isinstance(at, int) or not 0 <= at < len(results):
        return
    hit = results[at]
    if left.build.row_of(hit.id) is not None:
        query_input.like(left.manifest.name, hit.id)
        return
    query_input.like(right.manifest.name, hit.id)
    lost = url_state.of_index(url_state.parameters())  # they mean items and fields of the left index
    url_state.change({**lost, "item": hit.id, "versus": left.manifest.name})


@partial(st.cache_resource, show_spinner=False)
def _mount() -> Callable[..., Any]:
    script = asset("versus.js")
    return component(
        "embedsearch.versus", html='<div class="es-besides"></div>', js=script, isolate_styles=False
    )
