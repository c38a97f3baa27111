"""Who is told how long work goes on."""

from __future__ import annotations

from typing import Any, Protocol


class Computing(Protocol):
    """What is told of the encoder that a build embeds with; every encoder has it.

    Attributes:
        spec: what the vectors mean; see `embedsearch.models.spec.EncoderSpec`.
        dimension: of the vectors.
        device: where they are computed; empty where no model is loaded.
        precision: in what.
        engine: by what.
        decoding: how images are read; empty for texts.
    """

    spec: Any
    dimension: int
    device: str
    precision: str
    engine: str
    decoding: str


class Progress(Protocol):
    """Who is told how a build goes on."""

    def start(self, encoder: Computing, total: int | None, done: int) -> None:
        """Embedding begins: `done` of `total` entries (None: unknown) were found ready."""

    def advance(self, entries: int) -> None:
        """So many more entries are done."""

    def spent(self, waiting: float, computing: float) -> None:
        """So many seconds went by since the start in waiting for input, and for the model."""

    def stage(self, text: str, total: int | None = None) -> None:
        """What happens before and after embedding, and of how many things, where `advance` counts them."""


class Silent:
    """Tells nobody."""

    def start(self, encoder: Computing, total: int | None, done: int) -> None:
        """See `Progress`."""

    def advance(self, entries: int) -> None:
        """See `Progress`."""

    def spent(self, waiting: float, computing: float) -> None:
        """See `Progress`."""

    def stage(self, text: str, total: int | None = None) -> None:
        """See `Progress`."""
