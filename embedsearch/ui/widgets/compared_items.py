"""The items that the Relatedness page compares: entered here, and kept in the address."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import streamlit as st

from embedsearch.analysis.compare import LEAST
from embedsearch.distances.metric import distances
from embedsearch.errors import EmbedsearchError, ItemError, ItemNotFoundError
from embedsearch.index import Index
from embedsearch.modalities import UNITS, QueryForm
from embedsearch.records import Sentence, Unit
from embedsearch.splitters.words import words
from embedsearch.ui import url_state
from embedsearch.ui.cached import manifests, open_index
from embedsearch.ui.widgets import image_input, thumbnails
from embedsearch.ui.widgets.notes import literal, report
from embedsearch.ui.widgets.uploads import find, keep

MOST = 10
TEXT, WORD, IMAGE = "t", "w", "p"  # parameters of the address, one value a thing
BLANK = "blank"  # the parameter of an address that begins without the example
NOUNS = {QueryForm.TEXT: "Text", QueryForm.WORD: "Sentence", QueryForm.IMAGE: "Image"}
ALL = (TEXT, WORD, IMAGE)
TRY = "Try an example"
MAX_TEXT = 4000
IN_EXAMPLE, NEAR = 5, 2  # in an example, and of these beside the first one
SAMPLE = 300  # items that an example is chosen from
COPY = 0.05  # of the median distance: what is nearer shows nothing but that it is the same


@dataclass(frozen=True, slots=True)
class TextEntry:
    """A text, and which of its words is meant, counted from 1; 0 for none yet."""

    text: str = ""
    word: int = 0


EXAMPLES = {
    QueryForm.TEXT: (
        TextEntry("A cat is asleep on the sofa."),
        TextEntry("The kitten takes a nap on the couch."),
        TextEntry("A dog barks at the postman."),
        TextEntry("The central bank raised interest rates."),
        TextEntry("Loans became dearer this month."),
    ),
    QueryForm.WORD: (
        TextEntry("My bank sent me a letter.", 2),
        TextEntry("The bank gave us a loan for the house.", 2),
        TextEntry("We sat on the bank of the river.", 5),
        TextEntry("Willows grow along the bank of the stream.", 5),
    ),
}


@dataclass(frozen=True, slots=True)
class Compared:
    """An item to compare.

    Attributes:
        number: what it is called on the page, counted from 1.
        content: what the model reads.
        image: a thumbnail as JPEG; None for texts.
    """

    number: int
    content: str | Sentence | Path
    image: bytes | None = None


def starting(form: QueryForm, parameters: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return an address with the example filled in where it asks for nothing and not for a blank page."""
    said = {name: list(values) for name, values in parameters.items()}
    if form in EXAMPLES and not any(each for name in (*ALL, BLANK) for each in said.get(name, ())):
        said |= {name: values for name, values in change(EXAMPLES[form]).items() if values}
    return said


def entries(parameters: Mapping[str, Sequence[str]]) -> list[TextEntry]:
    """Return the texts that an address holds, as many as are shown: two at least, ten at most."""
    texts = list(parameters.get(TEXT, ()))[:MOST]
    chosen = parameters.get(WORD, ())
    said = [TextEntry(text, _number(chosen[at] if at < len(chosen) else "")) for at, text in enumerate(texts)]
    return said + [TextEntry()] * (LEAST - len(said))


