"""Whether two images are copies, checked by their pixels: the second check of near copies among images.

Points of both images are matched (ORB, Rublee et al. 2011), and a shift, turn and scale is fitted to the
matches (RANSAC). One image is laid over the other, and both are compared cell by cell where they overlap. So
a turned, scaled, cropped, mirrored or framed copy passes, and two things with a part in common do not. Images
of few points, such as drawings, are laid over each other as they are, and must agree in more. A sign, one ink
on a plain ground, must agree in more too, unmirrored and upright: p is no copy of q. What holds nothing to
compare, such as a black frame, is no copy.
"""

from __future__ import annotations

from collections.abc import Sequence
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

SIDE, SHRUNK = 400, 2  # pixels of the longer side for finding points; of which the colours have a half
POINTS, CORNER = 300, 10  # points of an image, at most; the contrast of a corner
BITS = 64  # of the 256 of a point in which it may differ from its match
INLIERS, NEAR = 10, 5.0  # matches that fit, at least; pixels within which a match fits
CELLS, CONTRAST = 8, 4.0  # cells a side; the standard deviation, of 255, of a cell that holds something
COLOUR = 40  # of 255, by which the mean of a cell may differ, brightness and contrast of the image aside
GAIN = 0.6, 1.6  # contrast of one image against the other
EDGE = 0.03  # of an overlap's side is left out: a frame shines through
ALIKE, SHARE = 0.5, 0.79  # the correlation of two cells, and the share of such cells
AS_SIGNS, AS_THEY_ARE = (0.8, 0.85), (0.8, 0.9)  # the same for signs, and for images of few points
OUTLINE, OUTLINES_ALIKE = (
    16,
    0.9,
)  # pixels a side; the least correlation of the outlines of images of few points
UPRIGHT = 15.0  # degrees by which a sign may be turned
MARGIN = 0.08  # share of a side by which what is drawn may stick out of the other image
BEND, MOST_BENDS = 1.2, 65  # pixels off a straight line; bends of the contours of a sign, at most
COARSE, TONE, INK, STRAY, ON_LINE, AT_ENDS = 4, 0.03, 96, 32, 0.98, 0.65  # see `_ink`
OVERLAP, LEAST, ASPECT = 0.5, 6, 1.25  # of the smaller image; cells that hold something; ratio of two shapes
WAVES, TURNED, LOOKED_AT = 8, 0.1, 2  # see `_shape`; the largest distance of two; the nearest looked at
KEPT = 2000  # images whose points are kept in memory, some 110 kB each
BLOCK = 1024  # shapes compared at a time
LEVELS = np.stack(np.unravel_index(np.arange(512), (8, 8, 8)), axis=1) * 32 + 16  # (512, 3), coarse colours
Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Look:
    """What of an image is compared.

    Attributes:
        colours: (h, w, 3), blurred, the longer side half of `SIDE`.
        points: (n, 2) float32, x and y in `colours`.
        descriptors: (n, 32), bits of the surroundings of each point.
        outline: (`OUTLINE` * `OUTLINE`,) of length 1: the grey image less its mean; 0 where it is plain.
        ink: (2, 2) of a sign, see `_ink`: the corners of what is drawn, x and y in `colours`; else None.
    """

    colours: Pixels
    points: Floats
    descriptors: Pixels
    outline: Floats
    ink: Matrix | None


