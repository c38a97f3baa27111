"""The hits of a search as a list of cards, drawn by one component for each block of them.

A button of each card as an element of Streamlit's would be a dozen messages a hit. All text that comes from a
source passes through `html.escape`.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import streamlit as st
from streamlit.components.v2 import component

from embedsearch.distances.metric import Metric
from embedsearch.modalities import Card
from embedsearch.records import Value
from embedsearch.results import Hit
from embedsearch.store.judged import RIGHT, WRONG
from embedsearch.ui import asset
from embedsearch.ui.url_state import short
from embedsearch.ui.widgets import cards

BLOCK = (
    48  # hits of a component; it fills rows of 2, 3, 4 and 6. A block that stays the same is not sent again
)
MARKS = {"right": RIGHT, "wrong": WRONG}
DID = "did"  # what a card reports; see assets/hits.js


@dataclass(frozen=True, slots=True)
class Actions:
    """What the buttons of a card do.

    Attributes:
        like: called with an item's id by "More like this".
        why: called with a hit by "Why"; None for items that nothing was compared with.
        add: called with an item's id, and whether it is added or subtracted; None where nothing is asked.
        pick: called with a field and a value by a click on the value.
        mark: called with a hit and its grade, 1 for right, 0 for wrong, None to take that back; None where
            hits can't be judged.
    """

    like: Callable[[str], None]
    why: Callable[[Hit], None] | None = None
    add: Callable[..., None] | None = None
    pick: Callable[[str, str], None] | None = None
    mark: Callable[[Hit, int | None], None] | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """How hits are shown.

    Attributes:
        card: how an item is shown.
        metric: the distance to show; None for items that nothing was compared with.
        marks: returns where words of the query stand in a text; None where nothing was asked in words.
        rows: whether each hit is a row of a list, and not a card of a grid.
        dense: whether as many as possible stand on a screen.
        only: the fields to show; None for all.
        grades: of the hits that were judged, by their ids.
        links: of each field that can be filtered by, the address that filters by a value.
    """

    card: Card
    metric: Metric | None = None
    marks: cards.Marks | None = None
    rows: bool = False
    dense: bool = False
    only: Collection[str] | None = None
    grades: Mapping[str, int] = field(default_factory=dict)
    links: Mapping[str, Callable[[str], str]] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """The classes of the list; see style.css."""
        width = self.card if self.card in (Card.IMAGE, Card.VIDEO, Card.SOUND) else Card.TEXT
        shape = "es-rows" if self.rows else f"es-grid es-grid-{width}"
        return f"es-hits {shape} es-of-{width}{' es-dense' if self.dense else ''}"


def show(hits: Sequence[Hit], look: Look, actions: Actions) -> None:
    """Show `hits`, in order."""
    ends = cards.ends(hits, look.metric)
    explained: Hit | None = None
    for start in range(0, len(hits), BLOCK):
        block = hits[start : start + BLOCK]
        key = f"hits-{start // BLOCK}"
        drawn = [_card(hit, place, look, actions, ends) for place, hit in enumerate(block)]
        acted = partial(_act, key, block, actions)
        result = _mount()(key=key, data={"cards": drawn, "kind": look.kind}, on_did_change=acted)
        hit, act = _done(result.get(DID), block)
        if act == "why":
            explained = hit
    if actions.why and explained is not None:
        actions.why(explained)


def _done(did: Any, hits: Sequence[Hit]) -> tuple[Hit | None, str]:
    """Return the hit that a card reports on, and what was done; None for a report of no such hit.

    A click on a list that the browser has not replaced yet may be of an item that is in that place no more.
    """
    place = did.get("place") if isinstance(did, dict) else None
    if not isinstance(place, int) or not 0 <= place < len(hits):
        return None, ""
    hit = hits[place]
    return (hit, str(did.get("act"))) if did.get("item") == hit.item else (None, "")


def _act(key: str, hits: Sequence[Hit], actions: Actions) -> None:
    """Do what a button of a card is for; "Why" opens in the run that follows."""
    did = st.session_state[key].get(DID)
    hit, act = _done(did, hits)
    if hit is None:
        return
    if act == "like":
        actions.like(hit.id)
    elif act in ("plus", "minus") and actions.add is not None:
        actions.add(hit.id, adds=act == "plus")
    elif act in MARKS and actions.mark is not None:
        actions.mark(hit, None if did.get("pressed") == "true" else MARKS[act])
    elif act == "pick" and actions.pick is not None:
        actions.pick(str(did.get("field")), str(did.get("value")))


def _card(hit: Hit, place: int, look: Look, actions: Actions, ends: tuple[float, float]) -> str:
    """Return the HTML of a card."""
    image = cards.image(hit) if cards.is_image(hit) else ""
    head = cards.head(hit, look.metric, ends) if look.metric else ""
    fields = cards.fields(hit, look.only, partial(_link, look.links))
    body = f"{head}{cards.content(hit, look.marks)}{cards.copies(hit)}{fields}"
    named = f'data-item="{_escaped(hit.item)}" aria-label="{_escaped(short(cards.title(hit)))}"'
    return (
        f'<article class="es-card" tabindex="-1" data-place="{place}" {named}>'
        f'{image}<div class="es-body">{body}</div>'
        f'<div class="es-actions">{_buttons(hit, actions, look.grades.get(hit.id))}</div></article>'
    )


def _buttons(hit: Hit, actions: Actions, grade: int | None) -> str:
    """Return the HTML of the buttons of a card, each named by its item."""
    name = short(cards.title(hit))
    shown = _button("like", "<em>More </em>like this", f": {name}", "Find what is near this one")
    if actions.why is not None:
        shown += _button("why", "Why", f" was {name} found?", "Which parts of it make the distance")
    if actions.mark is not None:
        both = (_mark(act, sign, name, grade) for act, sign in (("right", "✓"), ("wrong", "✗")))
        shown += f'<span class="es-marks">{"".join(both)}</span>'
    if actions.add is not None:
        plus = _button("plus", "+", f" add {name} to the query", "Add this to the query")
        minus = _button("minus", "−", f" subtract {name} from the query", "Subtract this from the query")
        shown += f'<span class="es-signs">{plus}{minus}</span>'
    return shown


def _button(act: str, label: str, unseen: str, help_: str) -> str:
    return (
        f'<button type="button" data-act="{act}" title="{help_}"><span>{label}</span>'
        f'<span class="es-unseen">{html.escape(unseen)}</span></button>'
    )


def _mark(act: str, sign: str, name: str, grade: int | None) -> str:
    pressed = str(grade == MARKS[act]).lower()
    return (
        f'<button type="button" data-act="{act}" data-pressed="{pressed}" aria-pressed="{pressed}" '
        f'title="Mark this hit as {act}"><span>{sign}</span>'
        f'<span class="es-unseen"> {html.escape(name)} is {act}</span></button>'
    )


def _link(links: Mapping[str, Callable[[str], str]], name: str, value: Value) -> str:
    """Return the attributes of a link that filters by a value; empty for a field that none filters by."""
    if name not in links:
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return (
        f'class="es-pick" href="{_escaped(links[name](text))}" data-act="pick" '
        f'data-field="{_escaped(name)}" data-value="{_escaped(text)}" title="Filter by this value"'
    )


def _escaped(text: str) -> str:
    return html.escape(text, quote=True)


@partial(st.cache_resource, show_spinner=False)
def _mount() -> Callable[..., Any]:
    script = asset("hits.js")
    return component("embedsearch.hits", html='<div class="es-hits"></div>', js=script, isolate_styles=False)
