"""pgvector: what is refused, conditions of filters, what the server is asked, and what it can't hold."""

import datetime
import sys

import numpy as np
import psycopg
import pyarrow as pa
import pytest
from psycopg import sql

import embedsearch as es
from embedsearch.backends import BACKENDS
from embedsearch.backends.pgvector import PgVector, server
from embedsearch.backends.pgvector.conditions import condition
from embedsearch.backends.pgvector.server import location, parse
from embedsearch.backends.remote.columns import Column
from embedsearch.backends.remote.server import KNOWN, UntranslatableError, between
from embedsearch.query import Both, Compare, Either, Has, In, IsNull, Like, Not
from tests.backends.postgres_server import running

VECTORS = (["a", "b"], np.eye(2, dtype=np.float32))
COLUMNS = {
    "field:price": Column("c0", "DOUBLE", "", "double"),
    "field:label": Column("c1", "VARCHAR", "", "string"),
    "field:year": Column("c2", "INT64", "", "int64"),
    "field:good": Column("c3", "BOOL", "", "bool"),
}


@pytest.mark.parametrize(
    ("tree", "text", "values"),
    [
        (Compare("field:year", ">=", 1990), '("c2" >= %(value0)s)', [1990]),
        (Not(Compare("field:price", "<", 5)), '(not ("c0" < %(value0)s))', [5.0]),
        (IsNull("field:price"), '("c0" is null)', []),
        (Compare("field:label", "!=", "a' or 1=1 --"), '("c1" <> %(value0)s)', ["a' or 1=1 --"]),
        (In("field:label", ("x", 'y"')), '("c1" = any(%(value0)s))', [["x", 'y"']]),
        (In("field:price", ()), 'nullif("c0" is null, true)', []),
        (Like("field:label", "a_c%"), '("c1" like %(value0)s)', ["a_c%"]),
        (Has("field:label", "part"), '(strpos("c1", %(value0)s) > 0)', ["part"]),
        (Compare("field:price", "<", float("inf")), '("c0" < %(value0)s)', [float("inf")]),
        (
            Either(
                Both(Compare("field:year", "=", 1), Compare("field:good", "=", True)), IsNull("field:label")
            ),
            '((("c2" = %(value0)s) and ("c3" = %(value1)s)) or ("c1" is null))',
            [1, True],
        ),
    ],
)
def test_a_filter_is_a_condition(tree, text, values):
    """Fields are known columns, and every value is a parameter."""
    found = condition(tree, COLUMNS)
    assert found.text.as_string(None) == text
    assert list(found.values.values()) == values


@pytest.mark.parametrize(
    "tree",
    [
        Like("field:label", "ab%", any_case=True),
        Like("field:label", "ab\\"),
        Like("field:year", "1%"),
        Compare("field:unknown", "=", 1),
        Compare("field:year", "=", 2**63),
        Compare("field:label", "=", "a\0b"),
        Compare("field:good", "<", True),
        Has("field:year", "1"),
    ],
)
def test_what_sql_cannot_evaluate_is_not_sent(tree):
    """Texts whatever their case, other columns, and values that PostgreSQL can't read."""
    with pytest.raises(UntranslatableError):
        condition(tree, COLUMNS)


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("", "needs --uri"),
        ("vectors.db", "names no database"),
        ("http://host/db", "names no database"),
        ("POSTGRESQL://host/db", "names no database"),
        ("postgresql://host", "names no database"),
        ("postgresql://host:port/db", "names no database"),
        ("postgresql://user:secret@host/db", "Leave the password out of --uri"),
        ("postgresql://host/db?password=secret", "Leave the password out of --uri"),
        ("postgresql://host/db?sslpassword=secret", "Leave the password out of --uri"),
    ],
)
def test_a_bad_uri_is_refused_before_anything_is_sent(uri, sentence, tmp_path):
    """The sentence says how to write it."""
    with pytest.raises(es.errors.RecipeError, match=sentence):
        es.build(VECTORS, name="small", backend="pgvector", uri=uri, indexes=tmp_path)


