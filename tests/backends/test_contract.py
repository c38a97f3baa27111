"""What every backend does: one suite over exact search, a graph, shards, and servers that keep vectors."""

import datetime
import threading

import numpy as np
import pyarrow as pa
import pytest

import embedsearch as es
from embedsearch.backends.milvus import server as milvus
from embedsearch.backends.pgvector import server as pgvector
from embedsearch.backends.remote import address as address_of
from embedsearch.backends.remote import published
from embedsearch.backends.remote.server import KNOWN
from embedsearch.query import Compare
from embedsearch.store import versions
from embedsearch.store.build import Build
from embedsearch.store.folders import current_build
from tests.backends import milvus_server, postgres_server

COUNT, DIMENSION, ASKED = 1500, 16, 40
TEXTS = [
    'a "quoted" text',
    "it's",
    "line\nbreak",
    "back\\slash",
    "\u00fc",
    'x" or node >= 0 or c0 == "',
    None,
]
ENGINES = ["exact", "hnsw", "sharded", "milvus-lite", "milvus-server", "postgres"]
SERVED = ["milvus-lite", "milvus-server", "postgres"]


def vectors_of(count, seed=0):
    """Return vectors (n, d) float32 around some centres."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(60, DIMENSION))
    return (centres[random.integers(60, size=count)] + 0.6 * random.normal(size=(count, DIMENSION))).astype(
        np.float32
    )


def fields_of(count):
    """Return fields of all types, with values missing."""
    first = datetime.date(2020, 1, 1)
    return pa.table(
        {
            "price": pa.array([None if at % 7 == 0 else at % 100 / 3 for at in range(count)]),
            "year": pa.array([1990 + at % 30 for at in range(count)]),
            "good": pa.array([None if at % 5 == 0 else at % 2 == 0 for at in range(count)]),
            "note": pa.array([TEXTS[at % len(TEXTS)] for at in range(count)]),
            "day": pa.array([first + datetime.timedelta(at % 400) for at in range(count)]),
            "tags": pa.array([["a", "b"] if at % 3 == 0 else [] for at in range(count)]),
        }
    )


def ids_of(count):
    """Return the ids of as many items."""
    return [f"i{at}" for at in range(count)]


def source_of(count):
    """Return what an index of as many items is built from."""
    return ids_of(count), vectors_of(COUNT)[:count], fields_of(count)


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """Return a function that gives the options of an engine; a server is started once."""
    started, made = [], {}

    def options(engine):
        if engine not in made:
            if engine in ("milvus-server", "postgres"):
                is_milvus = engine == "milvus-server"
                folder = tmp_path_factory.mktemp("milvus")
                context = milvus_server.running(folder) if is_milvus else postgres_server.running()
                options.running[engine] = context.__enter__()
                made[engine] = {
                    "backend": "milvus" if is_milvus else "pgvector",
                    "uri": options.running[engine].uri,
                }
                started.append(context)
            elif engine == "milvus-lite":
                file = tmp_path_factory.mktemp("lite") / "vectors.db"
                made[engine] = {"backend": "milvus", "uri": str(file)}
            elif engine == "sharded":
                made[engine] = {"backend": engine, "shard_size": 400}
            else:
                made[engine] = {"backend": engine}
        return made[engine]

    options.running = {}
    yield options
    for context in started:
        context.__exit__(None, None, None)


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """The items by exact search."""
    return es.build(source_of(COUNT), name="truth", backend="exact", indexes=tmp_path_factory.mktemp("truth"))


@pytest.fixture(scope="module", params=ENGINES)
def index(request, servers, tmp_path_factory):
    """An index of all items by each engine."""
    options = servers(request.param)
    return es.build(source_of(COUNT), name="whole", indexes=tmp_path_factory.mktemp("whole"), **options)


QUERIES = [es.Vector(vector) for vector in vectors_of(ASKED, seed=1)]


def ids(results):
    """Return the ids of the hits of each query."""
    return [[hit.id for hit in each] for each in results]


def share_found(got, want):
    """Return the share of the hits of exact search that were found."""
    return float(
        np.mean(
            [len(set(one) & set(other)) / len(other) for one, other in zip(got, want, strict=True) if other]
        )
    )


def test_the_nearest_are_found_at_their_distances(index, truth):
    """At a recall of 0.95, measured and told; distances are those of exact search, ascending."""
    got, want = index.search(QUERIES, k=10), truth.search(QUERIES, k=10)
    assert share_found(ids(got), ids(want)) >= 0.93
    assert index.info().index.recall >= 0.95
    for one, other in zip(got, want, strict=True):
        far = [hit.distance for hit in one]
        assert far == sorted(far)
        true = {hit.id: hit.distance for hit in other}
        assert all(hit.distance == pytest.approx(true[hit.id], abs=2e-6) for hit in one if hit.id in true)


@pytest.mark.parametrize(
    "where",
    [
        "price < 5",
        "not (price < 5)",
        "price is null or good",
        "not good and year in (1991, 1993, 1999)",
        "year between 1995 and 1999.5",
        "year = 1990.5",
        "not (year = 1990.5)",
        "note = 'a \"quoted\" text'",
        "note in ('it''s', 'back\\slash')",
        "note = 'u\u0308'",
        "note != 'x\" or node >= 0 or c0 == \"'",
        "note like 'a%'",
        "note like '%slash'",
        "day < '2020-02-01'",
        "day >= '2020-12-31' and price > 20",
        "'a' in tags",
        "id = 'i77'",
        "id in ('i1', 'i2', 'i3') and year > 1990",
        "price > 1000",
    ],
)
def test_a_filter_keeps_what_it_keeps_everywhere(index, truth, where):
    """Each condition, quoted and typed, means the same to a server as here; nothing else is found."""
    got, want = index.search(QUERIES, k=10, where=where), truth.search(QUERIES, k=10, where=where)
    assert [len(each) for each in got] == [len(each) for each in want]
    allowed = set(ids([truth.search(QUERIES[0], k=COUNT, where=where)])[0])
    assert all(set(each) <= allowed for each in ids(got))
    if allowed:
        assert share_found(ids(got), ids(want)) >= 0.9


@pytest.mark.parametrize("note", TEXTS)
def test_any_text_can_be_asked_for(index, truth, note):
    """Quotes, line breaks and what looks like a condition are texts, and nothing else."""
    want = truth.search(QUERIES[0], k=COUNT, where={"note": note})
    got = index.search(QUERIES[0], k=COUNT, where={"note": note})
    assert set(ids([got])[0]) == set(ids([want])[0]) != set()


def test_an_item_is_not_among_its_own_hits(index, truth):
    """What is excluded is excluded by whoever searches, with a filter and without."""
    for where in (None, "year < 2000"):
        found = ids([index.similar("i3", k=8, where=where)])[0]
        assert "i3" not in found
        assert len(found) == 8
        assert share_found([found], ids([truth.similar("i3", k=8, where=where)])) >= 0.75


def test_all_within_a_limit_are_found(index):
    """`within` finds what exact comparison finds at that distance."""
    build = index.build
    query = np.asarray(build.vectors[5:6], np.float32)
    far, rows = build.backend.within(query, 0.2)
    unit = build.vectors / np.linalg.norm(build.vectors, axis=1, keepdims=True)
    exact = 1 - unit @ unit[5]
    want = set(np.flatnonzero(exact <= 0.2).tolist())
    assert (far <= 0.2).all()
    assert set(rows[0].tolist()) <= set(np.flatnonzero(exact <= 0.2 + 1e-5).tolist())
    assert len(want & set(rows[0].tolist())) >= 0.9 * len(want)


def test_more_hits_than_items(index):
    """A search for more than there is finds all, each once."""
    found = ids([index.search(QUERIES[0], k=3 * COUNT)])[0]
    assert sorted(found) == sorted(ids_of(COUNT))


def test_threads_share_an_index(index):
    """Searches of several threads answer as one alone does."""
    want = ids(index.search(QUERIES[:4], k=5))
    found = [None] * 4

    def ask(at):
        found[at] = ids([index.search(QUERIES[at], k=5)])[0]

    threads = [threading.Thread(target=ask, args=(at,)) for at in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert found == want


# fewer items: every one is compared, and a server takes a second for each build
FEW = 60


def asked(index, at):
    """Return the id of what is nearest to an item's vector."""
    return index.search(es.Vector(vectors_of(COUNT)[at]), k=1)[0].id


