"""How long work shows its progress on the page."""

from __future__ import annotations

import time
from typing import Self

import streamlit as st

from embedsearch.progress import Silent

SHOWN_EVERY = 0.2  # seconds; each change of the bar is sent to the browser
SETTLED = 1.0  # seconds until a rate is shown


class Bar(Silent):
    """A progress bar with rate and time left; see `embedsearch.progress.Progress`. Taken away by `with`."""

    def __init__(self) -> None:
        self._place = st.empty()
        self._text, self._total, self._done = "", 0, 0
        self._began = self._shown = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._place.empty()

    def stage(self, text: str, total: int | None = None) -> None:
        """Show what happens now."""
        self._text, self._total, self._done = text, total or 0, 0
        self._began = time.monotonic()
        self._show(self._began)

    def advance(self, entries: int) -> None:
        """Move the bar."""
        self._done += entries
        now = time.monotonic()
        if now - self._shown >= SHOWN_EVERY:
            self._show(now)

    def _show(self, now: float) -> None:
        self._shown = now
        share = min(self._done / self._total, 1.0) if self._total else 0.0
        self._place.progress(share, said(self._text, self._done, self._total, now - self._began))


def said(text: str, done: int, total: int, seconds: float) -> str:
    """Return the line above a bar: what happens, how much of it is done, the rate, and the time left.

    Args:
        text: what happens, in lower case.
        done: steps that are done.
        total: steps in all; 0 where they are not counted.
        seconds: since the stage began.
    """
    line = f"{text[:1].upper()}{text[1:]}"
    if not total:
        return f"{line} …"
    line += f": {done:,} of {total:,}"
    if done and seconds >= SETTLED:
        rate = done / seconds
        line += f", {rate:,.0f} a second, {_span((total - done) / rate)} left"
    return line


def _span(seconds: float) -> str:
    """Return a time that is left, such as 8 s or 2 min."""
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{round(seconds / 60)} min"
