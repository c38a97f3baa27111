"""The Compare page: two things, one model, their distance."""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from embedsearch.catalog import DEFAULT_IMAGE_MODEL, DEFAULT_TEXT_MODEL
from embedsearch.encoders import Encoder, Sentence
from embedsearch.encoders.segment import words
from embedsearch.errors import QueryError
from embedsearch.metrics import Metric, Vectors, distances
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Unit
from embedsearch.store import indexes_folder
from embedsearch.ui import address, cards, picking
from embedsearch.ui.notes import calm, literal, show_notices
from embedsearch.ui.resources import load_encoder, manifests, open_index
from embedsearch.ui.uploads import find

KINDS = {Unit.TEXT: "Texts", Unit.WORD: "Words in their sentences", Unit.IMAGE: "Pictures"}
SIDES = {"a": "first", "b": "second"}
KIND, MODEL = "compare-kind", "compare-model"
ENDS = {
    Metric.COSINE: ("0 same direction", "1 nothing in common"),
    Metric.L2: ("0 the same", ""),
    Metric.IP: ("", ""),
}


@dataclass(frozen=True, slots=True)
class Model:
    """A model to compare with: the bundled one, or the one of an index."""

    index: str
    label: str


def compare_page() -> None:
    """Show the page for what the address asks."""
    indexes = indexes_folder()
    said = {name: values[-1] for name, values in address.parameters().items() if values}
    with calm():
        st.subheader("How related are two things?", anchor=False)
        unit = _unit(said.get("kind", ""))
        model = _model(said.get("with", ""), unit, indexes)
        show_notices()
        left, right = st.columns(2, gap="medium")
        values: list[str | Path | Sentence | None] = []
        for side, column in zip(SIDES, (left, right), strict=True):
            with column:
                values.append(_thing(side, unit, said, indexes))
        first, second = values
        if first is None or second is None:
            st.html('<p class="es-quiet">Give both, and their distance stands here.</p>')
            return
        with st.spinner("Comparing …"):
            encoder, metric = _encoder(model, unit, indexes)
            _answer(float(distances(_vector(encoder, first), _vector(encoder, second), metric)[0, 0]), metric)
        st.html(
            f'<p class="es-quiet">Model: {html.escape(encoder.spec.model)}. {cards.SCALES[metric]} '
            "What counts as near differs from model to model: compare distances with one another.</p>"
        )


def _unit(asked: str) -> Unit:
    unit = Unit(asked) if asked in KINDS else Unit.TEXT

    def changed() -> None:
        address.change({"kind": st.session_state[KIND] or Unit.TEXT, "with": ""})

    address.follow(KIND, unit)
    st.segmented_control(
        "What to compare",
        list(KINDS),
        format_func=KINDS.__getitem__,
        key=KIND,
        required=True,
        on_change=changed,
        label_visibility="collapsed",
    )
    return unit


def _model(asked: str, unit: Unit, indexes: Path) -> Model:
    bundled = DEFAULT_IMAGE_MODEL if unit is Unit.IMAGE else DEFAULT_TEXT_MODEL
    models = {"": Model("", f"{bundled} (bundled)")}
    for name, manifest in manifests(indexes).items():
        if manifest is not None and manifest.unit is unit:
            models[name] = Model(name, f"as the index {name}: {manifest.encoder['model']}")

    def changed() -> None:
        address.change({"with": st.session_state[MODEL] or ""})

    if asked not in models:
        show_notices((f"There is no index {asked!r} to take a model from; the bundled one is used.",))
        asked = ""
    address.follow(MODEL, asked)
    st.selectbox(
        "Model", list(models), format_func=lambda name: models[name].label, key=MODEL, on_change=changed
    )
    return models[asked]


def _encoder(model: Model, unit: Unit, indexes: Path) -> tuple[Encoder, Metric]:
    if model.index:
        searcher = open_index(indexes, model.index).searcher
        return searcher.encoder, searcher.manifest.metric
    encoder = load_encoder(EncoderRecipe(unit=unit, engine="torch", decoding="full"))
    return encoder, Metric.COSINE


def _thing(side: str, unit: Unit, said: dict[str, str], indexes: Path) -> str | Path | Sentence | None:
    if unit is Unit.IMAGE:
        return _picture(side, said, indexes)
    key = f"compare-text-{side}"

    def changed() -> None:
        address.change({side: st.session_state[key] or "", f"w{side}": ""})

    text = said.get(side, "")
    address.follow(key, text)
    noun = "sentence" if unit is Unit.WORD else "text"
    st.text_area(f"The {SIDES[side]} {noun}", key=key, height=100, max_chars=4000, on_change=changed)
    if not text.strip():
        return None
    return _word(side, text, said.get(f"w{side}", "")) if unit is Unit.WORD else text


def _word(side: str, sentence: str, asked: str) -> Sentence | None:
    spans = words(sentence)
    numbers = [str(number) for number in range(1, len(spans) + 1)]
    key = f"compare-word-{side}"

    def label(number: str) -> str:
        start, end = spans[int(number) - 1]
        return literal(sentence[start:end])

    def changed() -> None:
        address.change({f"w{side}": st.session_state[key] or ""})

    address.follow(key, asked if asked in numbers else None)
    st.pills(f"Word of the {SIDES[side]}", numbers, format_func=label, key=key, on_change=changed, wrap=True)
    return Sentence(sentence, (spans[int(asked) - 1],)) if asked in numbers else None


def _picture(side: str, said: dict[str, str], indexes: Path) -> Path | None:
    def kept(name: str) -> None:
        address.change({f"p{side}": name})

    asked, other = (said.get(name, "") for name in (f"p{side}", "pb" if side == "a" else "pa"))
    # What is pasted goes to the side that is still empty, to the first where both or none are.
    listen = side == "a" if bool(asked) == bool(other) else not asked
    picking.pick_picture(f"The {SIDES[side]} picture", f"compare-{side}", indexes, kept, listen=listen)
    if not asked:
        return None
    path = find(asked, indexes)
    with st.container(key=f"es-picture-compared-{side}"):
        st.image(path.read_bytes(), alt=f"The {SIDES[side]} picture", width="stretch")
    return path


def _vector(encoder: Encoder, thing: str | Path | Sentence) -> Vectors:
    vectors = encoder.encode([thing])
    if not len(vectors):
        raise QueryError("The word lies beyond the model's limit; shorten the sentence.")
    return vectors  # (1, d)


def _answer(distance: float, metric: Metric) -> None:
    near, far = ENDS[metric]
    scale = (
        f'{cards.track(distance)}<div class="es-ends"><span>{near}</span><span>{far}</span></div>'
        if metric is Metric.COSINE
        else ""
    )
    with st.container(border=True, key="es-answer"):
        st.html(
            f'<div class="es-answer" role="status"><span class="es-label">{metric} distance</span>'
            f"<strong>{cards.number(distance)}</strong>{scale}</div>"
        )
