"""The Python client and `search --server`, against real servers on the loopback."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from datetime import date
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import embedsearch as es
from embedsearch.cli import cli
from embedsearch.errors import (
    FilterError,
    IndexNotFoundError,
    ItemError,
    ItemNotFoundError,
    QueryError,
    ServerError,
    UsageError,
)
from embedsearch.index import open_index
from embedsearch.serve.client import connection as module
from embedsearch.serve.client.served_index import ELSEWHERE, ServedIndex
from tests.fakes import LetterEncoder, fruit_entries, text
from tests.serve.conftest import serving


@pytest.fixture
def served(letters, tmp_path):  # noqa: ARG001
    """Return a function that serves the indexes of `tmp_path` and connects to one of them."""
    with ExitStack() as stack:

        def start(name="", token="", **settings):
            client = stack.enter_context(serving(tmp_path, token=token, **settings))
            return stack.enter_context(es.connect(str(client.base_url), name, token=token))

        yield start


def same(ours, theirs):
    """Whether hits of a server are those of the index itself, but for what only the index knows."""
    known = [name for name in type(theirs[0]).__dataclass_fields__ if name not in ("row", "image")]
    return [[getattr(hit, name) for name in known] for hit in ours] == [
        [getattr(hit, name) for name in known] for hit in theirs
    ]


def test_a_served_index_answers_as_the_index(served, fruits):
    """Each kind of query finds the same hits, to the last digit, with the same verdict and metric."""
    index = served("small")
    vector = np.eye(26, dtype=np.float32)[0]
    terms = es.Query((es.WeightedTerm("apple"), es.WeightedTerm(es.MoreLike("fig"), -0.25)))
    for query in ("appel", es.MoreLike("pear"), vector, list(map(float, vector)), terms):
        ours, theirs = index.search(query, 4), fruits.search(query, 4)
        assert same(ours, theirs)
        assert (ours.metric, ours.verdict, ours.reason) == (theirs.metric, theirs.verdict, theirs.reason)
    assert same(index.similar("apple", 3), fruits.similar("apple", 3))
    assert same([index.get("apple")], [fruits.get("apple")])
    several = index.search(["fig", "plum", es.MoreLike("date")], 2)
    assert [each[0].id for each in several] == [
        each[0].id for each in fruits.search(["fig", "plum", es.MoreLike("date")], 2)
    ]
    assert index.search([], 2) == []


def test_the_order_and_the_counts_travel(served, fruits):
    """Sorted, counted, diverse, fed or re-ranked hits are those of the index; so is what was done."""
    index = served("small")
    for options in (
        {"sort": "-length", "facets": ["first"]},
        {"diverse": True},
        {"feedback": True},
        {"rerank": 3},
    ):
        ours, theirs = index.search("appel", 4, **options), fruits.search("appel", 4, **options)
        assert same(ours, theirs)
        for name in ("order", "found", "facets", "feedback", "close"):
            assert getattr(ours, name) == getattr(theirs, name)
    with pytest.raises(QueryError, match="can't be told"):
        index.search("appel", close=True)
    with pytest.raises(UsageError, match="by tokens alone"):
        index.search("appel", rerank="some/model")


def test_filters_are_texts_and_dicts(served, make_searcher):
    """Both keep the same items; dates, numbers of NumPy and several values can be compared."""
    make_searcher([text(str(n), "apple" + "s" * n, n=n, day=date(2024, 1, 1 + n)) for n in range(5)])
    index = served("small")
    for where, kept in (
        ("n > 2", {"3", "4"}),
        ({"n": [np.int64(1), 2]}, {"1", "2"}),
        ({"day": date(2024, 1, 4)}, {"3"}),
    ):
        assert {hit.id for hit in index.search("apples", 9, where)} == kept
    with pytest.raises(FilterError, match="as a text or a dict"):
        index.search("apple", 3, object())


def test_info_and_length_are_those_of_the_index(served, fruits):
    """What `info` returns is the manifest, without the files."""
    index = served()
    assert (len(index), index.name, index.answers) == (len(fruits), "small", 10)
    told, known = index.info().to_json(), fruits.info().to_json()
    for lost in ("files", "before"):
        del told[lost], known[lost]
    assert told == known
    assert repr(index).startswith("<ServedIndex 'small' at http://127.0.0.1:")


def test_images_are_sent_and_fetched(served, colours, tmp_path):
    """An image asks as a path, as bytes and as an open image; the bytes of a hit's file come on demand."""
    index = served("small")
    path = tmp_path / "red.png"
    for query in (path, path.read_bytes(), Image.open(path)):
        assert index.search(query, 1)[0].id == "red"
    both = Image.new("RGB", (8, 4), "red")
    both.paste("navy", (4, 0, 8, 4))
    assert index.search(es.Image(both, (0.5, 0, 1, 1)), 1)[0].id == "navy"
    hit = index.search(path, 1)[0]
    assert hit.content == path.read_bytes()
    assert not hit.is_gone
    path.unlink()
    assert index.get("red").is_gone
    with pytest.raises(ItemNotFoundError):
        _ = hit.content
    with pytest.raises(ItemError, match=r"nowhere\.png can't be read: No such file"):
        index.search(tmp_path / "nowhere.png")
    assert len(colours) == 4


