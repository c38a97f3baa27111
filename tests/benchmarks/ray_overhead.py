"""A build by two Ray workers of one processor each, against the local runner on the same two processors.

`ray_overhead` is the rate of embedding 8,192 dictionary definitions, from the moment a worker is ready to the
last vectors; loading the model and starting Ray come before. Both sides take turns in one process. Ray
listens on every interface, so start it with `unshare -n` and `ip link set lo up`.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

# On a busy machine Ray's workers would give way to the local runner: they have a niceness of 15.
os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_worker_niceness="0")
import numpy as np
import ray

from embedsearch.encoders import open_encoder
from embedsearch.indexing.plan import Plan
from embedsearch.indexing.runners import open_runner
from embedsearch.recipe import EncoderRecipe, Recipe, SourceRecipe
from embedsearch.records import Unit
from embedsearch.sources import open_source
from tests.benchmarks.text_cpu import WORDNET

COUNT, REPEATS, PROCESSORS = 8192, 3, 2


def embed(name, recipe, encoder):
    """Return the rate of a runner in records a second, and the vectors."""
    started = []
    plan = Plan(recipe, open_source(recipe.source), None)

    def on_start(_):
        started.append(time.perf_counter())

    runner = open_runner(name, "", lambda _: encoder, open_encoder, lambda _: None, on_start, lambda _: None)
    vectors = [batch.embedded.vectors for batch in runner.map(plan.batches(plan.walk()), recipe.encoder)]
    return COUNT / (time.perf_counter() - started[0]), np.concatenate(vectors)


def main():
    """Print the figure."""
    if not WORDNET.is_file():
        sys.exit(f"skipped: {WORDNET} is missing; it comes with Debian's wordnet-base")
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:PROCESSORS])
    definitions = [
        line.split("|", 1)[1].strip() for line in WORDNET.read_text("utf-8").splitlines() if "|" in line
    ]
    with tempfile.TemporaryDirectory() as folder:
        texts = Path(folder) / "texts.txt"
        texts.write_text("\n".join(definitions[:: len(definitions) // COUNT][:COUNT]), encoding="utf-8")
        encoding = EncoderRecipe(Unit.TEXT, model="all-MiniLM-L6-v2", device="cpu", precision="fp32")
        recipe = Recipe("definitions", SourceRecipe("lines", str(texts)), encoding)
        encoder = open_encoder(encoding)
        ray.init(
            "local", num_cpus=PROCESSORS, include_dashboard=False, object_store_memory=300 * 2**20,
            log_to_driver=False, logging_level="ERROR",
        )  # fmt: skip
        pairs, same = [], True
        for _ in range(REPEATS):
            ours, there = embed("ray", recipe, encoder)
            peer, here = embed("local", recipe, encoder)
            pairs.append((ours, peer))
            same = same and np.array_equal(here, there)
        ray.shutdown()
    ours, peer = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(mine / theirs for mine, theirs in pairs)
    print(
        f"ray_overhead ratio={ratio:.2f} (ours {ours:,.0f} texts/s by {PROCESSORS} Ray workers, local runner "
        f"{peer:,.0f} with {encoder.engine} in {encoder.precision}; vectors "
        f"{'equal' if same else 'NOT equal'})"
    )


if __name__ == "__main__":
    main()
