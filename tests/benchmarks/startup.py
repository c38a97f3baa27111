"""How long `embedsearch --help` takes against `python -c "import torch"`, process start included."""

import statistics
import subprocess
import sys
import time


def seconds(*arguments):
    """Return how long one run takes."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - started


def main(repeats=5):
    """Print the median of the paired ratios."""
    pairs = [
        (seconds("-m", "embedsearch", "--help"), seconds("-c", "import torch")) for _ in range(repeats + 1)
    ][1:]
    ours, peer = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(theirs / mine for mine, theirs in pairs)
    print(f"startup ratio={ratio:.1f} (ours {ours:.3f} s for --help, peer {peer:.3f} s for import torch)")


if __name__ == "__main__":
    main()
