"""Which build of an index readers of a server find: the alias, and a collection that says what a build is."""

from __future__ import annotations

import base64
import json
import re
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from embedsearch.backends.remote.address import (
    Address,
    alias_of,
    note_reached,
    owner_in,
    owner_of,
    prefix,
)
from embedsearch.backends.remote.columns import Column
from embedsearch.backends.remote.server import EXACT, GONE, KNOWN, NODE, Server, between
from embedsearch.errors import IndexNotFoundError, RecipeError, ServerError
from embedsearch.query import Compare

NAME, DATA = "name", "data"  # of a file, and a part of it: packed, in base64
PART = 48_000  # bytes of a part, which are 64,000 characters
AT_ONCE = 100  # parts in a message
MANIFEST, MOST_BYTES = "manifest.json", 2**28  # of a manifest
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
    if current and owner_in(server, current, name) != owner_of(folder):
        raise RecipeError(
            f"{server.uri} holds an index {name!r} that another folder or machine publishes. Use another "
            f"--name, or delete it there: embedsearch remove {server.location(name)}"
        )


def publish(server: Server, address: Address, folder: Path, files: Sequence[Path]) -> None:
    """Make a build the one that readers find; see `Elsewhere.publish`.

    Args:
        server: where the vectors are.
        address: of the build.
        folder: of the index.
        files: what readers without a folder need of the build, its manifest last.
    """
    check_owner(server, address.name, folder)
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


def tidy(server: Server, address: Address, kept: Sequence[Address]) -> None:
    """Delete what a build that is gone needed, and no kept one of the same server does.

    What a killed run left is deleted too.
    """
    needed = {each.vectors for each in kept} | {each.build for each in kept}
    held = server.alias(address.alias)
    start = prefix(server, address.name, address.owner)
    ours = [each for each in server.collections if each.startswith(start)]
    if held in ours and held not in needed:
        server.unpoint(address.alias)
    for collection in ours:
        if collection not in needed:
            server.drop(collection)
    for vectors in {each.vectors for each in kept}:
        first = min(each.generation for each in kept if each.vectors == vectors)
        server.delete(vectors, server.translate(Compare(GONE, "<=", first), KNOWN))


def sweep(server: Server, name: str, owner: str) -> None:
    """Delete all that a folder sent of an index."""
    for collection in server.collections:
        if collection.startswith(prefix(server, name, owner)):
            server.drop(collection)


def newest(server: Server, address: Address) -> int:
    """Return the last generation of a collection of vectors that was published."""
    start = address.vectors
    ours = [each.removeprefix(start) for each in server.collections if each.startswith(start)]
    found = [_GENERATION.fullmatch(each) for each in ours]
    return max((int(match[1]) for match in found if match), default=address.generation)


def delete(server: Server, name: str) -> None:
    """Delete an index on a server, whoever built it.

    Raises:
        IndexNotFoundError: the server has no index of that name.
        ServerError: the server does not answer.
    """
    current = _current(server, name)
    server.unpoint(alias_of(name))
    sweep(server, name, owner_in(server, current, name))


def fetch(server: Server, name: str, folder: Path) -> Path:
    """Return the folder of the current build of an index on a server, read into `folder` unless it is there.

    Raises:
        RecipeError: the items are not on the server.
        IndexNotFoundError: the server has no index of that name.
        ServerError: the server does not answer, or holds no such files.
    """
    current = _current(server, name)
    build, sizes = _manifest(server, current)
    target = folder / build
    if not target.is_dir():
        aside = folder / f".new-{uuid4().hex}"
        aside.mkdir(parents=True)
        try:
            if _read(server, current, aside, sizes) < 2:
                raise RecipeError(
                    f"{server.uri} holds the vectors of {name!r}, and its items lie where it was built. "
                    f"Open it there, or send them: embedsearch rebuild {name} --items remote"
                )
            with suppress(OSError):  # another process was quicker
                aside.rename(target)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    note_reached(target, server.uri)
    return target


def _current(server: Server, name: str) -> str:
    """Return the collection of the current build of an index."""
    current = server.alias(alias_of(name))
    if not current:
        raise IndexNotFoundError(
            f"{server.uri} has no index {name!r}. Build it there: embedsearch build SOURCE --name {name} "
            f"--backend {server.backend} --uri {server.uri} --items remote"
        )
    return current


def _read(server: Server, collection: str, folder: Path, sizes: Mapping[str, int]) -> int:
    """Write the files that a collection holds into a folder, and return their number.

    What a server sends is bounded by the sizes of the files, and these by what is free on the disk.
    """
    wanted, free = sum(sizes.values()), shutil.disk_usage(folder).free
    if wanted > free:
        raise ServerError(
            f"The build on {server.uri} takes {wanted / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB are free in "
            f"{folder}."
        )
    first, left, packing = 0, 0, zlib.decompressobj()
    names: list[str] = []
    with ExitStack() as opened:
        while True:
            condition = server.translate(between(NODE, first, first + AT_ONCE), KNOWN)
            rows = sorted(server.rows(collection, condition, [NODE, NAME, DATA]), key=lambda row: row[NODE])
            if not rows:
                return len(names)
            for row in rows:
                name = row[NAME]
                if name not in names:
                    opened.close()
                    if not _NAMED.fullmatch(name) or name not in sizes:
                        raise ServerError(f"{server.uri} holds a file of the name {name!r:.80}.")
                    file = opened.enter_context((folder / name).open("wb"))
                    names.append(name)
                    packing, left = zlib.decompressobj(), sizes[name]
                data = _unpacked(server, packing, row[DATA], left)
                file.write(data)
                left -= len(data)
            first += AT_ONCE


def _manifest(server: Server, collection: str) -> tuple[str, dict[str, int]]:
    """Return the id of a build, and the bytes of each of its files, as its manifest says."""
    condition = server.translate(Compare(NAME, "=", MANIFEST), {NAME: Column(NAME, "VARCHAR", "", "string")})
    rows = sorted(server.rows(collection, condition, [NODE, DATA]), key=lambda row: row[NODE])
    packing, text = zlib.decompressobj(), b""
    for row in rows:
        text += _unpacked(server, packing, row[DATA], MOST_BYTES - len(text))
    try:
        manifest = json.loads(text)
        build = str(manifest["build"])
        sizes = {str(name): int(facts["size"]) for name, facts in manifest["files"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise ServerError(f"The manifest of {collection} on {server.uri} can't be read.") from None
    if not _NAMED.fullmatch(build):
        raise ServerError(f"{server.uri} holds a build of the name {build!r:.80}.")
    return build, sizes | {MANIFEST: len(text)}


def _unpacked(server: Server, packing: Any, data: str, most: int) -> bytes:
    """Return what a part of a file holds.

    Raises:
        ServerError: it can't be unpacked, or holds more than it may.
    """
    try:
        unpacked: bytes = packing.decompress(base64.b64decode(data), most + 1)
    except (ValueError, zlib.error):
        raise ServerError(f"{server.uri} holds a file that can't be unpacked.") from None
    if len(unpacked) > most:
        raise ServerError(f"{server.uri} holds a file that is larger than the manifest says.")
    return unpacked


def _write(server: Server, collection: str, files: Sequence[Path]) -> None:
    """Write files into a collection of their own."""
    server.create(collection, [(NAME, "VARCHAR"), (DATA, "VARCHAR")], 0)
    server.index(collection, EXACT, "L2")
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
    return {NODE: number, NAME: name, DATA: base64.b64encode(data).decode()}
