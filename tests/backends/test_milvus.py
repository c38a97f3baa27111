"""Milvus: what is refused, what is missing, expressions of filters, and runs that are killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import embedsearch as es
from embedsearch.backends.milvus import server
from embedsearch.backends.milvus.expressions import expression
from embedsearch.backends.milvus.server import location, parse
from embedsearch.backends.remote.columns import Column
from embedsearch.backends.remote.server import UntranslatableError
from embedsearch.query import Both, Compare, Either, Has, In, IsNull, Like, Not
from embedsearch.store.versions import remove

VECTORS = (["a", "b"], np.eye(2, dtype=np.float32))
ROOT = Path(__file__).parents[2]
COLUMNS = {
    "field:price": Column("c0", "DOUBLE", "h0", "double"),
    "field:label": Column("c1", "VARCHAR", "", "string"),
    "field:year": Column("c2", "INT64", "", "int64"),
    "field:good": Column("c3", "BOOL", "", "bool"),
}


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        (Compare("field:year", ">=", 1990), "(c2 >= 1990)"),
        (Compare("field:price", "<", 5), "(h0 == true and (c0 < 5.0))"),
        (Not(Compare("field:price", "<", 5.0)), "(h0 == true and not ((c0 < 5.0)))"),
        (IsNull("field:price"), "h0 == false"),
        (IsNull("field:year"), "node < 0"),
        (Not(IsNull("field:year")), "node >= 0"),
        (Compare("field:label", "=", 'a"b\\c\nd'), '(c1 == "a\\"b\\\\c\\nd")'),
        (In("field:label", ("x", 'y"')), '(c1 in ["x", "y\\""])'),
        (In("field:price", ()), "(h0 == true and (node < 0))"),
        (Like("field:label", "ab%"), '(c1 like "ab%")'),
        (Compare("field:good", "=", True), "(c3 == true)"),
        (
            Not(Both(Compare("field:year", "=", 1), Compare("field:label", "=", "x"))),
            '(not ((c2 == 1)) or not ((c1 == "x")))',
        ),
        (
            Either(Compare("field:year", "=", 1), Compare("field:good", "!=", False)),
            "((c2 == 1) or (c3 != false))",
        ),
    ],
)
def test_a_filter_is_an_expression(tree, text):
    """Fields are known columns, texts are quoted, a missing value is neither true nor false."""
    assert expression(tree, COLUMNS) == text


@pytest.mark.parametrize(
    "tree",
    [
        Has("field:label", "part"),
        Like("field:label", "%end"),
        Like("field:label", "a_c%"),
        Like("field:label", "ab%", any_case=True),
        Compare("field:unknown", "=", 1),
        Compare("field:year", "=", 2**63),
        Compare("field:price", "<", float("inf")),
        Compare("field:good", "<", True),
    ],
)
def test_what_a_server_cannot_evaluate_is_not_sent(tree):
    """Parts of texts, other columns, and numbers that a server can't read."""
    with pytest.raises(UntranslatableError):
        expression(tree, COLUMNS)


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("", "needs --uri"),
        ("http://", "names no Milvus server"),
        ("ftp://host", "names no Milvus server"),
        ("http://host:port", "names no Milvus server"),
        ("http://user:secret@host:19530", "Leave the password out of --uri"),
        ("vectors.milvus", r"ends in \.db"),
        ("missing/vectors.db", "There is no folder"),
    ],
)
def test_a_bad_uri_is_refused_before_anything_is_sent(uri, sentence, tmp_path):
    """The sentence says how to write it."""
    with pytest.raises(es.errors.RecipeError, match=sentence):
        es.build(VECTORS, name="small", backend="milvus", uri=uri, indexes=tmp_path)


def test_a_uri_belongs_to_a_server(tmp_path):
    """A backend in files takes none, and items are remote only where there is a server."""
    with pytest.raises(es.errors.RecipeError, match="add --backend milvus or pgvector, or leave --uri out"):
        es.build(VECTORS, name="small", uri="http://host:19530", indexes=tmp_path)
    with pytest.raises(es.errors.RecipeError, match="name it with --uri"):
        es.build(VECTORS, name="small", items="remote", indexes=tmp_path)


@pytest.mark.parametrize(
    ("text", "uri", "name"),
    [
        ("milvus://host/faq", "http://host:19530", "faq"),
        ("milvus://host:1/faq", "http://host:1", "faq"),
        ("milvus+https://host:443/db/faq", "https://host:443/db", "faq"),
    ],
)
def test_the_address_of_an_index(text, uri, name):
    """It names the server and the index, and is made of both."""
    assert parse(text) == (uri, name)
    assert parse(location(uri, name)) == (uri, name)


@pytest.mark.parametrize(
    "text", ["milvus://host", "milvus://host/", "http://host/faq", "milvus://u:p@host/faq"]
)
def test_what_is_no_address(text):
    """The sentence says how one is written."""
    with pytest.raises(es.errors.RecipeError, match=r"Write it like milvus://HOST:PORT/NAME"):
        es.open(text)


