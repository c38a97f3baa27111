"""How long fitting 6,000 images to 6,000 captions, and to 30,000, takes: `align`, without embedding captions.

The vectors are drawn: of 1,280 components for an image, as the bundled image model's, 384 for a caption and
1,000 classes, as the time depends on their number alone. All else is the command's own work: cross-validation
of 9 strengths by 10 shares, the regression, the projections and the index over them. Two threads, as on two
cores.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "2")

import hashlib
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np

from embedsearch.artifacts import alignment
from embedsearch.crossmodal.crossval import choose
from embedsearch.encoders import all_ready
from embedsearch.indexing.build import build_index
from embedsearch.progress import Silent
from embedsearch.recipe import EncoderRecipe, Recipe, SourceRecipe
from embedsearch.records import Unit
from embedsearch.sources import SOURCES
from tests import fakes

IMAGES, WIDE, DEEP, CLASSES = 6000, 1280, 384, 1000
BARS = {1: 20, 5: 90}  # seconds, by captions of an image


class Drawn(fakes.LetterEncoder):
    """Gives a text or an image a random vector that is the same each time."""

    def __init__(self, recipe):
        super().__init__(recipe)
        self.dimension = WIDE if recipe.unit is Unit.IMAGE else DEEP

    def encode(self, items, role="passage"):
        """See `Encoder.encode`."""
        return np.stack([each.inputs["row"] for each in all_ready(items, self.prepare(items, role))])

    def _prepare(self, item):
        seed = hashlib.sha256(item if isinstance(item, bytes) else str(item).encode()).digest()[:8]
        row = np.random.default_rng(int.from_bytes(seed)).normal(size=self.dimension)
        return fakes.Asked({"row": row.astype(np.float32)}, cost=1, item=item)


def class_head():
    """Return a class head of drawn weights, and vectors of its names."""
    draw = np.random.default_rng(0)
    weights = draw.normal(size=(WIDE, CLASSES)).astype(np.float32)
    head = SimpleNamespace(names=[str(each) for each in range(CLASSES)], logits=lambda rows: rows @ weights)
    return alignment._Images(head, draw.normal(size=(CLASSES, DEEP)).astype(np.float32))


def main():
    """Print the seconds for each number of captions."""
    images = [fakes.picture(str(each), str(each).encode(), caption="") for each in range(IMAGES)]
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        fakes.LISTS["images"] = images
        SOURCES["list"] = "tests.fakes:ListSource"
        recipe = Recipe("images", SourceRecipe("list", "images"), EncoderRecipe(Unit.IMAGE))
        build_index(recipe, root, progress=Silent(), load=Drawn)
        for each, bar in BARS.items():
            captions = root / f"{each}.csv"
            lines = [f"{at % IMAGES},caption {at}" for at in range(each * IMAGES)]
            captions.write_text("\n".join(["image,caption", *lines]))
            embedding = []

            def timed(encoder, items, role="passage", embedding=embedding):
                began = time.perf_counter()
                rows = Drawn.encode(encoder, items, role)
                embedding.append(time.perf_counter() - began)
                return rows

            counted = type("Counted", (Drawn,), {"encode": timed})
            with (
                mock.patch.object(alignment, "open_encoder", counted),
                mock.patch.object(alignment, "_class_head", lambda *_: class_head()),
                mock.patch.object(alignment, "choose", _never_worse),
            ):
                began, used = time.perf_counter(), time.process_time()
                facts = alignment.align("images", captions, root=root).manifest.artifacts.crossmodal.align
                took, used = time.perf_counter() - began - sum(embedding), time.process_time() - used
            print(
                f"align_{facts.pairs} ratio={bar / took:.2f} (the bar of {bar} s over ours {took:.1f} s, "
                f"{used - sum(embedding):.1f} of CPU; {facts.images} images, {facts.captions} captions)"
            )


def _never_worse(*arguments):
    """Choose as ever, but publish what drawn vectors can't make better than class names."""
    return replace(choose(*arguments), worse=False)


if __name__ == "__main__":
    main()
