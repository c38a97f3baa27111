"""The terms of a query as chips: what is asked, what is added and subtracted, and how much each counts.

The same component hears which part of an enlarged image is to be searched with; see assets/crop.js.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.components.v2 import component

from embedsearch.errors import EmbedsearchError, QueryError
from embedsearch.index import Index
from embedsearch.modalities import Card, QueryForm
from embedsearch.query import AnyQuery, Crop, Image, MoreLike, Query, WeightedTerm, checked_crop
from embedsearch.ui import asset, media, url_state
from embedsearch.ui.url_state import LEAST_WEIGHT, MOST_WEIGHT, OWN_WEIGHT, Asked, Term
from embedsearch.ui.widgets import cards, image_input, query_input
from embedsearch.ui.widgets.notes import report
from embedsearch.ui.widgets.uploads import find, keep_part

PLUS, LESS, IMAGE, CHIPS = "search-plus", "search-minus", "search-plus-image", "search-terms"
DID = "did"  # what a chip reports; see assets/terms.js
STEP = 0.05  # of a weight
OWN = "query"  # the chip of what is asked beside the terms
LACKING = "The query only subtracts. Add what to look for."


def whole(query: AnyQuery | None, asked: Asked, indexes: Path) -> AnyQuery | None:
    """Return a query with its weighted terms; None where nothing is looked for."""
    if not asked.terms:
        return query
    parts = [] if query is None else list(query.terms) if isinstance(query, Query) else [WeightedTerm(query)]
    parts = [WeightedTerm(part.query, part.weight * asked.weight) for part in parts]
    parts += [WeightedTerm(_asked(term, indexes), term.weight) for term in asked.terms]
    return Query(tuple(parts)) if any(part.weight > 0 for part in parts) else None


def _asked(term: Term, indexes: Path) -> Any:
    if term.kind == "image":
        return Image(find(term.value, indexes))
    return MoreLike(term.value) if term.is_item else term.value


def show(searcher: Index, asked: Asked, query: AnyQuery | None, indexes: Path) -> None:
    """Show a chip for each term, and the fields that add terms.

    Args:
        searcher: the index.
        asked: what the address asks for.
        query: what is asked beside the terms; None for nothing.
        indexes: the folder of indexes.
    """
    possible = query_input.forms(searcher)
    chips = [_chip(searcher, term, indexes) for term in asked.terms]
    if asked.terms and query is not None:
        chips = [_own_chip(searcher, asked, indexes), *chips]
    texts, images = QueryForm.TEXT in possible, QueryForm.IMAGE in possible
    if chips or images:
        asks = query is not None or bool(asked.terms)
        data = {
            "chips": chips, "least": LEAST_WEIGHT, "most": MOST_WEIGHT, "step": STEP, "crops": images,
            "asks": asks,
        }  # fmt: skip
        acted = partial(_act, searcher, asked, indexes)
        _mount()(key=CHIPS, data=data, on_did_change=acted, width="content" if chips else 1)
    if (texts or images) and (query is not None or asked.terms):
        with st.popover("Refine", icon=":material/tune:"):
            _add(searcher.manifest.name, indexes, texts=texts, images=images)


def add(index: str, item: str, *, adds: bool) -> None:
    """Add an item of the index to the query, or subtract it."""
    change = url_state.with_term(Term("plusitem" if adds else "minusitem", item))
    url_state.change({"index": index, **change})


def _chip(searcher: Index, term: Term, indexes: Path) -> dict[str, Any]:
    """Return a term as assets/terms.js draws it."""
    said = {"key": f"{term.name}:{term.value}", "same": f"{term.kind}:{term.value}", "weight": term.weight}
    if term.kind == "image":
        return {**said, "name": "an image", "image": _small(find(term.value, indexes))}
    return {**said, **(_of_item(searcher, term.value) if term.is_item else {"name": term.value})}


def _own_chip(searcher: Index, asked: Asked, indexes: Path) -> dict[str, Any]:
    """Return what is asked beside the terms as a chip."""
    said = {"key": OWN, "same": OWN, "weight": asked.weight}
    if asked.item:
        return {**said, **_of_item(searcher, asked.item)}
    form = query_input.asked_form(searcher, asked)
    if form is QueryForm.IMAGE:
        return {**said, "name": "your image", "image": _small(find(asked.image, indexes))}
    return {**said, "name": "your sound" if form is QueryForm.SOUND else asked.text}


def _of_item(searcher: Index, item: str) -> dict[str, str]:
    hit = searcher.item(item)
    shown = {"image": media.of_hit(hit) + media.SMALL} if cards.is_image(hit) and not hit.is_gone else {}
    return {"name": cards.title(hit), **shown}


def _small(image: Path) -> str:
    return media.address(media.Shown(image, Card.IMAGE)) + media.SMALL


def _act(searcher: Index, asked: Asked, indexes: Path) -> None:
    """Do what a chip, or the frame on an enlarged image, reports."""
    did = st.session_state[CHIPS].get(DID)
    if not isinstance(did, dict):
        return
    name, key = searcher.manifest.name, did.get("key")
    term = next((each for each in asked.terms if f"{each.name}:{each.value}" == key), None)
    change: Any = {}
    if did.get("act") == "crop":
        change = _cut(searcher, did, indexes)
    elif did.get("act") == "remove":
        change = query_input.nothing(asked) if key == OWN else url_state.without_term(term) if term else {}
    elif isinstance(weight := did.get("weight"), int | float):
        weight = round(min(max(weight, -MOST_WEIGHT), MOST_WEIGHT), 2)
        if key == OWN:
            change = {OWN_WEIGHT: "" if weight == 1 else f"{weight:g}"}
        elif term:
            change = url_state.with_weight(term, weight)
    if change:
        url_state.change({"index": name, **change})


def _cut(searcher: Index, did: dict[str, Any], indexes: Path) -> Mapping[str, str | list[str]]:
    """Return the change of the address that asks with a part of an image, or adds it to what is asked."""
    try:
        box = checked_crop([round(float(edge), 4) for edge in did.get("box") or ()])
    except (QueryError, TypeError, ValueError):
        return {}
    crop = "" if box == (0, 0, 1, 1) else ",".join(f"{edge:g}" for edge in box)
    item, kept = str(did.get("item") or ""), str(did.get("kept") or "")
    if did.get("adds") and crop:
        return _with_part(searcher, item, kept, box, indexes)
    if url_state.is_kept_name(kept):
        return {"image": kept, "item": "", "crop": crop}
    return {"item": item, "crop": crop} if item else {}


def _with_part(
    searcher: Index, item: str, kept: str, part: Crop, indexes: Path
) -> Mapping[str, str | list[str]]:
    """Return the change of the address that adds a part of an image, which is kept as an upload is."""
    try:
        hit = None if kept else searcher.item(item)
        source = find(kept, indexes) if hit is None else hit.image or Path(hit.path or "")
        return url_state.with_term(Term("plusimage", keep_part(source, part, indexes)))
    except (EmbedsearchError, OSError) as error:
        report(f"The part was not added: {error}")
        return {}


def _add(name: str, indexes: Path, *, texts: bool, images: bool) -> None:
    """Show the fields that add texts, and an image."""
    for key, parameter, label in ((PLUS, "plus", "More of"), (LESS, "minus", "Less of")) if texts else ():

        def changed(key: str = key, parameter: str = parameter) -> None:
            text = (st.session_state[key] or "").strip()
            st.session_state[key] = ""
            if text:
                url_state.change({"index": name, **url_state.with_term(Term(parameter, text))})

        st.text_input(label, key=key, max_chars=400, on_change=changed)
    if images:

        def kept(image: str) -> None:
            url_state.change({"index": name, **url_state.with_term(Term("plusimage", image))})

        image_input.pick_image("Add an image", IMAGE, indexes, kept, listen=False)
    st.html(
        '<p class="es-quiet">Each term is a chip with its weight: below 0 it is subtracted. The '
        "query's vector is the sum of all, each times its weight.</p>"
    )


@partial(st.cache_resource, show_spinner=False)
def _mount() -> Callable[..., Any]:
    script = asset("element.js", "terms.js")
    return component("embedsearch.terms", html='<ul class="es-terms"></ul>', js=script, isolate_styles=False)