@pytest.fixture(params=ENGINES)
def engine(request, servers):
    """The options of each engine."""
    return servers(request.param)


@pytest.fixture
def build(engine, tmp_path, request):
    """Return a function that builds an index of a range of the items."""
    name = f"few{abs(hash(request.node.name)) % 10**8}"

    def make(first, last, **more):
        held = [column[first:last] for column in source_of(COUNT)]
        return es.build(tuple(held), name=name, indexes=tmp_path, **engine, **more)

    return make


def test_a_rebuild_and_the_way_back(build):
    """A rebuild finds what is new, not what is gone; the build before answers on, and comes back."""
    first = build(0, FEW)
    second = build(3, FEW + 3)
    assert asked(second, FEW + 1) == f"i{FEW + 1}"
    assert asked(second, 1) != "i1"
    assert len(second.search(QUERIES[0], k=COUNT)) == FEW
    assert asked(first, 1) == "i1"
    assert asked(first, FEW + 1) != f"i{FEW + 1}"
    back = second.rollback()
    assert asked(back, 1) == "i1"
    assert len(back.search(QUERIES[0], k=COUNT)) == FEW
    third = build(2, FEW + 2)  # from the first build, though the second is there still
    assert asked(third, FEW + 1) == f"i{FEW + 1}"
    assert asked(third, 2) == "i2"
    assert len(third.search(QUERIES[0], k=COUNT)) == FEW
    assert asked(second, FEW + 2) == f"i{FEW + 2}"


