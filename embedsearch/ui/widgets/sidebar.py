"""The sidebar of the Search page: facts of the index, the number of results, and filters by field."""

from __future__ import annotations

import html
from collections.abc import Sequence

import streamlit as st

from embedsearch.crossmodal import summary
from embedsearch.modalities import UNITS, good_for
from embedsearch.query import MODES
from embedsearch.store.facts import LexicalFacts
from embedsearch.store.manifest import Manifest
from embedsearch.ui import url_state
from embedsearch.ui.cached import Opened
from embedsearch.ui.url_state import COUNT, FIELD, Asked
from embedsearch.ui.widgets import cards
from embedsearch.ui.widgets.filters import Choice, Dates, Facet, Range, days, ends
from embedsearch.ui.widgets.notes import literal

COUNTED, FOLD, BY, MODE, WHERE = "search-count", "search-fold", "search-by", "search-mode", "search-where"
SEARCHED = {"vector": "Vectors", "lexical": "Words", "hybrid": "Vectors and words"}
COUNTS = (6, COUNT, 24, 48, 96, 192)


def show(opened: Opened, asked: Asked, index: str) -> tuple[str, ...]:
    """Show the sidebar.

    Returns:
        A sentence for each filter in the address that does not fit the index.
    """
    _facts(opened)
    row, build = UNITS[opened.searcher.manifest.unit], opened.searcher.build
    _results(asked, index, (row.part or row.unit) if build.records is not None else "")
    if (lexical := opened.searcher.manifest.artifacts.lexical) is not None:
        _mode(lexical, asked, index)
    st.subheader("Filter", anchor=False)
    _where(opened, asked, index)
    for facet in opened.facets:
        key = f"search-{index}-{facet.field}"
        if isinstance(facet, Range):
            _slide(facet, asked.facets.get(facet.field, ()), key, index)
        elif isinstance(facet, Dates):
            _between(facet, asked.facets.get(facet.field, ()), key, index)
    return _unknown(opened.facets, asked)


def _facts(opened: Opened) -> None:
    manifest, crossmodal = opened.searcher.manifest, opened.searcher.crossmodal
    report, measured, scale = manifest.report, manifest.artifacts.scale, opened.searcher.build.scale
    rejected, passed, unknown = report.rejected, report.passed, report.unknown
    rows = {
        "holds": opened.searcher.build.held,
        "model": manifest.encoder.spec.model.rstrip("/").rpartition("/")[2],
        **({"good for": good} if (good := good_for(manifest.unit, manifest.encoder.spec.model)) else {}),
        "distance": f"{manifest.metric}, centred" if manifest.centring else manifest.metric,
        "search": _search(manifest),
        **({f"by {crossmodal.asks}": summary(crossmodal, manifest)} if crossmodal else {}),
        **({"verdict": scale.rates or "none"} if scale and measured and measured.background else {}),
        "built": manifest.created[:10],
        **({"rejected": f"{rejected:,} records"} if rejected else {}),
        **({"passed over": passed} if passed else {}),
        **({"source": " ".join(report.notes)} if report.notes else {}),
        **({"unknown": f"more than a third of {unknown:,} texts"} if unknown else {}),
    }
    listed = "".join(f"<dt>{name}</dt><dd>{_unbroken(value)}</dd>" for name, value in rows.items())
    st.subheader(literal(manifest.name), anchor=False)
    with st.container(key="es-about-index"):
        st.html(
            f'<dl class="es-facts" title="{html.escape(cards.METRIC_HELP[manifest.metric])}">{listed}</dl>'
        )


def _unbroken(value: str) -> str:
    """Return a text as HTML, each percent sign on the line of its number."""
    return html.escape(value).replace(" %", "\u00a0%")


def _search(manifest: Manifest) -> str:
    """Return how the index is searched, and which share of what is nearest it was measured to find."""
    if not manifest.index.queries:
        return "exact" if manifest.backend == "exact" else f"{manifest.backend}, exact"
    return f"{manifest.backend}, finds {manifest.index.recall:.1%} of the 10 nearest"


