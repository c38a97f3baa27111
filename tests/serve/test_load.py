"""Queries that arrive together, too many of them, slow ones, and builds that change beneath them."""

import asyncio
import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import pytest

import embedsearch as es
from embedsearch import store
from embedsearch.index import Index
from embedsearch.query import SearchOptions
from embedsearch.serve.http import opened, work
from embedsearch.serve.requests import SearchRequest
from tests.fakes import FRUITS, LetterEncoder, fruit_entries, text
from tests.serve.conftest import serving, wait_until

WAIT = "wait"  # a text that the encoder waits with


class Held(LetterEncoder):
    """Counts letters; a batch that holds `WAIT` waits until it is let go."""

    go = threading.Event()
    batches: ClassVar[list] = []

    def run(self, prepared):
        """See `Encoder.run`."""
        texts = [each.item for each in prepared]
        self.batches.append(texts)
        if WAIT in texts:
            assert self.go.wait(30)
        return super().run(prepared)


@pytest.fixture(scope="module")
def fruits(make, patched):
    """An index of fruits, which servers open with `Held`."""
    patched.setattr(opened, "open_encoder", Held)
    patched.setattr(opened, "encoder_spec", lambda recipe: LetterEncoder(recipe).spec)
    return make("fruits", fruit_entries())


@pytest.fixture
def serve(fruits):
    """Return a function that serves the fruits with settings; every wait ends with the test."""
    Held.go.clear()
    Held.batches.clear()
    yield lambda **settings: serving(fruits.build.folder.parents[2], **settings)
    Held.go.set()


@pytest.fixture
def threads():
    """Threads to ask from."""
    with ThreadPoolExecutor(32) as found:
        yield found
        Held.go.set()


def search(client, **body):
    """Ask the fruits."""
    return client.post("/v1/indexes/fruits/search", json=body)


def waiting(client):
    """Return how many requests wait or are worked on, as /metrics says."""
    (line,) = (
        each for each in client.get("/metrics").text.splitlines() if each.startswith("embedsearch_queue ")
    )
    return float(line.split()[1])


def hold(client, threads, count=1):
    """Ask with a text that waits; return the futures once the server works on it."""
    asked = [threads.submit(search, client, text=WAIT, k=1) for _ in range(count)]
    wait_until(lambda: waiting(client) == count and any(WAIT in each for each in Held.batches))
    return asked


def test_queries_that_arrive_together_are_embedded_together(serve, threads, fruits):
    """What is asked while a batch is in the model is one batch; each gets its own k, filter and answer."""
    with serve() as client:
        first = hold(client, threads)
        bodies = [{"text": each, "k": 1 + at % 3} for at, each in enumerate(FRUITS)]
        bodies += [{"text": "pear", "where": "length = 5"}, {"item": "fig", "k": 2}]
        asked = [threads.submit(search, client, **body) for body in bodies]
        wait_until(lambda: waiting(client) == 1 + len(bodies))
        before = len(Held.batches)
        Held.go.set()
        answers = [each.result().json() for each in asked]
        assert first[0].result().status_code == 200
    assert [sorted(each) for each in Held.batches[before:]] == [sorted([*FRUITS, "pear"])]
    for body, answered in zip(bodies, answers, strict=True):
        query = body.get("text") or es.MoreLike(body["item"])
        wanted = fruits.search(query, body.get("k", 12), body.get("where"))
        assert [(hit["id"], hit["distance"]) for hit in answered["hits"]] == [
            (hit.id, hit.distance) for hit in wanted
        ], body


def test_a_batch_has_a_limit(serve, threads):
    """A batch holds as many queries as the server was told; the rest is the next one."""
    with serve(batch=4) as client:
        hold(client, threads)
        asked = [threads.submit(search, client, text=each) for each in FRUITS]
        wait_until(lambda: waiting(client) == 1 + len(FRUITS))
        before = len(Held.batches)
        Held.go.set()
        assert all(each.result().status_code == 200 for each in asked)
    assert [len(each) for each in Held.batches[before:]] == [4, 4, 2]


def test_a_bad_query_fails_alone(serve, threads):
    """A query that can't be embedded does not fail those that came with it."""
    with serve() as client:
        hold(client, threads)
        asked = [threads.submit(search, client, text=each, k=1) for each in (*FRUITS, "☠")]
        asked.append(threads.submit(search, client, item="kiwi"))
        wait_until(lambda: waiting(client) == 3 + len(FRUITS))
        Held.go.set()
        answers = [each.result() for each in asked]
    assert [each.json()["hits"][0]["id"] for each in answers[:-2]] == FRUITS
    assert [each.status_code for each in answers[-2:]] == [422, 404]


