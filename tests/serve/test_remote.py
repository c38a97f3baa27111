"""Indexes whose vectors are on a server are served like any other: from their folder, and fetched."""

import pytest

from embedsearch import sources
from embedsearch.backends.milvus.server import location as in_milvus
from embedsearch.backends.pgvector.server import location as in_postgres
from embedsearch.index import Index
from embedsearch.indexing.build import build_index
from embedsearch.recipe import EncoderRecipe, IndexOptions, Recipe, SourceRecipe
from embedsearch.records import Unit
from embedsearch.store.fetched import fetch_into
from tests.backends.postgres_server import running
from tests.fakes import LISTS, LetterEncoder, fruit_entries, text
from tests.serve.conftest import serving, wait_until


@pytest.fixture(scope="module", params=["milvus", "pgvector"])
def server(request, tmp_path_factory):
    """The options of an index on a server, and what tells its address."""
    if request.param == "milvus":
        uri = str(tmp_path_factory.mktemp("lite") / "vectors.db")
        yield IndexOptions(backend="milvus", uri=uri, items="remote"), in_milvus
    else:
        with running() as started:
            yield IndexOptions(backend="pgvector", uri=started.uri, items="remote"), in_postgres


@pytest.fixture(scope="module")
def built(server, patched, tmp_path_factory):
    """Return a function that builds an index of fruits on the server, and one that fetches it elsewhere."""
    options, location = server
    here, there = (tmp_path_factory.mktemp(name) for name in ("here", "there"))
    patched.setitem(sources.SOURCES, "list", "tests.fakes:ListSource")

    def build(*more):
        patched.setitem(LISTS, "fruits", [*fruit_entries(), *more])
        recipe = Recipe("fruits", SourceRecipe("list", "fruits"), EncoderRecipe(Unit.TEXT), options)
        made = build_index(
            recipe,
            here,
            replace=True,
            load=LetterEncoder,
            describe=lambda recipe: LetterEncoder(recipe).spec,
        )
        return Index(made, LetterEncoder)

    def fetch():
        fetch_into(there, location(options.uri, "fruits"))
        return there

    return build, fetch


def ids(answer):
    """Return the ids of the hits in an answer."""
    assert answer.status_code == 200, answer.text
    return [hit["id"] for hit in answer.json()["hits"]]


@pytest.mark.usefixtures("letters")
def test_served_from_its_folder_and_fetched(built):
    """Texts, items and filters are answered alike, and a server takes the new build once it is fetched."""
    build, fetch = built
    index = build()
    there = fetch()
    with serving(index.build.folder.parents[2]) as near, serving(there) as far:
        for asked in ({"text": "apple"}, {"item": "fig"}, {"text": "date", "where": "length = 4"}):
            answers = [client.post("/v1/indexes/fruits/search", json=asked) for client in (near, far)]
            assert ids(answers[0]) == ids(answers[1]) != []
        build(text("new", "apple pie", length=9, first="a"))
        fetch()
        for client in (near, far):
            asked = {"text": "apple", "k": 50}
            wait_until(lambda: "new" in ids(client.post("/v1/indexes/fruits/search", json=asked)))  # noqa: B023
