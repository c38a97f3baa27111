"""Whether two images are copies, checked by their pixels: the second check of near copies among images.

Points of both images are matched (ORB, Rublee et al. 2011), and a shift, turn and scale is fitted to the
matches (RANSAC). One image is laid over the other, and both are compared cell by cell where they overlap. So
a turned, scaled, cropped, mirrored or framed copy passes, and two things with a part in common do not. Images
of few points, such as drawings, are laid over each other as they are, and must agree in more. What holds
nothing to compare, such as a black frame, is no copy.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from os import cpu_count
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from embedsearch.analysis.second_check import Contents
from embedsearch.backends import Mask, Rows
from embedsearch.encoders.vision.decode import open_rgb
from embedsearch.errors import ItemError
from embedsearch.progress import Progress

SIDE = 400  # pixels of the longer side, to which every image is scaled for its points
POINTS, CORNER = 500, 10  # points of an image, at most; the contrast of a corner
BITS = 64  # of the 256 of a point in which it may differ from its match
INLIERS, NEAR = 12, 5.0  # matches that fit, at least; pixels within which a match fits
CELLS, CONTRAST = 8, 4.0  # cells a side; the standard deviation, of 255, of a cell that holds something
COLOUR = 40  # of 255, by which the mean of a cell may differ, brightness and contrast of the image aside
GAIN = 0.6, 1.6  # contrast of one image against the other
EDGE = 0.03  # of an overlap's side is left out: a frame shines through
ALIKE, SHARE = 0.5, 0.8  # the correlation of two cells, and the share of such cells
AS_THEY_ARE = 0.8, 0.9  # the same for images of few points
OVERLAP, LEAST, ASPECT = 0.5, 6, 1.25  # of the smaller image; cells that hold something; ratio of two shapes
KEPT = 2000  # images whose points are kept in memory, some 200 kB each
Pixels = npt.NDArray[np.uint8]
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Look:
    """What of an image is compared.

    Attributes:
        colours: (h, w, 3), blurred, the longer side half of `SIDE`.
        points: (n, 2) float32, x and y in `colours`.
        descriptors: (n, 32), bits of the surroundings of each point.
    """

    colours: Pixels
    points: npt.NDArray[np.float32]
    descriptors: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, pixels: Pixels) -> _Look:
        """Find the points of an image (h, w, 3), its longer side `SIDE`."""
        import cv2

        orb = cv2.ORB_create(nfeatures=POINTS, fastThreshold=CORNER)
        found, descriptors = orb.detectAndCompute(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), None)
        points = np.array([each.pt for each in found], np.float32).reshape(-1, 2) / np.float32(2)
        small = tuple(max(1, side // 2) for side in pixels.shape[1::-1])
        colours = cv2.GaussianBlur(cv2.resize(pixels, small, interpolation=cv2.INTER_AREA), (0, 0), 1)
        return cls(colours, points, np.empty((0, 32), np.uint8) if descriptors is None else descriptors)


class ImageCheck:
    """Checks pairs of images of an index. Threads may share it."""

    def __init__(self, contents: Contents, count: int) -> None:  # noqa: ARG002
        """See `embedsearch.analysis.second_check.Check`."""
        self._contents = contents
        self._looks = lru_cache(KEPT)(self._looks_of)

    @staticmethod
    def lacks() -> str:
        """See `embedsearch.analysis.second_check.Check`."""
        return "" if find_spec("cv2") else "pip install 'embedsearch[copies]'"

    def same(self, first: Rows, second: Rows, progress: Progress) -> Mask:
        """See `embedsearch.analysis.second_check.Check`; images that can't be read are no copies."""
        pairs = zip(first.tolist(), second.tolist(), strict=True)
        found = []
        with ThreadPoolExecutor(cpu_count()) as pool:
            for same in pool.map(lambda pair: self._are(*pair), pairs):
                found.append(same)
                progress.advance(1)
        return np.array(found, np.bool_)

    def _are(self, one: int, other: int) -> bool:
        a, b = self._looks(one), self._looks(other)
        return bool(a and b) and any(laid_over(each, b[0]) is not None for each in a)

    def _looks_of(self, row: int) -> tuple[_Look, ...]:
        """Return an image and its mirror image; nothing where it can't be read."""
        (content,) = self._contents(np.array([row]))
        try:
            pixels = scaled(content)
        except ItemError:
            return ()
        return _Look.of(pixels), _Look.of(np.ascontiguousarray(pixels[:, ::-1]))


