"""Queries to start from, drawn from an index itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from embedsearch.encoders.columns import Kind, text_of
from embedsearch.index import Index
from embedsearch.modalities import UNITS, QueryForm
from embedsearch.query import Row
from embedsearch.results import Hit
from embedsearch.splitters.words import sentences, words
from embedsearch.ui.widgets import query_input
from embedsearch.ui.widgets.filters import Choice, Facet

COUNT = 3
KINDS = (Kind.CATEGORY, Kind.NUMBER, Kind.DATE, Kind.TEXT)
LONGEST = 60  # characters of a query
SENTENCE = 140  # characters of a sentence whose word is asked for
_CLAUSE = re.compile(r"[.,;:!?…](?:\s|$)|\n")


def starters(searcher: Index, facets: Sequence[Facet], items: Iterable[Hit]) -> list[dict[str, str]]:
    """Return up to three queries as parameters of the address; none where no text can be asked with.

    Args:
        searcher: the index.
        facets: its fields that can be chosen by; the first of texts is what images without captions
            are called by.
        items: some of its items, to draw from.
    """
    form = UNITS[searcher.manifest.unit].form
    if form is QueryForm.ROW:
        return _of_rows(searcher, items)
    if not query_input.forms(searcher) & {QueryForm.TEXT, QueryForm.WORD}:
        return []
    # a file's name says less than anything else, and is no text
    choices = (each for each in facets if isinstance(each, Choice) and not each.truth)
    label = next((each.field for each in choices if each.field not in ("file", "codec")), "")
    found: dict[str, dict[str, str]] = {}
    for item in items:
        query = _of_image(item, label) if form is QueryForm.IMAGE else _of_text(item, form)
        if query:
            found.setdefault(query["q"].casefold(), query)
    queries = list(found.values())
    if form is QueryForm.TEXT:  # a name alone shows less of what meaning finds than words do
        queries.sort(key=lambda query: " " not in query["q"])
    return queries[:COUNT]


def _of_rows(searcher: Index, items: Iterable[Hit]) -> list[dict[str, str]]:
    """Return values of two columns of some rows, categories before others."""
    columns = sorted(searcher.queries.learnt.columns, key=lambda column: KINDS.index(column.kind))[:2]
    found: dict[str, dict[str, str]] = {}
    for item in items:
        values = {column.name: text_of(item.fields.get(column.name)) for column in columns}
        if all(values.values()):
            query = str(Row(values))
            found.setdefault(query, {"q": query})
    return list(found.values())[:COUNT]


def _behind_name(text: str) -> str:
    """Return what a text says behind a name and a colon, such as "os.path.split: Split a path": words."""
    name, colon, rest = text.partition(": ")
    clause = _CLAUSE.split(rest, 1)[0]
    plain = all(part.strip("'’-\"()").isalpha() for part in clause.split()) and len(clause.split()) > 2
    return rest if colon and " " not in name.strip() and plain else text


def _of_image(item: Hit, label: str) -> dict[str, str] | None:
    said = beginning(str(item.fields.get("caption") or item.fields.get(label) or ""))
    return {"q": said} if said else None


def _of_text(item: Hit, form: QueryForm) -> dict[str, str] | None:
    text = item.text or ""
    if form is QueryForm.TEXT:
        said = beginning(_behind_name(text))
        return {"q": said} if said else None
    around = next(
        (s for s in sentences(text) if item.span and s[0] <= item.span[0] and item.span[1] <= s[1]), None
    )
    if around is None or item.span is None or around[1] - around[0] > SENTENCE:
        return None
    start, end = around
    own = (item.span[0] - start, item.span[1] - start)
    spans = words(text[start:end])
    return {"q": text[start:end], "word": str(spans.index(own) + 1)} if own in spans else None


def beginning(text: str) -> str:
    """Return the beginning of a text, at most 60 characters: its first clause, or as many whole words."""
    whole = text.strip().lstrip("#").strip()  # of a Markdown heading its words
    clause = _CLAUSE.search(whole)
    first = whole[: clause.start()].strip() if clause else whole
    if len(first) > LONGEST:
        first = first[:LONGEST].rpartition(" ")[0]
    return " ".join(first.split())