def look(pixels: Pixels) -> tuple[_Look, _Look]:
    """Return what of an image (h, w, 3), its longer side `SIDE`, is compared; then of its mirror image."""
    import cv2

    orb = cv2.ORB_create(nfeatures=POINTS, fastThreshold=CORNER)
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    found, descriptors = orb.detectAndCompute(grey, None)
    width = pixels.shape[1]
    small = tuple(max(1, side // SHRUNK) for side in pixels.shape[1::-1])
    colours = cv2.GaussianBlur(cv2.resize(pixels, small, interpolation=cv2.INTER_AREA), (0, 0), 1)
    outline = cv2.resize(grey, (OUTLINE, OUTLINE), interpolation=cv2.INTER_AREA).astype(np.float32)
    outline -= outline.mean()
    outline /= max(float(np.linalg.norm(outline)), 1.0)
    ink = _ink(pixels)
    # the same points, with the surroundings of each seen in the mirror
    turned = [
        cv2.KeyPoint(width - 1 - x, y, each.size, (180 - each.angle) % 360, each.response, each.octave)
        for each in found
        for x, y in [each.pt]
    ]
    turned, mirrored = orb.compute(np.ascontiguousarray(grey[:, ::-1]), turned)
    return (
        _Look(colours, _places(found), _bits(descriptors), outline.ravel(), ink),
        _Look(
            np.ascontiguousarray(colours[:, ::-1]),
            _places(turned),
            _bits(mirrored),
            outline[:, ::-1].ravel(),
            ink,
        ),
    )


def _places(points: Sequence[Any]) -> Floats:
    return np.array([each.pt for each in points], np.float32).reshape(-1, 2) / np.float32(SHRUNK)


def _bits(descriptors: Pixels | None) -> Pixels:
    return np.empty((0, 32), np.uint8) if descriptors is None else descriptors


def _ink(pixels: Pixels) -> Matrix | None:
    """Return the corners (2, 2) of what is drawn in a sign: one ink on a plain ground, as a letter or a note.

    A sign that is mirrored or turned is another sign: p and q, 6 and 9. The ground is the most frequent
    colour, the ink the most frequent one that is far from it. All others lie between the two, and are few.
    Its contours are simple.

    Args:
        pixels: of an image, (h, w, 3).

    Returns:
        x and y of the upper left and of the lower right, at half of `SIDE`; None where it is no sign.
    """
    import cv2

    small = pixels[::COARSE, ::COARSE]
    colours = small.reshape(-1, 3).astype(np.float32)  # (n, 3)
    codes = ((small >> 5).astype(np.int32) * [64, 8, 1]).sum(2).ravel()
    counts = np.bincount(codes, minlength=512)
    ground = colours[codes == counts.argmax()].mean(0)
    counts[np.linalg.norm(LEVELS - ground, axis=1) < INK] = 0
    if not counts.max():
        return None
    ink = colours[codes == counts.argmax()].mean(0) - ground
    along = (colours - ground) @ ink / (ink @ ink)  # 0 for the ground, 1 for the ink
    aside = np.linalg.norm(colours - ground - along[:, None] * ink, axis=1)
    ends = np.minimum(np.abs(along), np.abs(along - 1)) < TONE
    if (aside < STRAY).mean() < ON_LINE or ends.mean() < AT_ENDS:
        return None
    drawn: Mask = along.reshape(small.shape[:2]) > 0.5
    contours, _ = cv2.findContours(drawn.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    if sum(len(cv2.approxPolyDP(each, BEND, True)) for each in contours) > MOST_BENDS:
        return None
    down, across = np.flatnonzero(drawn.any(1)), np.flatnonzero(drawn.any(0))
    return np.array([[across[0], down[0]], [across[-1], down[-1]]], np.float64) * (COARSE / SHRUNK)


def _shape(outline: Floats) -> Floats:
    """Return what an outline, its mirror images and its quarter turns have in common, (`WAVES` * `WAVES`,).

    Mirrored, the waves of an image (its cosine transform) change their signs; turned, also rows and columns.
    """
    import cv2

    waves = np.abs(cv2.dct(outline.reshape(OUTLINE, OUTLINE))[:WAVES, :WAVES])  # (w, w)
    lower = np.tri(WAVES, dtype=np.bool_)
    shape: Floats = np.where(lower, np.minimum(waves, waves.T), np.maximum(waves, waves.T)).ravel()
    return shape


class ImageCheck:
    """Checks pairs of images of an index. Threads may share it."""

    version = 1

    def __init__(self, contents: Contents, count: int) -> None:  # noqa: ARG002
        """See `embedsearch.analysis.second_check.Check`."""
        self._contents = contents
        self._looks = lru_cache(KEPT)(self._looks_of)

    @staticmethod
    def lacks() -> str:
        """See `embedsearch.analysis.second_check.Check`."""
        return "" if find_spec("cv2") else "pip install 'embedsearch[copies]'"

    def candidates(self, rows: Rows, progress: Progress) -> tuple[Rows, Rows]:
        """See `embedsearch.analysis.second_check.Check`: images of one shape, turned or not.

        The model sees a turned photo as another one, so that its vector leads nowhere.
        """
        shapes = np.zeros((len(rows), WAVES * WAVES), np.float32)
        with ThreadPoolExecutor(cpu_count()) as pool:
            for at, looks in enumerate(pool.map(self._looks, rows.tolist())):
                if looks and looks[0].ink is None:
                    shapes[at] = _shape(looks[0].outline)
                progress.advance(1)
        first, second = [], []
        sizes = np.einsum("nd,nd->n", shapes, shapes)
        for start in range(0, len(rows), BLOCK):
            part = shapes[start : start + BLOCK]
            far = sizes[start : start + BLOCK, None] + sizes - 2 * part @ shapes.T  # (b, n)
            own = np.arange(start, start + len(part))
            far[:, sizes == 0] = far[sizes[own] == 0] = far[own - start, own] = np.inf
            nearest = np.argpartition(far, min(LOOKED_AT, len(rows) - 1), axis=1)[:, :LOOKED_AT]  # (b, 2)
            of, place = np.nonzero(np.take_along_axis(far, nearest, axis=1) <= TURNED**2)
            first.append(rows[own[of]])
            second.append(rows[nearest[of, place]])
        return np.concatenate([*first, rows[:0]]), np.concatenate([*second, rows[:0]])

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
        return bool(a and b) and _way(a, b[0]) is not None

    def _looks_of(self, row: int) -> tuple[_Look, ...]:
        """Return an image and its mirror image; nothing where it can't be read."""
        (content,) = self._contents(np.array([row]))
        try:
            return look(scaled(content))
        except ItemError:
            return ()


def scaled(content: str | Path | bytes) -> Pixels:
    """Return the pixels of an image, (h, w, 3), scaled so that its longer side is `SIDE`.

    Raises:
        ItemError: it can't be read.
    """
    image = open_rgb(content, SIDE)
    width, height = (max(2, round(side * SIDE / max(image.size))) for side in image.size)
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0))


def _way(looks: Sequence[_Look], b: _Look) -> tuple[bool, Matrix] | None:
    """Return how an image or its mirror image is laid over its copy `b`; None where they are no copies.

    Args:
        looks: the image, and its mirror image.
        b: the other image.

    Returns:
        Whether it is mirrored; and a (2, 3) matrix.
    """
    for mirrored, a in enumerate(looks):
        if mirrored and (a.ink is not None or b.ink is not None):
            return None
        matrix = _laid_over(a, b)
        if matrix is not None:
            return bool(mirrored), matrix
    return None


def _laid_over(a: _Look, b: _Look) -> Matrix | None:
    """Return the (2, 3) matrix that lays the image `a` over its copy `b`; None where they are no copies."""
    fitted, signs = _fitted(a, b), a.ink is not None and b.ink is not None
    if fitted is not None and _stands(a, b, fitted):
        matrix = _agreeing(a, b, fitted, *(AS_SIGNS if signs else (ALIKE, SHARE)))
        if matrix is not None:
            return matrix
    if fitted is not None and not signs:
        return None
    (height, width), (high, wide) = a.colours.shape[:2], b.colours.shape[:2]
    shapes = width * high / (height * wide)
    if max(shapes, 1 / shapes) > ASPECT or a.outline @ b.outline < OUTLINES_ALIKE:
        return None
    return _agreeing(a, b, np.array([[wide / width, 0, 0], [0, high / height, 0.0]]), *AS_THEY_ARE)


def _agreeing(a: _Look, b: _Look, matrix: Matrix, alike: float, share: float) -> Matrix | None:
    """Return a matrix, made more exact if need be, where `a` laid over `b` agrees with it; else None."""
    agreed = _agreed(a.colours, b.colours, matrix, alike)
    if share > agreed > share / 2:  # nearly: the fit may be off by a few pixels
        matrix = _refined(a.colours, b.colours, matrix)
        agreed = _agreed(a.colours, b.colours, matrix, alike)
    return matrix if agreed >= share else None


def _stands(a: _Look, b: _Look, matrix: Matrix) -> bool:
    """Whether signs stand upright where `a` is laid over `b`, and all that is drawn lies within the other.

    A sign in a frame, or with words on it, is none: of those two only the one must stand upright.
    """
    import cv2

    if a.ink is None and b.ink is None:
        return True
    if abs(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0]))) > UPRIGHT:
        return False
    if a.ink is None or b.ink is None:
        return True
    for ink, image, way in ((a.ink, b, matrix), (b.ink, a, cv2.invertAffineTransform(matrix))):
        corners = ink @ way[:, :2].T + way[:, 2]  # (2, 2)
        size = np.array(image.colours.shape[1::-1])
        if (corners < -MARGIN * size).any() or (corners > (1 + MARGIN) * size).any():
            return False
    return True


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
        a.points[own], b.points[its], method=cv2.RANSAC, ransacReprojThreshold=NEAR / SHRUNK
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
    way = _way(look(pixels), look(base)[0])
    if way is None:
        return None
    mirrored, matrix = way
    if mirrored:
        pixels = np.ascontiguousarray(pixels[:, ::-1])
    matrix = matrix * [[1, 1, SHRUNK]]
    size = base.shape[1::-1]
    over = cv2.warpAffine(pixels, matrix, size)
    inside = cv2.warpAffine(np.full(pixels.shape[:2], 255, np.uint8), matrix, size) > 250
    smooth: list[Any] = [cv2.GaussianBlur(each, (0, 0), 2).astype(np.int16) for each in (over, base)]
    far = np.abs(smooth[0] - smooth[1]).max(2)
    far = np.where(inside, np.minimum(4.0 * np.maximum(far - 16, 0), 255), 255) / 255  # (h, w) in [0, 1]
    grey = np.repeat(128 + base.mean(2, keepdims=True) / 2, 3, axis=2)
    return np.asarray(grey * (1 - far[:, :, None]) + far[:, :, None] * [[[214, 40, 40]]], np.uint8)
