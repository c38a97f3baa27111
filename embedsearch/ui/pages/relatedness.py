"""The Relatedness page: two to ten items, one model, the distance of each pair."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import streamlit as st

from embedsearch.analysis.compare import LEAST, Comparison, compare, compared, index_pairs
from embedsearch.distances.metric import Metric, Vectors
from embedsearch.distances.pairs import Pairs
from embedsearch.encoders import Encoder, preparation_of
from embedsearch.encoders.engines import QUERY
from embedsearch.errors import ItemError
from embedsearch.modalities import PROJECTION, UNITS, QueryForm, modality_of
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import MOST_UNKNOWN, Unit
from embedsearch.store.folders import indexes_folder
from embedsearch.store.manifest import Manifest
from embedsearch.ui import url_state
from embedsearch.ui.cached import general_pairs, load_encoder, manifests, open_index
from embedsearch.ui.widgets import cards, compared_items, layers, matrix, play
from embedsearch.ui.widgets.compared_items import Compared
from embedsearch.ui.widgets.histogram import histogram
from embedsearch.ui.widgets.notes import calm, show_notices

KINDS: dict[str, str] = {row.unit: row.compared for row in UNITS.values() if row.compared}
BOTH, PLAY = "both", "play"  # kinds beside those of one unit
ABOUT = {
    QueryForm.TEXT: "Texts are near where they say nearly the same, whatever their words.",
    QueryForm.WORD: "A word has a vector for each sentence that it stands in: “bank” beside a loan is not "
    "“bank” beside a river. Click the word that you mean.",
    QueryForm.IMAGE: "Images are near where they show the same kind of thing, whatever their size.",
}
BOTH_ABOUT = (
    "An index in which texts find images holds both in one space, so a text has a distance to an image."
)
BUNDLED = "-"  # in the address; no index is called that
KIND, MODEL = "relatedness-kind", "relatedness-model"


@dataclass(frozen=True, slots=True)
class Measure:
    """What distances are measured with, and held against.

    Attributes:
        encoder: the model.
        metric: which distance.
        pairs: random pairs; None where there are none.
        lacking: why there are none, and what to do about it.
        placed: vectors of the model as they are compared, (n, D) -> (n, d).
    """

    encoder: Encoder
    metric: Metric
    pairs: Pairs | None
    lacking: str = ""
    placed: Callable[[Vectors], Vectors] = np.asarray


def relatedness_page() -> None:
    """Show the page for what the address asks."""
    indexes = indexes_folder()
    parameters = url_state.parameters()
    said = {name: values[-1] for name, values in parameters.items() if values}
    with calm():
        st.html('<h1 class="es-h">How related are these?</h1>')
        crossed = _crossed(indexes)
        kind = _kind(said.get("kind", ""), {**KINDS, **({BOTH: "Texts and images"} if crossed else {})})
        if kind == PLAY:
            play.show(indexes, said)
            return
        both = kind == BOTH
        unit = Unit.IMAGE if both else Unit(kind)
        form = UNITS[unit].form
        st.html(f'<p class="es-quiet">{BOTH_ABOUT if both else ABOUT[form]}</p>')
        choices = crossed if both else _choices(unit, indexes)
        index, problems = _chosen(said.get("with"), choices)
        show_notices((*problems, *compared_items.problems(parameters)))
        entered = compared_items.enter_both(indexes) if both else compared_items.enter(unit, indexes)
        texts = sum(bool(entry.text.strip()) for entry in compared_items.entries(parameters))
        try:
            if len(entered) < LEAST:
                unpicked = form is QueryForm.WORD and texts >= LEAST
                missing = "Click a word in two or more of the sentences" if unpicked else "Enter two or more"
                st.html(f'<p class="es-quiet">{missing} to see how related they are.</p>')
                return
            with st.spinner("Comparing …"):
                if both:
                    made, measure = _compare_both(index, entered, indexes)
                else:
                    measure = _measure(index, unit, indexes)
                    entered, measure = _readable(measure, entered)
                    if len(entered) < LEAST:
                        return
                    made = _compare(measure, entered)
            _answer(made, entered, measure)
            if form is QueryForm.TEXT and _has_layers(measure.encoder):
                layers.show(_plain(measure.encoder), [str(thing.content) for thing in entered])
        finally:  # another can be chosen also where this one can't be opened
            _model(index, choices)


def _has_layers(encoder: Encoder) -> bool:
    """Whether the vectors of texts are the hidden states of a model of this machine, pooled."""
    return encoder.spec.pooling in ("cls", "mean")


def _plain(encoder: Encoder) -> EncoderRecipe:
    """Return the recipe of an encoder's model for texts, as `embedsearch.compare` loads it."""
    return EncoderRecipe(
        unit=Unit.TEXT,
        model=encoder.spec.model,
        revision=encoder.spec.revision,
        engine="torch",
        precision="fp32",
    )


