"""The command demo."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

import click

from embedsearch.cli.built import current, described, echo_built
from embedsearch.cli.options import (
    device_option,
    echo_json,
    example,
    indexes_option,
    json_option,
    option,
    port_option,
)
from embedsearch.errors import EmbedsearchError

LOOK = 0.2  # seconds between looks at what is ready


@click.command(
    "demo",
    short_help="Build the demo indexes and open the page on them.",
    **example("embedsearch demo --images ~/Pictures"),
)
@option(
    "--images",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of images.  [default: the Tux Paint stamps where they are installed, else emoji]",
)
@option(
    "--sounds",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of sounds.  [default: sonic-pi-samples or sound-theme-freedesktop, where one is installed]",
)
@option(
    "--page/--no-page",
    default=True,
    help="Open the page as soon as the first index is ready.",
    show_default=True,
)
@option("--browser/--no-browser", default=True, help="Open a browser window on the page.", show_default=True)
@port_option
@device_option
@indexes_option
@json_option
def demo_command(
    images: Path | None,
    sounds: Path | None,
    page: bool,
    browser: bool,
    port: int | None,
    device: str,
    indexes: Path | None,
    json: bool,
) -> None:
    """Build up to four indexes: images, sounds, the documentation of this Python, and words in it.

    The page opens when the first is ready; the others appear there once they are built. Indexes that exist
    already stay as they are; only --images and --sounds read their folder again.
    """
    from embedsearch.demo.indexes import NAMES
    from embedsearch.store.folders import indexes_folder

    root = indexes_folder(indexes)
    if not json:  # to load the model takes a while
        opens = " The page opens as soon as one of them can be searched." if page else ""
        click.echo(f"Building the demo indexes.{opens}")
    if not page:
        _build(images, sounds, device, root, json)
        if not json:
            click.echo("To open the page: embedsearch ui")
        return
    # a process of its own: the page is served by this one, and a build takes all cores
    building = multiprocessing.get_context("spawn").Process(
        target=_build_apart, args=(images, sounds, device, root, json), daemon=True
    )
    for asked in (signal.SIGTERM, signal.SIGHUP):  # so that the build ends with the command
        signal.signal(asked, lambda number, _frame: sys.exit(128 + number))
    building.start()
    while building.is_alive() and not any(current(name, root) for name in NAMES):
        time.sleep(LOOK)
    if not any(current(name, root) for name in NAMES):
        building.join()
        raise SystemExit(building.exitcode)
    from embedsearch.cli.ui import serve

    serve(root, port, browser)


def _build_apart(images: Path | None, sounds: Path | None, device: str, root: Path, json: bool) -> None:
    """Build in a process of its own, which prints an error as the command line does; the page goes first."""
    if hasattr(os, "nice"):
        os.nice(10)
    try:
        _build(images, sounds, device, root, json)
    except EmbedsearchError as error:
        click.echo(f"Error: {error}", err=True)
        raise SystemExit(1) from None
    except KeyboardInterrupt:  # the page is ended, and what is built so far is kept
        raise SystemExit(130) from None


def _build(images: Path | None, sounds: Path | None, device: str, root: Path, json: bool) -> None:
    """Build the indexes that are not there, and print what came of it."""
    from embedsearch.cli.progress import reporter
    from embedsearch.demo.indexes import IMAGES, SOUNDS, add_map, demo_recipes, make

    built = []
    given = {IMAGES: images, SOUNDS: sounds}
    for recipe in demo_recipes(images, device, sounds):
        before = current(recipe.name, root)
        with reporter(recipe.name) as bar:
            index = make(recipe, root, again=given.get(recipe.name) is not None, progress=bar)
        built.append(index)
        if not json:
            echo_built(index, False, before)
    for at, index in enumerate(built):  # when all can be searched: a map takes a while
        with reporter(index.name) as bar:
            built[at] = add_map(index, bar)
    if json:
        from embedsearch.serve.schemas import DemoOutput

        echo_json(DemoOutput(indexes=[described(index, published=True) for index in built]))
        return
    names = [index.manifest.name for index in built]
    click.echo(f"The demo is ready: {', '.join(names)}.")
    if SOUNDS not in names:
        click.echo("No sounds were found. Add yours: embedsearch demo --sounds ~/Music")
    if IMAGES not in names:
        click.echo(
            f"No images were found. Add yours: embedsearch build ~/Pictures --name {IMAGES}. "
            "Or use emoji: pip install 'embedsearch[demo]', then embedsearch demo"
        )
