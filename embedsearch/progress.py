"""Who is told how long work goes on."""

from __future__ import annotations

from typing import Protocol

from embedsearch.encoders import Encoder


class Progress(Protocol):
    """Who is told how a build goes on."""

    def start(self, encoder: Encoder, total: int | None, done: int) -> None:
        """Embedding begins: `done` of `total` entries (None: unknown) were found ready."""

    def advance(self, entries: int) -> None:
        """So many more entries are done."""

    def spent(self, waiting: float, computing: float) -> None:
        """So many seconds went by since the start in waiting for input, and for the model."""

    def stage(self, text: str, total: int | None = None) -> None:
        """What happens before and after embedding, and of how many things, where `advance` counts them."""


class Silent:
    """Tells nobody."""

    def start(self, encoder: Encoder, total: int | None, done: int) -> None:
        """See `Progress`."""

    def advance(self, entries: int) -> None:
        """See `Progress`."""

    def spent(self, waiting: float, computing: float) -> None:
        """See `Progress`."""

    def stage(self, text: str, total: int | None = None) -> None:
        """See `Progress`."""
