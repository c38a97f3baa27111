"""Rebuilds in processes of their own, killed with SIGKILL, and what a reader finds after each kill.

Used by a test with a few kills, and by the benchmark `crash` with a hundred. Every step of a rebuild is an
event: a stage that is told, a file about to be written, a rename. A run is killed at an event, stopped there
or running on for some milliseconds, so that every stage is hit, and moments between them too.
"""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from embedsearch.distances.metric import Metric, distances
from embedsearch.indexing.build import build_index
from embedsearch.recipe import EncoderRecipe, IndexOptions, Recipe, SourceRecipe
from embedsearch.records import Unit
from embedsearch.search.hybrid import open_words
from embedsearch.splitters.words import words
from embedsearch.store.build import Build
from embedsearch.store.folders import current_build
from tests.fakes import Asked, LetterEncoder, letters

ROOT = Path(__file__).parents[1]
CHILD = "import sys; from tests import crashing; crashing.child(*sys.argv[1:])"
STABLE, CHANGING = 1500, 40
ASKED, FOUND = 20, 0.75
SLACK = 0.03  # seconds that a run goes on after its event


class Events:
    """The log of one run, a line an event, unbuffered; a run may stop dead at one of them."""

    def __init__(self, log, folder, stop_at):
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._folder, self._left = folder, stop_at

    def note(self, name):
        """Write one event down."""
        os.write(self._log, f"{name}\n".encode())
        self._left -= 1
        if self._left == 0:
            threading.Event().wait()

    def audit(self, event, arguments):
        """Take an event of Python's audit hooks: they come before a file is opened or renamed."""
        writes = event == "os.rename" or (event == "open" and str(arguments[1]).startswith("w"))
        if writes and str(arguments[0]).startswith(self._folder):
            last = Path(str(arguments[1] if event == "os.rename" else arguments[0])).name
            name = "build" if last[:2] == "20" else last.lstrip(".").replace(str(os.getpid()), "N")
            self.note(f"{event} {name}")

    def start(self, encoder, total, done):  # noqa: ARG002
        """See `Progress`."""
        self.note("stage embedding")

    def spent(self, waiting, computing):
        """See `Progress`."""

    def advance(self, entries):
        """See `Progress`."""

    def stage(self, text, total=None):  # noqa: ARG002
        """See `Progress`."""
        self.note(f"stage {text.split(' /')[0]}")


class SplittingEncoder(LetterEncoder):
    """Splits texts of over two words into passages of two, where its recipe has a rule for that."""

    def __init__(self, recipe):
        super().__init__(recipe)
        self.spec = replace(self.spec, splitter=recipe.splitter)

    def prepare(self, items, role="passage"):
        """See `Encoder.prepare`."""
        if not self.spec.splitter:
            return super().prepare(items, role)
        return [self._split(getattr(item, "text", item)) for item in items]

    def _split(self, text):
        spans = pairs_of_words(text)
        rows = np.stack([letters(text[start:end]) for start, end in spans])
        return Asked({"row": rows}, cost=len(rows), units=tuple(spans) if len(spans) > 1 else None, item=text)


def pairs_of_words(text):
    """Return the spans of two words each in a text."""
    found = words(text)
    return [(found[at][0], found[min(at + 1, len(found) - 1)][1]) for at in range(0, len(found), 2)]


def recipe(source, splitter):
    """Return the recipe of the texts in the file `source`, indexed as a graph."""
    index = IndexOptions(backend="hnsw-sq8", recall=0.95)
    encoder = EncoderRecipe(Unit.TEXT, splitter=splitter)
    return Recipe("small", SourceRecipe("lines", str(source)), encoder, index)


def child(source, folder, log, stop_at, splitter):
    """Rebuild; the child's side."""
    events = Events(log, folder, int(stop_at))
    sys.addaudithook(events.audit)
    build_index(
        recipe(source, splitter),
        Path(folder),
        progress=events,
        load=SplittingEncoder,
        describe=lambda asked: SplittingEncoder(asked).spec,
    )


def texts_of(version):
    """Return the texts of one version of the source: most stay, a few are new each time."""
    draw = random.Random(0)
    stable = ["".join(draw.choices("abcdefghijklmnop", k=8)) + f" {at}" for at in range(STABLE)]
    return stable[version % 7 :] + [f"version {version} number {at}" for at in range(CHANGING)]