def _results(asked: Asked, index: str, grouped: str) -> None:
    """Show how many results there are, and of which kind.

    Args:
        asked: what the address asks for.
        index: the index's name.
        grouped: what one of several items of a record is called; empty where each item is a record.
    """

    def changed() -> None:
        count = st.session_state[COUNTED]
        url_state.change({"index": index, "k": "" if count == COUNT else str(count)})

    url_state.follow(COUNTED, asked.count)
    st.select_slider("Number of results", sorted({*COUNTS, asked.count}), key=COUNTED, on_change=changed)

    def switched() -> None:
        url_state.change({"index": index, "fold": "" if st.session_state[FOLD] else "no"})

    url_state.follow(FOLD, asked.fold)
    st.toggle(
        "Fold copies", key=FOLD, on_change=switched, help="Show items with the same content as one result."
    )
    if not grouped:
        return

    def listed() -> None:
        url_state.change({"index": index, "by": "passage" if st.session_state[BY] else ""})

    url_state.follow(BY, asked.by == "passage")
    st.toggle(
        f"Each {grouped}",
        key=BY,
        on_change=listed,
        help=f"Show every {grouped} that is near, not only the nearest one of each item.",
    )


def _mode(facts: LexicalFacts, asked: Asked, index: str) -> None:
    """Show by what a text is searched for; the default of the index stands in no address."""

    def changed() -> None:
        mode = st.session_state[MODE]
        url_state.change({"index": index, "mode": "" if mode == facts.mode else mode})

    url_state.follow(MODE, asked.mode or facts.mode)
    st.selectbox(
        "Search by",
        MODES,
        key=MODE,
        format_func=lambda mode: SEARCHED[mode],
        on_change=changed,
        help="Vectors find what is meant, words find names and numbers as they are written.",
    )


def _slide(facet: Range, values: Sequence[str], key: str, index: str) -> None:
    def changed() -> None:
        low, high = st.session_state[key]
        whole = (low, high) == (facet.low, facet.high)
        url_state.change({"index": index, FIELD + facet.field: "" if whole else f"{low!r}..{high!r}"})

    url_state.follow(key, ends(facet, values))
    st.slider(
        literal(facet.field),
        int(facet.low) if facet.whole else facet.low,
        int(facet.high) if facet.whole else facet.high,
        step=int(facet.step) if facet.whole else facet.step,
        key=key,
        on_change=changed,
    )


def _between(facet: Dates, values: Sequence[str], key: str, index: str) -> None:
    def changed() -> None:
        low, high = st.session_state[key]
        whole = (low, high) == (facet.low, facet.high)
        url_state.change({"index": index, FIELD + facet.field: "" if whole else f"{low}..{high}"})

    url_state.follow(key, days(facet, values))
    st.slider(literal(facet.field), facet.low, facet.high, format="YYYY-MM-DD", key=key, on_change=changed)


def _where(opened: Opened, asked: Asked, index: str) -> None:
    fields = opened.searcher.build.field_types
    if not fields:
        st.html('<p class="es-quiet">The items of this index have no fields.</p>')
        return

    def changed() -> None:
        url_state.change({"index": index, "where": st.session_state[WHERE] or ""})

    url_state.follow(WHERE, asked.where)
    st.text_input(
        "Condition",
        key=WHERE,
        placeholder=_sample(opened.facets, next(iter(fields))),
        help=literal(
            "Comparisons, IN, BETWEEN, IS NULL, AND, OR and NOT over the fields "
            + ", ".join(fields)
            + ". Texts go in single quotes."
        ),
        on_change=changed,
    )


def _sample(facets: Sequence[Facet], field: str) -> str:
    """Return a condition that fits the index, as an example of how to write one."""
    for facet in facets:
        if isinstance(facet, Choice) and not facet.truth:
            return f"{facet.field} = '{next(iter(facet.options))}'"
        if isinstance(facet, Range):
            return f"{facet.field} > {facet.low:g}"
    return f"{field} is not null"


def _unknown(facets: Sequence[Facet], asked: Asked) -> tuple[str, ...]:
    known = {facet.field: facet for facet in facets}
    problems: list[str] = []
    for field, values in asked.facets.items():
        facet = known.get(field)
        if facet is None:
            problems.append(
                f"The address filters by {field!r}, which this page does not offer; it is ignored."
            )
        elif isinstance(facet, Choice):
            lost = [value for value in values if value not in facet.options]
            if lost:
                problems.append(f"No item has {field} = {lost[0]!r}; the filter ignores it.")
    return tuple(problems)
