"""The command serve."""

from __future__ import annotations

import re
from pathlib import Path

import click

from embedsearch.cli.options import (
    allow_host_option,
    example,
    host_option,
    indexes_option,
    open_option,
    option,
    server_port_option,
    server_token_option,
)

PORT = 8000


def _origins(_ctx: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    """Return origins as browsers send them; a page's address, or * for all, would never match one."""
    for origin in given:
        if not re.fullmatch(r"https?://[^/?#@*\sA-Z]+", origin):
            raise click.BadParameter(f"{origin!r} is no origin: write it like https://example.org.")
    return given


@click.command(
    "serve", short_help="Answer searches over HTTP.", **example("embedsearch serve --indexes ~/indexes")
)
@host_option
@server_port_option(PORT)
@server_token_option
@open_option
@allow_host_option
@option(
    "--cors",
    multiple=True,
    metavar="ORIGIN",
    callback=_origins,
    help="Let scripts of this web page ask, as in https://example.org.",
)
@option(
    "--batch",
    type=click.IntRange(1, 512),
    default=32,
    show_default=True,
    help="Put at most this many queries into a batch.",
)
@option(
    "--queue",
    type=click.IntRange(1),
    default=256,
    show_default=True,
    help="Let at most this many requests wait for a model; as many for files, and for items.",
)
@option(
    "--timeout",
    type=click.FloatRange(0.1),
    default=30.0,
    show_default=True,
    help="Give up a request after this many seconds.",
)
@option(
    "--max-size",
    type=click.FloatRange(0.01),
    default=32.0,
    show_default=True,
    help="Refuse requests with more MiB.",
)
@indexes_option
def serve_command(
    host: str,
    port: int,
    token: str,
    is_open: bool,
    allow_host: tuple[str, ...],
    cors: tuple[str, ...],
    batch: int,
    queue: int,
    timeout: float,
    max_size: float,
    indexes: Path | None,
) -> None:
    """Serve the indexes of a folder over HTTP until Ctrl-C or SIGTERM.

    http://localhost:8000/docs lists the routes. Beyond this machine the server listens only with --token, or
    with --open.
    """
    from embedsearch.errors import MissingExtraError
    from embedsearch.serve.memory import keep_level
    from embedsearch.store.folders import indexes_folder

    keep_level()
    try:
        from embedsearch.serve.http.app import make_app
        from embedsearch.serve.http.run import run
        from embedsearch.serve.http.server import Settings
    except ImportError as error:
        raise MissingExtraError(f"The server needs {error.name}: pip install 'embedsearch[serve]'") from None
    settings = Settings(
        indexes=indexes_folder(indexes),
        hosts=allow_host,
        token=token.strip(" \t"),
        origins=cors,
        batch=batch,
        queue=queue,
        seconds=timeout,
        mebibytes=max_size,
    )
    run(
        make_app(settings),
        settings.token,
        host,
        port,
        is_open,
        lambda address: click.echo(f"The server listens at {address} until Ctrl-C; see /docs."),
    )