@pytest.fixture(params=SERVED)
def served(request, servers, tmp_path, monkeypatch):
    """Return a function that builds an index on a server, and the address of that index."""
    options = servers(request.param)
    name = f"served{abs(hash(request.node.name)) % 10**8}"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def make(first, last, **more):
        held = tuple(column[first:last] for column in source_of(COUNT))
        return es.build(held, name=name, indexes=tmp_path / "ix", **({"items": "remote"} | options | more))

    spoken = milvus if options["backend"] == "milvus" else pgvector
    return make, spoken.location(options["uri"], name)


def server_of(index):
    """Return the connection to the server of an index."""
    chosen = index.info().recipe.index
    return (milvus if chosen.backend == "milvus" else pgvector).connect(chosen.uri)


@pytest.fixture
def written(monkeypatch):
    """The rows that were sent to servers, by collection."""
    sent = []

    def noting(insert):
        def noted(server, collection, rows):
            sent.extend((collection, row["node"]) for row in rows)
            return insert(server, collection, rows)

        return noted

    for spoken in (milvus, pgvector):
        monkeypatch.setattr(spoken.Server, "insert", noting(spoken.Server.insert))
    return sent


def test_a_reader_needs_no_folder(served, tmp_path):
    """Hits, texts, fields and filters come from the server, also after a rebuild and after the way back."""
    make, address = served
    built = make(0, FEW)
    (tmp_path / "ix").rename(tmp_path / "gone")
    reader = es.open(address)
    assert not (reader.build.folder / "vectors.npy").exists()
    for where in (None, "year < 2000 and note is not null"):
        got, want = (each.search(QUERIES[0], k=5, where=where) for each in (reader, built))
        assert [(hit.id, hit.fields) for hit in got] == [(hit.id, hit.fields) for hit in want]
    assert ids([reader.similar("i3", k=5)]) == ids([built.similar("i3", k=5)])
    some = vectors_of(COUNT)[[7, 3]]
    some /= np.linalg.norm(some, axis=1, keepdims=True)
    assert np.allclose(reader.build.take(np.array([7, 3])), some, atol=1e-6)
    (tmp_path / "gone").rename(tmp_path / "ix")
    rebuilt = make(1, FEW + 1)
    assert asked(es.open(address), FEW) == f"i{FEW}"
    rebuilt.rollback()
    assert asked(es.open(address), FEW) != f"i{FEW}"
    with pytest.raises(es.errors.RecipeError, match=r"fetched from a server\. Rebuild it where it was built"):
        es.open(address).rebuild()


