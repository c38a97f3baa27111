"""What is asked of PostgreSQL with pgvector, and how."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import numpy as np
import psycopg
from psycopg import pq, sql
from psycopg.adapt import Dumper
from psycopg.types import TypeInfo

from embedsearch.backends import Rows
from embedsearch.backends.pgvector.conditions import Where, condition
from embedsearch.backends.remote.columns import Column
from embedsearch.backends.remote.server import CONSTRUCTION, GONE, GRAPH, LINKS, NODE, VECTOR
from embedsearch.distances.metric import Vectors
from embedsearch.errors import RecipeError, ServerError
from embedsearch.query import Tree

SCHEMES = ("postgresql", "postgres")
SCHEMA, CURRENT = "embedsearch", "current"  # where all tables are, and the one that says what is current
CONNECTING, ANSWERING = 10, 60  # seconds
IDLE = 8  # connections that are kept open
OLDEST = (0, 8)  # pgvector: the first with iterative scans
MOST_EF = 1000  # that pgvector takes
MOST_VISITED = 1_000_000  # rows that an iterative scan visits at most
TYPES = {
    "BOOL": "boolean",
    "INT64": "bigint",
    "FLOAT": "real",
    "DOUBLE": "double precision",
    "VARCHAR": 'text collate "C"',  # compared as Arrow does
}
_FORM = "postgresql://USER@HOST:PORT/DATABASE"
_GRAPHS = {"IP": ("vector_ip_ops", "<#>"), "L2": ("vector_l2_ops", "<->")}


def check_uri(uri: str) -> str:
    """Return `uri` if it can name a database.

    Raises:
        RecipeError: it can't.
    """
    if not uri:
        raise RecipeError(f"The backend pgvector needs --uri: a database, as in {_FORM}.")
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:
        raise RecipeError(f"{uri!r:.80} names no database. Write it like {_FORM}.") from None
    if parts.password or {"password", "sslpassword"} & dict(parse_qsl(parts.query)).keys():
        raise RecipeError(
            "Leave the password out of --uri, as the recipe keeps it: set PGPASSWORD, or use ~/.pgpass."
        )
    if uri.partition("://")[0] not in SCHEMES or not parts.path.strip("/") or parts.fragment:
        raise RecipeError(f"{uri!r:.80} names no database. Write it like {_FORM}.")
    return uri


def parse(address: str) -> tuple[str, str]:
    """Return the URI of a database, and the name of an index, from an address of an index.

    An example is postgresql://user@host/database/name; what follows a question mark belongs to the database.

    Raises:
        RecipeError: it is no such address.
    """
    before, sign, options = address.partition("?")
    uri, _, name = before.rpartition("/")
    if not name or uri.count("/") < 3:
        raise RecipeError(f"{address!r:.100} names no index. Write it like {_FORM}/NAME.")
    return check_uri(f"{uri}{sign}{options}"), unquote(name)


def location(uri: str, name: str) -> str:
    """Return how readers name an index in a database."""
    before, sign, options = uri.partition("?")
    return f"{before.rstrip('/')}/{name}{sign}{options}"


@cache
def connect(uri: str) -> Server:
    """Return a server, one for each URI and process.

    Raises:
        RecipeError: the URI names no database.
        ServerError: it does not answer, or can't keep vectors.
    """
    server = Server(check_uri(uri))
    server.check()
    return server


@contextmanager
def speaking(uri: str) -> Iterator[None]:
    """Turn what psycopg raises into sentences.

    Raises:
        ServerError: the server does not answer, or refuses.
    """
    try:
        yield
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        raise ServerError(
            f"The PostgreSQL server at {uri} no longer has a table that this build needs. "
            "Send it again: embedsearch rebuild NAME"
        ) from None
    except psycopg.Error as error:
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ServerError(f"The PostgreSQL server at {uri} did not do what was asked: {why:.200}") from None


class _VectorDumper(Dumper):
    """Sends (d,) numbers as pgvector's binary form: their number, two bytes of 0, and each in 4 bytes."""

    format = pq.Format.BINARY

    def dump(self, obj: Any) -> bytes:
        return struct.pack(">HH", len(obj), 0) + np.asarray(obj, ">f4").tobytes()