@pytest.mark.parametrize(
    ("text", "uri", "name"),
    [
        ("postgresql://me@host/db/faq", "postgresql://me@host/db", "faq"),
        ("postgres://host:1/db/faq?sslmode=require", "postgres://host:1/db?sslmode=require", "faq"),
        ("postgresql:///db/faq?host=/run/pg", "postgresql:///db?host=/run/pg", "faq"),
    ],
)
def test_the_address_of_an_index(text, uri, name):
    """It names the database and the index, and is made of both."""
    assert parse(text) == (uri, name)
    assert location(uri, name) == text


@pytest.mark.parametrize(
    "text", ["postgresql://host", "postgresql://host/faq", "postgresql://u:p@host/db/faq"]
)
def test_what_is_no_address(text):
    """The sentence says how one is written, and that it holds no password."""
    with pytest.raises(es.errors.RecipeError, match=r"Write it like postgresql|Leave the password out"):
        es.open(text)


def test_no_server_answers(tmp_path):
    """A port where nobody listens ends in one sentence that says why, with nothing built."""
    sentence = "No PostgreSQL server lets embedsearch in at postgresql.* Connection refused. Start it"
    with pytest.raises(es.errors.ServerError, match=sentence):
        es.build(
            VECTORS, name="small", backend="pgvector", uri="postgresql://127.0.0.1:9/db", indexes=tmp_path
        )
    assert not (tmp_path / "small").exists()


def test_the_extra_is_named_where_it_is_missing(monkeypatch, tmp_path):
    """Without psycopg, the sentence says what to install."""
    for name in [each for each in sys.modules if each.startswith("embedsearch.backends.pgvector")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(es.errors.MissingExtraError, match=r"pip install 'embedsearch\[pgvector\]'"):
        es.build(VECTORS, name="small", backend="pgvector", uri="postgresql://h/db", indexes=tmp_path)


def test_every_backend_of_a_server_has_a_scheme_of_its_own():
    """An address names one backend."""
    schemes = [scheme for kind in BACKENDS.values() for scheme in kind.schemes]
    assert sorted(schemes) == sorted({"milvus", "milvus+https", "postgresql", "postgres"})


@pytest.fixture(scope="module")
def uri():
    """The URI of a running server."""
    with running() as started:
        yield started.uri


@pytest.fixture(scope="module")
def graph(uri, tmp_path_factory):
    """An index of 4,000 vectors with a graph, and their vectors of unit length."""
    vectors = np.random.default_rng(0).normal(size=(4000, 24)).astype(np.float32)
    held = ([f"i{at}" for at in range(4000)], vectors)
    index = es.build(held, name="graph", backend="pgvector", uri=uri, indexes=tmp_path_factory.mktemp("ix"))
    return index, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("share", "k"),
    [*((share, k) for share in (1.0, 0.3, 0.08) for k in (10, 100, 300)), (0.015, 10), (0.006, 10)],
)
def test_recall_is_reached_for_all_shares_and_k(graph, k, share):
    """At least 0.93 of the nearest are found, where 0.95 is asked for, among whatever share of the rows."""
    index, unit = graph
    backend = index.build.backend
    queries = np.random.default_rng(1).normal(size=(40, 24)).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    draw = np.array([row["draw"] for row in rows_of(backend)])
    allowed = np.flatnonzero(draw < share)
    tree = Both(backend._alive, Compare("draw", "<", share))
    _, found = backend._asked(queries, k, tree, backend._plan(share, k)[1])
    exact = allowed[np.argsort(-(queries @ unit[allowed].T), axis=1)[:, :k]]
    assert np.mean([len(set(a) & set(b)) / k for a, b in zip(found, exact, strict=True)]) >= 0.93


def rows_of(backend):
    """Return number and draw of each row on the server, in their order."""
    asked = server.connect(backend.address.uri)
    every = asked.translate(between("node", 0, 10**6), KNOWN)
    return sorted(asked.rows(backend.address.vectors, every, ["node", "draw"]), key=lambda row: row["node"])


@pytest.mark.parametrize(("ef", "plan"), [(40, "Index Scan using"), (0, "Seq Scan on")])
def test_what_was_tuned_is_what_is_searched(graph, ef, plan):
    """With efSearch the graph is walked, and without every row is compared, whatever costs less."""
    index, unit = graph
    backend, asked = index.build.backend, server.connect(index.build.backend.address.uri)
    where = backend._told(backend._alive)
    text = sql.SQL("explain ") + server._nearest(backend.address.vectors, where, "IP")
    with asked._open() as connection, connection.transaction():
        connection.execute(server._settings(ef))
        lines = connection.execute(text, {**where.values, "query": unit[0], "k": 10}).fetchall()
    assert any(plan in line for (line,) in lines)
    assert any("_vector_idx" in line for (line,) in lines) == bool(ef)


