"""Who may ask, and how much: hosts, the token, sizes, web pages; and what is counted."""

import asyncio
import os

import pytest
from click.testing import CliRunner
from starlette.responses import Response

from embedsearch.cli import cli
from embedsearch.serve.http import run
from embedsearch.serve.http.gate import Gate, is_allowed
from tests.fakes import fruit_entries
from tests.serve.conftest import serving

ASK = ("POST", "/v1/indexes/fruits/search")


@pytest.fixture(scope="module")
def folder(make, letters):  # noqa: ARG001  the server counts letters too
    """A folder with an index of fruits."""
    return make("fruits", fruit_entries()).build.folder.parents[2]


HOSTS = {
    "localhost": True, "localhost:8000": True, "LOCALHOST": True, "127.0.0.1:80": True, "192.0.2.7": True,
    "[::1]": True, "[::1]:8000": True, "search.example.org": True, "search.example.org.:443": True,
    "example.org": False, "evil.example": False, "localhost.evil.example": False,
    "127.0.0.1.evil.example": False,
    "": False, ":80": False, "localhost:80:80": False, "search.example.org@evil.example": False,
}  # fmt: skip


@pytest.mark.parametrize(("host", "allowed"), HOSTS.items())
def test_hosts(host, allowed):
    """The server answers to addresses, to localhost and to names that it was given."""
    assert is_allowed(host, ["search.example.org"]) is allowed


def test_another_host_is_refused(folder):
    """A page whose name was pointed to this machine gets status 421."""
    with serving(folder, hosts=["Search.Example.org"]) as client:
        refused = client.get("/v1/indexes", headers={"host": "evil.example"})
        assert (refused.status_code, refused.headers["content-type"]) == (421, "application/problem+json")
        assert client.get("/v1/indexes", headers={"host": "search.example.org"}).status_code == 200


def test_the_token_is_asked_for(folder):
    """With a token, all but /health and /ready need it."""
    with serving(folder, token="sésame") as client:
        for path in ("/v1/indexes", "/metrics", "/docs", "/openapi.json", "/nothing"):
            for given in ({}, {"authorization": "Bearer no"}, {"authorization": "Basic sésame"}):
                refused = client.get(path, headers={key: each.encode() for key, each in given.items()})
                assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer"), path
        assert [client.get(path).status_code for path in ("/health", "/ready")] == [200, 200]
        known = {"authorization": "Bearer sésame".encode()}
        assert client.get("/v1/indexes", headers=known).status_code == 200


def test_large_bodies_are_refused(folder):
    """A body over the limit gets status 413, whether its size was declared or not."""

    def pieces():
        for _ in range(30):
            yield b" " * 10_000

    with serving(folder, mebibytes=0.1) as client:
        kind = {"content-type": "application/json"}
        refused = [
            client.request(*ASK, content=b" " * 200_000, headers=kind),
            client.request(*ASK, content=pieces(), headers=kind),
            client.request(*ASK, files={"image": b" " * 200_000}),
        ]
        assert [each.status_code for each in refused] == [413] * 3
        assert refused[0].json()["detail"] == "A request may have 0.1 MiB at most."
        assert client.request(*ASK, json={"text": "fig"}).status_code == 200


def test_large_bodies_together_are_refused():
    """Requests hold eight of the largest bodies together at most; what comes then is asked to come again."""
    answers, go = [], asyncio.Event()

    async def app(scope, receive, send):
        await receive()
        await go.wait()
        await Response()(scope, receive, send)

    async def ask(gate):
        async def receive():
            return {"type": "http.request", "body": bytes(1000)}

        async def send(message):
            if message["type"] == "http.response.start":
                answers.append(message["status"])

        await gate({"type": "http", "path": "/", "headers": [(b"host", b"localhost")]}, receive, send)

    async def run():
        gate = Gate(app, (), (), "", 1000, 30.0, lambda *_: None)
        asked = [asyncio.create_task(ask(gate)) for _ in range(9)]
        while not answers:
            await asyncio.sleep(0)
        assert answers == [429]
        go.set()
        await asyncio.gather(*asked)
        await ask(gate)

    asyncio.run(run())
    assert answers == [429, *[200] * 9]


def test_other_web_pages_may_not_ask_unless_named(folder):
    """By default no answer lets a page of another site read it; a named origin may."""
    origin = {"origin": "https://example.org"}
    with serving(folder) as client:
        answered = client.get("/v1/indexes", headers=origin)
        assert not [name for name in answered.headers if name.startswith("access-control")]
    with serving(folder, origins=["https://example.org"], token="secret") as client:
        asked = client.options(
            "/v1/indexes",
            headers=origin
            | {"access-control-request-method": "GET", "access-control-request-headers": "authorization"},
        )
        assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (
            200,
            "https://example.org",
        )
        other = client.get("/v1/indexes", headers={"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize("origin", ["*", "https://a.org/", "https://A.org", "a.org", "https://a.org/x"])
def test_what_is_no_origin_is_refused(origin):
    """`--cors` takes an origin as browsers send it; anything else would never match one."""
    result = CliRunner().invoke(cli, ["serve", "--cors", origin])
    assert (result.exit_code, "is no origin" in result.stderr) == (2, True)


def test_ctrl_c_waits_for_no_thread(monkeypatch):
    """After the requests have had their time, the process ends, whatever threads still do."""
    ended = []

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(run.uvicorn.Server, "run", interrupt)
    monkeypatch.setattr(os, "_exit", ended.append)
    run.run(None, "", "127.0.0.1", 0, is_open=False, say=str)
    assert ended == [130]


def test_everything_is_counted(folder):
    """/metrics counts answers by route and status, never by address, with the seconds, batches and memory."""
    with serving(folder) as client:
        for body in ({"text": "fig"}, {"text": "fig"}, {}):
            client.request(*ASK, json=body)
        client.get("/v1/indexes/some")
        client.get("/a-secret")
        said = client.get("/metrics").text
    route = 'route="/v1/indexes/{name}/search"'
    for line in (
        f'embedsearch_requests_total{{{route},status="200"}} 2.0',
        f'embedsearch_requests_total{{{route},status="422"}} 1.0',
        'embedsearch_requests_total{route="/v1/indexes/{name}",status="404"} 1.0',
        'embedsearch_requests_total{route="other",status="404"} 1.0',
        f"embedsearch_request_seconds_count{{{route}}} 3.0",
        "embedsearch_batch_queries_count 2.0",
        "embedsearch_batch_seconds_count 2.0",
        "embedsearch_indexes_open 1.0",
        "embedsearch_models_loaded 1.0",
        "embedsearch_queue 0.0",
    ):
        assert line in said.splitlines(), line
    assert "process_resident_memory_bytes" in said
    assert "secret" not in said