def scaled(content: str | Path | bytes) -> Pixels:
    """Return the pixels of an image, (h, w, 3), scaled so that its longer side is `SIDE`.

    Raises:
        ItemError: it can't be read.
    """
    image = open_rgb(content, SIDE)
    width, height = (max(2, round(side * SIDE / max(image.size))) for side in image.size)
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0))


def laid_over(a: _Look, b: _Look) -> Matrix | None:
    """Return the (2, 3) matrix that lays the image `a` over its copy `b`; None where they are no copies."""
    matrix, (alike, share) = _fitted(a, b), (ALIKE, SHARE)
    if matrix is None:
        (height, width), (high, wide) = a.colours.shape[:2], b.colours.shape[:2]
        shapes = width * high / (height * wide)
        if max(shapes, 1 / shapes) > ASPECT:
            return None
        matrix, (alike, share) = np.array([[wide / width, 0, 0], [0, high / height, 0.0]]), AS_THEY_ARE
    agreed = _agreed(a.colours, b.colours, matrix, alike)
    if share > agreed > share / 2:  # nearly: the fit may be off by a few pixels
        matrix = _refined(a.colours, b.colours, matrix)
        agreed = _agreed(a.colours, b.colours, matrix, alike)
    return matrix if agreed >= share else None


def _fitted(a: _Look, b: _Look) -> Matrix | None:
    """Return the shift, turn and scale that lays points of `a` over those of `b`; None where too few fit."""
    import cv2

    if min(len(a.points), len(b.points)) < INLIERS:
        return None
    matches = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(a.descriptors, b.descriptors)
    pairs = [(each.queryIdx, each.trainIdx) for each in matches if each.distance <= BITS]
    if len(pairs) < INLIERS:
        return None
    own, its = np.array(pairs).T
    cv2.setRNGSeed(0)
    matrix, fits = cv2.estimateAffinePartial2D(
        a.points[own], b.points[its], method=cv2.RANSAC, ransacReprojThreshold=NEAR / 2
    )
    return None if matrix is None or fits.sum() < INLIERS else np.asarray(matrix, np.float64)


def _refined(a: Pixels, b: Pixels, matrix: Matrix) -> Matrix:
    """Return a matrix that lays `a` over `b` more exactly (ECC, Evangelidis & Psarakis 2008)."""
    import cv2

    greys = [cv2.cvtColor(each, cv2.COLOR_RGB2GRAY) for each in (b, a)]
    back = cv2.invertAffineTransform(matrix).astype(np.float32)
    try:
        _, back = cv2.findTransformECC(*greys, back, cv2.MOTION_AFFINE, (3, 30, 1e-3), None, 5)
    except cv2.error:  # it does not converge
        return matrix
    return np.asarray(cv2.invertAffineTransform(back), np.float64)


