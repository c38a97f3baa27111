"""Which build of an index readers of a server find: the alias, and a collection that says what a build is."""

from __future__ import annotations

import base64
import re
import shutil
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import numpy as np

from embedsearch.backends.milvus.address import Address, alias_of, owner_in, owner_of, prefix
from embedsearch.backends.milvus.server import EXACT, GONE, NODE, VECTOR, Server, connect
from embedsearch.errors import IndexNotFoundError, RecipeError, ServerError

NAME, DATA = "name", "data"  # of a file, and a part of it: packed, in base64
PART = 48_000  # bytes of a part, which are 64,000 characters
AT_ONCE = 100  # parts in a message
SCHEME = "milvus"  # of an address of an index: milvus://host:port/name
PORT = 19530
_GENERATION = re.compile(r"_b(\d+)")
_NAMED = re.compile(r"\w[\w.-]*", re.ASCII)  # a file or a build on a server: a name in a folder here


def check_owner(server: Server, name: str, folder: Path) -> None:
    """Check that no other folder publishes an index of the same name on a server.

    Args:
        server: the server.
        name: of the index.
        folder: of the index that is to be published.

    Raises:
        RecipeError: one does.
    """
    current = server.alias(alias_of(name))
    if current and owner_in(current, name) != owner_of(folder):
        raise RecipeError(
            f"{server.uri} holds an index {name!r} that another folder or machine publishes. Use another "
            f"--name, or delete it there: embedsearch remove {location(server.uri, name)}"
        )


def location(uri: str, name: str) -> str:
    """Return how readers name an index on a server."""
    if "://" not in uri:
        return f"{SCHEME}://{uri}/{name}"
    parts = urlsplit(uri)
    secure = "+https" if parts.scheme == "https" else ""
    return f"{SCHEME}{secure}://{parts.netloc}{parts.path.rstrip('/')}/{name}"


def parse_location(text: str) -> tuple[str, str]:
    """Return the URI of a server, and the name of an index, from an address such as milvus://host/name.

    Raises:
        RecipeError: it is no such address.
    """
    form = f"{SCHEME}://HOST:PORT/NAME, or {SCHEME}:///FOLDER/FILE.db/NAME for Milvus Lite"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, None
    if parts is None or parts.scheme not in (SCHEME, f"{SCHEME}+https"):
        raise RecipeError(f"{text!r:.100} is no address of an index. Write it like {form}.")
    folder, _, name = unquote(parts.path).rpartition("/")
    if not name or parts.username:
        raise RecipeError(f"{text!r:.100} names no index. Write it like {form}.")
    if not host:
        if not Path(folder).exists():
            raise IndexNotFoundError(f"There is no file {folder} of Milvus Lite. Write it like {form}.")
        return folder, name
    secure = "https" if parts.scheme.endswith("https") else "http"
    return f"{secure}://{host}:{port or PORT}{folder}", name


def publish(path: Path, files: Sequence[Path]) -> None:
    """See `Elsewhere.publish`."""
    address = Address.load(path)
    server = connect(address.uri)
    check_owner(server, address.name, _folder(path))
    if not server.has(address.vectors):
        raise ServerError(
            f"{address.uri} no longer has the vectors of this build ({address.vectors}). Send those of the "
            f"current one again: embedsearch rebuild {address.name}"
        )
    if not server.has(address.build):
        aside = f"{address.build}_new"
        server.drop(aside)
        _write(server, aside, files)
        server.rename(aside, address.build)
    server.point(address.alias, address.build)


def is_there(path: Path) -> bool:
    """See `Elsewhere.is_there`."""
    address = Address.load(path)
    server = connect(address.uri)
    return server.has(address.vectors) and server.alias(address.alias) == address.build


def withdraw(path: Path) -> None:
    """See `Elsewhere.withdraw`."""
    address = Address.load(path)
    server = connect(address.uri)
    if server.alias(address.alias) == address.build:
        server.unpoint(address.alias)


def tidy(gone: Sequence[Path], kept: Sequence[Path]) -> None:
    """See `Elsewhere.tidy`; what a killed run left is deleted too. A copy of a folder deletes nothing."""
    staying = [Address.load(path) for path in kept]
    for path in gone:
        address = Address.load(path)
        if address.owner != owner_of(_folder(path)):
            continue
        server = connect(address.uri)
        alike = [each for each in staying if each.uri == address.uri]
        needed = {each.vectors for each in alike} | {each.build for each in alike}
        held = server.alias(address.alias)
        ours = [each for each in server.collections if each.startswith(prefix(address.name, address.owner))]
        if held in ours and held not in needed:
            server.unpoint(address.alias)
        for collection in ours:
            if collection not in needed:
                server.drop(collection)
        for vectors in {each.vectors for each in alike}:
            first = min(each.generation for each in alike if each.vectors == vectors)
            server.delete(vectors, f"{GONE} <= {first}")


