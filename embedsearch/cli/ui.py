"""The command ui."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from embedsearch.cli.options import example, indexes_option, option, port_option


@click.command("ui", short_help="Open the page in the browser.", **example("embedsearch ui --port 8600"))
@port_option
@option("--browser/--no-browser", default=True, help="Open a browser window.", show_default=True)
@option(
    "--allow-host",
    multiple=True,
    metavar="NAME",
    help="Also accept this host name, besides localhost: the name of a proxy, or of this machine in its "
    "network.",
)
@indexes_option
def ui_command(port: int | None, browser: bool, allow_host: tuple[str, ...], indexes: Path | None) -> None:
    """Serve the page on this machine until Ctrl-C.

    A server that is killed is started again, at most twice within a minute.
    """
    from embedsearch.store.folders import indexes_folder

    serve(indexes_folder(indexes), port, browser, allow_host)


def serve(indexes: Path, port: int | None, browser: bool, hosts: Sequence[str] = ()) -> NoReturn:
    """Serve the page over a folder of indexes until Ctrl-C; without a port on the first free one."""
    from embedsearch.ui.launch import address, free_port, launch, warning

    port = port or free_port()
    click.echo(f"The page is at {address(port)} until Ctrl-C.")
    if warned := warning():
        click.echo(warned, err=True)
    raise SystemExit(launch(indexes, port, browser, hosts))
