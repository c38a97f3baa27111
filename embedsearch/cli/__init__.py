"""The command line: each command parses, calls one function and prints.

Commands are imported when they are called for, so that `embedsearch --help` is quick.
"""

from __future__ import annotations

import errno
import sys
from importlib import import_module

import click

from embedsearch import __version__
from embedsearch.errors import EmbedsearchError, nearest

# command -> (module, one line of help); the line is repeated here so that --help imports no command
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("build", "Build the demo indexes and open the page on them."),
    "build": ("build", "Make an index from a folder, a table or a data set."),
    "rebuild": ("build", "Bring an index up to date with its source."),
    "watch": ("upkeep", "Rebuild an index whenever its source changes."),
    "search": ("search", "Find what is nearest to a text, a picture, a word or an item."),
    "explain": ("explain", "Tell which words or patches made a hit's score."),
    "align": ("align", "Fit an index of pictures to captions, so that texts find them."),
    "list": ("inspect", "List the indexes."),
    "info": ("inspect", "Tell all about an index."),
    "compare": ("relate", "Compare texts or pictures, each with each."),
    "calibrate": ("relate", "Measure what an index's distances mean."),
    "eval": ("evaluate", "Measure an index: recall, latency, quality."),
    "dupes": ("duplicates", "Find exact and near copies in an index."),
    "map": ("map", "Lay an index out in two dimensions."),
    "verify": ("upkeep", "Check every file of an index."),
    "rollback": ("upkeep", "Go back to the build before."),
    "gc": ("upkeep", "Delete builds that are no longer kept."),
    "models": ("inspect", "List the models known by name."),
    "ui": ("page", "Open the page in the browser."),
    "remove": ("inspect", "Delete an index."),
}


class LazyGroup(click.Group):
    """A group that imports a command on first use and turns our errors into one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the commands in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"embedsearch.cli.{COMMANDS[cmd_name][0]}")
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
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

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
            told = f"{error.strerror or error} {error.filename or ''}".rstrip()
            # numpy tells of a disk that fills up by how many numbers it has written
            if error.errno == errno.ENOSPC or "requested and" in told:
                told += (
                    ". The disk is full. What was built before is as it was; make room, then run the command "
                    "again. `embedsearch gc NAME --unfinished` frees what an unfinished build holds."
                )
            click.echo(f"Error: {told}", err=True)
            ctx.exit(1)
        except KeyboardInterrupt:
            click.echo("\nStopped. Work done so far is kept; the same command goes on from it.", err=True)
            ctx.exit(130)
        return result


@click.group(
    cls=LazyGroup,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "EMBEDSEARCH",
        "max_content_width": 100,
    },
    epilog="Example: embedsearch build ~/Pictures --name holidays, then embedsearch ui",
)
@click.version_option(__version__, prog_name="embedsearch")
def cli() -> None:
    """Search pictures, texts and words by what they mean.

    A build turns a folder, a table or a data set into an index of embeddings; a search finds what lies
    near a query in it. Smaller distances are more related.
    """


def main() -> None:
    """Run the command line."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a terminal without the letter shows "?", not a traceback
    cli(prog_name="embedsearch")
