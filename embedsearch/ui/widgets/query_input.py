"""The query's widgets: which index, and what is asked of it."""

from __future__ import annotations

import html
import io
from collections.abc import Mapping
from pathlib import Path

import streamlit as st

from embedsearch.encoders.vision.crop import asked_image
from embedsearch.encoders.vision.decode import open_rgb
from embedsearch.errors import ItemError, QueryError
from embedsearch.index import Index
from embedsearch.modalities import MODALITIES, UNITS, Card, QueryForm
from embedsearch.query import AnyQuery, Crop, Image, MoreLike, Row, Sound, Text, Word
from embedsearch.store.manifest import Manifest
from embedsearch.ui import navigation, url_state
from embedsearch.ui.pages import MAP
from embedsearch.ui.url_state import Asked
from embedsearch.ui.widgets import cards, image_input, sound_input
from embedsearch.ui.widgets.notes import literal
from embedsearch.ui.widgets.uploads import SOUND, find

INDEX, TEXT, WORD = "search-index", "search-text", "search-word"
MAX_TEXT, MAX_NUMBERS = 4000, 40_000  # characters
SIDE = 224  # pixels of the longer side of a part of an image


def like(index: str, item: str) -> None:
    """Ask for more like an item."""
    url_state.change({"index": index, "item": item, "crop": ""})


def nothing(asked: Asked) -> dict[str, str]:
    """Return the change of the address that leaves out what is asked beside the terms, and its weight."""
    without = {"item": ""} if asked.item else {"q": "", "word": "", "image": "", "sound": ""}
    return {**without, "crop": "", url_state.OWN_WEIGHT: ""}


def index_label(name: str, holds: str) -> str:
    """Return an index's name and what it holds, which is not said twice."""
    return name if name == holds else f"{name} · {holds}"


def choose_index(known: Mapping[str, Manifest | None], name: str) -> None:
    """Show the list of indexes, `name` chosen."""

    def label(each: str) -> str:
        manifest = known[each]
        return index_label(each, UNITS[manifest.unit].plural if manifest else "damaged")

    def changed() -> None:
        now, chosen = url_state.parameters(), st.session_state[INDEX] or ""
        sides = {"versus": name} if chosen and chosen in now.get("versus", ()) else {}  # they change places
        url_state.change({**url_state.of_index(now), **sides, "index": chosen})

    url_state.follow(INDEX, name if name in known else None)
    st.selectbox("Index", list(known), format_func=label, key=INDEX, on_change=changed)


def own_form(searcher: Index) -> QueryForm:
    """Return what an index's own space is asked with here, where no encoder of a caller's program is."""
    return QueryForm.VECTOR if searcher.manifest.recipe.encoder.own else searcher.queries.form


def forms(searcher: Index) -> set[QueryForm]:
    """Return what an index can be asked with beside its own items."""
    own = own_form(searcher)
    crossmodal = searcher.crossmodal
    return {own} if crossmodal is None else {own, MODALITIES[crossmodal.asks].units[0].form}


def misread(searcher: Index, asked: Asked) -> str:
    """Return a sentence on a text that names no items or columns, where it has to; empty elsewhere."""
    own = own_form(searcher)
    if own in (QueryForm.VECTOR, QueryForm.ROW) and asked.text.strip() and not asked.item:
        try:
            _read(searcher, asked.text)
        except QueryError as error:
            return str(error)
    return ""


def _read(searcher: Index, text: str) -> AnyQuery:
    """Return the items or the values of columns that a text names.

    Raises:
        QueryError: it names none, or one that is not there.
    """
    if own_form(searcher) is QueryForm.VECTOR:
        return searcher.queries.named(text)
    row = Row.of(text)
    searcher.queries.check_row(row)
    return row


def query(searcher: Index, asked: Asked, indexes: Path) -> AnyQuery | None:
    """Return what the address asks of this index; None for nothing that it can be asked with.

    Where both a text and an image stand there, the one that the index holds goes first.

    Raises:
        ItemNotFoundError: the image is no longer kept.
    """
    if asked.item:
        source = _image_of_item(searcher, asked)
        return MoreLike(asked.item) if source is None else Image(source, asked.crop)
    match asked_form(searcher, asked):
        case QueryForm.VECTOR | QueryForm.ROW:
            return None if misread(searcher, asked) else _read(searcher, asked.text)
        case QueryForm.SOUND:
            return Sound(find(asked.sound, indexes, SOUND))
        case QueryForm.IMAGE:
            return Image(find(asked.image, indexes), asked.crop)
        case QueryForm.TEXT:
            return Text(asked.text)
        case QueryForm.WORD:
            return Word(asked.text, asked.word) if asked.word else None
    return None