def _crossed(indexes: Path) -> dict[str, str]:
    """Return the indexes of images that texts find, and their labels."""
    return {
        name: f"the index {name}: {manifest.encoder.spec.model}"
        for name, manifest in manifests(indexes).items()
        if manifest
        and UNITS[manifest.unit].form is QueryForm.IMAGE
        and (manifest.artifacts.crossmodal is not None or manifest.encoder.spec.pooling == PROJECTION)
    }


def _compare_both(index: str, entered: list[Compared], indexes: Path) -> tuple[Comparison, Measure]:
    """Compare texts and images by an index."""
    searcher = open_index(indexes, index).searcher
    things = [thing.content if isinstance(thing.content, str | Path) else "" for thing in entered]
    made = replace(compare(things, index=searcher), labels=tuple(matrix.full(each) for each in entered))
    lacking = "A text and an image are never as near as two texts: compare distances of the same kind."
    return made, Measure(searcher.encoder, made.metric, made.pairs, lacking if made.by else "")


def _kind(asked: str, kinds: Mapping[str, str]) -> str:
    """Let a person choose what is compared; return it."""
    labels = {**kinds, PLAY: "Play"}
    first = next(iter(labels))
    kind = asked if asked in labels else first

    def changed() -> None:
        url_state.change(
            {"kind": st.session_state[KIND] or first, "with": "", play.ROUND: "", play.GUESS: ""}
        )

    url_state.follow(KIND, kind)
    st.segmented_control(
        "What to compare",
        list(labels),
        format_func=labels.__getitem__,
        key=KIND,
        required=True,
        on_change=changed,
        label_visibility="collapsed",
    )
    return kind


def _choices(unit: Unit, indexes: Path) -> dict[str, str]:
    """Return what can be measured with, and its label: names of indexes, and `BUNDLED`.

    The first is taken where nothing is chosen. Without general pairs that is an index that measures as the
    bundled model does by itself, where there is one: it knows random pairs besides.
    """
    model = modality_of(unit).default_model
    labels = {BUNDLED: f"{model} (bundled)"}
    same = BUNDLED
    for name, manifest in manifests(indexes).items():
        if manifest is not None and manifest.unit is unit:
            labels[name] = f"as the index {name}: {manifest.encoder.spec.model}"
            if not UNITS[unit].general and same == BUNDLED and _is_plain(manifest):
                same = name
    return {same: labels[same], **labels}


def _is_plain(manifest: Manifest) -> bool:
    """Whether an index has the metric and, centred or not, the vectors of the bundled model."""
    model, pooling = modality_of(manifest.unit).default_model, UNITS[manifest.unit].poolings[0]
    spec = manifest.encoder.spec
    pooled = (spec.model, spec.pooling, spec.layers) == (model, pooling, (-1,))
    return pooled and manifest.metric is Metric.COSINE