def names(parameters: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the names of the images that an address holds, ten at most."""
    return [name for name in parameters.get(IMAGE, ()) if name][:MOST]


def problems(parameters: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return a sentence for each thing in an address that can't be shown."""
    most = max(len(parameters.get(name, ())) for name in (TEXT, IMAGE))
    return () if most <= MOST else (f"The address holds {most} items; the first {MOST} are compared.",)


def change(said: Sequence[TextEntry]) -> dict[str, list[str]]:
    """Return the change of the address that makes it hold these texts."""
    any_text = any(entry.text for entry in said) or len(said) > LEAST
    any_word = any(entry.word for entry in said)
    return {
        TEXT: [entry.text for entry in said] if any_text else [],
        WORD: [str(entry.word or "") for entry in said] if any_word else [],
    }


def from_compare(parameters: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return the parameters of today for an address of the Compare page of version 0.3."""
    last = {name: values[-1] for name, values in parameters.items() if values}
    said = [TextEntry(last.get(side, ""), _number(last.get(f"w{side}", ""))) for side in "ab"]
    kept = {name: [last[name]] for name in ("kind", "with") if name in last}
    return {**kept, **change(said), IMAGE: [last[name] for name in ("pa", "pb") if name in last]}


def enter(unit: Unit, indexes: Path) -> list[Compared]:
    """Show the fields of a kind; return what has been entered."""
    if UNITS[unit].form is QueryForm.IMAGE:
        return _images(unit, indexes, names(url_state.parameters()), 0)
    return _texts(unit, indexes)


def enter_both(indexes: Path) -> list[Compared]:
    """Show the fields of texts and of images; return what has been entered, texts first."""
    texts = _texts(Unit.TEXT, indexes)
    return texts + _images(Unit.IMAGE, indexes, names(url_state.parameters()), len(_said(Unit.TEXT)))


def _said(unit: Unit) -> list[TextEntry]:
    return entries(starting(UNITS[unit].form, url_state.parameters()))


def _texts(unit: Unit, indexes: Path) -> list[Compared]:
    said = _said(unit)
    things: list[Compared] = []
    with st.container(key="es-compared"):
        for at, entry in enumerate(said):
            with st.container(key=f"es-compared-item-{at}"):
                content = _text(unit, at, entry, removable=len(said) > LEAST)
            if content is not None:
                things.append(Compared(at + 1, content))
    with st.container(horizontal=True, gap="small"):
        if len(said) < MOST:
            st.button(
                f"Add a {NOUNS[UNITS[unit].form].lower()}",
                icon=":material/add:",
                on_click=_add,
                args=(unit,),
                key="relatedness-add",
            )
        _clear_or_example(unit, any(entry.text for entry in said), indexes)
    return things


def _text(unit: Unit, at: int, entry: TextEntry, *, removable: bool) -> str | Sentence | None:
    key, form = f"relatedness-text-{at}", UNITS[unit].form
    noun = NOUNS[form]

    def changed() -> None:
        text = st.session_state[key] or ""
        # A sentence of one word leaves nothing to pick.
        _replace(unit, at, TextEntry(text, 1 if form is QueryForm.WORD and len(words(text)) == 1 else 0))

    url_state.follow(key, entry.text)
    st.text_area(f"{noun} {at + 1}", key=key, height=80, max_chars=MAX_TEXT, on_change=changed)
    if removable:
        _remove_button(
            f"Remove {noun.lower()} {at + 1}", f"relatedness-remove-{at}", partial(_remove, unit), at
        )
    if not entry.text.strip():
        return None
    return _word(unit, at, entry) if form is QueryForm.WORD else entry.text


def _word(unit: Unit, at: int, entry: TextEntry) -> Sentence | None:
    spans = words(entry.text)
    numbers = range(1, len(spans) + 1)
    key = f"relatedness-word-{at}"

    def label(number: int) -> str:
        start, end = spans[number - 1]
        return literal(entry.text[start:end])

    def changed() -> None:
        _replace(unit, at, TextEntry(entry.text, st.session_state[key] or 0))

    url_state.follow(key, entry.word if entry.word in numbers else None)
    st.pills(
        f"Word of sentence {at + 1}", list(numbers), format_func=label, key=key, on_change=changed, wrap=True
    )
    return Sentence(entry.text, (spans[entry.word - 1],)) if entry.word in numbers else None


def _images(unit: Unit, indexes: Path, kept: list[str], before: int) -> list[Compared]:
    """Show the images of an address, `kept`, behind `before` texts."""

    def took(name: str) -> None:
        now = names(url_state.parameters())
        if len(now) == MOST:
            report(f"At most {MOST} images are compared. Remove one first.")
        else:
            url_state.change({IMAGE: [*now, name]})

    if len(kept) < MOST:
        image_input.pick_image(
            f"Images, up to {MOST}", "relatedness-image", indexes, took, listen=True, many=True
        )
    things: list[Compared] = []
    with st.container(key="es-compared-images"):
        for at, name in enumerate(kept):
            with st.container(key=f"es-compared-item-image-{at}"):
                number = before + at + 1
                thing = _image(number, name, indexes)
                _remove_button(f"Remove image {number}", f"relatedness-remove-image-{at}", _remove_image, at)
            if thing is not None:
                things.append(thing)
    if not before:  # else the texts have these buttons
        _clear_or_example(unit, bool(kept), indexes)
    return things


def _image(number: int, name: str, indexes: Path) -> Compared | None:
    st.html(f'<p class="es-label">Image {number}</p>')
    with st.container(key=f"es-image-compared-{number}"):
        try:
            path = find(name, indexes)
        except ItemNotFoundError:
            st.html(
                f'<div class="es-missing" role="img" aria-label="Image {number}, no longer kept">'
                "<small>No longer kept here. Upload it again.</small></div>"
            )
            return None
        small = thumbnails.of_file(str(path))
        if small is not None:
            st.image(small, alt=f"Image {number}", width="stretch")
    return Compared(number, path, small)


def _clear_or_example(unit: Unit, entered: bool, indexes: Path) -> None:
    if entered:
        blank = {**dict.fromkeys(ALL, ""), BLANK: "yes"}
        _button("Start over", ":material/restart_alt:", lambda: url_state.change(blank))
    elif UNITS[unit].form in EXAMPLES:
        _button(TRY, ":material/lightbulb:", lambda: url_state.change({BLANK: ""}))
    elif index := next((name for name, each in manifests(indexes).items() if each and each.unit is unit), ""):
        _button(TRY, ":material/lightbulb:", lambda: _example_images(index, indexes))


def _button(label: str, icon: str, act: Callable[[], None]) -> None:
    st.button(label, icon=icon, type="tertiary", on_click=act, width="content")


def _example_images(index: str, indexes: Path) -> None:
    """Enter an image of an index, two that are near to it and two that are far, and choose its model."""
    try:
        searcher = open_index(indexes, index).searcher
        kept = []
        rows = telling_rows(searcher)
        for hit in searcher.items(rows, [0.0] * len(rows)):
            with suppress(ItemError, OSError):  # one that is gone is no example
                kept.append(keep(hit.image or Path(hit.path or "").read_bytes(), indexes))
        url_state.change({IMAGE: list(dict.fromkeys(kept)), "with": index})
    except EmbedsearchError as error:
        report(str(error))


def telling_rows(searcher: Index) -> list[int]:
    """Return rows that show what near and far mean: an item, two near ones, and two far from all others.

    Of a sample of items one is taken whose two nearest are nearer than most items' are, and no copies.
    """
    count = len(searcher)
    if count <= IN_EXAMPLE:
        return list(range(count))
    build = searcher.build
    rows = np.unique(np.linspace(0, count - 1, SAMPLE).astype(np.int64))
    vectors = np.asarray(build.vectors[rows], np.float32)
    far, found = build.backend.search(vectors, 1 + NEAR)
    apart = distances(vectors, vectors, searcher.manifest.metric)  # (m, d) (m, d) -> (m, m)
    copies = (far[:, 1:] - far[:, :1]).min(1) < COPY * np.median(apart)
    order = [at for at in np.argsort(far[:, -1], kind="stable").tolist() if not copies[at]]
    start = order[len(order) // 4] if order else 0
    chosen = [int(rows[start]), *(row for row in found[start].tolist() if row not in (-1, rows[start]))][
        : 1 + NEAR
    ]
    closest = apart[start].copy()
    while len(chosen) < IN_EXAMPLE:
        at = int(np.argmax(closest))  # the farthest from all chosen
        chosen.append(int(rows[at]))
        closest = np.minimum(closest, apart[at])
    return list(dict.fromkeys(chosen))


def _remove_button(label: str, key: str, remove: Callable[[int], None], at: int) -> None:
    st.button("", key=key, icon=":material/close:", type="tertiary", help=label, on_click=remove, args=(at,))


def _add(unit: Unit) -> None:
    url_state.change(change([*_said(unit), TextEntry()]))


def _remove(unit: Unit, at: int) -> None:
    said = _said(unit)
    url_state.change(change(said[:at] + said[at + 1 :]))


def _remove_image(at: int) -> None:
    kept = names(url_state.parameters())
    url_state.change({IMAGE: kept[:at] + kept[at + 1 :]})


def _replace(unit: Unit, at: int, entry: TextEntry) -> None:
    said = _said(unit)
    said[at] = entry
    emptied = {} if any(each.text for each in said) else {BLANK: "yes"}
    url_state.change({**change(said), **emptied})


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 5 else 0
