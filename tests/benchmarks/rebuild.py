"""Rebuilds of 100,000 texts against the first build in fp32 on torch, process start included.

The texts are dictionary definitions in a table. Nothing changed; and a percent of them changed. With a number
as argument, of so many texts.
"""

import csv
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.wordnet import definitions

COUNT, REPEATS = 100_000, 3


def write(path, texts):
    """Write the table."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("key", "text"), *((f"d{at}", text) for at, text in enumerate(texts))])


def run(folder, *arguments):
    """Run a command in a process of its own, and return its seconds."""
    command = [sys.executable, "-m", "embedsearch", *map(str, arguments), "--indexes", folder / "indexes"]
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def main(count):
    """Print the figures."""
    texts = definitions()[:count]
    with tempfile.TemporaryDirectory(prefix="embedsearch-bench-") as name:
        folder = Path(name)
        table = folder / "definitions.csv"
        write(table, texts)
        first = run(
            folder, "build", table, "--text", "text", "--id", "key", "--name", "many", "--precision", "fp32",
            "--engine", "torch", "--device", "cpu",
        )  # fmt: skip
        unchanged = statistics.median(run(folder, "rebuild", "many") for _ in range(REPEATS))
        print(
            f"rebuild_unchanged ratio={first / unchanged:.1f} (ours {unchanged:.1f} s, first build of "
            f"{count:,} texts {first:.0f} s)",
            flush=True,
        )
        spent = []
        for repeat in range(REPEATS):
            for at in range(repeat, count, 100):
                texts[at] = f"{texts[at]}, said otherwise"
            write(table, texts)
            spent.append(run(folder, "rebuild", "many"))
        changed = statistics.median(spent)
        print(f"rebuild_1pct ratio={first / changed:.1f} (ours {changed:.1f} s, first build {first:.0f} s)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else COUNT)
