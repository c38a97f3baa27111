"""The page's server as a process: truncated files, deaths, hosts and origins, each with real connections."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from websockets.exceptions import InvalidStatus

import embedsearch as es
from embedsearch.ui.launch import MOST_DEATHS, PAGE, SCRIPT, command, warning
from tests.ui.session import session

ROOT = Path(__file__).parents[2]
SERVED = 60  # seconds to wait for a server
# counts the connections that a process makes to others than this machine, a line each
COUNTING = """
import runpy, sys
log = open(sys.argv[1], "a", buffering=1)
def heard(event, given):
    if event == "socket.connect" and given[1][0] not in ("127.0.0.1", "::1", "localhost"):
        log.write(f"{given[1]}\\n")
    if event == "socket.getaddrinfo" and given[0] not in ("127.0.0.1", "::1", "localhost", None):
        log.write(f"{given[0]}\\n")
sys.addaudithook(heard)
module, sys.argv = sys.argv[2], sys.argv[2:]
runpy.run_module(module, run_name="__main__")
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Path:
    """A folder of two indexes of vectors, `large` and `other`, whose files are over a megabyte."""
    root = tmp_path_factory.mktemp("large") / "indexes"
    vectors = np.random.default_rng(0).standard_normal((4000, 128), np.float32)
    ids = [f"item {n} " + "x" * 300 for n in range(len(vectors))]
    for name in ("large", "other"):
        es.build((ids, vectors), name=name, indexes=root)
    return root


@pytest.fixture
def start(tmp_path):
    """Return a function that starts a process and waits until it serves at a port."""
    running = []

    def begin(arguments, port, **environment):
        log = (tmp_path / f"log-{len(running)}").open("wb")
        process = subprocess.Popen(
            arguments,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            cwd=tmp_path,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        running.append(process)
        served(port, process)
        return process, Path(log.name)

    yield begin
    for process in running:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def served(port, process):
    """Wait until the server at a port answers."""
    deadline = time.monotonic() + SERVED
    while True:
        try:
            urllib.request.urlopen(f"http://localhost:{port}/_stcore/health", timeout=5).close()
            return
        except OSError:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)


def free_port():
    """Return a port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def launcher(indexes, port):
    """Return the command of a process that serves the page and watches its server."""
    code = (
        "import sys; from pathlib import Path; from embedsearch.ui.launch import launch\n"
        f"sys.exit(launch(Path({str(indexes)!r}), {port}, False))"
    )
    return [sys.executable, "-c", code]


def children(process):
    """Return the process ids of the children of a process."""
    return [
        int(each) for each in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    ]


@pytest.mark.parametrize("name", ["vectors.npy", "index.faiss", "items.arrow"])
def test_a_truncated_file_costs_a_sentence_and_not_the_server(large, start, name):
    """An index whose mapped file is truncated says so; the same server goes on, also with other indexes."""
    port = free_port()
    process, _ = start(command(port, open_browser=False), port, EMBEDSEARCH_INDEXES=str(large))
    item = f"item 5 {'x' * 300}"
    path = es.open("large", large).build.folder / name
    whole = path.read_bytes()
    assert len(whole) > 2**20
    try:
        with session(port) as visitor:
            assert "The 12 nearest of 4,000" in visitor.ask(index="large", item=item)
            os.truncate(path, 4096)
            said = visitor.ask(index="large", item=item)
            assert "4,096 bytes" in said.replace("\\", "")
            assert "rebuild large" in said.replace("\\", "")
            assert "The 12 nearest of 4,000" in visitor.ask(index="other", item=item)
            path.write_bytes(whole)
            assert "The 12 nearest of 4,000" in visitor.ask(index="large", item=item)
    finally:
        path.write_bytes(whole)
    assert process.poll() is None


def test_a_killed_server_is_started_again_at_most_twice_within_a_minute(large, start):
    """The launcher names the signal and the damaged file, serves at the same port, and stops after three."""
    port = free_port()
    path = es.open("large", large).build.folder / "vectors.npy"
    whole = path.read_bytes()
    process, log = start(launcher(large, port), port)
    try:
        os.truncate(path, 4096)
        for death in range(MOST_DEATHS):
            (server,) = children(process)
            os.kill(server, signal.SIGBUS)
            if death < MOST_DEATHS - 1:
                deadline = time.monotonic() + SERVED
                while children(process) in ([server], []):
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
                served(port, process)
        assert process.wait(SERVED) == 128 + signal.SIGBUS
    finally:
        path.write_bytes(whole)
    said = log.read_text()
    assert (
        said.count("The server of the page was killed by SIGBUS. A file was truncated while it was read.")
        == 3
    )
    assert said.count(f"{path} has 4,096 bytes where") == 3
    assert said.count("The server is started again.") == 2
    assert "It was killed 3 times within a minute, so it is not started again." in said


def test_a_server_that_is_asked_to_end_is_not_started_again(tmp_path, start):
    """SIGTERM to the server ends the launcher; until then neither has a warning for the terminal."""
    port = free_port()
    process, log = start(launcher(tmp_path / "indexes", port), port)
    assert log.read_text() == ""
    os.kill(children(process)[0], signal.SIGTERM)
    process.wait(SERVED)
    assert "started again" not in log.read_text()


@pytest.mark.parametrize("asked", [signal.SIGTERM, signal.SIGHUP])
def test_a_launcher_that_is_asked_to_end_takes_its_server_along(tmp_path, start, asked):
    """SIGTERM or SIGHUP to the launcher alone ends the server too, and the port is free."""
    port = free_port()
    process, log = start(launcher(tmp_path / "indexes", port), port)
    (server,) = children(process)
    os.kill(process.pid, asked)
    assert process.wait(SERVED) == 128 + asked
    assert not Path(f"/proc/{server}").exists()
    with socket.socket() as tried:
        assert tried.connect_ex(("localhost", port))
    assert "started again" not in log.read_text()


@pytest.mark.parametrize(
    ("host", "hosts", "allowed"),
    [
        ("localhost", (), True),
        ("127.0.0.1", (), True),
        ("evil.example", (), False),
        ("localhost.evil.example", (), False),
        ("nas.home", (), False),
        ("nas.home", ("nas.home",), True),
    ],
)
def test_only_this_machine_and_named_hosts_are_answered(tmp_path, start, host, hosts, allowed):
    """A page of another name whose address is this machine's (DNS rebinding) gets no session."""
    port = free_port()
    start(command(port, False, hosts), port, EMBEDSEARCH_INDEXES=str(tmp_path))
    if allowed:
        with session(port, host=f"{host}:{port}") as visitor:
            assert "Nothing to search yet" in visitor.ask()
    else:
        with pytest.raises(InvalidStatus), session(port, host=f"{host}:{port}"):
            pass


