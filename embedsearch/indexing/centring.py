"""The centring of a build: that of the build before, or fitted to the vectors of this one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from embedsearch.disk.npy import load_array
from embedsearch.distances.centring import BLOCK, LEAST_ITEMS, MOST_ITEMS, MOST_NUMBERS, Centring, fit
from embedsearch.distances.metric import Metric
from embedsearch.encoders import Encoder
from embedsearch.errors import RecipeError
from embedsearch.indexing.shards import as_stored
from embedsearch.modalities import PROJECTION
from embedsearch.recipe import IndexOptions
from embedsearch.store.facts import CentringFacts
from embedsearch.store.manifest import CENTRING, VECTORS
from embedsearch.store.previous import PreviousBuild

MOST_NEW = 0.5  # share of the items that may be new under a centring of the build before


def check_centring(options: IndexOptions, metric: Metric, encoder: Encoder) -> None:
    """Check that vectors of an encoder can be centred as asked.

    Raises:
        RecipeError: they can't.
    """
    if not options.centred:
        return
    if metric is not Metric.COSINE:
        raise RecipeError(
            f"Vectors are centred for the metric cosine, and this index has {metric}: leave out --center and "
            "--dim. A Euclidean distance does not change with the centre, and an inner product loses its "
            "meaning."
        )
    if encoder.spec.pooling == PROJECTION:
        raise RecipeError(
            f"The texts and images of {encoder.spec.model} have one space and different means, so that they "
            "can't be centred together: leave out --center and --dim."
        )
    if options.dim > encoder.dimension:
        raise RecipeError(
            f"The vectors of {encoder.spec.model} have {encoder.dimension:,} numbers, and --dim asks for "
            f"{options.dim:,}. Give at most as many."
        )
    if options.dim and encoder.dimension > MOST_NUMBERS:
        raise RecipeError(
            f"The vectors of {encoder.spec.model} have {encoder.dimension:,} numbers, and --dim takes at "
            f"most {MOST_NUMBERS:,}. Leave it out; --center alone takes vectors of any length."
        )


def carried(
    options: IndexOptions, previous: PreviousBuild | None, items: int, reused: int
) -> Centring | None:
    """Return the centring of the build before where it serves this one; None to fit one, or for none.

    Main directions serve as long as a vector is kept: one that was reduced to them has lost all others, so
    that new directions could not be fitted to it.

    Args:
        options: what is asked for.
        previous: the build that vectors are kept of.
        items: the number of all vectors.
        reused: the number of those kept.
    """
    if previous is None or previous.build.centring is None:
        return None
    before, centring = previous.build.manifest.recipe.index, previous.build.centring
    same = (options.centred, options.dim) == (before.centred, before.dim)
    serves = reused > 0 if centring.basis is not None else items - reused <= MOST_NEW * items
    return centring if same and serves else None


def fit_to(folder: Path, options: IndexOptions, dtype: npt.DTypeLike) -> Centring | None:
    """Fit a centring to the vectors of the model in `folder`, and centre them.

    Args:
        folder: of the build in the making.
        options: what is asked for.
        dtype: what vectors are stored in.

    Returns:
        None where there are too few of them; they are stored as they are then.

    Raises:
        RecipeError: a vector has a component that fp16 can't hold.
    """
    raw = load_array(folder / VECTORS, mapped=True)
    centring = fit(raw, options.dim)
    aside = folder / f"{VECTORS}.new"
    shape = (len(raw), raw.shape[1] if centring is None else centring.dimension)
    vectors = np.lib.format.open_memmap(aside, "w+", dtype, shape)
    for start in range(0, len(raw), BLOCK):
        block = raw[start : start + BLOCK]
        centred = block if centring is None else centring.apply(block)
        vectors[start : start + BLOCK] = as_stored(centred, vectors.dtype)
    del raw, vectors
    aside.replace(folder / VECTORS)
    return centring


def described(centring: Centring, folder: Path) -> CentringFacts:
    """Write a centring into the folder of a build; return what its manifest says of it."""
    centring.save(folder / CENTRING)
    return CentringFacts(
        fingerprint=centring.fingerprint,
        items=centring.items,
        numbers=len(centring.mean),
        explained=round(centring.explained, 4),
    )


def outgrown(name: str, centring: Centring | None, items: int) -> str:
    """Return the sentence that says that main directions are of few of the items; often empty."""
    if centring is None or centring.basis is None or items - centring.items <= MOST_NEW * items:
        return ""
    if centring.items >= MOST_ITEMS:
        return ""
    dim = len(centring.basis)
    return (
        f"The {dim:,} main directions were fitted to {centring.items:,} of the {items:,} vectors. To fit "
        f"them again: embedsearch rebuild {name} --no-center, then embedsearch rebuild {name} --dim {dim}."
    )


def too_few(options: IndexOptions, items: int) -> str:
    """Return the sentence that says why vectors are not centred."""
    least = max(LEAST_ITEMS, options.dim)
    if items < least:
        return f"The vectors are not centred: that needs {least:,} items, and there are {items:,}."
    return "The vectors are not centred: all of them are the same."