def asked_form(searcher: Index, asked: Asked) -> QueryForm | None:
    """Return what of the address is asked of this index where no item is; None for nothing."""
    own, possible, has_text = own_form(searcher), forms(searcher), bool(asked.text.strip())
    if own in (QueryForm.VECTOR, QueryForm.ROW):
        return own if has_text else None
    if asked.sound and QueryForm.SOUND in possible:
        return QueryForm.SOUND
    typed = next((form for form in (QueryForm.TEXT, QueryForm.WORD) if form in possible), None)
    if asked.image and QueryForm.IMAGE in possible and (own is QueryForm.IMAGE or not (typed and has_text)):
        return QueryForm.IMAGE
    return typed if has_text else None


def _image_of_item(searcher: Index, asked: Asked) -> Path | bytes | None:
    """Return the image of the item that is asked with, where a part of it is; None to ask with the item."""
    if asked.crop is None or QueryForm.IMAGE not in forms(searcher):
        return None
    hit = searcher.item(asked.item)
    content = hit.image or (Path(hit.path) if hit.path else None)
    return content if MODALITIES[hit.modality].card is Card.IMAGE else None


def ask(searcher: Index, asked: Asked, indexes: Path) -> None:
    """Show the widgets that fit what the index can be asked with."""
    name, possible = searcher.manifest.name, forms(searcher)
    if possible & _ASKED.keys():
        _ask_text(searcher, asked, next(form for form in _ASKED if form in possible))
    if QueryForm.SOUND in possible:

        def kept_sound(sound: str) -> None:
            url_state.change({"index": name, "sound": sound, "item": "", "q": "", "crop": ""})

        sound_input.pick_sound("A sound to search with", "search-sound", indexes, kept_sound)
    if QueryForm.IMAGE not in possible:
        return

    def kept(image: str) -> None:
        cleared = {"q": ""} if QueryForm.TEXT in possible else {}
        url_state.change({"index": name, "image": image, "item": "", "crop": "", **cleared})

    label = "Or an image" if QueryForm.TEXT in possible else "An image to search with"
    image_input.pick_image(label, "search-image", indexes, kept, listen=True)


def crossed(searcher: Index, by: str) -> str:
    """Return a sentence that says how texts found images, or images texts; nothing where they did not."""
    crossmodal = searcher.crossmodal
    if not by or crossmodal is None:
        return ""
    asks = MODALITIES[crossmodal.asks].units[0].plural.capitalize()
    return f" {asks} find {UNITS[searcher.manifest.unit].plural} {crossmodal.about}."


# what is typed -> the label of its field, and an example
_ASKED = {
    QueryForm.TEXT: ("What are you looking for?", "Describe it in your own words"),
    QueryForm.WORD: ("A sentence with the word you mean", "I left the key in the front door"),
    QueryForm.ROW: ("Values of columns", "price=20 colour=red"),
    QueryForm.VECTOR: ("An item, items with + and -, or the numbers of a vector", "king - man + woman"),
}


def _ask_text(searcher: Index, asked: Asked, form: QueryForm) -> None:
    """Show the field for what is typed."""
    whole, (label, example) = form is not QueryForm.WORD, _ASKED[form]

    def changed() -> None:
        text = st.session_state[TEXT] or ""
        # A sentence of one word leaves nothing to pick.
        word = "1" if not whole and len(searcher.queries.words(text)) == 1 else ""
        cleared = {"image": "", "sound": ""} if whole and text.strip() else {}
        name = searcher.manifest.name
        url_state.change({"index": name, "q": text, "word": word, "item": "", "crop": "", **cleared})

    # what an item takes the place of would look as if it were asked too
    url_state.follow(TEXT, "" if asked.item and whole else asked.text)
    st.text_input(
        label,
        key=TEXT,
        type="search",
        max_chars=MAX_NUMBERS if form is QueryForm.VECTOR else MAX_TEXT,
        placeholder=example,
        on_change=changed,
    )


