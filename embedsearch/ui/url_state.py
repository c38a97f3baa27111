"""The page's address: what is asked for, and the only state that counts."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import streamlit as st

from embedsearch.errors import QueryError
from embedsearch.query import DEFAULT_K, MINUS, MODES, By, Crop, Mode, checked_crop
from embedsearch.ui.widgets.notes import report

COUNT, MAX_COUNT = DEFAULT_K, 10_000  # results
FIELD = "f."
KINDS = ("", "item", "image")  # a text, an item of the index, a kept image
TERMS = (*(f"plus{kind}" for kind in KINDS), *(f"minus{kind}" for kind in KINDS))
MAX_TERMS = 8
OWN_WEIGHT = "weight"  # of what is asked beside the terms
WEIGHT = "weight."  # with the name and value of a term behind it: how much the term counts
LEAST_WEIGHT, MOST_WEIGHT = -1.0, 2.0
OF_INDEX = (
    OWN_WEIGHT,
    "item",
    "word",
    "where",
    "within",
    "page",
    "order",
    "show",
    "colour",
    "only",
    "over",
    "between",
    "area",
    *TERMS,
)  # parameters that mean one index's items
SHORT = 40  # characters of a value in a sentence
_KEPT = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Term:
    """A weighted term of a query: added to it, or subtracted from it.

    Attributes:
        name: of its parameter, a row of `TERMS`.
        value: the text, or the item's id.
        size: how much it counts, 0 to `MOST_WEIGHT`; None for the default.
    """

    name: str
    value: str
    size: float | None = None

    @property
    def adds(self) -> bool:
        """Whether it is added; else it is subtracted."""
        return self.name.startswith("plus")

    @property
    def kind(self) -> str:
        """What it is, a row of `KINDS`."""
        return self.name.removeprefix("plus").removeprefix("minus")

    @property
    def opposite(self) -> str:
        """The name of the same with the other sign."""
        return f"{'minus' if self.adds else 'plus'}{self.kind}"

    @property
    def is_item(self) -> bool:
        """Whether it is an item of the index."""
        return self.kind == "item"

    @property
    def weight(self) -> float:
        """Its weight in the query; negative where it is subtracted."""
        default = 1.0 if self.adds else MINUS
        return default if self.size is None else self.size and math.copysign(self.size, default)

    @property
    def parameter(self) -> str:
        """The parameter of the address that says its weight."""
        return f"{WEIGHT}{self.name}.{self.value}"


@dataclass(frozen=True, slots=True)
class Asked:
    """What an address asks for; what it says wrongly is ignored and reported in `problems`.

    Attributes:
        index: the index's name, or empty.
        text: the text, or the sentence of a word.
        word: which word of `text`, counted from 1; 0 for none yet.
        image: the name of a kept image, see `embedsearch.ui.widgets.uploads`.
        sound: the name of a kept sound.
        item: the item to find more like; it takes precedence over text and image.
        crop: the part of the image, or of the item's image, that is asked with; None for all of it.
        weight: how much all that counts beside the terms.
        terms: texts, items and images that are added or subtracted.
        versus: the index whose answer stands beside; empty for none.
        count: how many results.
        fold: whether items of the same content are one result.
        close: whether only what is close is shown; None for where the verdict is clear.
        order: `diverse`, `tokens`, or `FIELD` and the field to sort by, with `-` before it to descend; empty
            for the nearest first.
        feedback: whether the first hits are added to the query.
        mode: what of a text is searched, one of `MODES`; None for the default of the index.
        by: `passage` where each passage or moment is a result; else `record`.
        where: a filter as a person wrote it.
        rows: whether the hits are rows of a list, and not cards of a grid.
        dense: whether as many hits as possible stand on a screen.
        show: the fields that hits are shown with; None for all, and one empty name for none.
        facets: chosen values by field, as they stand in the address.
        problems: one sentence each.
    """

    index: str = ""
    text: str = ""
    word: int = 0
    image: str = ""
    sound: str = ""
    item: str = ""
    crop: Crop | None = None
    weight: float = 1.0
    terms: tuple[Term, ...] = ()
    versus: str = ""
    count: int = COUNT
    fold: bool = True
    close: bool | None = None
    order: str = ""
    feedback: bool = False
    mode: Mode | None = None
    by: By = "record"
    where: str = ""
    rows: bool = False
    dense: bool = False
    show: tuple[str, ...] | None = None
    facets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def parse(parameters: Mapping[str, Sequence[str]]) -> Asked:
    """Return what the query parameters of an address ask for; whatever they hold, nothing is raised."""
    problems: list[str] = []
    last = {name: values[-1] for name, values in parameters.items() if values}
    count = _number(last, "k", COUNT, problems)
    if not 1 <= count <= MAX_COUNT:
        problems.append(f"The address asks for k={count} results; the page shows 1 to {MAX_COUNT:,}.")
        count = min(max(count, 1), MAX_COUNT)
    image = last.get("image", "")
    if image and not is_kept_name(image):
        problems.append("The image in the address was never uploaded here. Upload it again.")
        image = ""
    sound = last.get("sound", "")
    if sound and not is_kept_name(sound):
        problems.append("The sound in the address was never uploaded here. Upload it again.")
        sound = ""
    crop = None
    if last.get("crop"):
        try:
            crop = checked_crop(last["crop"])
        except QueryError as error:
            problems.append(f"{error} The whole image is asked.")
    terms = _terms(parameters, problems)
    mode = next((mode for mode in MODES if mode == last.get("mode")), None)
    if last.get("mode") and mode is None:
        problems.append(
            f"The address asks for the mode {last['mode']!r:.40}, which is ignored; there are "
            f"{', '.join(MODES)}."
        )
    return Asked(
        index=last.get("index", ""),
        text=last.get("q", ""),
        word=_number(last, "word", 0, problems),
        image=image,
        sound=sound,
        item=last.get("item", ""),
        crop=crop,
        weight=_own_weight(last, problems),
        terms=terms,
        versus=last.get("versus", ""),
        count=count,
        fold=last.get("fold", "") != "no",
        close={"yes": True, "no": False}.get(last.get("close", "")),
        order=last.get("order", ""),
        feedback=last.get("feedback", "") == "yes",
        mode=mode,
        by="passage" if last.get("by", "") == "passage" else "record",
        where=last.get("where", ""),
        rows=last.get("view", "") == "list",
        dense=last.get("dense", "") == "yes",
        show=tuple(parameters["show"]) if parameters.get("show") else None,
        facets={
            name.removeprefix(FIELD): tuple(filter(None, values))
            for name, values in parameters.items()
            if name.startswith(FIELD) and any(values)
        },
        problems=tuple(problems),
    )


def _terms(parameters: Mapping[str, Sequence[str]], problems: list[str]) -> tuple[Term, ...]:
    """Return the terms, each once, at most `MAX_TERMS`."""
    said = dict.fromkeys(
        replace(term, size=_size(parameters, term, problems))
        for term in (Term(name, value) for name in TERMS for value in parameters.get(name, ()))
        if term.value.strip() and (term.kind != "image" or is_kept_name(term.value))
    )
    terms = tuple(said)
    if len(terms) > MAX_TERMS:
        lost = ", ".join(f"{'+' if term.adds else '−'} {short(term.value)}" for term in terms[MAX_TERMS:])
        problems.append(f"A query takes at most {MAX_TERMS} terms; ignored: {lost}.")
    return terms[:MAX_TERMS]


def short(text: str) -> str:
    """Return the beginning of a value, as it stands in a sentence or on a button."""
    return text if len(text) <= SHORT else text[: SHORT - 1].rstrip() + "…"


def _size(parameters: Mapping[str, Sequence[str]], term: Term, problems: list[str]) -> float | None:
    """Return how much the address lets a term count; None for the default."""
    text = next(iter(parameters.get(term.parameter, ())), "")
    size = _weight(text)
    if size is not None and 0 <= size <= MOST_WEIGHT:
        return size
    if text:
        problems.append(
            f"The address gives “{short(term.value)}” the weight {text[:SHORT]}, which is not a number from "
            f"0 to {MOST_WEIGHT:g}; it is ignored."
        )
    return None


def _own_weight(last: Mapping[str, str], problems: list[str]) -> float:
    text = last.get(OWN_WEIGHT, "")
    weight = _weight(text)
    if weight is not None and LEAST_WEIGHT <= weight <= MOST_WEIGHT:
        return weight
    if text:
        problems.append(
            f"The address gives the query the weight {text[:SHORT]}, which is not a number from "
            f"{LEAST_WEIGHT:g} to {MOST_WEIGHT:g}; it is ignored."
        )
    return 1.0


def _weight(text: str) -> float | None:
    return float(text) if re.fullmatch(r"-?[0-9](\.[0-9]{1,4})?", text) else None


def _number(last: Mapping[str, str], name: str, default: int, problems: list[str]) -> int:
    text = last.get(name, "")
    if not text:
        return default
    if re.fullmatch(r"-?[0-9]{1,9}", text):
        return int(text)
    problems.append(f"The address says {name}={text[:SHORT]}, which is not a whole number; it is ignored.")
    return default


def is_kept_name(name: str) -> bool:
    """Whether `name` has the form of a kept image's name; nothing else becomes a part of a path."""
    return _KEPT.fullmatch(name) is not None


