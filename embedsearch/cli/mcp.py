"""The command mcp."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import click

from embedsearch.cli.options import example, indexes_option
from embedsearch.errors import MissingExtraError


@click.command(
    "mcp",
    short_help="Let a language model search the indexes.",
    **example("embedsearch mcp --indexes ~/indexes"),
)
@indexes_option
def mcp_command(indexes: Path | None) -> None:
    """Serve the indexes to a language model by the Model Context Protocol (MCP), read only.

    The program that runs the model starts this command and talks to it through standard input and output.
    """
    if find_spec("mcp") is None:
        raise MissingExtraError("This command needs the package mcp: pip install 'embedsearch[mcp]'")
    from embedsearch.serve.http.server import Server, Settings
    from embedsearch.serve.mcp import make_server
    from embedsearch.store.folders import indexes_folder

    make_server(Server(Settings(indexes_folder(indexes)))).run("stdio")