def _agreed(a: Pixels, b: Pixels, matrix: Matrix, alike: float) -> float:
    """Return the share of cells that agree, of those that hold something, where `a` laid over `b` covers it.

    0 where they hardly overlap, or nothing is there to compare.
    """
    import cv2

    height, width = b.shape[:2]
    size = a.shape[0] * a.shape[1] * abs(float(np.linalg.det(matrix[:, :2])))  # of `a`, laid over `b`
    covered = cv2.warpAffine(_inner(a), matrix, (width, height)) & _inner(b)
    if covered.sum() < OVERLAP * (1 - 4 * EDGE) * 255 * min(size, height * width):
        return 0.0
    down, across = np.flatnonzero(covered.any(1)), np.flatnonzero(covered.any(0))
    box = slice(down[0], down[-1] + 1), slice(across[0], across[-1] + 1)
    over = cv2.warpAffine(a, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    p, q = (each[box].astype(np.float32) for each in (over, b))  # (h, w, 3)
    mask = (covered[box] > 250).astype(np.float32)[:, :, None]
    pg, qg = p.mean(2, keepdims=True), q.mean(2, keepdims=True)
    summed = [mask, mask * p, mask * q, mask * np.dstack([pg, qg, pg * pg, qg * qg, pg * qg])]
    cells = np.concatenate([_cells(each) for each in summed], axis=1)  # (c, 12)
    cells = cells[cells[:, 0] > 0.5]
    cells = cells[:, 1:] / cells[:, :1]
    colours, (m, n, mm, nn, mn) = (cells[:, :3], cells[:, 3:6]), cells[:, 6:].T
    spread, its, both = np.maximum(mm - m * m, 0), np.maximum(nn - n * n, 0), mn - m * n
    differs = _other_colours(*colours)
    full = (np.maximum(spread, its) >= CONTRAST**2) | differs
    same = both >= alike * np.sqrt(spread * its)
    same &= (np.minimum(spread, its) >= (CONTRAST / 4) ** 2) & ~differs
    return float((same & full).sum() / full.sum()) if full.sum() >= LEAST else 0.0


def _inner(image: Pixels) -> Pixels:
    """Return where an image is, 255, without its edges."""
    mask = np.zeros(image.shape[:2], np.uint8)
    high, wide = (max(1, round(EDGE * side)) for side in image.shape[:2])
    mask[high:-high, wide:-wide] = 255
    return mask


def _cells(channels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the mean of each of `CELLS` x `CELLS` cells: (h, w, c) -> (`CELLS` * `CELLS`, c)."""
    import cv2

    planes = [
        cv2.resize(np.ascontiguousarray(channels[:, :, at]), (CELLS, CELLS), interpolation=cv2.INTER_AREA)
        for at in range(channels.shape[2])
    ]
    return np.stack([np.asarray(plane, np.float32).ravel() for plane in planes], axis=1)


def _other_colours(p: npt.NDArray[np.float32], q: npt.NDArray[np.float32]) -> Mask:
    """Return which cells (c, 3) have another colour than brightness and contrast of the image explain."""
    p, q = p - p.mean(0), q - q.mean(0)
    gain = np.clip(
        ((p * q).mean(0) + 25) / ((p * p).mean(0) + 25), *GAIN
    )  # near 1 where there is no contrast
    return np.asarray((np.abs(q - gain * p) > COLOUR).any(1))


def difference(one: str | Path | bytes, other: str | Path | bytes) -> Pixels | None:
    """Return `other` in grey, with red where `one`, laid over it, differs: (h, w, 3).

    None where one of them can't be read, or they can't be laid over each other.
    """
    import cv2

    if ImageCheck.lacks():
        return None
    try:
        pixels, base = scaled(one), scaled(other)
    except ItemError:
        return None
    b = _Look.of(base)
    for mirrored in (pixels, np.ascontiguousarray(pixels[:, ::-1])):
        matrix = laid_over(_Look.of(mirrored), b)
        if matrix is not None:
            break
    else:
        return None
    matrix = matrix * [[1, 1, 2]]  # found at half the size
    size = base.shape[1::-1]
    over = cv2.warpAffine(mirrored, matrix, size)
    inside = cv2.warpAffine(np.full(mirrored.shape[:2], 255, np.uint8), matrix, size) > 250
    smooth: list[Any] = [cv2.GaussianBlur(each, (0, 0), 2).astype(np.int16) for each in (over, base)]
    far = np.abs(smooth[0] - smooth[1]).max(2)
    far = np.where(inside, np.minimum(4.0 * np.maximum(far - 16, 0), 255), 255) / 255  # (h, w) in [0, 1]
    grey = np.repeat(128 + base.mean(2, keepdims=True) / 2, 3, axis=2)
    return np.asarray(grey * (1 - far[:, :, None]) + far[:, :, None] * [[[214, 40, 40]]], np.uint8)
