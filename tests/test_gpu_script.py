"""The script that shows what only a GPU can show: its way without one."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("gpu.sh")


def run(*arguments):
    """Run the script with this Python."""
    python = {**os.environ, "PYTHON": sys.executable}
    return subprocess.run([SCRIPT, *arguments], check=False, env=python, capture_output=True, text=True)


def test_a_dry_run_goes_through_every_step():
    """Without a GPU each step runs on tiny models, and each figure stands in a row with the device."""
    pytest.importorskip("sentence_transformers")
    done = run("--dry-run")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    head, _, *rows = done.stdout.splitlines()
    assert head == "| command | figure |"
    assert [re.match(r"\| `python -m (\S+)", row)[1] for row in rows] == [
        "pytest",
        "tests.benchmarks.text_gpu",
        "tests.benchmarks.image_gpu",
        "embedsearch",
        "embedsearch",
    ]
    assert all(re.search(r"\| dry run on the CPU, \d{4}-\d\d-\d\d: \S", row) for row in rows)
    assert "3 skipped" in rows[0] or "3 passed" in rows[0]
    for figure in ("text_gpu ratio", "text_gpu_end_to_end", "text_gpu_process", "text_gpu_forward"):
        assert f"{figure}" in rows[1]
    for figure in ("image_gpu ratio", "image_gpu_end_to_end", "image_gpu_forward", "image_gpu_channels_last"):
        assert figure in rows[2]


def test_it_says_what_it_needs():
    """An unknown argument is answered by the usage; a machine without a GPU by what to do."""
    wrong = run("--all")
    assert (wrong.returncode, wrong.stderr) == (2, "usage: tests/gpu.sh [--dry-run]\n")
