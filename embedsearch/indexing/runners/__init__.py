"""Who maps batches to vectors.

A runner is pure and can be pickled: it has no store and no source. It is given batches and the recipe of an
encoder, and gives the batches back with their vectors. To add one: a file here with a class of the `Runner`
shape, and its row in `RUNNERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import Protocol, cast

from embedsearch.encoders import Encoder
from embedsearch.indexing.batch import Batch
from embedsearch.recipe import EncoderRecipe


class Runner(Protocol):
    """A map from batches to batches with vectors."""

    def __init__(self, load: Callable[[EncoderRecipe], Encoder], on_progress: Callable[[int], None]) -> None:
        """Note who is asked for what.

        Args:
            load: what makes an encoder of its recipe.
            on_progress: is told the number of entries just finished.
        """

    def map(self, batches: Iterable[Batch], recipe: EncoderRecipe) -> Iterator[Batch]:
        """Yield each batch with `embedded` filled in, in order.

        A batch depends on no other, so that a run that was interrupted resumes at any of them. The encoder is
        loaded for the first batch that has contents, and not at all where none has.

        Raises:
            ModelError, DeviceError: the encoder can't be loaded, or can't compute.
        """


# name -> "module:class", imported on first use
RUNNERS: dict[str, str] = {"local": "embedsearch.indexing.runners.local:LocalRunner"}


def runner_class(name: str) -> type[Runner]:
    """Return the runner of that name."""
    module, kind = RUNNERS[name].split(":")
    return cast(type[Runner], getattr(import_module(module), kind))