def test_words_are_asked_for(served, terms):
    """A word of a sentence asks, by its number or itself, and the hit has its span."""
    index = served("small")
    for word in (2, "cat"):
        assert same(index.search(es.Word("a cat", word), 2), terms.search(es.Word("a cat", word), 2))


def test_explanations_and_comparisons_come_across(served, fruits):
    """The parts of an explanation add up as they do in the index; a comparison has its distances."""
    index = served("small")
    ours, theirs = index.explain("pear", "apple"), fruits.explain("pear", "apple")
    for name in ("id", "kind", "words", "tokens", "rest", "score", "recomputed", "stored", "exact", "note"):
        assert getattr(ours, name) == getattr(theirs, name)
    hit = index.search("pear", 1)[0]
    assert index.explain("pear", hit).id == hit.id
    compared = index.compare(["abc", "cab", "xyz"])
    assert compared.distances[0] == pytest.approx([0, 0, 1], abs=1e-6)
    assert compared.labels == ("abc", "cab", "xyz")


def test_ids_may_hold_anything(served, make_searcher):
    """Slashes, dots, percent signs, question marks, spaces and other scripts come across both ways."""
    ids = ["a/b", "../c", ".", "..", "...", "%2F", "50 % off?", "a#b&c=d", "ü☃.png"]
    made = make_searcher([text(each, each) for each in ids])
    index = served("small")
    for each in ids:
        assert same([index.get(each)], [made.get(each)])
        assert index.similar(each, 1)[0].id != each


def test_errors_are_those_of_the_library(served, fruits):  # noqa: ARG001
    """What the server refuses is raised as the index raises it, with the same sentence."""
    index = served("small")
    with pytest.raises(ItemNotFoundError, match="'nobody'"):
        index.get("nobody")
    with pytest.raises(FilterError, match="no field 'colour'"):
        index.search("x", where="colour = 1")
    with pytest.raises(QueryError):
        index.search("")
    with pytest.raises(QueryError):
        index.search("x", 100_000)
    for bad in ([1.0, float("nan")], ["a", 1.0]):
        with pytest.raises(QueryError):
            index.search(es.Vector(bad))


def test_a_server_changes_nothing(served, fruits):  # noqa: ARG001
    """Each verb of an index is there, or says in a sentence that it needs the index's files."""
    index = served("small")
    verbs = {name for name in vars(es.Index) if name[0] != "_"}
    assert verbs - {"name", *vars(ServedIndex)} == ELSEWHERE
    for name in ELSEWHERE:
        with pytest.raises(UsageError, match=f"`{name}` works where the index 'small' lies"):
            getattr(index, name)
    assert not hasattr(index, "nothing")


def test_an_index_is_named_where_there_are_several(served, make_searcher):
    """With one index no name is needed; with two it is, by itself or in the address."""
    make_searcher(fruit_entries(), name="one")
    index = served()
    address = index._connection.shown
    assert index.name == "one"
    make_searcher(fruit_entries(), name="two")
    with pytest.raises(UsageError, match="has 2 indexes: one, two"):
        es.connect(address)
    with es.connect(f"{address}/v1/indexes/two/") as two:
        assert two.name == "two"
    with pytest.raises(IndexNotFoundError, match="Did you mean 'two'"):
        es.connect(address, "twoo")


