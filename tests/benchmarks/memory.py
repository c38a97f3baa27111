"""Peak memory of a build of 1,000,000 items against that of 100,000, each in a process of its own.

A tenth more, and 64 bytes for each further item, is allowed. The memory is the anonymous one (RssAnon):
pages of mapped files, which the system takes back when it needs them, are left out.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from embedsearch.encoders import Prepared, encode_all
from embedsearch.indexing.build import build_index
from embedsearch.models.spec import EncoderSpec
from embedsearch.recipe import EncoderRecipe, Recipe, SourceRecipe
from embedsearch.records import Unit
from tests.benchmarks.common import anonymous

FEW, MANY = 100_000, 1_000_000
SHARE, BYTES_AN_ITEM = 1.1, 64
SAMPLED_EVERY = 0.02  # seconds
MB = 1e6


class TinyEncoder:
    """Eight numbers for each text, without a model; it keeps nothing of what it has seen."""

    dimension = 8
    device, precision, engine, decoding = "cpu", "fp32", "tiny", ""

    def __init__(self, recipe):
        self.spec = EncoderSpec(
            model="tiny", revision="", unit=recipe.unit, pooling="mean", layers=recipe.layers,
            patch_tokens_only=False, max_length=None, prompts={"query": "", "passage": ""}, files={},
        )  # fmt: skip

    def prepare(self, items, role="passage"):  # noqa: ARG002
        """See `Encoder.prepare`."""
        return [Prepared({"row": np.frombuffer(item[-8:].encode(), np.uint8)}, cost=1) for item in items]

    def run(self, prepared):
        """See `Encoder.run`."""
        for position, each in enumerate(prepared):
            yield position, each.inputs["row"][np.newaxis].astype(np.float32)  # (8,) -> (1, 8)

    def encode(self, items, role="passage"):
        """See `Encoder.encode`."""
        return encode_all(self, items, role)


def build(folder):
    """Build an index in `folder` of the texts that lie there."""
    source = SourceRecipe("lines", str(folder / "texts.txt"))
    build_index(Recipe("many", source, EncoderRecipe(Unit.TEXT)), folder, load=TinyEncoder)


def peak(count):
    """Return the peak of the anonymous memory of a process that builds `count` items, in bytes."""
    with tempfile.TemporaryDirectory(prefix="embedsearch-bench-") as name:
        with (Path(name) / "texts.txt").open("w", encoding="utf-8") as file:
            file.writelines(f"text number {number:08d}\n" for number in range(count))
        highest = 0
        with subprocess.Popen([sys.executable, "-m", "tests.benchmarks.memory", name]) as process:
            while process.poll() is None:
                highest = max(highest, anonymous(process.pid))
                time.sleep(SAMPLED_EVERY)
        if process.returncode:
            sys.exit(process.returncode)
    return highest


def main():
    """Print the ratio of what is allowed to what is used."""
    if not Path("/proc/self/status").is_file():
        print("memory skipped: this system tells no process's memory under /proc")
        return
    few, ours = peak(FEW), peak(MANY)
    allowed = SHARE * few + BYTES_AN_ITEM * (MANY - FEW)
    print(
        f"memory ratio={allowed / ours:.2f} (ours {ours / MB:.0f} MB at {MANY:,} items, "
        f"allowed {allowed / MB:.0f} MB: {few / MB:.0f} MB at {FEW:,})"
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:  # in the process that is measured
        build(Path(sys.argv[1]))
    else:
        main()
