"""Runs of a build in a process of its own, killed with SIGKILL and started anew on the same index."""

import math
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from string import ascii_lowercase

import numpy as np
import pytest

from embedsearch.artifacts import ARTIFACTS
from embedsearch.indexing import shards as staging
from embedsearch.indexing.build import build_index
from embedsearch.recipe import EncoderRecipe, Recipe, SourceRecipe
from embedsearch.records import Unit
from embedsearch.store.build import open_build
from tests.fakes import UNREADABLE, LetterEncoder, read_ahead

ROOT = Path(__file__).parents[2]
ITEMS, BATCH, SHARD = 5000, 16, 64
# What a kill may cost: a shard that is being written, the batch that is stored, and the one computed.
LOST = (SHARD - 1 + BATCH) + 2 * BATCH
# How far a run may go on while the parent sees that it is time: none ends before it is killed.
SLACK = 400
CHILD = "import sys; from tests.indexing import test_killed; test_killed.run(*sys.argv[1:])"


class Steps:
    """The log of one run: a line a step, unbuffered; and where the run stops dead, to be killed there.

    Steps are an `item` embedded, a `file` about to be written or renamed, and the same of the finished
    `index`.
    """

    def __init__(self, log, kind, number):
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._kind = kind
        self._left = number
        self._files = "file"

    def note(self, kind, name):
        """Write one step down."""
        os.write(self._log, f"{kind} {name}\n".encode())
        if kind == self._kind:
            self._left -= 1
            if self._left == 0:
                threading.Event().wait()

    def audit(self, event, arguments, folder):
        """Take an event of Python's audit hooks: they come before a file is opened or renamed."""
        writes = event == "os.rename" or (event == "open" and str(arguments[1]).startswith("w"))
        if writes and str(arguments[0]).startswith(folder):
            self.note(self._files, Path(arguments[0]).name)

    def start(self, encoder, total, done):
        """See `Progress`."""

    def spent(self, waiting, computing):
        """See `Progress`."""

    def advance(self, entries):
        """See `Progress`."""

    def stage(self, text, total=None):  # noqa: ARG002
        """See `Progress`."""
        if text == "writing the index":
            self._files = "index"


class PlacedEncoder(LetterEncoder):
    """Notes each text's number; the last component is the text's place in its batch.

    So a resumed run has to cut the same batches: the last digits of a real model depend on the batch.
    """

    steps = None

    def run(self, prepared):
        """See `Encoder.run`."""
        for position, vectors in super().run(prepared):
            if self.steps:
                self.steps.note("item", self.embedded[-1].split()[0])
            vectors[:, -1] = position
            yield position, vectors


def recipe(source):
    """Return the recipe of the texts in the file `source`."""
    return Recipe("small", SourceRecipe("lines", str(source)), EncoderRecipe(Unit.TEXT))


def run(source, folder, log, kind, number):
    """Build an index in `folder`, and stop dead at a step of `kind`; the child's side."""
    read_ahead(pytest.MonkeyPatch(), BATCH)
    staging.SHARD_VECTORS, staging.SHARD_SECONDS = SHARD, math.inf
    ARTIFACTS.clear()  # they embed nothing of the source
    steps = PlacedEncoder.steps = Steps(log, kind, int(number))
    sys.addaudithook(lambda event, arguments: steps.audit(event, arguments, folder))
    build_index(recipe(source), Path(folder), progress=steps, load=PlacedEncoder)


def noted(log, kind):
    """Return the names of the steps of `kind` in a log, those that are written whole."""
    lines = log.read_text().split("\n")[:-1] if log.is_file() else []
    return [line.split(" ", 1)[1] for line in lines if line.startswith(f"{kind} ")]


def start(source, folder, log, kind="", number=0):
    """Start a run in a process of its own."""
    arguments = [str(each) for each in (source, folder, log, kind, number)]
    return subprocess.Popen([sys.executable, "-c", CHILD, *arguments], cwd=ROOT)


def kill_at(source, folder, log, kind, number):
    """Start a run, and kill it when its log has so many steps of `kind`."""
    with start(source, folder, log, kind, number + SLACK if kind == "item" else number) as child:
        try:
            while len(noted(log, kind)) < number:
                assert child.poll() is None, f"the run ended before {kind} {number}"
                time.sleep(0.001)
        finally:
            child.kill()
    assert child.returncode == -signal.SIGKILL


@pytest.fixture
def source(tmp_path):
    """A file of numbered texts, among them some that the source or the encoder rejects."""
    draw = random.Random(1)
    lines = []
    for number in range(ITEMS):
        words = ["".join(draw.choices(ascii_lowercase, k=5)) for _ in range(draw.randrange(1, 6))]
        lines.append(f"{number} {' '.join(words)}\n")
        if draw.random() < 0.1:
            lines.append(draw.choice([f"{UNREADABLE} {number}\n", f"\0 {number}\n"]))
    path = tmp_path / "texts.txt"
    path.write_text("".join(lines), encoding="utf-8")
    return path


def moments(draw):
    """Return ten moments to kill at: four by items, four by files, two while the index is written."""
    embedding = [("item", draw.randrange(1, 4 * SHARD)) for _ in range(4)]
    embedding += [("file", number) for number in draw.sample(range(2, 16), 4)]
    draw.shuffle(embedding)
    return embedding + [("index", number) for number in draw.sample(range(1, 6), 2)]


def test_a_build_killed_ten_times_is_that_of_an_unbroken_run(source, tmp_path, monkeypatch):
    """Killed at ten random moments and resumed, a build is the same; only open shards are embedded again."""
    folder = tmp_path / "killed"
    logs = [tmp_path / f"{number}.log" for number in range(11)]
    for log, (kind, number) in zip(logs[:-1], moments(random.Random(14)), strict=True):
        kill_at(source, folder, log, kind, number)
    with start(source, folder, logs[-1]) as last:
        pass
    assert last.returncode == 0

    runs = [[int(name) for name in noted(log, "item")] for log in logs]
    reached = 0
    for embedded in runs:
        assert len(set(embedded)) == len(embedded)
        assert min(embedded, default=reached) >= reached - LOST
        reached = max([reached, *(number + 1 for number in embedded)])
    assert set().union(*runs) == set(range(ITEMS))
    assert runs[-2:] == [[], []]  # after a kill while the index was written, nothing is left to embed

    read_ahead(monkeypatch, BATCH)
    whole = build_index(recipe(source), tmp_path / "whole", load=PlacedEncoder)
    killed = open_build(folder, "small")
    assert np.array_equal(killed.vectors, whole.vectors)
    assert killed.items.equals(whole.items)
    assert killed.rejected() == whole.rejected()
    assert not list((folder / "small" / "builds").glob(".*"))  # shards, and half-written builds