def _read(sent: bytes) -> Vectors:
    """Return the (d,) numbers of a vector that was sent in binary form."""
    return np.frombuffer(sent, ">f4", offset=4)


def _table(name: str) -> sql.Composable:
    return sql.Identifier(SCHEMA, name)


def _columns(names: Sequence[str]) -> sql.Composable:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _settings(ef: int) -> sql.Composed:
    """Return what sets how the transaction searches: by the graph, or, where efSearch is 0, among all rows.

    The graph alone gives rows in their order, and is left out where every row is compared. So what was tuned
    is what is searched, whatever PostgreSQL takes for cheaper.
    """
    settings = {"enable_sort": "off"} if ef else {"enable_indexscan": "off"}
    settings |= {
        "hnsw.ef_search": str(min(max(ef, 1), MOST_EF)),
        "hnsw.iterative_scan": "relaxed_order",
        "hnsw.max_scan_tuples": str(MOST_VISITED),
        "statement_timeout": f"{ANSWERING}s",
    }
    each = [sql.SQL("set_config({}, {}, true)").format(name, value) for name, value in settings.items()]
    return sql.SQL("select {}").format(sql.SQL(", ").join(each))


def _nearest(collection: str, condition: Where, measure: str) -> sql.Composed:
    """Return the statement that finds the `k` nearest rows of `query`, and how far they are."""
    return sql.SQL(
        "select {node}, {vector} {sign} %(query)s from {table} where {condition} "
        "order by {vector} {sign} %(query)s limit %(k)s"
    ).format(
        node=sql.Identifier(NODE),
        vector=sql.Identifier(VECTOR),
        sign=sql.SQL(_GRAPHS[measure][1]),
        table=_table(collection),
        condition=condition.text,
    )