def newest(server: Server, address: Address) -> int:
    """Return the last generation of a collection of vectors that was published."""
    start = address.vectors
    ours = [each.removeprefix(start) for each in server.collections if each.startswith(start)]
    found = [_GENERATION.fullmatch(each) for each in ours]
    return max((int(match[1]) for match in found if match), default=address.generation)


def delete(text: str) -> None:
    """Delete an index on a server, whoever built it.

    Raises:
        RecipeError: `text` is no address of an index.
        IndexNotFoundError: the server has no index of that name.
        ServerError: the server does not answer.
    """
    uri, name = parse_location(text)
    server = connect(uri)
    current = _current(server, name)
    server.unpoint(alias_of(name))
    for collection in server.collections:
        if collection.startswith(prefix(name, owner_in(current, name))):
            server.drop(collection)


def fetch(text: str, folder: Path) -> Path:
    """Return the folder of the current build of an index on a server, read into `folder` unless it is there.

    Raises:
        RecipeError: `text` is no address of an index, or the items are not on the server.
        IndexNotFoundError: the server has no index of that name.
        ServerError: the server does not answer.
    """
    uri, name = parse_location(text)
    server = connect(uri)
    current = _current(server, name)
    target = folder / current.removeprefix("es_")[-99:]
    if not target.is_dir():
        aside = folder / f".new-{uuid4().hex}"
        aside.mkdir(parents=True)
        try:
            if _read(server, current, aside) < 2:
                raise RecipeError(
                    f"{uri} holds the vectors of {name!r}, and its items lie where it was built. "
                    f"Open it there, or send them: embedsearch rebuild {name} --items remote"
                )
            with suppress(OSError):  # another process was quicker
                aside.rename(target)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return target


def _current(server: Server, name: str) -> str:
    """Return the collection of the current build of an index."""
    current = server.alias(alias_of(name))
    if not current:
        raise IndexNotFoundError(
            f"{server.uri} has no index {name!r}. Build it there: embedsearch build SOURCE --name {name} "
            f"--backend milvus --uri {server.uri} --items remote"
        )
    if not _NAMED.fullmatch(current):
        raise ServerError(f"{server.uri} holds a build of the name {current!r:.80}.")
    return current


def _folder(path: Path) -> Path:
    """Return the folder of an index from the path of a build's index."""
    return path.parents[2]


def _read(server: Server, collection: str, folder: Path) -> int:
    """Write the files that a collection holds into a folder, and return their number."""
    first, packing = 0, None
    names: list[str] = []
    with ExitStack() as opened:
        while True:
            condition = f"{NODE} >= {first} and {NODE} < {first + AT_ONCE}"
            rows = sorted(server.rows(collection, condition, [NODE, NAME, DATA]), key=lambda row: row[NODE])
            if not rows:
                return len(names)
            for row in rows:
                if row[NAME] not in names:
                    opened.close()
                    if not _NAMED.fullmatch(row[NAME]):
                        raise ServerError(f"{server.uri} holds a file of the name {row[NAME]!r:.80}.")
                    file = opened.enter_context((folder / row[NAME]).open("wb"))
                    names.append(row[NAME])
                    packing = zlib.decompressobj()
                assert packing is not None
                file.write(packing.decompress(base64.b64decode(row[DATA])))
            first += AT_ONCE


def _write(server: Server, collection: str, files: Sequence[Path]) -> None:
    """Write files into a collection of their own."""
    server.create(collection, [(NAME, "VARCHAR"), (DATA, "VARCHAR")], 2)
    server.index(collection, EXACT, {}, "L2")
    waiting: list[dict[str, Any]] = []
    for row in _parts(files):
        waiting.append(row)
        if len(waiting) == AT_ONCE or row[NAME] == files[-1].name:
            server.insert(collection, waiting)
            waiting = []


def _parts(files: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Yield the rows that hold files, in their order."""
    number = 0
    for path in files:
        packing = zlib.compressobj(1)
        with path.open("rb") as file:
            held = b""
            while read := file.read(PART):
                held += packing.compress(read)
                while len(held) >= PART:
                    yield _part(number, path.name, held[:PART])
                    number, held = number + 1, held[PART:]
        held += packing.flush()
        for start in range(0, len(held), PART):
            yield _part(number, path.name, held[start : start + PART])
            number += 1


def _part(number: int, name: str, data: bytes) -> dict[str, Any]:
    return {
        NODE: number,
        VECTOR: np.zeros(2, np.float32),
        NAME: name,
        DATA: base64.b64encode(data).decode(),
    }
