"""Layouts: vectors to two dimensions. One layout a file, and its row in `LAYOUTS`."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, cast

from embedsearch.distances.metric import Vectors
from embedsearch.maps.inputs import MapInputs, Method, PreviousMap
from embedsearch.progress import Progress


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the items of an index lie on a map.

    Attributes:
        xy: (n, 2) float32.
        laid_out: how many items the method itself laid out; the others lie between these.
        explained: the share of the variance along each axis, in [0, 1]; None where axes mean nothing.
    """

    xy: Vectors
    laid_out: int
    explained: tuple[float, ...] | None = None


class LayOut(Protocol):
    """Lays items out, near where the previous map had them where it can.

    Raises:
        MissingExtraError: a library that it needs is not installed.
    """

    def __call__(self, inputs: MapInputs, previous: PreviousMap | None, progress: Progress) -> Layout:
        """Return where each item lies, and report what takes long."""


# method -> "module:function", imported on first use
LAYOUTS: dict[Method, str] = {
    Method.PCA: "embedsearch.maps.layouts.pca:pca_layout",
    Method.UMAP: "embedsearch.maps.layouts.umap:umap_layout",
}


def layout_by(method: Method) -> LayOut:
    """Return the function that lays items out by `method`."""
    module, name = LAYOUTS[method].split(":")
    return cast(LayOut, getattr(import_module(module), name))


def default_method() -> Method:
    """Return UMAP where the extra `umap` is installed, which keeps far more neighbours together; else PCA."""
    from embedsearch.maps.layouts.umap import is_installed

    return Method.UMAP if is_installed() else Method.PCA