def pick_word(searcher: Index, asked: Asked) -> None:
    """Show the words of the sentence, to choose one; nothing where whole texts are asked with."""
    name, spans = searcher.manifest.name, searcher.queries.words(asked.text)
    if UNITS[searcher.manifest.unit].form is not QueryForm.WORD or not asked.text.strip():
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


def show_asked(searcher: Index, asked: Asked, query: AnyQuery | None, indexes: Path) -> None:
    """Show the item, the image or the sound that is asked with, and the way back; texts stand in their field.

    Args:
        searcher: the index.
        asked: what the address asks for.
        query: the same as a query, without its terms.
        indexes: the folder of indexes.
    """
    name = searcher.manifest.name
    form = None if asked.item else asked_form(searcher, asked)
    if not asked.item and form not in (QueryForm.IMAGE, QueryForm.SOUND):
        return
    with st.container(border=True, key="es-asked", horizontal=True, vertical_alignment="center"):
        if asked.item:
            _show_item(searcher, asked, query)
        elif form is QueryForm.SOUND:
            st.audio(find(asked.sound, indexes, SOUND).read_bytes())
            st.html('<div class="es-asked"><p>Like your sound</p></div>')
            _leave("Remove", ":material/close:", {"index": name, "sound": ""})
        else:
            with st.container(key="es-image-asked"):
                kept = find(asked.image, indexes)
                st.html(cards.whole_image(kept, "Your image", {"kept": asked.image}, _part(kept, asked.crop)))
            like = "Like" if UNITS[searcher.manifest.unit].form is QueryForm.IMAGE else "What fits"
            what = "this part of your image" if asked.crop else "your image"
            st.html(f'<div class="es-asked"><p>{like} {what}</p></div>')
            if asked.crop:
                _leave("Whole image", ":material/crop_free:", {"index": name, "crop": ""})
            _leave("Remove", ":material/close:", {"index": name, "image": "", "crop": ""})


def _show_item(searcher: Index, asked: Asked, query: AnyQuery | None) -> None:
    """Show the item that is asked with, or the part of its image."""
    name, hit = searcher.manifest.name, searcher.item(asked.item)
    is_part = isinstance(query, Image)
    if cards.is_image(hit):
        with st.container(key="es-image-asked"):
            if isinstance(query, Image):
                source = hit.image or Path(hit.path or "")
                said = {"item": hit.id, "path": cards.path(hit)}
                st.html(cards.whole_image(source, cards.title(hit), said, _part(source, asked.crop)))
            else:
                st.html(cards.image(hit))
        shown = f"<p>{html.escape(cards.title(hit))}</p>"
    else:
        shown = cards.text(hit)
    label = "Like this part of" if is_part else "More like"
    st.html(f'<div class="es-asked"><span class="es-label">{label}</span>{shown}</div>')
    navigation.link(MAP.path, "On the map", MAP.icon, {"index": [name], "item": [hit.id]})
    if is_part:
        _leave("Whole image", ":material/crop_free:", {"index": name, "crop": ""})
    back = f"Back to “{url_state.short(asked.text)}”" if asked.text.strip() else "Back"
    _leave(literal(back), ":material/arrow_back:", {"index": name, "item": "", "crop": ""})


def _part(source: Path | bytes, crop: Crop | None) -> tuple[Crop, bytes] | None:
    """Return a part of an image and its thumbnail as JPEG; None for the whole, and what can't be read."""
    if crop is None:
        return None
    try:
        changed = source.stat().st_mtime_ns if isinstance(source, Path) else 0
        return crop, _thumbnail(source, changed, crop)
    except (ItemError, OSError):
        return None  # the search says what is wrong


@st.cache_data(max_entries=100, show_spinner=False)
def _thumbnail(source: Path | bytes, changed: int, crop: Crop) -> bytes:  # noqa: ARG001  it makes the cache's key
    part, file = open_rgb(asked_image(Image(source, crop))), io.BytesIO()
    part.thumbnail((SIDE, SIDE))
    part.save(file, "JPEG", quality=85)
    return file.getvalue()


def _leave(label: str, icon: str, changes: Mapping[str, str]) -> None:
    st.button(label, icon=icon, on_click=url_state.change, args=(changes,), width="content")