def _chosen(asked: str | None, choices: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Return which of `choices` the address names, and a sentence about a wrong one."""
    first = next(iter(choices))
    if not asked or asked in choices:
        return asked or first, ()
    return first, (f"There is no index {asked!r} to take a model from. This uses {choices[first]}.",)


def _model(index: str, choices: Mapping[str, str]) -> None:
    """Let a person choose what to measure with."""

    def changed() -> None:
        chosen = st.session_state[MODEL]
        url_state.change({"with": "" if chosen == next(iter(choices)) else chosen})

    url_state.follow(MODEL, index)
    with st.container(key="es-measured-with"):
        st.selectbox(
            "Measured with", list(choices), format_func=choices.__getitem__, key=MODEL, on_change=changed
        )


def _measure(index: str, unit: Unit, indexes: Path) -> Measure:
    if index != BUNDLED:
        searcher = open_index(indexes, index).searcher
        lacking = (
            f"The index {index} has too few random pairs to compare with. To measure with unrelated "
            f"{UNITS[unit].plural}, run: embedsearch calibrate {index} --foreign ..."
        )
        metric, placed = searcher.manifest.metric, searcher.build.placed
        return Measure(searcher.encoder, metric, index_pairs(searcher), lacking, placed)
    # as `embedsearch.compare` loads it, so that both give the same numbers
    recipe = EncoderRecipe(
        unit=unit, engine=QUERY, precision="fp32", decoding="full", preparation=preparation_of(unit)
    )
    lacking = (
        f"There are no random pairs of {UNITS[unit].plural} to compare with, so only distances are shown. "
        f"Choose the model of an index of {UNITS[unit].plural}: it has its own pairs."
    )
    return Measure(load_encoder(recipe), Metric.COSINE, general_pairs(recipe), lacking)


def _readable(measure: Measure, entered: list[Compared]) -> tuple[list[Compared], Measure]:
    """Return what the model can read, and the measure without pairs where it knows too little of a text.

    What is rejected is reported.
    """
    ready = measure.encoder.prepare([thing.content for thing in entered], "query")
    pairs = list(zip(entered, ready, strict=True))
    show_notices(
        tuple(f"{thing.number} is rejected: {each}." for thing, each in pairs if isinstance(each, ItemError))
    )
    read = [(thing, each) for thing, each in pairs if not isinstance(each, ItemError)]
    unknown = ", ".join(str(thing.number) for thing, each in read if each.unknown > MOST_UNKNOWN)
    if unknown:
        lacking = f"The model does not know more than a third of {unknown}, so only distances are shown."
        measure = replace(measure, pairs=None, lacking=lacking)
    return [thing for thing, _ in read], measure


def _compare(measure: Measure, entered: list[Compared]) -> Comparison:
    vectors = measure.placed(measure.encoder.encode([thing.content for thing in entered], "query"))  # (n, d)
    labels = [matrix.full(thing) for thing in entered]
    return compared(labels, vectors, measure.encoder.spec, measure.metric, measure.pairs)


def _answer(made: Comparison, entered: list[Compared], measure: Measure) -> None:
    drawn = "" if made.pairs is None else histogram(made, made.pairs, entered)
    if len(entered) == LEAST:
        parts = _number(made) + drawn
    else:
        parts = _nearest(made, entered) + matrix.heat_map(made, entered) + drawn
    st.html(f'<div class="es-relatedness">{parts}</div>')
    if made.pairs is None and measure.lacking:
        st.html(f'<p class="es-quiet">{html.escape(measure.lacking)}</p>')
    taken = (
        "last hidden layer" if made.layers == (-1,) else f"hidden layers {', '.join(map(str, made.layers))}"
    )
    model = f"Model: {html.escape(made.model)}, {html.escape(made.pooling)} pooling, {taken}."
    st.html(
        f'<p class="es-quiet">{model} '
        f"{cards.METRIC_HELP[made.metric]} What counts as near differs from model to model.</p>"
    )


def _number(made: Comparison) -> str:
    """Return the HTML of the distance of two things."""
    distance = float(made.distances[0, 1])
    word = beside = ""
    if made.pairs is not None:
        word = f'<span class="es-word">{made.pairs.label(distance) or ""}</span>'
        beside = f"<p>{_among(matrix.share(made, 0, 1), made.pairs)}</p>"
    elif made.metric is Metric.COSINE:
        ends = "<span>0 same direction</span><span>1 nothing in common</span>"
        beside = f'{cards.track(distance)}<div class="es-ends">{ends}</div>'
    return (
        f'<div class="es-answer es-announced">{word}<span class="es-label">{made.metric} distance</span>'
        f"<strong>{cards.number(distance)}</strong>{beside}</div>"
    )


def _nearest(made: Comparison, entered: list[Compared]) -> str:
    """Return the HTML of the sentence that names the most related pair."""
    row, column = made.nearest()
    pair = []
    for thing in (entered[row], entered[column]):
        name = f"{matrix.small(thing)}<b>{thing.number}</b>"
        if thing.image is None and matrix.short(thing):
            pair.append(f"{name} “{matrix.short(thing)}”")
        else:
            pair.append(f'<span class="es-held">{name}</span>')
    share = matrix.said(made, row, column)
    if made.pairs is not None:
        share = _among(share, made.pairs)
    return f'<p class="es-most es-announced">Most related: {" and ".join(pair)} ({share}).</p>'


def _among(share: str, pairs: Pairs) -> str:
    """Return the HTML of a sentence about random pairs, with where they are from."""
    return html.escape(share.replace("random pairs", f"random pairs of {pairs.of}"))
