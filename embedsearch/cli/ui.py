"""The command ui."""

from __future__ import annotations

import os
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
@option(
    "--allow-build",
    is_flag=True,
    help="Let visitors build, change and remove indexes, and read folders of this machine, although the page "
    "is open to other machines.  [default: only where it is for this machine alone]",
)
@indexes_option
def ui_command(
    port: int | None, browser: bool, allow_host: tuple[str, ...], allow_build: bool, indexes: Path | None
) -> None:
    """Serve the page on this machine until Ctrl-C.

    A server that is killed is started again, at most twice within a minute.
    """
    from embedsearch.store.folders import indexes_folder

    serve(indexes_folder(indexes), port, browser, allow_host, allow_build)


def serve(
    indexes: Path,
    port: int | None,
    browser: bool,
    hosts: Sequence[str] = (),
    allow_build: bool = False,
) -> NoReturn:
    """Serve the page over a folder of indexes until Ctrl-C; without a port on the first free one."""
    from embedsearch.ui.launch import ALLOW_BUILD, address, free_port, launch, warning

    if allow_build:
        os.environ[ALLOW_BUILD] = "1"

    port = port or free_port()
    click.echo(f"The page is at {address(port)} until Ctrl-C.")
    if warned := warning():
        click.echo(warned, err=True)
    raise SystemExit(launch(indexes, port, browser, hosts))
