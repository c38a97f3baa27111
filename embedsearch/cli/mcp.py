"""The command mcp."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource

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

PORT = 8001


@click.command(
    "mcp", short_help="Let a language model search.", **example("embedsearch mcp --indexes ~/indexes")
)
@option("--http", is_flag=True, help="Listen for clients over HTTP, at the path /mcp.")
@host_option
@server_port_option(PORT)
@server_token_option
@open_option
@allow_host_option
@indexes_option
@click.pass_context
def mcp_command(
    ctx: click.Context,
    http: bool,
    host: str,
    port: int,
    token: str,
    is_open: bool,
    allow_host: tuple[str, ...],
    indexes: Path | None,
) -> None:
    """Let a language model search the indexes of a folder, by the Model Context Protocol (MCP).

    The program that runs the model starts this command, and talks to it through standard input and output.
    With --http the command listens until Ctrl-C. It reads the indexes only.
    """
    from embedsearch.errors import MissingExtraError
    from embedsearch.serve.memory import keep_level
    from embedsearch.store.folders import indexes_folder

    for name in ("host", "port", "token", "is_open", "allow_host"):
        if not http and ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(
                f"--{name.removeprefix('is_').replace('_', '-')} belongs to --http: add it."
            )
    if http:
        keep_level()
    try:
        from embedsearch.serve.http.run import run
        from embedsearch.serve.http.server import Server, Settings
        from embedsearch.serve.mcp import make_app, make_server
    except ImportError as error:
        raise MissingExtraError(f"The server needs {error.name}: pip install 'embedsearch[mcp]'") from None
    settings = Settings(
        indexes=indexes_folder(indexes), hosts=allow_host, token=token.strip(" \t"), warm=False
    )
    if not http:
        make_server(Server(settings)).run("stdio")
        return
    run(
        make_app(settings),
        settings.token,
        host,
        port,
        is_open,
        lambda address: click.echo(f"The MCP server listens at {address}/mcp until Ctrl-C."),
    )
