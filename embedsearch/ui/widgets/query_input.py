"""The query's widgets: which index, and what is asked of it."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path

import streamlit as st

from embedsearch.index import Index
from embedsearch.query import Like, Picture, Single, Text, Word
from embedsearch.records import Modality, Unit
from embedsearch.splitters.words import words
from embedsearch.store.manifest import Manifest
from embedsearch.ui import navigation, url_state
from embedsearch.ui.url_state import Asked
from embedsearch.ui.widgets import cards, image_input
from embedsearch.ui.widgets.notes import literal
from embedsearch.ui.widgets.uploads import find

NOUNS = {Unit.IMAGE: "pictures", Unit.TEXT: "texts", Unit.WORD: "words", Unit.TOKEN: "tokens"}
INDEX, TEXT, WORD = "search-index", "search-text", "search-word"
MAX_TEXT = 4000
_WHOLE = (Unit.TEXT, Unit.IMAGE)  # what is asked with a text as a whole
_CROSSING = {Modality.TEXT: "Texts find pictures", Modality.IMAGE: "Pictures find texts"}


def like(index: str, item: str) -> None:
    """Ask for more like an item."""
    url_state.change({"index": index, "item": item})


def choose_index(known: Mapping[str, Manifest | None], name: str) -> None:
    """Show the list of indexes, `name` chosen."""

    def label(each: str) -> str:
        manifest = known[each]
        return f"{each} · {NOUNS[manifest.unit]}" if manifest else f"{each} · damaged"

    def changed() -> None:
        left = url_state.of_index(url_state.parameters())
        url_state.change({**left, "index": st.session_state[INDEX] or ""})

    url_state.follow(INDEX, name if name in known else None)
    st.selectbox("Index", list(known), format_func=label, key=INDEX, on_change=changed)


def query(searcher: Index, asked: Asked, indexes: Path) -> Single | None:
    """Return what the address asks of this index; None for nothing that it can be asked with.

    Where both a text and a picture stand there, the one that the index holds goes first.

    Raises:
        ItemNotFoundError: the picture is no longer kept.
    """
    unit = searcher.manifest.unit
    crossing = searcher.crossmodal.asks if searcher.crossmodal else None
    if asked.item:
        return Like(asked.item)
    text = asked.text if unit is not Unit.IMAGE or crossing is Modality.TEXT else ""
    picture = asked.picture if unit is Unit.IMAGE or crossing is Modality.IMAGE else ""
    if picture and (unit is Unit.IMAGE or not text.strip()):
        return Picture(find(picture, indexes))
    if not text.strip():
        return None
    if unit in (Unit.TEXT, Unit.IMAGE):
        return Text(text)
    return Word(text, asked.word) if asked.word else None


def ask(searcher: Index, asked: Asked, indexes: Path) -> None:
    """Show the widgets that fit what the index can be asked with."""
    unit, name, crossmodal = searcher.manifest.unit, searcher.manifest.name, searcher.crossmodal
    if unit is not Unit.IMAGE or crossmodal is not None:
        _ask_text(name, unit, asked)
    if unit is not Unit.IMAGE and crossmodal is None:
        return

    def kept(picture: str) -> None:
        cleared = {"q": ""} if crossmodal is not None else {}
        url_state.change({"index": name, "image": picture, "item": "", **cleared})

    label = "Or a picture" if crossmodal else "A picture to search with"
    image_input.pick_picture(label, "search-picture", indexes, kept, listen=True)


def crossed(searcher: Index, by: str) -> str:
    """Return a sentence that says how texts found pictures, or pictures texts; nothing where they did not."""
    crossmodal = searcher.crossmodal
    return f" {_CROSSING[crossmodal.asks]} {crossmodal.about}." if by and crossmodal else ""


def _ask_text(name: str, unit: Unit, asked: Asked) -> None:
    def changed() -> None:
        text = st.session_state[TEXT] or ""
        # A sentence of one word leaves nothing to pick.
        word = "1" if unit not in _WHOLE and len(words(text)) == 1 else ""
        cleared = {"image": ""} if unit in _WHOLE and text.strip() else {}
        url_state.change({"index": name, "q": text, "word": word, "item": "", **cleared})

    # what an item takes the place of would look as if it were asked too
    url_state.follow(TEXT, "" if asked.item and unit in _WHOLE else asked.text)
    st.text_input(
        "What are you looking for?" if unit in _WHOLE else "A sentence with the word you mean",
        key=TEXT,
        type="search",
        max_chars=MAX_TEXT,
        placeholder="Describe it in your own words" if unit in _WHOLE else "I left the key in the front door",
        on_change=changed,
    )


def pick_word(searcher: Index, asked: Asked) -> None:
    """Show the words of the sentence, to choose one; nothing where whole texts are asked with."""
    name, spans = searcher.manifest.name, words(asked.text)
    if searcher.manifest.unit in _WHOLE or not asked.text.strip():
        return

    def changed() -> None:
        url_state.change({"index": name, "word": str(st.session_state[WORD] or ""), "item": ""})

    def label(number: int) -> str:
        start, end = spans[number - 1]
        return literal(asked.text[start:end])

    numbers = range(1, len(spans) + 1)
    url_state.follow(WORD, asked.word if asked.word in numbers and not asked.item else None)
    st.pills(
        "Click the word you mean", list(numbers), format_func=label, key=WORD, on_change=changed, wrap=True
    )


def show_asked(searcher: Index, asked: Asked, indexes: Path) -> None:
    """Show the item or the picture that is asked with, and the way back; texts stand in their field."""
    name = searcher.manifest.name
    if asked.item:
        hit = searcher.item(asked.item)
        with st.container(border=True, key="es-asked", horizontal=True, vertical_alignment="center"):
            if hit.modality is Modality.IMAGE:
                cards.picture(hit, "es-picture-asked")
                said = f"<p>{html.escape(cards.title(hit))}</p>"
            else:
                said = cards.text(hit)
            st.html(f'<div class="es-asked"><span class="es-label">More like</span>{said}</div>')
            here = {"index": [name], "item": [hit.id]}
            navigation.link(navigation.MAP, "On the map", navigation.ICONS[navigation.MAP], here)
            back = f"Back to “{url_state.short(asked.text)}”" if asked.text.strip() else "Back"
            _leave(literal(back), ":material/arrow_back:", {"index": name, "item": ""})
    elif isinstance(query(searcher, asked, indexes), Picture):
        picture = find(asked.picture, indexes).read_bytes()
        with st.container(border=True, key="es-asked", horizontal=True, vertical_alignment="center"):
            with st.container(key="es-picture-asked"):
                st.image(picture, alt="Your picture", width="stretch")
            like = "Like" if searcher.manifest.unit is Unit.IMAGE else "What fits"
            st.html(f'<div class="es-asked"><p>{like} your picture</p></div>')
            _leave("Remove", ":material/close:", {"index": name, "image": ""})


def _leave(label: str, icon: str, changes: Mapping[str, str]) -> None:
    st.button(label, icon=icon, on_click=url_state.change, args=(changes,), width="content")
