"""Does the heat fall where the match is? Pairs of images pasted side by side.

Clothing photos of two classes: each pasted image is explained for a query that belongs to one half, the
very photo of that half or another photo of its class. A pair counts when the mean heat over that half is
greater than over the other; the column of patches between them counts for neither. Two variants: `heat`, each
patch's score beyond what it would have with the average item (what the page and the command show), and the
plain scores, which add up to the score.

Stamps of two families: each pasted image is explained for the caption of one half, placed by class names
alone (`conse`), and by an alignment fitted to the captions that are not asked (`align`).
"""

import csv
import random
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

import embedsearch as es
from embedsearch.demo.indexes import STAMPS
from embedsearch.encoders.vision.decode import open_rgb
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Record
from embedsearch.sources import open_source
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


def stamps(folder, count):
    """Paste stamps of two families into `folder`, beside all stamps.

    Returns:
        (name, caption of one half, its side) of each, and (name, caption) of the stamps not asked for.
    """
    source = next((path for path in STAMPS if path.is_dir()), None)
    if source is None:
        sys.exit("skipped: the Tux Paint stamps are not installed (Debian: tuxpaint-stamps-default)")
    by_family = {}
    for entry in open_source(SourceRecipe("images", str(source))):
        if isinstance(entry, Record) and entry.fields.get("caption"):
            name = entry.id.replace("/", "-")
            (folder / name).symlink_to(source / entry.id)
            by_family.setdefault(entry.id.partition("/")[0], []).append((name, entry.fields["caption"]))
    draw, pairs = random.Random(0), []
    for number in range(count):
        halves = [draw.choice(by_family[family]) for family in draw.sample(sorted(by_family), 2)]
        side = number % 2
        pasted = Image.new("RGB", (2 * WIDTH, HEIGHT), "white")
        for (name, _), place in zip(halves, (side, 1 - side), strict=True):
            half = ImageOps.pad(open_rgb(folder / name), (WIDTH, HEIGHT), color="white")
            pasted.paste(half, (place * WIDTH, 0))
        pasted.save(folder / f"{number:03}.png")
        pairs.append((f"{number:03}.png", halves[0][1], side))
    asked = {caption for _, caption, _ in pairs}
    return pairs, [pair for family in by_family.values() for pair in family if pair[1] not in asked]


def by_photos(root):
    """Return the right ones per way of asking: (query, variant) to a list of truth values."""
    photos = sorted(need("images", "clothing", "validation").rglob("*.jpg"))
    folder = root / "pasted"
    folder.mkdir()
    pairs = halves(photos, folder, MORE)
    for photo in photos:  # the average item is that of an ordinary index
        (folder / photo.name).symlink_to(photo.resolve())
    index = es.build(folder, name="halves", precision="fp32", indexes=root / "indexes")
    right = {}
    for name, own, another, side in pairs:
        for query, photo in (("the_very_photo", own), ("another_of_its_class", another)):
            made = index.explain(photo, name)
            assert abs(made.score - made.similarity) < 1e-4
            for variant, grid in (("heat", made.heat), ("plain", made.grid)):
                right.setdefault((query, variant), []).append(falls_right(grid, side))
    return right


def by_captions(root):
    """Return the same for texts, by what placed the images among them."""
    folder, captions = root / "stamps", root / "captions.csv"
    folder.mkdir()
    pairs, known = stamps(folder, MORE)
    with captions.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("image", "caption"), *known])
    placed = es.build(folder, name="stamps", precision="fp32", indexes=root / "indexes")
    right = {}
    for by in ("conse", "align"):
        if by == "align":
            placed = es.align("stamps", captions=captions, indexes=root / "indexes")
        right["text", by] = [falls_right(placed.explain(text, name).heat, side) for name, text, side in pairs]
    return right


def main():
    """Print the shares, of the first 40 pairs and of 400."""
    with tempfile.TemporaryDirectory() as folder:
        right = by_photos(Path(folder)) | by_captions(Path(folder))
    for (query, variant), all_right in right.items():
        print(
            f"heat_halves_{query}_{variant} value={np.mean(all_right[:PAIRS]):.4f} "
            f"(share of {PAIRS} pairs; of {MORE}: {np.mean(all_right):.4f})"
        )


if __name__ == "__main__":
    main()
