"""Where the vectors of a build are: the file that a build has in place of an index."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self
from uuid import uuid4

from embedsearch.backends.remote.columns import Column
from embedsearch.backends.remote.server import Server
from embedsearch.errors import IndexDamagedError

LONGEST = 150  # characters of a name in an alias
REACHED = "server.txt"  # in a build that was fetched: the URI by which its reader reaches the server


@dataclass(frozen=True, slots=True)
class Address:
    """Where the vectors of a build are.

    The builds of an index share a collection of vectors as long as they are much alike. A row is there from
    one generation on, up to the one in which it is gone; each build is a generation.

    Attributes:
        uri: of the server, or the path of an embedded one's file.
        name: of the index.
        owner: which folder publishes it.
        vectors: the collection of vectors.
        generation: of this build, 1 for the first one in the collection.
        kind: of the index over the vectors: `FLAT` or `HNSW`.
        columns: by which the server can filter, by their name among the items.
    """

    uri: str
    name: str
    owner: str
    vectors: str
    generation: int
    kind: str
    columns: Mapping[str, Column]

    @classmethod
    def new(cls, server: Server, name: str, owner: str, kind: str, columns: Mapping[str, Column]) -> Self:
        """Return the address of a first build in a collection of its own."""
        vectors = f"{prefix(server, name, owner)}{uuid4().hex[:12]}"
        return cls(server.uri, name, owner, vectors, 1, kind, columns)

    @property
    def alias(self) -> str:
        """The name under which readers find the current build."""
        return alias_of(self.name)

    @property
    def build(self) -> str:
        """The collection that says what the build is, and holds its items where these are remote."""
        return f"{self.vectors}_b{self.generation}"

    def next(self) -> Self:
        """Return the address of a build that is made from this one."""
        return replace(self, generation=self.generation + 1)

    def save(self, path: Path, backend: str) -> None:
        """Write it beside `path`, as one of a backend."""
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False)
        address_file(path, backend).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path, backend: str) -> Self:
        """Read what `save` wrote beside `path`; of a build that was fetched, with the URI of its reader.

        Raises:
            IndexDamagedError: it can't be read.
        """
        file = address_file(path, backend)
        try:
            values = json.loads(file.read_text(encoding="utf-8"))
            if (reached := file.with_name(REACHED)).is_file():
                values["uri"] = reached.read_text(encoding="utf-8")
            columns = {name: Column(**column) for name, column in values.pop("columns").items()}
            return cls(**values, columns=columns)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise IndexDamagedError(f"{file} can't be read as the address of an index: {error}") from None


def address_file(path: Path, backend: str) -> Path:
    """Return the file beside the path of an index that holds its address."""
    return path.with_name(f"{path.stem}.{backend}.json")


def note_reached(folder: Path, uri: str) -> None:
    """Note in the folder of a fetched build by which URI its reader reaches the server."""
    aside = folder.with_name(f".{REACHED}-{uuid4().hex}")
    aside.write_text(uri, encoding="utf-8")
    aside.replace(folder / REACHED)


def alias_of(name: str) -> str:
    """Return the alias of an index."""
    return f"embedsearch_{_plain(name, LONGEST)}"


def prefix(server: Server, name: str, owner: str) -> str:
    """Return how the names of all collections of an index begin."""
    return f"es_{_plain(name, server.longest)}_{owner}_"


def owner_of(folder: Path) -> str:
    """Return what tells the folder of an index from those of other machines, 8 digits."""
    return hashlib.sha256(f"{platform.node()}:{folder.resolve()}".encode()).hexdigest()[:8]


def owner_in(server: Server, collection: str, name: str) -> str:
    """Return the owner of a collection of an index; empty where it is none."""
    start = f"es_{_plain(name, server.longest)}_"
    return collection.removeprefix(start)[:8] if collection.startswith(start) else ""


def _plain(name: str, longest: int) -> str:
    """Return a name of letters and digits of ASCII alone, another one for each."""
    made = "".join(
        letter if letter.isascii() and letter.isalnum() else f"_{ord(letter):x}_" for letter in name
    )
    return made if len(made) <= longest else hashlib.sha256(name.encode()).hexdigest()[:longest]
