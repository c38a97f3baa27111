"""Who maps batches to vectors.

A runner is pure and can be pickled: it has no store and no source. It is given batches and the recipe of an
encoder, and gives the batches back with their vectors. A runner is no part of what an index is: no recipe
names it, and a run that one runner began is resumed by another. To add one: a file here with a class of the
`Runner` shape, its name in `RUNNERS`, and how it is made in `open_runner`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from typing import Protocol

from embedsearch.encoders import Encoder
from embedsearch.errors import MissingExtraError, RecipeError, nearest
from embedsearch.indexing.batch import Batch
from embedsearch.indexing.read import Reading
from embedsearch.indexing.runners.local import LocalRunner
from embedsearch.progress import Computing
from embedsearch.recipe import EncoderRecipe


class Runner(Protocol):
    """A map from batches to batches with vectors.

    Attributes:
        reading: who reads what the batches hold.
    """

    @property
    def reading(self) -> Reading:
        """See above."""

    def map(self, batches: Iterable[Batch], recipe: EncoderRecipe) -> Iterator[Batch]:
        """Yield each batch with `embedded` filled in, in order.

        A batch depends on no other, so that a run that was interrupted resumes at any of them. The encoder is
        loaded for the first batch that has contents, and not at all where none has.

        Raises:
            ModelError, DeviceError: the encoder can't be loaded, or can't compute.
        """


RUNNERS = ("local", "ray")


def check_runner(name: str, address: str) -> None:
    """Check what was asked for, before anything is read.

    Raises:
        RecipeError: there is no such runner, or it takes no address.
        MissingExtraError: it is not installed.
    """
    if name not in RUNNERS:
        raise RecipeError(f"Unknown runner {name!r}; there are {', '.join(RUNNERS)}.{nearest(name, RUNNERS)}")
    if address and name != "ray":
        raise RecipeError(f"--address {address} is of a Ray cluster: give --runner ray with it.")
    if name == "ray" and find_spec("ray") is None:
        raise MissingExtraError("--runner ray needs Ray: pip install 'embedsearch[ray]'")


def open_runner(
    name: str,
    address: str,
    load: Callable[[EncoderRecipe], Encoder],
    make: Callable[[EncoderRecipe], Encoder],
    on_progress: Callable[[int], None],
    on_start: Callable[[Computing], None],
    on_stage: Callable[[str], None],
) -> Runner:
    """Return the runner of that name.

    Args:
        name: one of `RUNNERS`.
        address: of a Ray cluster; empty for this machine.
        load: what makes this process's encoder of its recipe.
        make: what makes a worker's; it is pickled.
        on_progress: is told the number of entries just finished.
        on_start: is told what computes, before the first batch.
        on_stage: is told what happens until then.
    """
    if name == "ray":
        from embedsearch.indexing.runners.ray import RayRunner

        return RayRunner(load, on_progress, on_start, on_stage, make, address)
    return LocalRunner(load, on_progress, on_start)