def test_a_bad_query_does_not_undo_its_batch(fruits, monkeypatch):
    """A batch with a bad query is halved until that one is alone; it is not embedded one by one."""
    sizes, placed = [], Index.placed
    monkeypatch.setattr(Index, "placed", lambda index, each: sizes.append(len(each)) or placed(index, each))
    questions = [opened.Question(query, SearchOptions(1)) for query in [es.Text("fig")] * 31]
    found = opened.answers(fruits, [*questions, opened.Question(es.Text("☠"), SearchOptions(1))])
    assert [isinstance(each, Exception) for each in found] == [False] * 31 + [True]
    assert sizes == [32, 16, 16, 8, 8, 4, 4, 2, 2, 1, 1]


def test_a_query_that_has_no_words_fails_alone(fruits):
    """An item in the mode hybrid is refused, and a text that came with it is answered."""
    options = SearchOptions(1, mode="hybrid")
    asked = [opened.Question(query, options) for query in (es.Text("fig"), es.MoreLike("fig"))]
    good, bad = opened.answers(fruits, asked)
    assert [good.mode, good[0].id, isinstance(bad, es.EmbedsearchError)] == ["hybrid", "fig", True]


def test_true_re_ranks_as_many_as_in_python():
    """In a request `true` stands for 10 hits, and not for the 1 that it would be as a number."""
    asked = SearchRequest(text="fig", rerank=True)
    assert opened.Question.of(asked.query(), asked).options == SearchOptions(rerank=True)
    assert (asked.rerank, SearchRequest(text="fig", rerank=1).rerank) == (10, 1)


def test_true_and_one_are_two_filters(fruits):
    """Two filters in one batch that are equal in Python stay apart where they are written apart."""
    wheres = [opened.conditions({"length": each}) for each in (1, 1.0, True)]
    found = opened.answers(
        fruits, [opened.Question(es.Text("fig"), SearchOptions(9, each)) for each in wheres]
    )
    assert [isinstance(each, Exception) for each in found] == [False, False, True]


def test_a_batch_of_embeddings_counts_texts(serve, threads):
    """Texts of several requests for vectors go through the model together up to the limit of a batch."""

    def embed(client, *texts):
        return client.post("/v1/embeddings", json={"model": "fruits", "input": texts})

    with serve(batch=4) as client:
        (asked,) = [threads.submit(embed, client, WAIT)]
        wait_until(lambda: any(WAIT in each for each in Held.batches))
        others = [threads.submit(embed, client, "ab", "cd", "ef") for _ in range(2)]
        others.append(threads.submit(embed, client, *"abcdefghi"))
        wait_until(lambda: waiting(client) == 4)
        before = len(Held.batches)
        Held.go.set()
        assert all(each.result().status_code == 200 for each in (asked, *others))
    assert max(len(each) for each in Held.batches[before:]) <= 4


def test_an_encoder_goes_with_its_index(fruits, make, tmp_path):  # noqa: ARG001  servers load its encoder
    """The encoder that made vectors by the name of an index is not kept once the index is removed."""
    made = make("short", [text("leek", "leek")], indexes=tmp_path)
    with serving(tmp_path) as client:
        assert client.post("/v1/embeddings", json={"model": "short", "input": "a"}).status_code == 200
        made.remove()
        wait_until(lambda: client.get("/v1/indexes/short/items/leek").status_code == 404)

        def is_gone():
            gc.collect()
            return "embedsearch_models_loaded 0.0" in client.get("/metrics").text

        wait_until(is_gone)


def test_too_many_requests_are_refused(serve, threads):
    """Over the queue's limit a request gets status 429 and when to ask again; the others are answered."""
    with serve(queue=3) as client:
        asked = hold(client, threads, 3)
        refused = search(client, text="fig")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert refused.json()["detail"] == "3 requests wait already. Ask again in 1 s."
        assert client.get("/health").status_code == 200
        Held.go.set()
        assert [each.result().status_code for each in asked] == [200] * 3
        assert search(client, text="fig").status_code == 200


def test_a_slow_request_is_given_up(serve, threads):
    """A request that takes too long gets status 503; the server goes on, and its place is free again."""
    with serve(seconds=0.5, queue=1) as client:
        slow = threads.submit(search, client, text=WAIT).result()
        assert (slow.status_code, slow.json()["title"]) == (503, "Service Unavailable")
        assert slow.json()["detail"] == "The request took longer than 0.5 s, and was given up."
        Held.go.set()
        wait_until(lambda: search(client, text="fig").status_code == 200)
        assert waiting(client) == 0


