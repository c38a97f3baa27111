"""The MCP server, driven by the client of the package mcp."""

import asyncio
import io
import json
import os
import sys
from base64 import b64decode

import httpx2
import pytest
from click.testing import CliRunner
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from PIL import Image

from embedsearch.cli import cli
from embedsearch.records import Unit
from embedsearch.serve import memory, schemas
from embedsearch.serve.http import run
from embedsearch.serve.http.server import Server, Settings
from embedsearch.serve.mcp import (
    ANSWER,
    BODY,
    HIT,
    MOST_HITS,
    MOST_PARTS,
    VALUE,
    _greatest,
    make_app,
    make_server,
)
from tests.fakes import picture, text
from tests.serve.conftest import listening

TOOLS = ["list_indexes", "search", "similar", "get_item", "explain", "compare"]


@pytest.fixture
def ask(letters, tmp_path):  # noqa: ARG001
    """Return a function that runs a coroutine function with a client of the tools on `tmp_path`."""

    def asked(work):
        async def run():
            async with Client(make_server(Server(Settings(tmp_path)))) as client:
                return await work(client)

        return asyncio.run(run())

    return asked


@pytest.fixture
def call(ask):
    """Return a function that calls a tool and returns its result."""
    return lambda tool, **arguments: ask(lambda client: client.call_tool(tool, arguments))


def read(result):
    """Return the JSON of an answer that is no error."""
    assert not result.is_error, result.content
    return json.loads(result.content[0].text)


def test_the_tools_only_read(ask):
    """There are six tools; each says that it changes nothing and describes each of its arguments."""
    tools = ask(lambda client: client.list_tools()).tools
    assert [tool.name for tool in tools] == TOOLS
    for tool in tools:
        assert tool.annotations.read_only_hint
        assert tool.description
        assert all(each["description"] for each in tool.input_schema["properties"].values())


def test_indexes_are_listed_with_their_fields(call, make_searcher, tmp_path):
    """list_indexes has what `list --json` prints; a damaged index has its error."""
    make_searcher([text("a", "apple", topic="fruit", year=2024)])
    (tmp_path / "small" / "current").write_text("gone", encoding="utf-8")
    make_searcher([text("a", "apple", topic="fruit", year=2024)], name="whole")
    broken, whole = read(call("list_indexes"))["indexes"]
    assert broken.keys() == {"name", "error"}
    assert (whole["name"], whole["fields"]) == ("whole", {"topic": "string", "year": "int64"})


def test_a_search_answers_as_the_command_line_does(call, fruits):
    """Search and similar return what `--json` prints, filtered and with as many hits as asked."""
    printed = schemas.SearchOutput.of(fruits.manifest, fruits.search("appel", 3)).printed()
    assert read(call("search", index="small", query="appel", k=3)) == json.loads(json.dumps(printed))
    near = schemas.SearchOutput.of(fruits.manifest, fruits.similar("apple", 2)).printed()
    assert read(call("similar", index="small", id="apple", k=2)) == json.loads(json.dumps(near))
    kept = read(call("search", index="small", query="apple", where="length > 5"))["hits"]
    assert kept
    assert all(hit["fields"]["length"] > 5 for hit in kept)


@pytest.mark.parametrize("asked", [{"sort": "-length"}, {"feedback": True}, {"mode": "lexical"}])
def test_the_options_of_a_search_are_passed_on(call, fruits, asked):
    """A search by a tool takes a sort, feedback and a mode as the library does."""
    printed = schemas.SearchOutput.of(fruits.manifest, fruits.search("apple", 3, **asked)).printed()
    assert read(call("search", index="small", query="apple", k=3, **asked)) == json.loads(json.dumps(printed))
    assert call("search", index="small", query="apple", rerank=True, sort="length").is_error


def test_errors_are_sentences(call, fruits):  # noqa: ARG001
    """What can't be answered is an error that says why; a name that is a path names no index."""
    for tool, arguments, said in (
        ("search", {"index": "smal", "query": "x"}, "Did you mean 'small'?"),
        ("search", {"index": "../small", "query": "x"}, "can't name an index"),
        ("search", {"index": "small", "query": "x", "where": "colour ="}, "colour"),
        ("similar", {"index": "small", "id": "nobody"}, "nobody"),
        (
            "search",
            {"index": "small", "query": "x", "k": MOST_HITS + 1},
            f"less than or equal to {MOST_HITS}",
        ),
        ("compare", {"texts": ["alone"]}, "at least 2"),
        ("get_item", {"index": "small", "id": "apple", "start": -1}, "greater than or equal to 0"),
        ("delete", {"index": "small"}, "Unknown tool"),
    ):
        result = call(tool, **arguments)
        assert result.is_error
        assert said in result.content[0].text


def test_answers_are_small(call, make_searcher):
    """Long texts and fields are cut, more so with many hits, and the answer says so; get_item reads on."""
    long = "".join(f"{n} " for n in range(20_000))
    make_searcher(
        [text(f"t{n}", long + str(n), a="b" * 9_999, **{f"f{m}": m for m in range(400)}) for n in range(40)]
    )
    few, many = (call("search", index="small", query="1", k=k).content[0].text for k in (2, 40))
    assert len(many) < 3 * ANSWER
    hit = json.loads(few)["hits"][0]
    assert (hit["text"], hit["fields"]["a"]) == (long[:HIT], "b" * VALUE)
    assert "get_item" in json.loads(few)["cut"]
    item = read(call("get_item", index="small", id="t0", start=7))
    assert (item["text"], item["fields"]["a"]) == (long[7 : 7 + ANSWER], "b" * 9_999)
    assert f"has {len(long) + 1:,} characters" in item["cut"]


