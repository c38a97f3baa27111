"""An encoder that is not loaded: a rebuild with nothing to embed needs no model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from embedsearch.distances.metric import Vectors
from embedsearch.encoders import Prepared
from embedsearch.encoders.hidden_states import HiddenStates
from embedsearch.errors import SourceError
from embedsearch.models.facts import EncoderFacts
from embedsearch.models.spec import EncoderSpec, Role


class UnloadedEncoder:
    """What is known of the encoder that made a build; see `Encoder`."""

    device = ""

    def __init__(self, spec: EncoderSpec, dimension: int, made: EncoderFacts) -> None:
        """Take over what a manifest says.

        Args:
            spec: of the encoder, from its files.
            dimension: of the build's vectors.
            made: what the manifest says of the encoder that made them.
        """
        self.spec, self.dimension, self.made = spec, dimension, made
        self.precision, self.engine, self.decoding = made.precision, made.engine, made.decoding

    def prepare(self, items: Sequence[Any], role: Role = "passage") -> list[Any]:  # noqa: ARG002
        """Refuse: when the build began there was nothing to embed."""
        raise SourceError(
            "The source changed while it was read: it holds something new now. Run the same command again."
        )

    def run(self, prepared: Sequence[Prepared]) -> Iterator[tuple[int, Vectors]]:
        """See `prepare`."""
        raise NotImplementedError

    def encode(self, items: Sequence[Any], role: Role = "passage") -> Vectors:
        """See `prepare`."""
        raise NotImplementedError

    def hidden_states(self, item: Any, role: Role = "passage") -> HiddenStates:
        """See `prepare`."""
        raise NotImplementedError
