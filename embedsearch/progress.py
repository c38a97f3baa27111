"""Reports of how far a build has got."""

from __future__ import annotations

from typing import Any, Protocol


class Computing(Protocol):
    """What a report says of the encoder; every encoder has it.

    Attributes:
        spec: what its vectors mean; see `embedsearch.models.spec.EncoderSpec`.
        dimension: length of its vectors.
        device: the device that computes them; empty where no model is loaded.
        precision: the precision that they are computed in.
        engine: the engine that computes them.
        decoding: how images are decoded; empty for texts.
    """

    spec: Any
    dimension: int
    device: str
    precision: str
    engine: str
    decoding: str


class Progress(Protocol):
    """Gets the reports of a build, as a progress bar does."""

    def start(self, encoder: Computing, total: int | None, done: int) -> None:
        """Embedding begins. `done` of `total` entries (None: unknown) need no work."""

    def advance(self, entries: int) -> None:
        """So many more entries are done."""

    def spent(self, waiting: float, computing: float) -> None:
        """Seconds since the start that were spent waiting for input, and computing."""

    def stage(self, text: str, total: int | None = None) -> None:
        """Another stage begins, of `total` steps where `advance` counts them."""


class Silent:
    """Ignores all reports."""

    def start(self, encoder: Computing, total: int | None, done: int) -> None:
        """See `Progress`."""

    def advance(self, entries: int) -> None:
        """See `Progress`."""

    def spent(self, waiting: float, computing: float) -> None:
        """See `Progress`."""

    def stage(self, text: str, total: int | None = None) -> None:
        """See `Progress`."""