def test_values_that_a_table_cannot_hold(uri, tmp_path):
    """Texts with a code 0 and NaN are filtered all the same, by the items; days by the server."""
    count = 30
    fields = pa.table(
        {
            "odd": pa.array(["a\0b" if at % 3 == 0 else "c" for at in range(count)]),
            "number": pa.array([float("nan") if at % 5 == 0 else at for at in range(count)], pa.float64()),
            "day": pa.array([datetime.date(1600, 1, 1) + datetime.timedelta(at) for at in range(count)]),
        }
    )
    vectors = np.random.default_rng(0).normal(size=(count, 4)).astype(np.float32)
    held = ([f"i{at}" for at in range(count)], vectors, fields)
    one, other = (
        es.build(held, name=backend, backend=backend, uri=address, indexes=tmp_path)
        for backend, address in (("pgvector", uri), ("exact", ""))
    )
    for where in ({"odd": "a\0b"}, "number < 7", "not (number < 7)", "day < '1600-01-09'", "odd = 'c'"):
        found = (each.search(es.Vector(vectors[0]), k=count, where=where) for each in (one, other))
        got, want = ({hit.id for hit in each} for each in found)
        assert got == want


def test_vectors_too_wide_for_a_graph_are_all_compared(uri, tmp_path, monkeypatch):
    """Pgvector's graph takes up to 2,000 numbers a vector."""
    monkeypatch.setattr("embedsearch.backends.remote.LEAST", 10)
    vectors = np.random.default_rng(0).normal(size=(40, 2100)).astype(np.float32)
    held = ([f"i{at}" for at in range(40)], vectors)
    index = es.build(held, name="wide", backend="pgvector", uri=uri, indexes=tmp_path)
    assert PgVector._kind(40, 2000) == "HNSW"
    assert index.search(es.Vector(vectors[7]), k=1)[0].id == "i7"
    assert index.info().index.queries == 0


@pytest.mark.parametrize("metric", ["l2", "ip"])
def test_distances_of_each_metric(uri, tmp_path, metric):
    """Those of exact search, ascending."""
    vectors = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    held = ([f"i{at}" for at in range(50)], vectors)
    one, other = (
        es.build(
            held, name=f"{metric}{backend}", backend=backend, uri=address, metric=metric, indexes=tmp_path
        )
        for backend, address in (("pgvector", uri), ("exact", ""))
    )
    got, want = (each.search(es.Vector(vectors[3] + 0.1), k=20) for each in (one, other))
    assert [hit.id for hit in got] == [hit.id for hit in want]
    assert [hit.distance for hit in got] == pytest.approx([hit.distance for hit in want], abs=2e-5)


def test_a_long_name_of_an_index(uri, tmp_path):
    """Names of tables are cut at 63 bytes by PostgreSQL; those of two long names are not mixed up."""
    for end in ("a", "b"):
        name = "n" * 60 + end
        es.build(VECTORS, name=name, backend="pgvector", uri=uri, items="remote", indexes=tmp_path)
    reader = es.open(location(uri, "n" * 60 + "a"))
    assert reader.info().name == "n" * 60 + "a"
    assert all(len(each) <= 55 for each in server.connect(uri).collections)


def test_a_database_without_pgvector(uri):
    """The sentence says what an administrator has to run there."""
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute("create database plain")
        connection.execute("create role guest login")
    other = uri.replace("tester@/postgres", "guest@/plain")
    with pytest.raises(es.errors.ServerError, match="administrator run there: create extension vector"):
        server.connect(other)


def test_pgvector_in_a_schema_that_is_not_searched(uri):
    """The sentence says what makes it found."""
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute("create database apart")
    other = uri.replace("@/postgres", "@/apart")
    with psycopg.connect(other, autocommit=True) as connection:
        connection.execute("create schema extensions")
        connection.execute("create extension vector schema extensions")
    with pytest.raises(es.errors.ServerError, match="alter extension vector set schema public"):
        server.connect(other)