def test_no_server_and_a_silent_one(silent_port, tmp_path):
    """Both end in one sentence, within seconds."""
    started = time.monotonic()
    for uri in ("http://127.0.0.1:9", f"http://127.0.0.1:{silent_port}"):
        with pytest.raises(es.errors.ServerError, match=f"No Milvus server answers at {uri}"):
            es.build(VECTORS, name="small", backend="milvus", uri=uri, indexes=tmp_path)
    assert time.monotonic() - started < 60


def test_the_extra_is_named_where_it_is_missing(monkeypatch, tmp_path):
    """Without pymilvus, the sentence says what to install."""
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(es.errors.MissingExtraError, match=r"pip install 'embedsearch\[milvus\]'"):
        server.connect(str(tmp_path / "other.db"))


CHILD = """
import sys
from pathlib import Path
import numpy as np
import embedsearch as es
action, home, version = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
vectors = np.random.default_rng(0).normal(size=(80, 8)).astype(np.float32)
if action == "hold":
    from embedsearch.backends.milvus.server import connect
    connect(str(home / "vectors.db"))
    print("held", flush=True)
    sys.stdin.read()
if "check" in action:
    local = es.open("killed", home)
    remote = es.open(f"milvus://{home}/vectors.db/killed")
    for index in (local, remote):
        found = [hit.id for hit in index.search(es.Vector(vectors[0]), k=100, fold=False)]
        at = min(int(each[1:]) for each in found)
        assert sorted(found) == sorted(f"i{each}" for each in range(at, at + 60)), sorted(found)
        for row in range(at, at + 60, 7):
            assert index.search(es.Vector(vectors[row]), k=1)[0].id == f"i{row}"
        print("found", at, flush=True)
rows = range(version, version + 60)
if "build" in action:
    from embedsearch.backends.milvus import server
    for name in ("insert", "delete", "create", "rename", "point", "drop"):
        def noted(self, *given, real=getattr(server.Server, name), name=name, **more):
            print(name, flush=True)
            found = real(self, *given, **more)
            print(name, "done", flush=True)
            return found
        setattr(server.Server, name, noted)
    es.build(([f"i{at}" for at in rows], vectors[rows]), name="killed", indexes=home, backend="milvus",
             uri=str(home / "vectors.db"), items="remote")
"""


def child(action, home, version, kill_at=0):
    """Run a step in a process of its own; kill it at a line of its output. Return the lines."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(home / "cache")}
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, action, str(home), str(version)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as run:
        lines = []
        for line in run.stdout:
            lines.append(line.strip())
            if len([each for each in lines if not each.startswith("found")]) == kill_at > 0:
                run.send_signal(signal.SIGKILL)
    assert run.returncode in (0, -signal.SIGKILL if kill_at else 0)
    return lines


def test_killed_by_the_system_a_whole_build_is_found(tmp_path):
    """SIGKILL before and after what is written to the server: both readers find one version, whole."""
    child("build", tmp_path, 0)
    events = child("build", tmp_path, 1)
    version = 1
    for kill_at in (2, len(events) // 2, len(events) - 2):
        lines = child("check, then build", tmp_path, version + 1, kill_at)
        version = newer(lines, version)
    lines = child("check, then build", tmp_path, 9)
    newer(lines, version)
    assert newer(child("check", tmp_path, 0), 9) == 9


def newer(lines, version):
    """Return the version that a reader found, which is the last one or the one that was being built."""
    found = {int(line.split()[1]) for line in lines if line.startswith("found")}
    assert len(found) in (1, 2)
    assert found <= {version, version + 1}
    return max(found)


def test_a_file_that_another_process_has_open(tmp_path):
    """Milvus Lite serves one process at a time; the sentence says so."""
    command = [sys.executable, "-c", CHILD, "hold", str(tmp_path), "0"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as held:
        assert held.stdout.readline() == "held\n"
        with pytest.raises(es.errors.IndexBusyError, match="one process at a time"):
            server.connect(str(tmp_path / "vectors.db"))
        held.stdin.close()


def test_an_index_is_moved_and_removed_whose_file_is_gone(tmp_path):
    """An index whose file of Milvus Lite lay in a folder that was deleted can get files, and be removed."""
    (tmp_path / "db").mkdir()
    made = (
        "import numpy as np, embedsearch as es; es.build((['a', 'b'], np.eye(2, dtype=np.float32)), "
        f"name='m', backend='milvus', uri={str(tmp_path / 'db' / 'v.db')!r}, "
        f"indexes={str(tmp_path / 'ix')!r})"
    )
    subprocess.run([sys.executable, "-c", made], check=True, cwd=ROOT)
    (tmp_path / "db").rename(tmp_path / "gone")
    moved = es.build(VECTORS, name="m", backend="exact", indexes=tmp_path / "ix", replace=True)
    assert moved.manifest.backend == "exact"
    remove(tmp_path / "ix", "m")
    assert not (tmp_path / "ix" / "m").exists()
