"""Options that several commands share, and how commands print."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from embedsearch.recipe import ITEMS

if TYPE_CHECKING:
    from embedsearch.serve.schemas import Output

# control characters, and those that change the direction of what follows
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
PROGRESS = "embedsearch.progress"  # key of the click context: what --progress asks for
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
    help="Folder of the indexes.  [default: ./indexes]",
)
json_option = option("--json", "json", is_flag=True, help="Print one JSON object.")
device_option = option(
    "--device", default="auto", help="Where to compute: auto, cpu, cuda, cuda:N or mps.", show_default=True
)
runner_option = option(
    "--runner",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="What embeds: this process, or the workers of a Ray cluster.",
)
address_option = option(
    "--address",
    default="",
    metavar="ADDRESS",
    help="With --runner ray: the cluster, as auto, HOST:6379 or ray://HOST:10001.  "
    "[default: start Ray on this machine]",
)
model_option = option(
    "--model",
    default="",
    help="A name from `embedsearch models`, a hub id, or a folder.  [default: a bundled model]",
)
allow_removal_option = option(
    "--allow-removal",
    is_flag=True,
    help="Publish the build even if more than 20 percent of the records are gone from the source.",
)
port_option = option(
    "--port", type=click.IntRange(1, 65535), help="Port of the page.  [default: the first free one from 8501]"
)
token_option = option(
    "--token", envvar="EMBEDSEARCH_TOKEN", default="", help="The secret that the server asks for."
)
image_option = option(
    "--image", multiple=True, type=click.Path(path_type=Path), help="Search with this image file."
)
crop_option = option(
    "--crop",
    default="",
    metavar="L,T,R,B",
    help="Search with a part of the one --image or --item: its left, top, right and bottom edge as shares (0 "
    "to 1) of the upright image.",
)
sound_option = option(
    "--sound", multiple=True, type=click.Path(path_type=Path), help="Search with this sound file."
)
item_option = option("--item", multiple=True, help="Search for items like the item with this id.")
vector_option = option(
    "--vector", multiple=True, metavar="NUMBERS", help="Search with a vector: a .npy file, or 0.1,0.2,..."
)
word_option = option(
    "--word", help="Search with one word of the sentence QUERY: its number from 1, or the word itself."
)
center_option = option(
    "--center/--no-center",
    default=None,
    help="Whether to subtract the mean of the vectors before they are compared.  [default: as the index is; "
    "new indexes of images are centred]",
)
dim_option = option(
    "--dim",
    type=click.IntRange(min=0),
    default=0,
    metavar="NUMBER",
    help="Keep so many main directions of the centred vectors (PCA).  [default: all]",
)
backend_names = click.Choice(
    [
        "auto",
        "exact",
        "hnsw",
        "hnsw-fp16",
        "hnsw-sq8",
        "ivf-rabitq",
        "ivf-pq",
        "sharded",
        "milvus",
        "pgvector",
    ]
)
uri_option = option(
    "--uri",
    default="",
    metavar="URI",
    help="The server that keeps the vectors. With --backend milvus: as in http://localhost:19530, or a file "
    "for Milvus Lite. With --backend pgvector: as in postgresql://user@localhost/database.",
)
items_option = option(
    "--items",
    type=click.Choice(ITEMS),
    help="With --uri: remote puts the items on the server too, so that readers need no folder.  "
    "[default: local]",
)


host_option = option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
server_token_option = option("--token", default="", help="Answer only requests that carry this token.")
open_option = option("--open", "is_open", is_flag=True, help="Listen beyond this machine without a token.")
allow_host_option = option(
    "--allow-host",
    multiple=True,
    metavar="NAME",
    help="Also answer to this host name: of a proxy, or of this machine in its network.",
)


def server_port_option(default: int) -> Callable[[F], F]:
    """Return the option for the port of a server."""
    return option(
        "--port",
        type=click.IntRange(0, 65535),
        default=default,
        show_default=True,
        help="Port to listen on; 0 for any free one.",
    )


def layers_given(ctx: click.Context, param: click.Parameter, value: str) -> tuple[int, ...]:  # noqa: ARG001
    """Return the hidden layers of an option; the callback of a click option."""
    try:
        return tuple(int(part) for part in value.split(",")) if value else ()
    except ValueError:
        raise click.BadParameter(
            f"{value!r}: expected whole numbers separated by commas, as in -1 or -1,-2"
        ) from None


def plain(text: str) -> str:
    r"""Return a text of a source on one line; what would control a terminal is shown as ``\x1b``, ..."""
    return _CONTROLS.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


def echo_json(output: Output) -> None:
    """Print one JSON object."""
    click.echo(dumps(output.printed(), ensure_ascii=False))


def echo_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their head, columns aligned."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    for row in [head, *rows]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def echo_facts(rows: Iterable[tuple[str, str]]) -> None:
    """Print a line for each fact: its name and what it is."""
    for name, text in rows:
        click.echo(f"{name:<12} {text}")
