"""How long work shows its progress, on stderr."""

from __future__ import annotations

import json
import time
from typing import Self

import click
from tqdm import tqdm

from embedsearch.cli.options import PROGRESS
from embedsearch.progress import Computing

EVERY = 0.4  # seconds between two lines of one stage


def reporter(name: str) -> Bar | Lines:
    """Return what shows the progress of work on the index `name`, as --progress asks; closed by `with`."""
    context = click.get_current_context(silent=True)
    return Lines() if context is not None and context.meta.get(PROGRESS) == "json" else Bar(name)


class Bar:
    """A progress bar with rate and time left; see `embedsearch.progress.Progress`. Closed by `with`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._bar: tqdm[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, encoder: Computing, total: int | None, done: int) -> None:
        """Print which model computes where, and open the bar."""
        self.close()
        if not encoder.device:
            click.echo(f"{self._name}: nothing to embed, so no model is loaded", err=True)
            return
        spec = encoder.spec
        layers = "" if spec.layers == (-1,) else f", layers {','.join(map(str, spec.layers))}"
        decoding = f", decoding {encoder.decoding}" if encoder.decoding else ""
        click.echo(
            f"{self._name}: {spec.model} ({encoder.dimension}-d, {spec.pooling} pooling{layers}) "
            f"in {encoder.precision} on {encoder.device} with {encoder.engine}{decoding}",
            err=True,
        )
        if done:
            click.echo(f"{self._name}: resuming after {done:,} records of an interrupted run", err=True)
        self._bar = self._open(self._name, total, done)

    def _open(self, text: str, total: int | None, done: int) -> tqdm[None]:
        return tqdm(total=total, initial=done, desc=text, unit=" items", unit_scale=False, smoothing=0.1)

    def advance(self, entries: int) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(entries)

    def spent(self, waiting: float, computing: float) -> None:
        """Show the share of the time spent waiting for input; the rest is the model's."""
        if self._bar is not None and waiting + computing > 0:
            self._bar.set_postfix_str(f"{waiting / (waiting + computing):.0%} waiting for input")

    def stage(self, text: str, total: int | None = None) -> None:
        """Print what happens now, with a bar where it is counted."""
        self.close()
        if total is None:
            click.echo(f"{self._name}: {text}", err=True)
        else:
            self._bar = self._open(f"{self._name}: {text}", total, 0)

    def close(self) -> None:
        """Close the bar, if one is open."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class Lines:
    """Progress as a JSON object a line; see `embedsearch.progress.Progress`.

    Each has the keys `stage` (a text), `done`, `total` (null where it is not known) and `seconds` since the
    stage began.
    """

    def __init__(self) -> None:
        self._stage, self._done = "", 0
        self._total: int | None = None
        self._began = self._printed = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, encoder: Computing, total: int | None, done: int) -> None:
        """Print which model computes, and how much is done."""
        if encoder.device:
            resumed = f", resuming after {done:,} records of an interrupted run" if done else ""
            self.stage(f"embedding with {encoder.spec.model}{resumed}", total)
            self._done = done
            self._print()

    def advance(self, entries: int) -> None:
        """Print how much is done, unless that was just printed."""
        self._done += entries
        if time.monotonic() - self._printed >= EVERY or self._done == self._total:
            self._print()

    def spent(self, waiting: float, computing: float) -> None:
        """Print nothing: how long it waits for input is for a person at a terminal."""

    def stage(self, text: str, total: int | None = None) -> None:
        """Print what happens now."""
        self._stage, self._total, self._done, self._began = text, total, 0, time.monotonic()
        self._print()

    def close(self) -> None:
        """Nothing is open."""

    def _print(self) -> None:
        self._printed = time.monotonic()
        seconds = round(self._printed - self._began, 1)
        line = {"stage": self._stage, "done": self._done, "total": self._total, "seconds": seconds}
        click.echo(json.dumps(line, ensure_ascii=False), err=True)
