"""What a hostile client sends by hand: slow and broken requests, and addresses that lead out of the index."""

import logging
import os
import socket
import threading
from contextlib import suppress
from types import SimpleNamespace

import pytest

import embedsearch as es
from embedsearch.errors import ItemError
from embedsearch.modalities import QueryForm
from embedsearch.serve.http import run, server
from embedsearch.serve.http.app import make_app
from embedsearch.serve.http.server import Settings
from embedsearch.serve.mcp import make_app as make_mcp_app
from tests.fakes import text
from tests.serve.conftest import listening, serving, wait_until
from tests.sounds import packed, tone

HEAD = b"POST /v1/indexes/small/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture
def client(letters, colours, tmp_path):  # noqa: ARG001
    """A client of a server of the index `small`, which holds images, beside a file that is no item."""
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    with serving(tmp_path) as client:
        yield client


def connected(client):
    """Return a connection to the server of a client."""
    return socket.create_connection((client.base_url.host, client.base_url.port), timeout=10)


def said(client, request):
    """Return the status line of the answer to some bytes; empty where the connection is closed."""
    with connected(client) as connection:
        connection.sendall(request)
        try:
            return connection.recv(1000).partition(b"\r\n")[0].decode()
        except ConnectionResetError:
            return ""


@pytest.mark.parametrize(
    "path",
    [
        "/v1/indexes/%2e%2e", "/v1/indexes/..%2fsmall", "/v1/indexes/small%00", "/v1/indexes/%ff%fe",
        "/v1/indexes/small/content/..%2f..%2fsecret.txt", "/v1/indexes/small/content/{root}%2fsecret.txt",
        "/v1/indexes/small/thumbnails/..%2fsecret.txt", "/v1/indexes/small/items/red%00",
        "/v1/indexes/small/content/small%2frecipe.toml", "/v1/indexes/small/items/%0d%0aX-Evil:%201",
        "//secret.txt", "/v1/indexes/small/../../secret.txt",
    ],
)  # fmt: skip
def test_no_address_leads_out_of_the_index(client, tmp_path, path):
    """Only items are found, by their ids; dots, slashes and control characters name nothing."""
    target = path.replace("{root}", str(tmp_path).replace("/", "%2f"))
    line = said(client, f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert line.split()[1] in ("400", "404")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (HEAD + b"Content-Length: 99999999999999999999\r\n\r\n", "4"),
        (HEAD + b"Content-Length: -5\r\n\r\n", "4"),
        (HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "4"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", "4"),
        (b"GET /v1/indexes HTTP/1.1\r\n\r\n", "4"),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", "4"),
        (b"GET /v1/indexes HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n", "421"),
        (b"GET http://evil.example/health HTTP/1.1\r\nHost: evil.example\r\n\r\n", "421"),
    ],
)
def test_broken_requests_are_refused(client, request_bytes, status):
    """A request that is no HTTP, or whose length can't be trusted, gets a status of the client's fault."""
    assert said(client, request_bytes).split()[1].startswith(status)
    assert client.get("/health").status_code == 200


def test_a_long_head_is_refused(client):
    """The head of a request has a limit."""
    with connected(client) as connection, suppress(ConnectionError):
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")
        for _ in range(200):
            connection.sendall(b"X-More: " + b"a" * 1000 + b"\r\n")
        connection.sendall(b"\r\n")
        assert connection.recv(100).split()[1:2] != [b"200"]


def test_long_sounds_are_refused(monkeypatch):
    """Sounds of a request have a limit together, and none is decoded beyond it; `image` may hold one."""
    monkeypatch.setattr(server, "UPLOADED_MINUTES", 1)
    hearing = SimpleNamespace(queries=SimpleNamespace(form=QueryForm.SOUND))
    long, half = (packed(tone(seconds, rate=8000), 8000) for seconds in (61, 40))
    for made in (es.Sound, es.Image):
        server._check_files(hearing, [made(half)])
        with pytest.raises(ItemError, match="the sound lasts more than 1 minutes"):
            server._check_files(hearing, [made(long)])
        with pytest.raises(ItemError, match="the sounds together last more than 1 minutes"):
            server._check_files(hearing, [made(half), made(half)])