def test_the_token_is_asked_for(served, fruits, monkeypatch):  # noqa: ARG001
    """A token is an argument or a variable; without it the error says so, and never shows a password."""
    index = served("small", token="secret")
    address = index._connection.shown
    with pytest.raises(ServerError, match="token"):
        es.connect(address, "small")
    with pytest.raises(ServerError, match="token"):
        es.connect(address, "small", token="wrong")
    monkeypatch.setenv("EMBEDSEARCH_TOKEN", "secret")
    with es.connect(address, "small") as again:
        assert again.search("apple", 1)[0].id == "apple"
    with pytest.raises(ServerError) as refused:
        es.connect(address.replace("//", "//me:hidden@"), "small", token="wrong")
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(
    "address", ["faq", "ftp://host", "http://", "http://host:port", "http://[", "localhost:80"]
)
def test_what_is_no_address_is_refused(address):
    """An address has http or https and a host."""
    with pytest.raises(UsageError, match="is no address of a server"):
        es.connect(address)


@pytest.fixture
def stranger():
    """Return a function that serves answers of status, headers and body, one after another."""
    servers = []

    def start(*answers):
        left = [*answers]

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self):
                start.seen.append((self.path, self.headers["Authorization"]))
                status, headers, body = left.pop(0) if len(left) > 1 else left[0]
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                """Print nothing."""

        server = HTTPServer(("127.0.0.1", 0), Answers)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}", left

    start.seen = []
    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


BUSY = (429, {"Retry-After": "0"}, json.dumps({"type": "about:blank", "detail": "256 wait."}).encode())


def test_a_busy_server_is_asked_again(stranger):
    """Status 429 is asked again after the seconds that it names, a few times; then the sentence is raised."""
    address, left = stranger(*[BUSY] * 3, (200, {}, b'{"indexes": []}'))
    with pytest.raises(IndexNotFoundError, match="has no index"):
        es.connect(address)
    assert len(left) == 1
    address, _ = stranger(BUSY)
    started = time.monotonic()
    with pytest.raises(ServerError, match="256 wait"):
        es.connect(address)
    assert time.monotonic() - started < 5


def test_addresses_and_values_that_can_not_be_sent(served, fruits):
    """The address of all indexes is that of the server; an odd address or value is named in a sentence."""
    index = served("small")
    address = index._connection.shown
    assert len(es.connect(f"{address}/v1/indexes/")) == len(fruits)
    assert es.connect(f"{address}/v1/indexes/small/").name == "small"
    with pytest.raises(UsageError, match="is no address of a server"):
        es.connect("http://a\tb")
    with pytest.raises(QueryError, match=r"can't be sent as JSON .*not JSON serializable"):
        index.search("fig", 1, {"length": object()})
    with pytest.raises(QueryError, match="finite numbers"):
        index.search(es.Vector([float("nan")] * 26))


def test_a_token_may_have_any_letters(fruits, served):
    """A token that is not ASCII is sent and known."""
    assert len(served("small", token="s\u00e9same\u00a0")) == len(fruits)


def test_options_that_would_do_nothing_are_refused():
    """`--indexes` beside a server, and a token without one, are named."""
    for options, said in (
        (("--server", "http://127.0.0.1:9", "--indexes", "."), "leave out one"),
        (("--token", "x"), "--token belongs to --server"),
    ):
        result = CliRunner().invoke(cli, ["search", "faq", "x", *options], prog_name="embedsearch")
        assert (result.exit_code, said in result.stderr) == (2, True)


def test_the_wait_is_bounded():
    """A server can't make the client wait for long; a date or nothing counts as a second."""
    assert [module._seconds(given) for given in ("0", "3", "86400", "Fri, 27 Nov", "")] == [0, 3, 10, 1, 1]


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (200, {}, b"<html>hello</html>"),
        (200, {}, b"[1]"),
        (404, {}, b"not here"),
        (502, {}, b"<html>Bad Gateway</html>"),
        (302, {"Location": "https://example.org/login"}, b""),
        (500, {}, b'{"type": 5, "detail": null}'),
    ],
)
def test_another_server_is_no_surprise(stranger, status, headers, body):
    """An answer of another form is an error in a sentence, and a redirection is not followed."""
    address, _ = stranger((status, headers, body))
    with pytest.raises(ServerError, match=str(status)):
        es.connect(address, "faq")