def test_a_rebuild_writes_only_what_changed(served, written):
    """Of 60 items, one is new, one has another field, one is gone: two rows come and two are marked."""
    make, _ = served
    first = make(0, FEW)
    vectors = first.build.backend.address.vectors
    assert [node for collection, node in written if collection == vectors] == list(range(FEW))
    written.clear()
    held = [column[1 : FEW + 1] for column in source_of(COUNT)]
    years = [1900 if at == 5 else year for at, year in enumerate(held[2]["year"].to_pylist())]
    held[2] = held[2].set_column(1, "year", pa.array(years))
    second = es.build(
        tuple(held), name=first.name, indexes=first.build.folder.parents[2], **options_of(first)
    )
    assert second.build.backend.address.vectors == vectors
    assert second.info().index.made == "extended"
    sent = [node for collection, node in written if collection == vectors]
    marked = [] if second.manifest.backend == "pgvector" else [0, 6]  # which Milvus writes anew
    assert sorted(sent) == [*marked, FEW, FEW + 1]
    assert ids([second.search(QUERIES[0], k=5, where="year = 1900")]) == [["i6"]]
    assert ids([first.search(QUERIES[0], k=5, where="year = 1900")]) == [[]]


def options_of(index):
    """Return the options that an index on a server was built with."""
    chosen = index.info().recipe.index
    return {"backend": chosen.backend, "uri": chosen.uri, "items": chosen.items}


def name_in(address):
    """Return the name of the index at an address."""
    return address.partition("?")[0].rpartition("/")[2]


# on a Milvus server, which takes seconds for each build, the step that counts
STEPS = ["sending", "sent", "the build's collection", "renamed", "alias", "pointer", "tidying"]
KILLS = [*((engine, step) for engine in ("milvus-lite", "postgres") for step in STEPS)]
KILLS += [("milvus-server", "pointer")]
in_lite = pytest.mark.parametrize("served", ["milvus-lite", "postgres"], indirect=True)


@pytest.mark.parametrize(("served", "step"), KILLS, indirect=["served"])
def test_killed_at_any_step_a_whole_build_is_found(served, monkeypatch, step, tmp_path):
    """The alias stands for the old build or for the new one, and the next run publishes the new one."""
    make, address = served
    server = type(server_of(make(0, FEW)))
    kill = {
        "sending": (server, "delete"),
        "sent": (versions, "publish"),
        "the build's collection": (published, "_write"),
        "renamed": (server, "rename"),
        "alias": (server, "point"),
        "pointer": (versions.Path, "replace"),
        "tidying": (versions, "_delete"),
    }[step]
    real = getattr(*kill)

    def dies(*arguments, **more):
        if step != "pointer" or arguments[1].name == "current":
            raise KeyboardInterrupt
        return real(*arguments, **more)

    with monkeypatch.context() as patched:
        patched.setattr(*kill, dies)
        if step == "sent":
            patched.setattr("embedsearch.indexing.build.publish", dies)
        with pytest.raises(KeyboardInterrupt):
            make(2, FEW + 2)
    local = es.open(name_in(address), tmp_path / "ix")
    for index in (local, es.open(address)):
        new = asked(index, FEW + 1) == f"i{FEW + 1}"
        assert new == (asked(index, 1) != "i1")
        assert len(index.search(QUERIES[0], k=COUNT)) == FEW
    assert (step in ("pointer", "tidying")) == (asked(es.open(address), FEW + 1) == f"i{FEW + 1}")
    make(2, FEW + 2)
    assert asked(es.open(address), FEW + 1) == f"i{FEW + 1}"
    assert Build(current_build(tmp_path / "ix" / local.name)).manifest.count == FEW