def test_a_file_that_may_not_be_read_is_a_file_that_is_gone(client, monkeypatch):
    """Searches answer where the folder of the files may not be entered, or a file may not be read."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert client.get("/v1/indexes/small/content/red").status_code == 404
    stat = os.stat

    def guarded(path, *args, **kwargs):
        if str(path).endswith("red.png"):
            raise PermissionError(13, "Permission denied")
        return stat(path, *args, **kwargs)

    monkeypatch.setattr(os, "stat", guarded)
    found = client.post("/v1/indexes/small/search", json={"item": "navy"}).json()["hits"]
    assert {hit["id"]: hit["gone"] for hit in found}["red"]
    assert client.get("/v1/indexes/small/content/red").status_code == 404
    explained = client.post("/v1/indexes/small/explain", json={"item": "navy", "hit": "red"})
    assert (explained.status_code, "is gone" in explained.json()["detail"]) == (422, True)


def test_slow_requests_do_not_pile_up(letters, fruits, tmp_path, monkeypatch):  # noqa: ARG001
    """A connection without the head of a request is closed after a while; a slow body gets status 503."""
    monkeypatch.setattr(run, "HEAD", 0.3)
    with listening(make_app(Settings(tmp_path, seconds=0.5))) as client:
        silent, head, body = held = [connected(client) for _ in range(3)]
        head.sendall(HEAD)
        body.sendall(HEAD + b"Content-Length: 50\r\n\r\n{")
        assert [silent.recv(100), head.recv(100)] == [b"", b""]
        assert b" 503 " in body.recv(100)
        again = connected(client)
        again.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b" 200 " in again.recv(1000)
        again.sendall(b"GET /hea")  # a second request on a connection that was answered
        while again.recv(1000):
            pass
        assert client.get("/health").status_code == 200
        for each in (*held, again):
            each.close()


@pytest.mark.parametrize("make", [make_app, make_mcp_app])
def test_a_client_that_goes_leaves_no_trace(letters, fruits, tmp_path, caplog, make):  # noqa: ARG001
    """A connection that is closed in the middle of a body is nobody's fault: nothing is logged."""
    path = b"/mcp" if make is make_mcp_app else b"/v1/indexes/small/search"
    with caplog.at_level(logging.WARNING), listening(make(Settings(tmp_path))) as client:
        for _ in range(5):
            with connected(client) as connection:
                connection.sendall(
                    HEAD.replace(b"/v1/indexes/small/search", path) + b"Content-Length: 50\r\n\r\n{"
                )
        assert client.get("/health").status_code in (200, 405)
    assert caplog.records == []


def test_queries_are_right_while_the_index_is_built_again(letters, make_searcher, tmp_path):  # noqa: ARG001
    """While builds replace one another, each answer is that of one whole build, and none fails."""
    rounds, faults, done = 6, [], threading.Event()

    def build(number):
        made = [text(f"{number}-{n}", "apple" + "s" * n, number=number) for n in range(5)]
        make_searcher(made, replace_old=True)

    build(0)
    with serving(tmp_path) as client:

        def ask():
            while not done.is_set():
                answer = client.post("/v1/indexes/small/search", json={"text": "apple", "k": 5})
                hits = answer.json().get("hits", [])
                if (
                    answer.status_code != 200
                    or len({hit["fields"]["number"] for hit in hits}) != 1
                    or len(hits) != 5
                ):
                    faults.append(answer.text)

        def newest():
            (hit,) = client.post("/v1/indexes/small/search", json={"text": "apple", "k": 1}).json()["hits"]
            return hit["fields"]["number"]

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for number in range(1, rounds):
                build(number)
            wait_until(lambda: newest() == rounds - 1)
        finally:
            done.set()
            for thread in threads:
                thread.join()
    assert faults == []
