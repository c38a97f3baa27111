"""The Search page: an index, a query, its nearest items."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from embedsearch.backends import Rows
from embedsearch.distances.verdict import Verdict
from embedsearch.errors import EmbedsearchError, FilterError, ItemNotFoundError, QueryError
from embedsearch.index import Index
from embedsearch.lexical.terms import Analyzer
from embedsearch.modalities import UNITS, Card, QueryForm, modality_of
from embedsearch.query import AnyQuery, By, MoreLike, SearchOptions, Text, Tree, singles_of
from embedsearch.records import Unit
from embedsearch.results import DISTANCE, Hit, Results, order_sentences
from embedsearch.splitters.words import words
from embedsearch.store.folders import indexes_folder
from embedsearch.store.judged import Judged
from embedsearch.ui import auto_reload, url_state
from embedsearch.ui.cached import Opened, first_index, manifests, open_index
from embedsearch.ui.url_state import Asked, Term
from embedsearch.ui.widgets import (
    area,
    cards,
    facets,
    first_start,
    hits,
    look,
    order,
    query_input,
    row_form,
    share,
    sidebar,
    versus,
    vote,
    weighted_terms,
    why,
)
from embedsearch.ui.widgets.filters import choices, condition, written
from embedsearch.ui.widgets.notes import calm, gone, literal, report, show_notices
from embedsearch.ui.widgets.starters import starters
from embedsearch.ui.widgets.uploads import IMAGE, SOUND, find

EXAMPLES = 12
RERANKED = "search-reranked"  # what was asked, and the results, kept while the page is open
FAR = "Turn off the switch to see the nearest."
DRAWN = 15  # items that queries to start from are drawn from


def search_page() -> None:
    """Show the page for what the address asks."""
    indexes = indexes_folder()
    asked = url_state.parse(url_state.parameters())
    with calm():
        known = manifests(indexes)
        if not known:
            first_start.show(indexes)
            return
        name = asked.index or first_index(known)
        row = st.container(horizontal=True, vertical_alignment="bottom", key="es-ask")
        with row:
            query_input.choose_index(known, name)
        show_notices(asked.problems)
        opened = open_index(indexes, name)
        searcher = opened.searcher
        asked, lost = _there(searcher, asked, indexes)
        with st.sidebar:
            filters = sidebar.show(opened, asked, name)
            values = st.container(key="es-values")  # filled when it is known what was found
        with row:
            query_input.ask(searcher, asked, indexes)
        query_input.pick_word(searcher, asked)
        if UNITS[searcher.manifest.unit].by_columns:
            row_form.show(searcher, asked)
        where, wrong = _filter(opened, asked)
        show_notices((*filters, *lost, *wrong))
        area.show_chosen()
        own = query_input.query(searcher, asked, indexes)
        query_input.show_asked(searcher, asked, own, indexes)
        query = weighted_terms.whole(own, asked, indexes)
        with st.container(horizontal=True, vertical_alignment="center", key="es-terms"):
            weighted_terms.show(searcher, asked, own, indexes)
            other = "" if query is None else versus.choose(known, searcher, query, asked)
        if query is not None:
            if other:
                spelled = written(opened.facets, asked.facets, asked.where)
                versus.show(opened, open_index(indexes, other), query, asked, where, spelled)
            else:
                _answer(opened, query, asked, where, values)
            return
        if asked.terms:
            show_notices((weighted_terms.LACKING,))
        if not any(each and modality_of(each.unit).card is Card.IMAGE for each in known.values()):
            st.html(
                '<p class="es-quiet">To search images as well, index a folder of them: '
                "<code>embedsearch build ~/Pictures --name images</code></p>"
            )
        with values:
            lists = choices(opened.facets)
            counts = facets.passing(searcher, lists, lambda field: _filter(opened, asked, field)[0])
            facets.show(name, lists, asked.facets, counts)
        _examples(opened, asked, where)


def _there(searcher: Index, asked: Asked, indexes: Path) -> tuple[Asked, tuple[str, ...]]:
    """Return what is asked without what is not there any more, and a sentence for each such thing."""
    lost: list[str] = []

    def is_gone(item: str) -> bool:
        try:
            searcher.row(item)
        except ItemNotFoundError:
            lost.append(gone(item))
            return True
        return False

    if asked.item and is_gone(asked.item):
        asked = replace(asked, item="")

    def is_kept(name: str, suffix: str) -> bool:
        try:
            find(name, indexes, suffix)
        except ItemNotFoundError as error:
            lost.append(str(error))
            return False
        return True

    possible = query_input.forms(searcher)

    def is_there(term: Term) -> bool:
        if term.kind == "image":
            return is_kept(term.value, IMAGE)
        return not (term.is_item and is_gone(term.value))

    asked = replace(asked, terms=tuple(term for term in asked.terms if is_there(term)))
    if asked.image and QueryForm.IMAGE in possible and not is_kept(asked.image, IMAGE):
        asked = replace(asked, image="")
    if asked.sound and QueryForm.SOUND in possible and not is_kept(asked.sound, SOUND):
        asked = replace(asked, sound="")
    if asked.word and UNITS[searcher.manifest.unit].form is QueryForm.WORD:
        count = len(words(asked.text))
        if not 1 <= asked.word <= count and asked.text.strip():
            lost.append(f"The sentence has {count} words, so no word {asked.word}. Click the word you mean.")
            asked = replace(asked, word=0)
    if wrong := query_input.misread(searcher, asked):
        lost.append(wrong)
    return asked, tuple(lost)


def _filter(opened: Opened, asked: Asked, but: str = "") -> tuple[Tree | None, tuple[str, ...]]:
    """Return the filter, without a condition that can't be understood, and a sentence that says so.

    What is picked in the field `but` does not count.
    """
    picked = {field: values for field, values in asked.facets.items() if field != but}
    try:
        where = condition(opened.facets, picked, asked.where, opened.searcher.manifest.fields)
        if where is not None:
            opened.searcher.filter(where)
    except FilterError as error:
        why = str(error).rstrip(".")
        return area.within(opened, condition(opened.facets, picked)), (f"{why}. The condition is ignored.",)
    return area.within(opened, where), ()


def _answer(
    opened: Opened, query: AnyQuery, asked: Asked, where: Tree | None, values: DeltaGenerator
) -> None:
    searcher = opened.searcher
    options, problems = order.options(opened, asked)
    worded = searcher.words is not None and isinstance(query, Text)  # the address may be of another query
    options = replace(options, where=where, mode=asked.mode if worded else None)
    with st.spinner("Searching …"):
        placed = [opened.placing.ask(query)]
        (results,) = searcher.search_placed(placed, replace(options, rerank=""))
        clear = results.verdict is Verdict.CLOSE and results.mode != "lexical"
        if asked.close or (asked.close is None and clear):
            options = replace(options, close=True, feedback=False)
            try:
                (results,) = searcher.search_placed(placed, replace(options, rerank=""))
            except QueryError as error:
                problems = (*problems, str(error))
                options = replace(options, close=False)
    show_notices(problems)
    waits = bool(options.rerank)
    if waits and (again := _reranked(searcher, query, options)):
        results, waits = again, False
    if results.hits and results.verdict is Verdict.NOTHING_CLOSE:
        st.info(
            f"**Nothing here is close.** {results.reason} The nearest items are shown anyway.",
            icon=":material/explore_off:",
        )
    vote.show(searcher, results)
    spelled = written(opened.facets, asked.facets, asked.where)

    def shares() -> None:
        wider = replace(options, k=None) if options.close else options
        shared = share.of_search(
            searcher, query, options, spelled, results, lambda: searcher.search_placed(placed, wider)[0]
        )
        share.show(searcher, shared)

    _count(opened, asked, results, where, shares)

    def without(field: str) -> Results:
        wider = replace(options, where=_filter(opened, asked, field)[0], rerank="", facets=[field])
        return searcher.search_placed(placed, wider)[0]

    with values:
        lists = choices(opened.facets)
        counts = facets.found(lists, asked.facets, results, without)
        facets.show(searcher.manifest.name, lists, asked.facets, counts)
    _list(opened, asked, results.hits, query, results)
    look.more(searcher, asked, results, len(_answers(searcher, where, asked.by)))
    if waits:  # the nearest are shown first: re-ranking takes a second or two
        with st.spinner("Re-ranking …"):
            (again,) = searcher.search_placed(placed, options)
        st.session_state[RERANKED] = (_asks(searcher, query, options), again)
        st.rerun()


def _asks(searcher: Index, query: AnyQuery, options: SearchOptions) -> str:
    """Return what a search is known by."""
    return repr((searcher.build.folder, query, options))


def _reranked(searcher: Index, query: AnyQuery, options: SearchOptions) -> Results | None:
    """Return the hits of a query that were re-ranked before; None where that was another."""
    known, results = st.session_state.get(RERANKED, ("", None))
    return results if known == _asks(searcher, query, options) else None


def _count(
    opened: Opened, asked: Asked, results: Results, where: Tree | None, shares: Callable[[], None]
) -> None:
    searcher, found = opened.searcher, results.hits
    total = len(_answers(searcher, where, asked.by))
    of = f"{total:,} that pass the filter" if where else f"{total:,}"
    if not total or not (found or results.close):
        lacks = "No item has a word of the query." if total else "No item passes the filter."
        st.info(lacks, icon=":material/filter_alt:")
        return
    reason = "" if found and results.verdict is Verdict.NOTHING_CLOSE else results.reason
    said = order_sentences(results)[0 if searcher.words is not None else 1 :]
    more = [*said, reason, results.note, cards.METRIC_HELP[results.metric]] if found else [reason, FAR]
    means = html.escape(" ".join(each for each in more if each)).replace(" %", "\u00a0%")
    crossed = html.escape(query_input.crossed(searcher, results.by))
    line = f"{_head(results, of)}. {means}{crossed}"
    if results.truncated:
        limit = searcher.manifest.encoder.spec.max_length
        line += f" Your text is too long: the model reads only its first {limit} tokens."
    with st.container(key="es-count"):
        st.html(f'<p class="es-quiet es-announced">{line}</p>')
    with st.container(horizontal=True, vertical_alignment="center", key="es-order"):
        order.show(opened, asked, results)
        look.show(opened, asked)
        shares()


def _head(results: Results, of: str) -> str:
    """Return how many hits are shown, of how many, as a sentence without its full stop."""
    count, found = len(results), results.found
    if not results.close:
        return f"The {count} nearest of {of}" if results.order == DISTANCE else f"The first {count} of {of}"
    if count == found:
        return f"{count or 'None'} of {of} {'are' if count > 1 else 'is'} close"
    shown = f"the {count} nearest" if results.order == DISTANCE else f"the first {count}"
    return f"{found:,} of {of} are close; {shown} are shown"


def _examples(opened: Opened, asked: Asked, where: Tree | None) -> None:
    """Show queries and items from the whole index, so that a page without a query has something to click."""
    searcher = opened.searcher
    rows = _answers(searcher, where)
    if not len(rows):
        st.info("No item passes the filter.", icon=":material/filter_alt:")
        return
    _starters(opened, rows)
    st.html('<p class="es-quiet">Some items: pick one to see what is related.</p>')
    _list(opened, asked, _spread(searcher, rows, EXAMPLES))


def _answers(searcher: Index, where: Tree | None, by: By = "record") -> Rows:
    """Return the rows that pass a filter, (n,); by records, of one of several items that in its middle."""
    rows = np.flatnonzero(searcher.filter(where).mask) if where else np.arange(len(searcher))
    records = searcher.build.records
    if records is None or by == "passage" or not len(rows):
        return rows
    starts = np.flatnonzero(np.diff(records.of(rows), prepend=-1))  # in `rows`
    middles: Rows = rows[(starts + np.append(starts[1:], len(rows)) - 1) // 2]
    return middles


def _spread(searcher: Index, rows: Rows, count: int) -> list[Hit]:
    """Return up to `count` items of `rows`, (n,), at equal steps."""
    chosen = rows[np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int))]
    return searcher.items(chosen.tolist(), [0.0] * len(chosen))


def _starters(opened: Opened, rows: Rows) -> None:
    """Show queries to start from."""
    queries = starters(opened.searcher, opened.facets, _spread(opened.searcher, rows, DRAWN))
    if not queries:
        return
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="es-starters"):
        st.html('<p class="es-quiet">Try</p>', width="content")
        for query in queries:
            st.button(
                literal(query["q"]),
                key=f"starter-{query['q']}",
                on_click=url_state.change,
                args=({"index": opened.searcher.manifest.name, **query},),
            )


def _list(
    opened: Opened,
    asked: Asked,
    found: Sequence[Hit],
    query: AnyQuery | None = None,
    results: Results | None = None,
) -> None:
    """Show the hits of `results`; without a query there is nothing to explain or to add to."""
    searcher = opened.searcher
    name, unit = searcher.manifest.name, searcher.manifest.unit
    explains = query is not None and query_input.own_form(searcher) is not QueryForm.VECTOR
    adds = query is not None and UNITS[unit].form is not QueryForm.WORD
    said = "" if results is None else _judged_text(searcher, query)
    actions = hits.Actions(
        partial(query_input.like, name),
        partial(_explain, searcher, query) if explains and query is not None else None,
        partial(weighted_terms.add, name) if adds else None,
        partial(look.pick, name),
        partial(_mark, searcher, said, unit) if said else None,
    )
    metric = None if results is None else results.metric
    shown = look.of(opened, asked, metric, _marks(searcher, query))
    grades = Judged(_home(searcher)).grades(said) if said else {}
    hits.show(found, replace(shown, grades=grades), actions)


def _home(searcher: Index) -> Path:
    """Return the folder of an index."""
    return searcher.build.folder.parents[1]


def _judged_text(searcher: Index, query: AnyQuery | None) -> str:
    """Return the text that hits are judged for; empty for a query that is no text."""
    if isinstance(query, Text):
        return query.text
    if isinstance(query, MoreLike) and UNITS[searcher.manifest.unit].form is QueryForm.TEXT:
        return searcher.item(query.id).text or ""
    return ""


def _mark(searcher: Index, said: str, unit: Unit, hit: Hit, grade: int | None) -> None:
    """Keep whether a hit is right for a text."""
    text = hit.text if UNITS[unit].form is QueryForm.TEXT else None
    try:
        Judged(_home(searcher)).mark(said, hit.id, grade, text)
    except (EmbedsearchError, OSError) as error:
        report(f"The judgement was not kept: {error}")


def _marks(searcher: Index, query: AnyQuery | None) -> cards.Marks | None:
    """Return what marks the words of a query's texts in hits; None for a query without a text."""
    texts = [] if query is None else [each.text for each in singles_of(query) if isinstance(each, Text)]
    analyzer = Analyzer("") if searcher.words is None else searcher.words.analyzer
    return analyzer.marker(texts) if texts else None


def _explain(searcher: Index, query: AnyQuery, hit: Hit) -> None:
    auto_reload.hold()
    why.show(searcher, query, hit)
