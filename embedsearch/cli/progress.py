"""How long work shows its progress, on stderr."""

from __future__ import annotations

from typing import Self

import click
from tqdm import tqdm

from embedsearch.progress import Computing


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