class Trial:
    """An index that is rebuilt and killed over and over.

    With a `splitter` texts of several words have several passages.
    """

    def __init__(self, folder, seed=0, splitter=""):
        self._splitter = splitter
        self._folder, self._indexes, self._log = folder, folder / "indexes", folder / "log"
        self._draw = random.Random(seed)
        self._version = self._in_force = 0
        self.source = folder / "texts.txt"
        self.hit, self.kills, self.opened = {}, 0, 0
        self.events = self._whole_run()
        self.events = self._whole_run()  # the second is a rebuild

    def _start(self, stop_at):
        self._log.unlink(missing_ok=True)
        arguments = [str(each) for each in (self.source, self._indexes, self._log, stop_at, self._splitter)]
        return subprocess.Popen([sys.executable, "-c", CHILD, *arguments], cwd=ROOT)

    def _noted(self):
        return self._log.read_text().split("\n")[:-1] if self._log.is_file() else []

    def _change(self):
        self._version += 1
        self.source.write_text("\n".join(texts_of(self._version)) + "\n", encoding="utf-8")

    def _whole_run(self):
        self._change()
        with self._start(0) as run:
            pass
        assert run.returncode == 0
        self.check(ended=True)
        return self._noted()

    def kill(self, number, *, hold):
        """Change the source, rebuild, and kill that at its event of this number; then open the index.

        Args:
            number: from 1.
            hold: whether the run stops dead there; else it goes on for some milliseconds.
        """
        self._change()
        with self._start(number if hold else 0) as run:
            while len(self._noted()) < number and run.poll() is None:
                time.sleep(0.0005)
            if not hold:
                time.sleep(self._draw.uniform(0, SLACK))
            run.kill()
        noted = self._noted()
        if run.returncode == -signal.SIGKILL:
            self.kills += 1
            last = noted[-1] if noted else "before the first"
            self.hit[last] = self.hit.get(last, 0) + 1
        self.check(ended=run.returncode == 0)

    def check(self, *, ended):
        """Open the index: it holds the version that was in force or a later one, whole.

        A build that a killed run had all but put in force is put in force by the next one.

        Raises:
            AssertionError: something was lost.
        """
        build = Build(current_build(self._indexes / "small"), whole=True)
        self.opened += 1
        found = build.items["text"].to_pylist()
        possible = range(self._version if ended else self._in_force, self._version + 1)
        matching = [version for version in possible if found == self._held(version)]
        assert matching, f"neither version {possible} is in force"
        self._in_force = matching[0]
        some = self._draw.sample(range(len(found)), ASKED)
        asked = np.asarray(build.vectors[some])
        assert np.array_equal(asked, [letters(found[at]) for at in some]), "vectors of other texts"
        far, rows = build.backend.search(asked, 1)
        exact = [
            distances(asked[at : at + 1], build.vectors[rows[at]], Metric.COSINE)[0] for at in range(ASKED)
        ]
        assert np.allclose(far, exact, atol=1e-6), "distances of other vectors"
        numbered = np.flatnonzero(open_words(build).index.scores(["number"]))
        assert numbered.tolist() == [at for at, text in enumerate(found) if "number" in text], "other words"
        # the index is approximate: it may miss an item here and there
        assert (far <= 1e-6).mean() >= FOUND, "the index does not find its own items"

    def _held(self, version):
        """Return what the items of a version hold: its texts, or their passages."""
        texts = texts_of(version)
        if not self._splitter:
            return texts
        return [text[start:end] for text in texts for start, end in pairs_of_words(text)]

    def end(self):
        """Let a last run end; nothing of the killed ones is left."""
        self._whole_run()
        builds = self._indexes / "small" / "builds"
        assert not list(builds.glob(".*")), "left over"
        assert len(list(builds.iterdir())) <= 2


def moments(events, count, draw):
    """Return event numbers to kill at: each of them as often as can be, in random order."""
    numbers = [1 + at % len(events) for at in range(count)]
    if count < len(events):
        numbers = draw.sample(range(1, len(events) + 1), count)
    draw.shuffle(numbers)
    return numbers