def test_a_proxy_asks_for_a_name_and_a_password(stranger):
    """Those of the address go to a proxy, which may have a path of its own; a token goes as Bearer."""
    address, _ = stranger((200, {}, b'{"indexes": []}'))
    with pytest.raises(IndexNotFoundError):
        es.connect(f"{address.replace('//', '//anna:pa%20ss@')}/search/")
    with pytest.raises(IndexNotFoundError):
        es.connect(address, token="t")
    assert stranger.seen == [
        ("/search/v1/indexes", "Basic YW5uYTpwYSBzcw=="),
        ("/v1/indexes", "Bearer t"),
    ]


def test_no_server_is_said_to_be_none(silent_port, monkeypatch):
    """A refused connection and one that never answers are told apart."""
    with pytest.raises(ServerError, match="No server answers at"):
        es.connect("http://127.0.0.1:9")
    monkeypatch.setattr(module, "ANSWER", 0.2)
    with pytest.raises(ServerError, match="took too long"):
        es.connect(f"http://127.0.0.1:{silent_port}")


def test_the_command_line_asks_a_server(served, fruits, monkeypatch):
    """`search --server` prints what `search` prints, as text and as JSON, and errors as sentences."""
    address = served("small", token="secret")._connection.shown
    monkeypatch.setattr(open_index, "__kwdefaults__", {**open_index.__kwdefaults__, "load": LetterEncoder})
    folder = str(fruits.build.folder.parents[2])

    def run(*arguments, **environment):
        return CliRunner(env={"EMBEDSEARCH_INDEXES": folder, **environment}).invoke(
            cli, ["search", *arguments], prog_name="embedsearch"
        )

    there = ("--server", address, "--token", "secret")
    for asked in (
        ("small", "appel", "-k", "3"),
        ("small", "--item", "fig:0.5", "+pear"),
        ("small", "x", "--json"),
    ):
        here = run(*asked)
        assert run(*asked, *there).stdout == here.stdout
        assert here.stdout
    environment = {"EMBEDSEARCH_SEARCH_SERVER": address, "EMBEDSEARCH_TOKEN": "secret"}
    assert run("small", "appel", **environment).exit_code == 0
    for failing, said in (
        (("small", "x", "--server", address), "token"),
        (("none", "x", *there), "no index 'none'"),
        (("small", "x", "--server", "http://127.0.0.1:9"), "No server answers"),
        (("small", "x", "--where", "colour = 1", *there), "no field 'colour'"),
    ):
        result = run(*failing)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith("Error: ")
        assert said in result.stderr


@pytest.mark.parametrize(
    ("library", "extra", "arguments"),
    [
        ("httpx", "client", ("search", "faq", "x", "--server", "http://127.0.0.1:9")),
        ("mcp.server", "mcp", ("mcp",)),
    ],
)
def test_a_missing_library_is_named(monkeypatch, library, extra, arguments):
    """Without the extra, the command says which one to install."""
    for name in [name for name in sys.modules if name.startswith("embedsearch.serve.mcp")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    result = CliRunner().invoke(cli, arguments, prog_name="embedsearch")
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"pip install 'embedsearch[{extra}]'" in result.stderr


def test_nothing_is_loaded_before_it_is_needed():
    """`import embedsearch` and `search --help` load neither httpx nor mcp; connecting loads no model."""
    code = (
        "import sys, embedsearch as es, embedsearch.cli\n"
        "try: embedsearch.cli.cli(['search', '--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'httpx', 'mcp', 'fastapi', 'pydantic'} & set(sys.modules)\n"
        "try: es.connect('http://127.0.0.1:9')\n"
        "except es.EmbedsearchError: pass\n"
        "assert 'httpx' in sys.modules\n"
        "assert not {'torch', 'transformers', 'faiss', 'fastapi', 'pydantic'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ), check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_example_of_the_documentation_runs(served, make_searcher, capsys):
    """The Python of server.md that connects works as pasted, but for the port."""
    make_searcher([text("1", "refund", topic="payments")], name="faq")
    address = served("faq")._connection.shown
    page = (Path(es.__file__).parent / "docs" / "server.md").read_text(encoding="utf-8")
    (example,) = [each for each in re.findall(r"```python\n(.*?)```", page, re.S) if "es.connect" in each]
    exec(compile(example.replace("http://localhost:8000", address), "server.md", "exec"), {})
    assert capsys.readouterr().out.endswith(" refund\n")
