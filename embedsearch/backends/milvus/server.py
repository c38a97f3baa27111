"""A Milvus server, or an embedded one in a file (Milvus Lite): connections, and its errors as sentences."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import numpy as np

from embedsearch.backends import Rows
from embedsearch.backends.milvus.expressions import expression
from embedsearch.backends.remote.columns import Column
from embedsearch.backends.remote.server import (
    CONSTRUCTION,
    EXACT,
    GONE,
    LINKS,
    NODE,
    ROWS,
    VECTOR,
)
from embedsearch.distances.metric import Vectors
from embedsearch.errors import IndexBusyError, IndexNotFoundError, MissingExtraError, RecipeError, ServerError
from embedsearch.query import Tree

T = TypeVar("T")
TOKEN = "EMBEDSEARCH_MILVUS_TOKEN"  # "user:password", or a key; never kept in a recipe
SCHEMES = ("http", "https", "tcp", "unix")
CONNECTING, ANSWERING, STARTING, LOADING = 10.0, 60.0, 60.0, 600.0  # seconds
MOST_HITS = 16_384  # that a server returns for one query, and rows for one question
TOGETHER = 200_000  # hits that are asked for at a time, of several queries
NOTHING = np.zeros(2, np.float32)  # in place of a vector, where a collection needs none
SCHEME, PORT = "milvus", 19530  # of an address of an index: milvus://host:port/name


def check_uri(uri: str) -> str:
    """Return `uri` if it can name a server or a file.

    Raises:
        RecipeError: it can't.
    """
    if not uri:
        raise RecipeError(
            "The backend milvus needs --uri: a server, as in http://localhost:19530, or a file for Milvus "
            "Lite, as in vectors.db."
        )
    if "://" not in uri:
        if not uri.endswith(".db"):
            raise RecipeError(f"A file for Milvus Lite ends in .db; got {uri!r:.80}.")
        if not Path(uri).parent.is_dir():
            raise RecipeError(f"There is no folder {Path(uri).parent} for the file {Path(uri).name}.")
        return uri
    try:
        parts = urlsplit(uri)
        is_good = parts.scheme in SCHEMES and bool(parts.hostname or parts.scheme == "unix")
        _ = parts.port
    except ValueError:
        is_good = False
    if not is_good:
        raise RecipeError(f"{uri!r:.80} names no Milvus server. Write it like http://localhost:19530.")
    if parts.username or parts.password:
        raise RecipeError(f"Leave the password out of --uri, as the recipe keeps it: set {TOKEN}.")
    return uri


def parse(address: str) -> tuple[str, str]:
    """Return the URI of a server, and the name of an index, from an address such as milvus://host/name.

    Raises:
        RecipeError: it is no such address.
        IndexNotFoundError: there is no file of Milvus Lite.
    """
    form = f"{SCHEME}://HOST:PORT/NAME, or {SCHEME}:///FOLDER/FILE.db/NAME for Milvus Lite"
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise RecipeError(f"{address!r:.100} is no address of an index. Write it like {form}.") from None
    folder, _, name = unquote(parts.path).rpartition("/")
    if not name or parts.username:
        raise RecipeError(f"{address!r:.100} names no index. Write it like {form}.")
    if not host:
        if not Path(folder).exists():
            raise IndexNotFoundError(f"There is no file {folder} of Milvus Lite. Write it like {form}.")
        return folder, name
    secure = "https" if parts.scheme.endswith("https") else "http"
    return f"{secure}://{host}:{port or PORT}{folder}", name


def location(uri: str, name: str) -> str:
    """Return how readers name an index on a server."""
    if "://" not in uri:
        return f"{SCHEME}://{uri}/{name}"
    parts = urlsplit(uri)
    secure = "+https" if parts.scheme == "https" else ""
    return f"{SCHEME}{secure}://{parts.netloc}{parts.path.rstrip('/')}/{name}"


@contextmanager
def speaking(uri: str) -> Iterator[None]:
    """Turn what pymilvus raises into sentences.

    Raises:
        ServerError: the server does not answer, or refuses.
    """
    from grpc import RpcError
    from pymilvus.exceptions import MilvusException

    try:
        yield
    except (MilvusException, RpcError, ConnectionError) as error:
        why = (getattr(error, "message", "") or str(error) or type(error).__name__).strip().splitlines()[0]
        raise ServerError(f"The Milvus server at {uri} did not do what was asked: {why:.200}") from None


@cache
def connect(uri: str) -> Server:
    """Return a connection, one for each URI and process.

    Raises:
        MissingExtraError: pymilvus is not installed.
        RecipeError: the URI names no server.
        ServerError: the server does not answer.
    """
    check_uri(uri)
    try:
        from pymilvus import MilvusClient
        from pymilvus.exceptions import MilvusException

        if "://" not in uri:
            import milvus_lite  # noqa: F401
    except ImportError:
        raise MissingExtraError(
            "The backend milvus needs the extra milvus: pip install 'embedsearch[milvus]'"
        ) from None
    for name in ("pymilvus", "milvus_lite", *(() if "://" in uri else ("grpc",))):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # they log each error too, with its traceback
    try:
        client = MilvusClient(uri, token=os.environ.get(TOKEN, ""), timeout=CONNECTING)
    except (MilvusException, OSError, RuntimeError) as error:
        if "://" not in uri:
            raise IndexBusyError(
                f"Milvus Lite can't open {uri}. It serves one process at a time: close the other one, or use "
                "a server. Or the file is damaged, or not of Milvus Lite."
            ) from None
        if "auth" in str(error).lower():
            raise ServerError(f"The Milvus server at {uri} wants a password: set {TOKEN}.") from None
        raise ServerError(
            f"No Milvus server answers at {uri}. Start it, or name another with --uri."
        ) from None
    return Server(uri, client)


class Server:
    """A connection; see `embedsearch.backends.remote.server.Server`. Threads may share it."""

    backend, longest = "milvus", 150

    @staticmethod
    def translate(tree: Tree, columns: Mapping[str, Column]) -> str:
        """Return a filter in the language of the server."""
        return expression(tree, columns)

    def __init__(self, uri: str, client: Any) -> None:
        self.uri, self._client = uri, client
        self._loaded: set[str] = set()

    def location(self, name: str) -> str:
        """Return how readers name an index on the server."""
        return location(self.uri, name)

    @property
    def collections(self) -> list[str]:
        """The names of all collections."""
        with speaking(self.uri):
            return list(self._client.list_collections(timeout=ANSWERING))

    def has(self, collection: str) -> bool:
        """Whether there is a collection of that name."""
        with speaking(self.uri):
            return bool(self._client.has_collection(collection, timeout=ANSWERING))

    def alias(self, name: str) -> str:
        """Return the collection that an alias stands for; empty for none."""
        from pymilvus.exceptions import MilvusException

        with speaking(self.uri):
            try:
                return str(self._client.describe_alias(name, timeout=ANSWERING)["collection_name"])
            except MilvusException as error:
                if "not found" in str(error) or "not exist" in str(error):
                    return ""
                raise

    def point(self, alias: str, collection: str) -> None:
        """Have an alias stand for a collection, in one step."""
        now = self.alias(alias)
        with speaking(self.uri):
            if not now:
                self._client.create_alias(collection, alias, timeout=ANSWERING)
            elif now != collection:
                self._client.alter_alias(collection, alias, timeout=ANSWERING)

    def unpoint(self, alias: str) -> None:
        """Delete an alias, where there is one."""
        if self.alias(alias):
            with speaking(self.uri):
                self._client.drop_alias(alias, timeout=ANSWERING)

    def drop(self, collection: str) -> None:
        """Delete a collection, where there is one."""
        with speaking(self.uri):
            self._client.drop_collection(collection, timeout=ANSWERING)
        self._loaded.discard(collection)

    def create(self, collection: str, columns: Sequence[tuple[str, str]], dimension: int) -> None:
        """Make a collection; types are called as `pymilvus.DataType` does."""
        from pymilvus import DataType

        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field(NODE, DataType.INT64, is_primary=True)
        schema.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=dimension or len(NOTHING))
        for name, kind in columns:
            more = {"max_length": 65_535} if kind == "VARCHAR" else {}
            schema.add_field(name, DataType[kind], **more)
        with speaking(self.uri):
            self._client.create_collection(
                collection, schema=schema, consistency_level="Bounded", timeout=ANSWERING
            )

    def insert(self, collection: str, rows: Sequence[dict[str, Any]]) -> None:
        """Add rows; one of the same number is replaced."""
        for start in range(0, len(rows), ROWS):
            part = [{VECTOR: NOTHING, **row} for row in rows[start : start + ROWS]]
            with speaking(self.uri):
                self._client.upsert(collection, part, timeout=ANSWERING)

    def mark(self, collection: str, nodes: Sequence[int], until: int) -> None:
        """Set the generation in which some rows go."""
        for start in range(0, len(nodes), ROWS):
            rows = self.rows(collection, f"{NODE} in {list(nodes[start : start + ROWS])}", ["*"])
            self.insert(collection, [{**row, GONE: until} for row in rows])
        self._wait(collection, f"{NODE} == {nodes[-1]} and {GONE} == {until}")

    def index(self, collection: str, kind: str, measure: str) -> None:
        """Have the vectors of a collection indexed, now and as they come."""
        # Lite takes any other kind, and fails later
        parameters = {} if kind == EXACT else {"M": LINKS, "efConstruction": CONSTRUCTION}
        with speaking(self.uri):
            chosen = self._client.prepare_index_params()
            chosen.add_index(VECTOR, index_type=kind, metric_type=measure, params=parameters)
            self._client.create_index(collection, chosen, timeout=LOADING)

    def flush(self, collection: str) -> None:
        """Have what was written lie in segments, which are indexed; else some seconds later."""
        with speaking(self.uri):
            self._client.flush(collection, timeout=LOADING)

    def rename(self, collection: str, name: str) -> None:
        """Give a collection another name, in one step."""
        with speaking(self.uri):
            self._client.rename_collection(collection, name, timeout=ANSWERING)

    def delete(self, collection: str, condition: str) -> None:
        """Delete rows."""
        with speaking(self.uri):
            self._client.delete(collection, filter=condition, timeout=ANSWERING)

    def rows(
        self,
        collection: str,
        condition: str,
        columns: Sequence[str],
        *,
        most: int = MOST_HITS,
        behind: bool = False,
    ) -> list[dict[str, Any]]:
        """Return columns of up to `most` rows: as the last write left them, or `behind`, as readers do."""
        return list(
            self._answer(
                collection,
                lambda: self._client.query(
                    collection,
                    filter=condition,
                    output_fields=list(columns),
                    limit=most,
                    consistency_level="Bounded" if behind else "Strong",
                    timeout=ANSWERING,
                ),
            )
        )

    def wait(self, collection: str, node: int) -> None:
        """Wait until readers find a row, and with it all that was written before."""
        self._wait(collection, f"{NODE} == {node}")

    def _wait(self, collection: str, condition: str) -> None:
        """Wait until readers, who may be some seconds behind, find a row; none of them then finds less.

        Raises:
            ServerError: the server does not answer, or does not find the row in ten minutes.
        """
        started = time.monotonic()
        while time.monotonic() - started < LOADING:
            if self.rows(collection, condition, [NODE], most=1, behind=True):
                return
            time.sleep(0.1)
        raise ServerError(f"The Milvus server at {self.uri} does not find what was written to {collection}.")

    def vectors(self, collection: str, nodes: Rows, dimension: int) -> Vectors:
        """Return the vectors of rows by their number: (m,) -> (m, d) float32."""
        found = np.empty((len(nodes), dimension), np.float32)
        wanted = nodes.tolist()
        for start in range(0, len(nodes), ROWS):
            part = wanted[start : start + ROWS]
            rows = self.rows(collection, f"{NODE} in {part}", [NODE, VECTOR], most=len(part), behind=True)
            by_node = {row[NODE]: row[VECTOR] for row in rows}
            if missing := len(set(part) - by_node.keys()):
                raise ServerError(
                    f"The Milvus server at {self.uri} lacks {missing} vectors of {collection}. Build the "
                    "index again: embedsearch rebuild NAME --full"
                )
            found[start : start + ROWS] = [by_node[node] for node in part]
        return found

    def dimension(self, collection: str) -> int:
        """Return how many numbers the vectors of a collection have."""
        with speaking(self.uri):
            fields = self._client.describe_collection(collection, timeout=ANSWERING)["fields"]
        return next(int(field["params"]["dim"]) for field in fields if field["name"] == VECTOR)

    def search(
        self, collection: str, queries: Vectors, k: int, condition: str, measure: str, ef: int
    ) -> tuple[Vectors, Rows]:
        """Return what the server measures and the numbers of the k nearest rows of each query.

        Args:
            collection: where to look.
            queries: (q, d) float32, ready.
            k: how many, up to `MOST_HITS`.
            condition: which rows may be found.
            measure: `IP` or `L2`.
            ef: efSearch; 0 where every row is compared.

        Returns:
            (q, k) float32 each, the nearest first; the numbers are -1 where there are no more.
        """
        far = np.full((len(queries), k), np.nan, np.float32)
        nodes = np.full((len(queries), k), -1, np.int64)
        parameters = {"metric_type": measure, "params": {"ef": max(ef, k)} if ef else {}}
        together = max(1, TOGETHER // k)
        for start in range(0, len(queries), together):
            asked = list(queries[start : start + together])
            found = self._answer(
                collection,
                partial(
                    self._client.search,
                    collection,
                    data=asked,
                    anns_field=VECTOR,
                    limit=k,
                    filter=condition,
                    output_fields=[NODE],
                    search_params=parameters,
                    timeout=ANSWERING,
                ),
            )
            for at, hits in enumerate(found, start):
                nodes[at, : len(hits)] = [hit.id for hit in hits]
                far[at, : len(hits)] = [hit.distance for hit in hits]
        return far, nodes

    def _answer(self, collection: str, ask: Callable[[], T]) -> T:
        """Return the answer to a question; a server that has restarted since the last one is asked again."""
        self._ready(collection)
        try:
            with speaking(self.uri):
                return ask()
        except ServerError:
            self._loaded.discard(collection)
            self._ready(collection)
            with speaking(self.uri):
                return ask()

    def _ready(self, collection: str) -> None:
        """Have a collection loaded; what says that it is so is a question that it answers.

        Raises:
            ServerError: the server does not have it, or does not answer.
        """
        if collection in self._loaded:
            return
        if not self.has(collection):
            raise ServerError(
                f"The Milvus server at {self.uri} no longer has {collection}, which this build needs. "
                "Send it again: embedsearch rebuild NAME"
            )
        started = time.monotonic()
        while True:
            try:
                with speaking(self.uri):
                    self._client.load_collection(collection, timeout=LOADING)
                    self._client.query(
                        collection, filter=f"{NODE} >= 0", output_fields=[NODE], limit=1, timeout=ANSWERING
                    )
                self._loaded.add(collection)
                return
            except ServerError:
                if time.monotonic() - started > STARTING:
                    raise
                time.sleep(0.5)
