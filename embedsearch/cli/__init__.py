"""The command line: each command parses, calls one function and prints.

Commands are imported when they are called for, so that `embedsearch --help` is quick.
"""

from __future__ import annotations

import errno
import signal
import sys
from importlib import import_module

import click

from embedsearch import __version__
from embedsearch.errors import EmbedsearchError, nearest

# command, which has the file of its name -> one line of help, repeated here so that --help imports no command
COMMANDS: dict[str, str] = {
    "demo": "Build the demo indexes and open the page on them.",
    "build": "Build an index from a folder, a table or a data set.",
    "rebuild": "Bring an index up to date with its source.",
    "watch": "Rebuild an index whenever its source changes.",
    "search": "Find the items nearest to a query.",
    "versus": "Ask two indexes the same, side by side.",
    "explain": "Show which words, patches or columns make a hit similar.",
    "align": "Fit an index of images to captions, so that texts find them.",
    "list": "List the indexes.",
    "info": "Show all about an index.",
    "compare": "Print the distances between texts, images or sounds.",
    "calibrate": "Measure what an index's distances mean.",
    "eval": "Measure an index: recall, latency, quality.",
    "dupes": "Find exact and near copies in an index.",
    "map": "Make a map of an index in two dimensions.",
    "verify": "Check every file of an index.",
    "rollback": "Go back to an earlier build.",
    "fetch": "Read an index from a server that keeps its vectors.",
    "gc": "Delete builds that are no longer kept.",
    "models": "List the models known by name.",
    "ui": "Open the page in the browser.",
    "serve": "Answer searches over HTTP.",
    "mcp": "Let a language model search.",
    "remove": "Delete an index.",
}


class LazyGroup(click.Group):
    """A group that imports a command on first use and prints an error of ours as one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the commands in the order of use."""
        return [*COMMANDS]  # here `list` may be the command's module

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"embedsearch.cli.{cmd_name}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or suggest the nearest one."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"No such command {args[0]!r}.{nearest(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([*COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; bad input ends in a line on stderr and exit code 1."""
        result: object = None
        try:
            result = super().invoke(ctx)
        except EmbedsearchError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(1)
        except BrokenPipeError:
            raise
        except OSError as error:  # a full disk, a folder that may not be written
            message = f"{error.strerror or error} {error.filename or ''}".rstrip()
            # numpy reports a full disk by how many numbers it has written
            if error.errno == errno.ENOSPC or "requested and" in message:
                message += (
                    ". The disk is full. The previous build is unchanged. Free some space and run the "
                    "command "
                    "again. `embedsearch gc NAME --unfinished` deletes the work of an unfinished build."
                )
            click.echo(f"Error: {message}", err=True)
            ctx.exit(1)
        except KeyboardInterrupt:
            click.echo("\nStopped. The work so far is kept: run the same command to resume it.", err=True)
            ctx.exit(130)
        return result


def _progress(ctx: click.Context, param: click.Parameter, value: str) -> None:  # noqa: ARG001
    """Keep how progress is shown; a program that reads it may end the command by SIGTERM as by Ctrl-C."""
    from embedsearch.cli.options import PROGRESS

    ctx.meta[PROGRESS] = value
    if value == "json":
        signal.signal(signal.SIGTERM, signal.default_int_handler)


@click.group(
    cls=LazyGroup,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "EMBEDSEARCH",
        "max_content_width": 100,
    },
    epilog="Example: embedsearch build ~/Pictures --name holidays, then embedsearch ui",
)
@click.option(
    "--progress",
    type=click.Choice(["bar", "json"]),
    default="bar",
    show_default=True,
    expose_value=False,
    callback=_progress,
    help="How progress is shown on stderr: a bar, or a JSON object a line for programs.",
)
@click.version_option(__version__, prog_name="embedsearch")
def cli() -> None:
    """Search images, texts, sounds, videos, tables and vectors by what they mean.

    A build turns a folder, a table or a data set into an index of embeddings. A search finds the items
    nearest to a query. A smaller distance means more related.
    """


def main() -> None:
    """Run the command line."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a terminal without the letter shows "?", not a traceback
    cli(prog_name="embedsearch")