def test_an_index_that_opens_slowly_opens(fruits):
    """Requests that are given up while an index opens do not stop it: it is opened once, for all of them."""
    folder, opening, go = fruits.build.folder.parents[2], [], threading.Event()

    async def run():
        indexes = opened.OpenIndexes(folder, lambda _: None, warm=False)
        open_one = indexes._open
        indexes._open = lambda name: (opening.append(name), go.wait(), open_one(name))[2]
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(indexes.get("fruits"), 0.05)
        go.set()
        await asyncio.wait_for(indexes.get("fruits"), 30)
        indexes.close()

    asyncio.run(run())
    assert opening == ["fruits"]


def test_a_fault_while_opening_does_not_stop_the_others(fruits, monkeypatch, caplog):
    """Whatever one index fails with, the others are opened, and the build before goes on answering."""
    folder = fruits.build.folder.parents[2]

    def fail(*_):
        raise RuntimeError("a fault")

    async def run():
        indexes = opened.OpenIndexes(folder, lambda _: None, warm=True)
        held = await indexes.get("fruits")
        monkeypatch.setattr(opened, "open_current", fail)
        await indexes._renew("fruits", held, folder)
        assert (held.refused, held.renewing, indexes.held()) == (folder, None, [held.index])
        indexes.forget("fruits", held)
        await indexes.warm()
        monkeypatch.undo()
        monkeypatch.setattr(Index, "warm", fail)
        assert len((await indexes.get("fruits")).index) == len(FRUITS)
        indexes.close()

    asyncio.run(run())
    assert [str(each.exc_info[1]) for each in caplog.records] == ["a fault"] * 3


def test_what_was_given_up_is_not_embedded(serve, threads):
    """A query whose time ran out while it waited does not go through the model."""
    with serve(seconds=1.0) as client:
        hold(client, threads)
        assert search(client, text="fig").status_code == 503
        Held.go.set()
        assert search(client, text="pear").status_code == 200
    assert not any("fig" in each for each in Held.batches)


def test_a_new_build_is_taken_up(serve, threads, make, fruits):
    """A query in flight is answered by the build that it began with, later ones by the new build."""
    with serve() as client:
        (asked,) = hold(client, threads)
        new = make("fruits", [*fruit_entries(), text("kiwi", "kiwi")])
        try:
            wait_until(lambda: client.get("/v1/indexes/fruits").json()["build"] == new.manifest.build)
            Held.go.set()
            assert asked.result().json()["build"] == fruits.manifest.build
            assert search(client, text="kiwi", k=1).json()["hits"][0]["id"] == "kiwi"
        finally:
            make("fruits", fruit_entries())


def test_a_removed_index_is_gone(serve, make):
    """An index that is removed is described as it was, and then not found; one that is built then is."""
    made, statuses = make("vegetables", [text("leek", "leek"), text("bean", "bean")]), []
    with serve() as client:
        assert client.post("/v1/indexes/vegetables/search", json={"text": "leek"}).status_code == 200
        made.remove()
        wait_until(
            lambda: statuses.append(client.get("/v1/indexes/vegetables").status_code) or statuses[-1] == 404
        )
        assert set(statuses) == {200, 404}
        make("vegetables", [text("leek", "leek")])
        wait_until(lambda: client.get("/v1/indexes/vegetables").status_code == 200)
        assert client.get("/v1/indexes/vegetables").json()["count"] == 1


def test_a_damaged_index_is_named_and_the_others_answer(serve, make):
    """An index whose files are damaged gets status 503 and says what to do; others answer on."""
    made = make("broken", [text("leek", "leek")])
    (made.build.folder / store.manifest.ITEMS).write_bytes(b"nothing")
    with serve() as client:
        answered = client.post("/v1/indexes/broken/search", json={"text": "leek"})
        assert answered.status_code == 503
        assert "embedsearch" in answered.json()["detail"]
        assert search(client, text="fig").status_code == 200
    made.remove()


def test_one_encoder_serves_all_indexes(serve, make):
    """Indexes that one model made share its encoder."""
    loaded = []
    made = make("others", [text("leek", "leek")])
    with pytest.MonkeyPatch.context() as counting:
        counting.setattr(opened, "open_encoder", lambda recipe: loaded.append(recipe) or Held(recipe))
        with serve() as client:
            assert client.post("/v1/indexes/others/search", json={"text": "leek"}).status_code == 200
            assert search(client, text="fig").status_code == 200
    assert len(loaded) == 1
    made.remove()


@pytest.mark.parametrize(("cores", "count", "each"), [(2, 1, 2), (8, 4, 2), (2, 4, 1)])
def test_faiss_takes_each_core_once(monkeypatch, cores, count, each):
    """In each of several threads, FAISS takes its share of the cores."""
    import faiss

    monkeypatch.setattr(work.os, "cpu_count", lambda: cores)
    threads = work.Threads(count, work.Places(1), "some")
    assert threads.executor.submit(faiss.omp_get_max_threads).result() == each
    threads.close()
