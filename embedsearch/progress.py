"""Reports of how far a build has got."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

LISTED = 10  # rejected things that are named


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


def report_rejected(progress: Progress, what: str, rejected: Sequence[tuple[str, str]]) -> None:
    """Report what was rejected, the first ones each with its reason.

    Args:
        progress: gets the reports.
        what: what it was of, such as "12 captions".
        rejected: names and reasons.
    """
    if rejected:
        progress.stage(f"{len(rejected):,} of {what} were rejected")
    for name, reason in rejected[:LISTED]:
        progress.stage(f"rejected {name!r:.60}: {reason}")
    if len(rejected) > LISTED:
        progress.stage(f"and {len(rejected) - LISTED:,} more")


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
