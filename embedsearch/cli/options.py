"""Options that several commands share, and how they print."""

from __future__ import annotations

import re
from collections.abc import Callable
from json import dumps
from pathlib import Path
from typing import Any, TypeVar

import click

# control characters, and those that turn the direction of what follows
_DRIVING = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
F = TypeVar("F", bound=Callable[..., Any])


def option(*names: str, **settings: Any) -> Callable[[F], F]:
    """Declare an option whose help names its environment variable."""
    return click.option(*names, show_envvar=True, **settings)


def example(text: str) -> dict[str, Any]:
    """Return the settings of a command whose help ends with an example."""
    return {"epilog": f"Example: {text}"}


indexes_option = option(
    "--indexes",
    envvar="EMBEDSEARCH_INDEXES",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of indexes.  [default: ./indexes]",
)
json_option = option("--json", "json", is_flag=True, help="Print one JSON object.")
device_option = option("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps.", show_default=True)


def plain(text: str) -> str:
    r"""Return a text of a source on one line, what would drive a terminal shown as ``\x1b`` and the like."""
    return _DRIVING.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


def echo_json(**values: Any) -> None:
    """Print one JSON object with the version of its format in front."""
    click.echo(dumps({"schema": 1, **values}, ensure_ascii=False, default=str))