@pytest.mark.parametrize(("entry", "outside"), [(SCRIPT, 0), (ROOT / "app.py", 0), (PAGE, 1)])
def test_a_rejected_origin_makes_no_connection(tmp_path, start, entry, outside):
    """Neither entry asks anybody for its own address; Streamlit by itself does, so the count works."""
    port = free_port()
    arguments = command(port, open_browser=False)
    counted = tmp_path / "connections"
    counted.touch()
    arguments[arguments.index(str(SCRIPT))] = str(entry)
    start(
        [sys.executable, "-c", COUNTING, str(counted), *arguments[arguments.index("-m") + 1 :]],
        port,
        EMBEDSEARCH_INDEXES=str(tmp_path),
    )
    for origin in ("http://evil.example", f"http://evil.example:{port}"):
        with pytest.raises(InvalidStatus), session(port, origin=origin):
            pass
    assert (len(counted.read_text().splitlines()) > 0) == bool(outside)


def test_a_page_for_all_interfaces_comes_with_a_warning(monkeypatch):
    """Only an address that stands for all interfaces is warned of; another one is a host that is answered."""
    monkeypatch.delenv("STREAMLIT_SERVER_ADDRESS", raising=False)
    assert warning() == ""
    monkeypatch.setenv("STREAMLIT_SERVER_ADDRESS", "192.168.1.5")
    assert warning() == ""
    assert "--server.allowedHosts=192.168.1.5" in command(8600, open_browser=False)
    for everywhere in ("0.0.0.0", "::"):
        monkeypatch.setenv("STREAMLIT_SERVER_ADDRESS", everywhere)
        assert "listen on all network interfaces" in warning()
        assert f"--server.allowedHosts={everywhere}" not in command(8600, open_browser=False)


def test_the_page_says_what_is_passed_over_and_gone(site):
    """The facts of an index name the files that are not read; an image whose file is gone says so."""
    with session(int(site.rstrip("/").rpartition(":")[2])) as visitor:
        said = visitor.ask(index="images", item="gone.png", k="50")
    assert "<dt>passed over</dt><dd>1 .pdf</dd>" in said
    said = said.replace("\\", "")
    assert "The file is gone" in said
