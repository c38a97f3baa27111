"""What the views of an image are worth: clothing photos by their middle, the whole, and both.

Of each choice: 1-NN and P@10 by label with the index mean taken off, on each part and on both together;
processor time an image; and R@1 of two photos pasted side by side, asked for by one of them: the middle of
such a pair is its seam.
"""

import time

import numpy as np
from PIL import Image

from embedsearch.encoders import load_encoder
from embedsearch.encoders.vision.decode import open_rgb
from embedsearch.encoders.vision.views import WIDE
from tests.benchmarks.common import need

PARTS = ("validation", "test")
PASTED = 150
HEIGHT = 400


def unit(vectors):
    """Scale rows to unit length: (n, d) -> (n, d)."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def centred(vectors, mean):
    """Take the mean of an index off unit vectors: (n, d) -> (n, d) of unit length."""
    return unit(unit(vectors) - mean)


def by_label(vectors, labels):
    """Return 1-NN accuracy and P@10, each item left out of its own answer."""
    ready = centred(vectors, unit(vectors).mean(0))
    similar = ready @ ready.T  # (n, d) (d, n) -> (n, n)
    np.fill_diagonal(similar, -2)
    right = labels[np.argsort(-similar, 1)[:, :10]] == labels[:, None]
    return right[:, 0].mean(), right.mean()


def choices(images, encoders):
    """Return vectors by choice, (n, d) each, and the seconds that `centre` and `whole` take an image."""
    made, seconds = {}, {}
    for views, encoder in encoders.items():
        started = time.process_time()
        made[views] = encoder.encode(images)
        seconds[views] = (time.process_time() - started) / len(images)
    made["both"] = (made["centre"] + made["whole"]) / 2
    wide = np.array([max(image.size) > WIDE * min(image.size) for image in images])
    made["auto"] = np.where(wide[:, None], made["both"], made["centre"])
    return made, seconds, float(wide.mean())


def pasted(images):
    """Return pairs of photos side by side, and which photo each is asked for by."""
    draw = np.random.default_rng(0)
    pairs = draw.permutation(len(images))[: 2 * PASTED].reshape(PASTED, 2)
    made = []
    for pair in pairs:
        halves = [images[at] for at in pair]
        halves = [half.resize((round(half.width * HEIGHT / half.height), HEIGHT)) for half in halves]
        both = Image.new("RGB", (sum(half.width for half in halves), HEIGHT))
        both.paste(halves[0], (0, 0))
        both.paste(halves[1], (halves[0].width, 0))
        made.append(both)
    return made, pairs[:, 0]


def main():
    """Print the figures."""
    encoders = {v: load_encoder(unit="image", precision="fp32", views=v) for v in ("centre", "whole")}
    found, labels, images = [], [], []
    for part in PARTS:
        paths = sorted(need("images", "clothing", part).rglob("*.jpg"))
        opened = [open_rgb(path) for path in paths]
        made, seconds, wide = choices(opened, encoders)
        found.append(made)
        labels.append(np.array([path.parent.name for path in paths]))
        images += opened
        told = ", ".join(f"{views} {1000 * each:.0f} ms" for views, each in seconds.items())
        print(f"views_{part}: {len(paths)} photos, {wide:.0%} wide; processor time an image: {told}")
    together = {views: np.concatenate([made[views] for made in found]) for views in found[0]}
    composites, asked = pasted(images)
    seen, _, _ = choices(composites, encoders)
    for views, vectors in together.items():
        for part, made, own in (
            *zip(PARTS, found, labels, strict=True),
            ("together", together, np.concatenate(labels)),
        ):
            nearest, ten = by_label(made[views], own)
            print(f"views_{part}_{views} value={nearest:.4f} (1-NN; P@10 {ten:.4f})")
        mean = unit(vectors).mean(0)
        similar = centred(vectors[asked], mean) @ centred(seen[views], mean).T  # (q, d) (d, q) -> (q, q)
        first = (similar.argmax(1) == np.arange(PASTED)).mean()
        print(
            f"views_side_by_side_{views} value={first:.4f} (R@1 of {PASTED} pairs, asked for by the left one)"
        )


if __name__ == "__main__":
    main()
