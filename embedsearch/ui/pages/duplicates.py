"""The Duplicates page: groups of copies in one index, and which one of each to keep."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path

import streamlit as st

from embedsearch.analysis.duplicates import AUTO, KEEP, Duplicates, Group
from embedsearch.analysis.same_image import ImageCheck, Pixels, difference
from embedsearch.analysis.same_text import differing
from embedsearch.distances.metric import Metric
from embedsearch.index import Index
from embedsearch.modalities import UNITS, Card, modality_of
from embedsearch.records import Span, Unit
from embedsearch.results import Hit
from embedsearch.store.folders import indexes_folder
from embedsearch.store.manifest import Manifest
from embedsearch.ui import url_state
from embedsearch.ui.cached import (
    duplicate_finder,
    duplicates,
    first_index,
    manifests,
    open_index,
    with_copies,
)
from embedsearch.ui.widgets import cards, query_input
from embedsearch.ui.widgets.notes import calm, show_notices
from embedsearch.ui.widgets.progress import Bar

KIND, KEPT, THRESHOLD, PAGE, INDEX = (
    f"duplicates-{name}" for name in ("kind", "keep", "within", "page", "index")
)
ROWS = 20  # groups a page
SHOWN = 12  # members of a group
# items that are compared without being asked for; of a video one frame is, of a sound one window
AT_ONCE = dict.fromkeys(Card, 100_000) | {Card.IMAGE: 3000}
DIFFERENT = 3  # images of a group whose difference is shown
STEPS = 40  # of the slider, up to twice the automatic threshold


def duplicates_page() -> None:
    """Show the page for what the address asks."""
    indexes = indexes_folder()
    said = {name: values[-1] for name, values in url_state.parameters().items() if values}
    with calm():
        st.html('<h1 class="es-h">What appears more than once?</h1>')
        known = with_copies(manifests(indexes))
        if not known and not said.get("index"):
            st.html(
                '<p class="es-about">This page finds copies among images and whole texts. There is no index '
                "of either here yet.</p>"
            )
            st.code("embedsearch build ~/Pictures --name images", language="bash")
            return
        name = said.get("index") or first_index(known)
        choose, about = st.columns([1, 3], vertical_alignment="top")
        with choose:
            _choose_index(known, name)
        searcher = open_index(indexes, name).searcher
        finder = duplicate_finder(searcher)
        with about:
            if (
                len(searcher) > AT_ONCE[modality_of(searcher.manifest.unit).card]
                and not finder.compared
                and not _asked(len(searcher))
            ):
                return
            with Bar() as bar:
                automatic = finder.usual.threshold
                finder.compare(2 * automatic, bar)
                finder.check_nearest(bar)
            threshold, keep = _settings(searcher, said, automatic)
        with st.container(key="es-grouping"), st.spinner("Grouping what was found …"):
            found = duplicates(finder, AUTO if threshold is None else threshold, keep)
        _show(searcher, found, said)


def _choose_index(known: dict[str, Manifest], name: str) -> None:
    def label(each: str) -> str:
        return query_input.index_label(each, UNITS[known[each].unit].plural)

    def changed() -> None:
        left = url_state.of_index(url_state.parameters())
        url_state.change({**left, "index": st.session_state[INDEX] or ""})

    url_state.follow(INDEX, name if name in known else None)
    st.selectbox("Index", list(known), format_func=label, key=INDEX, on_change=changed)


def _asked(count: int) -> bool:
    """Offer to compare many items; return whether the button was clicked."""
    st.html(f'<p class="es-quiet">Comparing {count:,} items with their neighbours takes a while.</p>')
    return st.button("Look for copies", icon=":material/content_copy:", type="primary")


def _settings(searcher: Index, said: dict[str, str], automatic: float) -> tuple[float | None, str]:
    """Show the threshold and what to keep; return both, the threshold None for the automatic one."""
    within, keep = st.columns([3, 2], gap="medium")
    steps = {str(step): step / STEPS * 2 * automatic for step in range(STEPS + 1)}
    middle = str(STEPS // 2)
    asked = said.get("within", "")
    problems: tuple[str, ...] = ()
    if asked and asked not in steps:
        problems = (
            f"The address says within={asked[:40]}, which is not a step of the slider; it is ignored.",
        )
        asked = ""

    key = f"{THRESHOLD}-{searcher.manifest.name}"  # a step means another distance in another index

    def moved() -> None:
        step = st.session_state[key]
        url_state.change({"within": "" if step == middle else step, "page": ""})

    def label(step: str) -> str:
        return f"{cards.number(steps[step])}{' (automatic)' if step == middle else ''}"

    with within:
        url_state.follow(key, asked or middle)
        st.select_slider(
            f"“{modality_of(searcher.manifest.unit).alike}” lie within",
            list(steps),
            format_func=label,
            key=key,
            on_change=moved,
            help=cards.METRIC_HELP[searcher.manifest.metric]
            + " The automatic threshold is derived from how far items of this index usually lie apart.",
        )
    with keep:
        chosen = _choose_kept(searcher.manifest.unit, said.get("keep", ""))
    show_notices(problems)
    return (steps[asked] if asked else None), chosen


def _choose_kept(unit: Unit, asked: str) -> str:
    keep = asked if asked in KEEP else KEEP[0]

    def changed() -> None:
        chosen = st.session_state[KEPT] or KEEP[0]
        url_state.change({"keep": "" if chosen == KEEP[0] else chosen})

    labels = {"best": modality_of(unit).largest, "first": "the first"}
    url_state.follow(KEPT, keep)
    st.segmented_control(
        "Keep from each group",
        list(KEEP),
        format_func=labels.__getitem__,
        key=KEPT,
        required=True,
        on_change=changed,
    )
    return keep


def _show(searcher: Index, found: Duplicates, said: dict[str, str]) -> None:
    by_kind = {"near": found.near, "exact": found.exact}
    if found.checked:
        by_kind["similar"] = found.similar
    others = found.others()
    unit = searcher.manifest.unit
    modality = modality_of(unit)
    with st.container(
        horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", key="es-kinds"
    ):
        kind = _choose_kind(by_kind, said.get("kind", ""), _kinds(unit, found.checked))
        if others:
            st.download_button(
                f"List of the {len(others):,} not kept",
                "\n".join(others) + "\n",
                file_name=f"{found.index}-copies.txt",
                mime="text/plain",
                icon=":material/download:",
                help="Their ids, one per line. This page deletes nothing.",
                key="duplicates-list",
            )
    groups = by_kind[kind]
    if found.lacks and kind == "near":
        st.info(
            "The second check is off: these are judged by the model alone, which sees the middle of an image "
            f"and little fine detail. To compare pixels: `{found.lacks}`",
            icon=":material/extension_off:",
        )
    if not groups:
        which = {
            "exact": "have the same content",
            "near": "are near copies" if found.checked else "are this close",
            "similar": "are this close without being copies",
        }[kind]
        st.info(f"No two {UNITS[unit].plural} {which}.", icon=":material/check_circle:")
        return
    if kind == "near" and modality.caution:
        with st.container(key="es-caution"):
            st.html(f'<p class="es-quiet">{modality.caution}</p>')
    page = _page(len(groups), said.get("page", ""))
    st.html(f'<p class="es-unseen es-announced">{_count(len(groups), page)}</p>')
    with st.container(key=f"es-groups-{modality.card}"):
        for place, group in enumerate(groups[(page - 1) * ROWS : page * ROWS]):
            _group(searcher, group, found.metric, place)
    _turn(len(groups), page)


def _kinds(unit: Unit, checked: bool) -> dict[str, str]:
    """Return what the kinds of groups are called."""
    alike = modality_of(unit).alike
    if not checked:
        return {"near": alike, "exact": "Exact copies"}
    return {"near": "Near copies", "exact": "Exact copies", "similar": alike}


def _choose_kind(by_kind: Mapping[str, Sequence[Group]], asked: str, kinds: Mapping[str, str]) -> str:
    fallback = "near" if by_kind["near"] or not by_kind["exact"] else "exact"
    kind = asked if asked in kinds else fallback

    def changed() -> None:
        url_state.change({"kind": st.session_state[KIND] or "", "page": ""})

    def label(each: str) -> str:
        return f"{kinds[each]} ({len(by_kind[each]):,})"

    url_state.follow(KIND, kind)
    st.segmented_control(
        "Which copies",
        list(kinds),
        format_func=label,
        key=KIND,
        required=True,
        on_change=changed,
        label_visibility="collapsed",
    )
    return kind


def _group(searcher: Index, group: Group, metric: Metric, place: int) -> None:
    members = group.members[:SHOWN]
    hits = searcher.items([each.row for each in members], [each.distance for each in members])
    marks = _marks(hits) if not group.exact else {}
    tie = "The same content" if group.exact else f"{cards.number(group.distance)} apart"
    more = f", the first {SHOWN} shown" if len(group.members) > SHOWN else ""
    form = "pair" if len(members) == 2 else "row"
    with st.container(border=True, key=f"es-{form}-{place}"):
        st.html(f'<p class="es-quiet">{tie} · {len(group.members):,} items{more}</p>')
        with st.container(key=f"es-members-{modality_of(searcher.manifest.unit).card}-{place}"):
            for number, hit in enumerate(hits):
                _member(
                    hit, group.exact, metric, f"{place}-{number}", marks.get(number, ()), kept=number == 0
                )
        if not group.exact:
            _show_differences(searcher, hits, place)


def _marks(hits: Sequence[Hit]) -> dict[int, Sequence[Span]]:
    """Return what to mark in texts: in each what the kept one lacks, in the kept one what the next lacks."""
    texts = [hit.text for hit in hits]
    if any(text is None for text in texts):
        return {}
    found = [differing(texts[0] or "", text or "") for text in texts[1:]]
    return {0: found[0][0], **{number: its for number, (_, its) in enumerate(found, start=1)}}


def _show_differences(searcher: Index, hits: Sequence[Hit], place: int) -> None:
    """Show where the pixels of images differ from those of the kept one, in red."""
    if not cards.is_image(hits[0]) or hits[0].moment is not None or ImageCheck.lacks():
        return
    rows = [hit.row for hit in hits[: DIFFERENT + 1]]
    shown = [
        each
        for row in rows[1:]
        if (each := _difference(searcher.build.folder, rows[0], row, searcher)) is not None
    ]
    if shown:
        with st.expander("What differs", key=f"es-differs-{place}"):
            st.image(shown, width=200, caption=["red: differs"] * len(shown))


@st.cache_data(max_entries=200, show_spinner=False)
def _difference(build: Path, kept: int, row: int, _searcher: Index) -> Pixels | None:  # noqa: ARG001
    one, other = (hit.content for hit in _searcher.items([row, kept], [0.0, 0.0]))
    return None if one is None or other is None else difference(one, other)


def _member(hit: Hit, exact: bool, metric: Metric, key: str, marks: Sequence[Span], *, kept: bool) -> None:
    if kept:
        tie = '<span class="es-keep">keep</span>'
    elif exact:
        tie = '<span class="es-distance">the same</span>'
    else:
        tie = (
            f'<span class="es-distance" title="{html.escape(cards.METRIC_HELP[metric])}">'
            f"{cards.number(hit.distance)}</span>"
        )
    with st.container(key=f"es-copy-{key}"):
        if cards.is_image(hit):
            st.html(cards.image(hit))
            name = html.escape(hit.id[: cards.VALUE])
            said = f'<p class="es-id" title="{name}">{name}</p>'
        else:
            said = cards.text(hit, marks)
        st.html(f'<div class="es-body"><div class="es-head">{tie}</div>{said}</div>')


def _count(groups: int, page: int) -> str:
    """Return what is announced of the groups."""
    shown = "" if groups <= ROWS else f", page {page} of {-(-groups // ROWS)}"
    return f"{groups:,} {'group' if groups == 1 else 'groups'}{shown}."


def _page(count: int, asked: str) -> int:
    last = -(-count // ROWS)
    return min(max(int(asked), 1), last) if asked.isdecimal() and len(asked) < 9 else 1


def _turn(count: int, page: int) -> None:
    """Show the way to the other pages, where there are any."""
    last = -(-count // ROWS)
    if last == 1:
        return

    key = f"{PAGE}-{page}-{last}"  # the widget takes its page from the address by being a new one

    def changed() -> None:
        number = st.session_state[key]
        url_state.change({"page": "" if number == 1 else str(number)})

    with st.container(key="es-turn"):
        st.pagination(last, default=page, key=key, on_change=changed, width="stretch")