@in_lite
def test_what_no_build_needs_is_deleted(served):
    """Removing an index leaves nothing of it on the server; going back to files withdraws the alias."""
    make, address = served
    index = make(0, FEW)
    server = server_of(index)
    ours = address_of.prefix(server, index.name, index.build.backend.address.owner)
    for first in (1, 2):
        make(first, FEW + first)
    current = make(3, FEW + 3)
    gone = server.translate(Compare("gone", "<", 4), KNOWN)
    assert server.rows(current.build.backend.address.vectors, gone, ["node"]) == []
    filed = make(3, FEW + 3, backend="exact", uri="", items="local")
    with pytest.raises(es.errors.IndexNotFoundError, match=r"no index .* Build it there: embedsearch build"):
        es.open(address)
    filed.remove()
    assert [each for each in server.collections if each.startswith(ours)] == []


@in_lite
def test_what_a_killed_first_build_sent_is_deleted(served, monkeypatch, tmp_path):
    """An index that has no build leaves nothing of it on the server when it is removed."""
    make, address = served
    index = make(0, FEW)
    server, owner = server_of(index), index.build.backend.address.owner
    index.remove()

    def dies(*_arguments, **_more):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("embedsearch.indexing.build.publish", dies)
        with pytest.raises(KeyboardInterrupt):
            make(0, FEW)
    ours = address_of.prefix(server, index.name, owner)
    assert any(each.startswith(ours) for each in server.collections)
    es.remove(name_in(address), indexes=tmp_path / "ix")
    assert not any(each.startswith(ours) for each in server.collections)


@in_lite
def test_a_name_that_another_folder_publishes_is_refused(served, tmp_path):
    """The build fails with a sentence that says what to do; after that, the name is free."""
    make, address = served
    index = make(0, FEW)
    held = tuple(column[:FEW] for column in source_of(COUNT))
    with pytest.raises(es.errors.RecipeError, match=r"another folder .* publishes.* remove"):
        es.build(held, name=index.name, indexes=tmp_path / "other", **options_of(index))
    assert asked(es.open(address), 1) == "i1"


@in_lite
def test_what_a_server_has_lost_is_sent_again(served):
    """Searches name the command; it sends the vectors of the folder, or takes the index back to files."""
    make, address = served
    index = make(0, FEW)
    lost = index.build.backend.address
    server = server_of(index)
    for collection in (lost.vectors, lost.build):
        server.unpoint(lost.alias)
        server.drop(collection)
    with pytest.raises(es.errors.ServerError, match="Send it again: embedsearch rebuild"):
        asked(index, 1)
    again = index.rebuild()
    assert asked(again, 1) == asked(es.open(address), 1) == "i1"
    server.unpoint(lost.alias)
    server.drop(again.build.backend.address.vectors)
    assert asked(again.rebuild(backend="exact"), 1) == "i1"


@in_lite
def test_items_that_are_not_sent_are_asked_for(served):
    """A reader of an index with local items is told where they are."""
    make, address = served
    make(0, FEW, items="local")
    with pytest.raises(es.errors.RecipeError, match=r"its items lie where it was built.*--items remote"):
        es.open(address)


@pytest.mark.parametrize("engine", ["milvus-server", "postgres"])
def test_a_server_that_restarts_is_asked_again(servers, engine, tmp_path):
    """While it is gone, a search says so in a sentence; once it is back, the same index answers."""
    options = servers(engine)
    held = tuple(column[:FEW] for column in source_of(COUNT))
    index = es.build(held, name="restarted", indexes=tmp_path, **options)
    assert asked(index, 1) == "i1"
    servers.running[engine].stop()
    with pytest.raises(es.errors.ServerError, match=r"(Milvus|PostgreSQL) server"):
        asked(index, 1)
    servers.running[engine].start()
    assert asked(index, 1) == "i1"