def parameters() -> dict[str, list[str]]:
    """Return the query parameters of the page's address, all values of each."""
    return {name: st.query_params.get_all(name) for name in st.query_params}


def of_index(parameters: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the change of an address that takes out what means nothing in another index."""
    own = (*OF_INDEX, "crop") if any(parameters.get("item", ())) else OF_INDEX  # of an item's image
    return {name: "" for name in parameters if name in own or name.startswith((FIELD, WEIGHT))}


def change(changes: Mapping[str, str | Sequence[str]]) -> None:
    """Set parameters of the page's address; an empty value takes one out."""
    merged: dict[str, str | Sequence[str]] = {**parameters(), **changes}
    st.query_params.from_dict({name: value for name, value in merged.items() if value})


def with_term(term: Term) -> dict[str, list[str]]:
    """Return the change of the address that adds a term; none where it is full, which is reported."""
    now = parameters()
    terms = _terms(now, [])
    if any((each.name, each.value) == (term.name, term.value) for each in terms):
        return {}
    if len(terms) == MAX_TERMS:
        report(
            f"A query takes at most {MAX_TERMS} terms, so “{short(term.value)}” was not added. Remove a term "
            "first."
        )
        return {}
    return {term.name: [*now.get(term.name, []), term.value]}


def without_term(term: Term) -> dict[str, list[str]]:
    """Return the change of the address that removes a term."""
    kept = [value for value in parameters().get(term.name, []) if value != term.value]
    return {term.name: kept, term.parameter: []}


def with_weight(term: Term, weight: float) -> dict[str, Sequence[str]]:
    """Return the change of the address that gives a term a weight.

    One of the other sign is a term of the other kind; 0 keeps the sign.
    """
    size = abs(weight)
    other = replace(term, name=term.opposite, size=None)
    kept = term if not weight or term.adds == (weight > 0) else other
    said = "" if size == abs(replace(kept, size=None).weight) else f"{size:g}"
    if kept is term:
        return {term.parameter: said}
    there = [value for value in parameters().get(other.name, []) if value != term.value]
    return {**without_term(term), other.name: [*there, term.value], other.parameter: said}


def follow(key: str, value: object) -> None:
    """Let the widget `key` show `value`, which the address says.

    Writing an equal value again would throw away what a person is typing into the widget.
    """
    if key not in st.session_state or st.session_state[key] != value:
        st.session_state[key] = value


def in_menu(key: str, value: object) -> str:
    """Let a widget of a menu show `value`, which the address says, and return the widget's key.

    A menu mounts its widgets when it is opened. A closed one goes on telling what it showed last, so that
    a value which the address got elsewhere needs a new widget.
    """
    turn = st.session_state.setdefault(f"{key}-turn", 0)
    if st.session_state.get(f"{key}-{turn}", value) != value:
        turn = st.session_state[f"{key}-turn"] = turn + 1
    st.session_state[f"{key}-{turn}"] = value
    return f"{key}-{turn}"