def test_an_image_comes_as_an_image(call, make_searcher, tmp_path):
    """get_item shows an image beside its fields, at most 1024 pixels wide; one that is gone is said to be."""
    path = tmp_path / "wide.png"
    Image.new("RGB", (2048, 1024), "red").save(path)
    make_searcher([picture("wide", path, name="wide"), picture("also", path.read_bytes())], unit=Unit.IMAGE)
    for name in ("wide", "also"):
        result = call("get_item", index="small", id=name)
        shown = result.content[1]
        image = Image.open(io.BytesIO(b64decode(shown.data)))
        assert (shown.type, shown.mime_type, image.size) == ("image", "image/jpeg", (1024, 512))
    path.unlink()
    gone = call("get_item", index="small", id="wide")
    assert len(gone.content) == 1
    assert "can't be shown" in read(gone)["cut"]


def test_an_explanation_is_small(call, make_searcher):
    """Explain returns the words, those that count most of a long text, and no tokens."""
    make_searcher([text("a", "apple pear"), text("b", " ".join(f"word{n}" for n in range(200)))])
    made = read(call("explain", index="small", query="pear", id="a"))
    assert [word["text"] for word in made["words"]] == ["apple", "pear"]
    assert "tokens" not in made
    assert _greatest(["a score", "b"] * MOST_PARTS) == ["a score", "b"] * (MOST_PARTS // 2)


def test_nobody_listens_for_changes(ask):
    """There is no stream of messages, which a client might hold open for as long as it likes."""

    async def listen(client):
        with pytest.raises(MCPError, match="not found"):
            async with asyncio.timeout(5), client.listen(tools_list_changed=True):
                pass

    ask(listen)


def test_texts_are_compared_by_an_index(call, fruits):  # noqa: ARG001
    """Compare returns each distance, by the model of the index named."""
    made = read(call("compare", texts=["abc", "cab", "xyz"], index="small"))["comparisons"][0]
    assert made["distances"][0] == [0, pytest.approx(0, abs=1e-6), 1]


def test_the_model_that_compares_without_an_index_is_loaded_once(ask, letters):
    """Two comparisons without an index load the default model once."""

    async def twice(client):
        return [await client.call_tool("compare", {"texts": ["abc", "cab", "xyz"]}) for _ in range(2)]

    before = len(letters)
    for made in ask(twice):
        assert read(made)["comparisons"][0]["distances"][0] == [0, pytest.approx(0, abs=1e-6), 1]
    assert len(letters) == before + 1


def test_a_word_and_a_row_are_asked_for(call, terms):  # noqa: ARG001
    """Of an index of words one word of a sentence is meant, by its number or itself."""
    for word in (2, "cat"):
        assert read(call("search", index="small", query="a cat", word=word, k=1))["hits"][0]["span"] == [4, 7]


def test_the_command_serves_through_standard_input(fruits, tmp_path):
    """`embedsearch mcp` answers a client that starts it, and prints nothing else to standard output."""
    command = StdioServerParameters(
        command=sys.executable,
        args=["-m", "embedsearch", "mcp", "--indexes", str(tmp_path)],
        env={**os.environ},
    )

    async def ask():
        async with Client(command) as client:
            tools = await client.list_tools()
            return [tool.name for tool in tools.tools], await client.call_tool(
                "similar", {"index": "small", "id": "apple", "k": 1}
            )

    names, found = asyncio.run(ask())
    assert names == TOOLS
    assert read(found)["hits"][0]["id"] == fruits.similar("apple", 1)[0].id


def test_the_tools_answer_over_http(letters, fruits, tmp_path):  # noqa: ARG001
    """A client that carries the token is answered; host, origin, token and size are checked as in serve."""
    wanted = fruits.similar("apple", 1)[0].id
    with listening(make_app(Settings(tmp_path, token="secret"))) as http:
        address, token = f"{http.base_url}/mcp", {"Authorization": "Bearer secret"}

        async def ask():
            async with (
                httpx2.AsyncClient(headers=token) as carrying,
                Client(streamable_http_client(address, http_client=carrying)) as client,
            ):
                return await client.call_tool("similar", {"index": "small", "id": "apple", "k": 1})

        assert read(asyncio.run(ask()))["hits"][0]["id"] == wanted
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        for headers, content, status in (
            ({}, None, 401),
            ({"Authorization": "Bearer wrong"}, None, 401),
            ({**token, "Host": "evil.example"}, None, 421),
            ({**token, "Origin": "https://evil.example"}, None, 403),
            (token, b"x" * (BODY + 1), 413),
            ({**token, "Content-Type": "application/json"}, b"{", 400),
        ):
            given = {"json": body} if content is None else {"content": content}
            assert http.post("/mcp", headers=headers, **given).status_code == status
        assert http.get("/mcp", headers=token).status_code == 405


def test_a_server_of_tools_keeps_its_memory_level(monkeypatch, tmp_path):
    """`mcp --http` bounds its heaps before anything is loaded, as `serve` does."""
    calls = []
    monkeypatch.setattr(memory, "keep_level", lambda: calls.append("level"))
    monkeypatch.setattr(run, "run", lambda *_: calls.append("run"))
    result = CliRunner().invoke(cli, ["mcp", "--http", "--indexes", str(tmp_path)])
    assert (result.exit_code, calls) == (0, ["level", "run"])


def test_options_of_http_belong_to_it():
    """Without --http nothing listens: an option of listening is refused."""
    for options in (("--port", "9"), ("--token", "x"), ("--open",), ("--allow-host", "a"), ("--host", "::")):
        result = CliRunner().invoke(cli, ["mcp", *options], prog_name="embedsearch")
        assert (result.exit_code, f"{options[0]} belongs to --http" in result.stderr) == (2, True)
