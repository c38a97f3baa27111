"""A game: which of three items is nearest to a first one? Guess, then see what the index says."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st

from embedsearch.distances.metric import Metric, distances
from embedsearch.index import Index
from embedsearch.modalities import UNITS, Card, QueryForm, modality_of
from embedsearch.results import Hit
from embedsearch.store.manifest import Manifest
from embedsearch.ui import url_state
from embedsearch.ui.cached import manifests, open_index
from embedsearch.ui.widgets import cards

ROUND, GUESS = "round", "guess"  # in the address
INDEX, SCORE = "play-index", "play-score"
SAMPLE = 400  # items that a round is drawn from
COPY = 0.05  # of the median distance: what is nearer is a copy
LEAST = 8  # items of an index that can be played with


@dataclass(frozen=True, slots=True)
class Round:
    """A question.

    Attributes:
        first: the row that the others are compared with.
        others: three rows, in the order shown.
        far: their distances.
    """

    first: int
    others: tuple[int, int, int]
    far: tuple[float, float, float]

    @property
    def answer(self) -> int:
        """Which of the three is nearest, 0 to 2."""
        return int(np.argmin(self.far))


def draw(searcher: Index, number: int) -> Round:
    """Return a round: something near to the first item, something farther, and something far; no copies.

    Args:
        searcher: the index, of `LEAST` items or more.
        number: of the round, which decides all of it.
    """
    chance = np.random.default_rng(number)
    count = len(searcher)
    rows = np.sort(chance.choice(count, min(count, SAMPLE), replace=False))
    vectors = np.asarray(searcher.build.vectors[rows], np.float32)
    at = int(chance.integers(len(rows)))
    far = distances(vectors[at : at + 1], vectors, searcher.manifest.metric)[0]  # (1, d) (m, d) -> (m,)
    order = [int(each) for each in np.argsort(far, kind="stable") if each != at]
    apart = [each for each in order if far[each] > COPY * np.median(far)]
    order = apart if len(apart) >= 3 else order  # three different ones are shown, copies or not
    places = (0, len(order) // 4, int(chance.integers(len(order) // 2, len(order))))
    chosen = [order[min(max(place, least), len(order) - 1)] for least, place in enumerate(places)]
    mixed = [chosen[int(each)] for each in chance.permutation(3)]
    one, two, three = mixed
    return Round(
        int(rows[at]),
        (int(rows[one]), int(rows[two]), int(rows[three])),
        (float(far[one]), float(far[two]), float(far[three])),
    )


def show(indexes: Path, said: Mapping[str, str]) -> None:
    """Show a round; a guess shows the distances.

    Args:
        indexes: the folder of indexes.
        said: the parameters of the address.
    """
    names = _playable(manifests(indexes))
    if not names:
        st.html(f'<p class="es-quiet">This needs an index of at least {LEAST} images or texts.</p>')
        return
    name = said.get("with", "") if said.get("with", "") in names else names[0]
    searcher = open_index(indexes, name).searcher
    number = int(said[ROUND]) if said.get(ROUND, "").isdecimal() and len(said[ROUND]) < 7 else 1
    guess = int(said[GUESS]) - 1 if said.get(GUESS, "") in ("1", "2", "3") else None
    game = draw(searcher, number)
    first, *others = searcher.items([game.first, *game.others], [0.0, *game.far])
    st.html(
        '<h2 class="es-h">Which of these three is nearest?</h2><p class="es-quiet">Guess first. Then see '
        "what the model says: it knows only what it was trained on, so it may well surprise you.</p>"
    )
    with st.container(key="es-play"):
        with st.container(key="es-play-first"):
            _card(first)
        with st.container(key="es-play-others"):
            for place, hit in enumerate(others):
                with st.container(border=True, key=f"es-play-{place}"):
                    _card(hit)
                    if guess is None:
                        st.button(
                            f"Guess {place + 1}",
                            key=f"play-guess-{place}",
                            width="stretch",
                            on_click=_guessed,
                            args=(place, game.answer, name, number),
                        )
                    else:
                        st.html(_told(place, guess, game, searcher.manifest.metric))
    _after(name, names, number, guess, game)


def _playable(known: Mapping[str, Manifest | None]) -> list[str]:
    """Return the indexes to play with, of images first."""
    forms = (QueryForm.IMAGE, QueryForm.TEXT)
    fitting = {
        name: each
        for name, each in known.items()
        if each and each.count >= LEAST and UNITS[each.unit].form in forms
    }
    return sorted(fitting, key=lambda name: modality_of(fitting[name].unit).card is not Card.IMAGE)


def _card(hit: Hit) -> None:
    shown = cards.image(hit) if cards.is_image(hit) else cards.text(hit)
    st.html(f'<div class="es-body">{shown}</div>')


def _guessed(place: int, answer: int, name: str, number: int) -> None:
    right, asked = st.session_state.get(SCORE, (0, 0))
    st.session_state[SCORE] = (right + (place == answer), asked + 1)
    url_state.change({GUESS: str(place + 1), "with": name, ROUND: str(number)})


def _told(place: int, guess: int, game: Round, metric: Metric) -> str:
    """Return the HTML of the distance of one of the three, and whether it is the nearest."""
    ranks = sorted(range(3), key=lambda each: game.far[each])
    word = ("nearest", "second", "farthest")[ranks.index(place)]
    own = " your guess" if place == guess else ""
    kind = "es-right" if place == game.answer else "es-wrong" if place == guess else ""
    low, high = min(game.far), max(game.far)
    share = 100 - 75 * (game.far[place] - low) / (high - low) if high > low else 100
    return (
        f'<div class="es-told {kind}"><b>{word}</b><span>{html.escape(own)}</span>'
        f'<span class="es-distance" title="{html.escape(cards.METRIC_HELP[metric])}">'
        f"{cards.number(game.far[place])}</span></div>"
        f'<div class="es-near" aria-hidden="true"><i style="width: {share:.0f}%"></i></div>'
    )


def _after(name: str, names: list[str], number: int, guess: int | None, game: Round) -> None:
    right, asked = st.session_state.get(SCORE, (0, 0))
    if guess is not None:
        verdict = (
            "That is what the model says, too." if guess == game.answer else "The model sees it otherwise."
        )
        score = f" {right} of {asked} right so far." if asked else ""
        st.html(f'<p class="es-most es-announced">{verdict}{score}</p>')

    def moved() -> None:
        url_state.change({"with": st.session_state[INDEX] or "", ROUND: "", GUESS: ""})

    url_state.follow(INDEX, name)
    with st.container(horizontal=True, vertical_alignment="bottom", key="es-play-on"):
        st.button(
            "Next" if guess is not None else "Others",
            icon=":material/skip_next:",
            type="primary" if guess is not None else "secondary",
            key="play-next",
            on_click=url_state.change,
            args=({ROUND: str(number + 1), GUESS: ""},),
        )
        st.selectbox("Items of", names, key=INDEX, on_change=moved)
