"""Does the heat fall where the match is? Pairs of clothing photos of two classes, pasted side by side.

Each pasted picture is explained for a query that belongs to one of its halves: the very photo of that half,
or another photo of its class. A pair counts when the mean heat over that half is greater than over the other;
the column of patches between them counts for neither. Two variants: `heat`, each patch's score beyond what it
would have with the average item (what the page and the command show), and the plain scores, which add up to
the score.
"""

import random
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

import embedsearch as es
from tests.benchmarks.common import need

PAIRS, MORE = 40, 400
WIDTH, HEIGHT = 200, 400  # of a half; both together are square, so that the central crop keeps both


def halves(photos, folder, count):
    """Paste pairs into `folder`, and return (name, photo asked with, another of its class, its side) each."""
    draw = random.Random(0)
    by_class = {}
    for photo in photos:
        by_class.setdefault(photo.parent.name, []).append(photo)
    pairs = []
    for number in range(count):
        asked, other = draw.sample(sorted(by_class), 2)
        own, another = draw.sample(by_class[asked], 2)
        side = number % 2
        pasted = Image.new("RGB", (2 * WIDTH, HEIGHT))
        for photo, place in ((own, side), (draw.choice(by_class[other]), 1 - side)):
            half = ImageOps.fit(Image.open(photo).convert("RGB"), (WIDTH, HEIGHT))
            pasted.paste(half, (place * WIDTH, 0))
        pasted.save(folder / f"{number:03}.png")
        pairs.append((f"{number:03}.png", own, another, side))
    return pairs


def falls_right(grid, side):
    """Whether the mean over the half on `side` (0 left, 1 right) is the greater one."""
    half = grid.shape[1] // 2
    means = grid[:, :half].mean(), grid[:, -half:].mean()
    return means[side] > means[1 - side]


def main():
    """Print the shares, of the first 40 pairs and of 400."""
    photos = sorted(need("images", "clothing", "validation").rglob("*.jpg"))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "pasted").mkdir()
        pairs = halves(photos, root / "pasted", MORE)
        for photo in photos:  # the average item is that of an ordinary index
            (root / "pasted" / photo.name).symlink_to(photo.resolve())
        index = es.build(root / "pasted", name="halves", precision="fp32", indexes=root / "indexes")
        right = {}
        for name, own, another, side in pairs:
            for query, photo in (("the_very_photo", own), ("another_of_its_class", another)):
                made = index.explain(photo, name)
                assert abs(made.score - made.similarity) < 1e-4
                for variant, grid in (("heat", made.heat), ("plain", made.grid)):
                    right.setdefault((query, variant), []).append(falls_right(grid, side))
    for (query, variant), all_right in right.items():
        print(
            f"heat_halves_{query}_{variant} value={np.mean(all_right[:PAIRS]):.4f} "
            f"(share of {PAIRS} pairs; of {MORE}: {np.mean(all_right):.4f})"
        )


if __name__ == "__main__":
    main()