class Server:
    """A database; see `embedsearch.backends.remote.server.Server`. A thread that asks has a connection."""

    backend, longest = "pgvector", 24  # a name in PostgreSQL has up to 63 bytes

    @staticmethod
    def translate(tree: Tree, columns: Mapping[str, Column]) -> Where:
        """Return a filter in the language of the server."""
        return condition(tree, columns)

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._idle: deque[psycopg.Connection[Any]] = deque()

    def check(self) -> None:
        """Check that the database answers, and make the extension where it is missing.

        Raises:
            ServerError: it can't be used.
        """
        with self._open() as connection:
            encoding = connection.info.parameter_status("server_encoding")
            if encoding != "UTF8":
                raise ServerError(f"The database at {self.uri} holds texts as {encoding}; UTF8 is needed.")

    def location(self, name: str) -> str:
        """Return how readers name an index in the database."""
        return location(self.uri, name)

    @contextmanager
    def _open(self) -> Iterator[psycopg.Connection[Any]]:
        """Lend a connection on which each statement is a transaction."""
        with speaking(self.uri):
            connection = self._borrowed()
            try:
                yield connection
            except BaseException:
                # what is wrong with this one may be so with all: a server that has restarted
                connection.close()
                while self._idle:
                    self._idle.pop().close()
                raise
            if len(self._idle) < IDLE:
                self._idle.append(connection)
            else:
                connection.close()

    def _borrowed(self) -> psycopg.Connection[Any]:
        with suppress(IndexError):
            while True:
                connection = self._idle.pop()
                try:
                    connection.execute("")  # a server that has restarted since does not answer
                except psycopg.Error:
                    connection.close()
                else:
                    return connection
        return self._new()

    def _new(self) -> psycopg.Connection[Any]:
        """Return a new connection that can send vectors.

        Raises:
            ServerError: no server answers, or it has no pgvector.
        """
        try:
            # a plan that is kept would be used with other settings than it was made for
            connection = psycopg.connect(
                self.uri,
                autocommit=True,
                prepare_threshold=None,
                connect_timeout=CONNECTING,
                application_name="embedsearch",
            )
        except psycopg.OperationalError as error:
            why = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ServerError(
                f"No PostgreSQL server lets embedsearch in at {self.uri}: {why:.200}. Start it, name another "
                "with --uri, or set PGPASSWORD."
            ) from None
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: psycopg.Connection[Any]) -> None:
        """Let a new connection send vectors; errors as `_new`."""
        connection.execute(f"set client_min_messages to error; set lock_timeout to '{ANSWERING}s'")
        has = "select extversion from pg_extension where extname = 'vector'"
        found = connection.execute(has).fetchone()
        if found is None:
            try:
                connection.execute("create extension vector")
            except psycopg.Error:
                raise ServerError(
                    f"The database at {self.uri} has no pgvector. Install it on the server, and have an "
                    "administrator run there: create extension vector"
                ) from None
            found = connection.execute(has).fetchone()
        assert found is not None
        if tuple(int(part) for part in found[0].split(".")[:2]) < OLDEST:
            raise ServerError(f"pgvector at {self.uri} is {found[0]}; 0.8 or newer is needed.")
        info = TypeInfo.fetch(connection, "vector")
        if info is None:
            raise ServerError(
                f"pgvector at {self.uri} is in a schema that is not searched. Add that to the user's "
                "search_path, or have an administrator run there: alter extension vector set schema public"
            )
        info.register(connection)
        dumper = type("VectorDumper", (_VectorDumper,), {"oid": info.oid})
        connection.adapters.register_dumper(np.ndarray, dumper)

    def _do(self, text: sql.Composed, values: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Run a statement, and return the rows that it answers with."""
        with self._open() as connection:
            cursor = connection.execute(text, values, binary=True)
            return cursor.fetchall() if cursor.description else []

    @property
    def collections(self) -> list[str]:
        """The names of all tables."""
        text = sql.SQL("select tablename::text from pg_tables where schemaname = {}").format(SCHEMA)
        return [name for (name,) in self._do(text)]

    def has(self, collection: str) -> bool:
        """Whether there is a table of that name."""
        return collection in self.collections

    def alias(self, name: str) -> str:
        """Return the table that an alias stands for; empty for none."""
        if not self.has(CURRENT):
            return ""
        text = sql.SQL("select build from {} where name = %(name)s").format(_table(CURRENT))
        found = self._do(text, {"name": name})
        return str(found[0][0]) if found else ""

    def point(self, alias: str, collection: str) -> None:
        """Have an alias stand for a table, in one transaction."""
        self._do(
            sql.SQL("create table if not exists {} (name text primary key, build text not null)").format(
                _table(CURRENT)
            )
        )
        text = sql.SQL(
            "insert into {} values (%(name)s, %(build)s) "
            "on conflict (name) do update set build = excluded.build"
        ).format(_table(CURRENT))
        self._do(text, {"name": alias, "build": collection})

    def unpoint(self, alias: str) -> None:
        """Delete an alias, where there is one."""
        if self.has(CURRENT):
            self._do(sql.SQL("delete from {} where name = %(name)s").format(_table(CURRENT)), {"name": alias})

    def drop(self, collection: str) -> None:
        """Delete a table, where there is one."""
        self._do(sql.SQL("drop table if exists {}").format(_table(collection)))

    def rename(self, collection: str, name: str) -> None:
        """Give a table another name."""
        self._do(sql.SQL("alter table {} rename to {}").format(_table(collection), sql.Identifier(name)))

    def create(self, collection: str, columns: Sequence[tuple[str, str]], dimension: int) -> None:
        """Make a table."""
        self._do(sql.SQL("create schema if not exists {}").format(sql.Identifier(SCHEMA)))
        held = [sql.SQL("{} bigint primary key").format(sql.Identifier(NODE))]
        if dimension:
            held.append(sql.SQL(f"{{}} vector({int(dimension)}) not null").format(sql.Identifier(VECTOR)))
        held += [sql.SQL(f"{{}} {TYPES[kind]}").format(sql.Identifier(name)) for name, kind in columns]
        self._do(sql.SQL("create table {} ({})").format(_table(collection), sql.SQL(", ").join(held)))

    def index(self, collection: str, kind: str, measure: str) -> None:
        """Make a graph over the vectors of a table, which grows with it; exact search needs none."""
        if kind == GRAPH:
            text = f"create index on {{}} using hnsw ({{}} {_GRAPHS[measure][0]}) with (m = {LINKS}, "
            text += f"ef_construction = {CONSTRUCTION})"
            self._do(sql.SQL(text).format(_table(collection), sql.Identifier(VECTOR)))

    def flush(self, collection: str) -> None:
        """Do nothing: what was written lies where it is indexed."""

    def wait(self, collection: str, node: int) -> None:
        """Do nothing: readers find what was written."""

    def insert(self, collection: str, rows: Sequence[dict[str, Any]]) -> None:
        """Add rows; all or none of them."""
        names = list(rows[0])
        text = sql.SQL("copy {} ({}) from stdin (format binary)").format(_table(collection), _columns(names))
        with self._open() as connection:
            types = self._types(connection, collection, names)
            with connection.cursor() as cursor, cursor.copy(text) as copy:
                copy.set_types(types)
                for row in rows:
                    copy.write_row(list(row.values()))

    def _types(self, connection: psycopg.Connection[Any], collection: str, names: Sequence[str]) -> list[int]:
        """Return the types of columns, as PostgreSQL numbers them."""
        text = sql.SQL("select {} from {} limit 0").format(_columns(names), _table(collection))
        found = connection.execute(text).description or []
        return [column.type_code for column in found]

    def mark(self, collection: str, nodes: Sequence[int], until: int) -> None:
        """Set the generation in which some rows go."""
        text = sql.SQL("update {} set {} = %(until)s where {} = any(%(nodes)s)")
        named = text.format(_table(collection), sql.Identifier(GONE), sql.Identifier(NODE))
        self._do(named, {"until": until, "nodes": list(nodes)})

    def delete(self, collection: str, condition: Where) -> None:
        """Delete rows."""
        text = sql.SQL("delete from {} where {}").format(_table(collection), condition.text)
        self._do(text, condition.values)

    def rows(self, collection: str, condition: Where, columns: Sequence[str]) -> list[dict[str, Any]]:
        """Return columns of rows."""
        text = sql.SQL("select {} from {} where {}")
        found = self._do(text.format(_columns(columns), _table(collection), condition.text), condition.values)
        return [dict(zip(columns, row, strict=True)) for row in found]

    def vectors(self, collection: str, nodes: Rows, dimension: int) -> Vectors:
        """Return the vectors of rows by their number: (m,) -> (m, d) float32."""
        text = sql.SQL("select {0}, {1} from {2} where {0} = any(%(nodes)s)")
        named = text.format(sql.Identifier(NODE), sql.Identifier(VECTOR), _table(collection))
        found = {node: _read(sent) for node, sent in self._do(named, {"nodes": nodes.tolist()})}
        vectors = np.empty((len(nodes), dimension), np.float32)
        if missing := len(set(nodes.tolist()) - found.keys()):
            raise ServerError(
                f"The PostgreSQL server at {self.uri} lacks {missing} vectors of {collection}. Build the "
                "index again: embedsearch rebuild NAME --full"
            )
        for at, node in enumerate(nodes.tolist()):
            vectors[at] = found[node]
        return vectors

    def dimension(self, collection: str) -> int:
        """Return how many numbers the vectors of a table have."""
        text = sql.SQL(
            "select atttypmod from pg_attribute where attrelid = %(table)s::regclass and attname = {}"
        )
        named = f'"{SCHEMA}"."{collection}"'
        return int(self._do(text.format(VECTOR), {"table": named})[0][0])

    def search(
        self, collection: str, queries: Vectors, k: int, condition: Where, measure: str, ef: int
    ) -> tuple[Vectors, Rows]:
        """Return what was measured, and the numbers of the nearest rows; see the protocol."""
        far = np.full((len(queries), k), np.nan)
        nodes = np.full((len(queries), k), -1, np.int64)
        text = _nearest(collection, condition, measure)
        with self._open() as connection, connection.transaction(), connection.cursor(binary=True) as cursor:
            cursor.execute(_settings(ef))
            asked = [{**condition.values, "query": query, "k": k} for query in queries]
            cursor.executemany(text, asked, returning=True)
            for at in range(len(queries)):
                hits = cursor.fetchall()
                nodes[at, : len(hits)] = [node for node, _ in hits]
                far[at, : len(hits)] = [measured for _, measured in hits]
                cursor.nextset()
        return (far**2 if measure == "L2" else -far), nodes
