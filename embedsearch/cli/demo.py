"""The command demo."""

from __future__ import annotations

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


@click.command(
    "demo",
    short_help="Build the demo indexes and open the page on them.",
    **example("embedsearch demo --images ~/Pictures"),
)
@option(
    "--images",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of images.  [default: the Tux Paint stamps, where that package is installed]",
)
@option("--page/--no-page", default=True, help="Open the page when the indexes are built.", show_default=True)
@option("--browser/--no-browser", default=True, help="Open a browser window on the page.", show_default=True)
@port_option
@device_option
@indexes_option
@json_option
def demo_command(
    images: Path | None,
    page: bool,
    browser: bool,
    port: int | None,
    device: str,
    indexes: Path | None,
    json: bool,
) -> None:
    """Build three indexes: the documentation of this Python, words in it, and images.

    Indexes that are there already stay as they are. With --images the images are read again.
    """
    from embedsearch.cli.progress import Bar
    from embedsearch.demo.indexes import demo_recipes, make
    from embedsearch.store.folders import indexes_folder

    root = indexes_folder(indexes)
    built = []
    for recipe in demo_recipes(images, device):
        before = current(recipe.name, indexes)
        with Bar(recipe.name) as bar:
            again = images is not None and recipe.name == "pictures"
            built.append((make(recipe, root, again=again, progress=bar), before))
    if json:
        from embedsearch.serve.schemas import DemoOutput

        echo_json(DemoOutput(indexes=[described(index, published=True) for index, _ in built]))
    else:
        for index, before in built:
            echo_built(index, False, before)
        if not any(index.manifest.name == "pictures" for index, _ in built):
            click.echo("No images were found. Add yours: embedsearch build ~/Pictures --name pictures")
        if not page:
            click.echo("Open the page on them: embedsearch ui")
    if page:
        from embedsearch.cli.ui import serve

        serve(root, port, browser)
