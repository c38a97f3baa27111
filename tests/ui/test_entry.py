"""How the page starts: the thin entry, and the server as a process of its own."""

import ast
import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from embedsearch.serve.memory import MEMORY
from embedsearch.ui import shell
from embedsearch.ui.launch import PAGE, SCRIPT, address, command, environment, free_port
from embedsearch.ui.theme import OPTIONS

ROOT = Path(__file__).parents[2]
SRC = {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize("path", [ROOT / "app.py", SCRIPT])
def test_an_entry_holds_no_logic(path):
    """The entry files import what the page is made of, and make Streamlit's server of it."""
    docstring, *imported, made = ast.parse(path.read_text(encoding="utf-8")).body
    assert isinstance(docstring, ast.Expr)
    assert isinstance(docstring.value, ast.Constant)
    assert all(isinstance(each, ast.ImportFrom) for each in imported)
    assert ast.unparse(made) == "app = App(PAGE, middleware=MIDDLEWARE, lifespan=opens_browser)"


def test_starting_the_page_loads_nothing_heavy():
    """`embedsearch ui` is there at once: the launcher loads neither Streamlit nor torch nor numpy."""
    code = "import sys, embedsearch.ui.launch; print({'streamlit', 'torch', 'numpy'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True, env=SRC).strip() == "set()"


def test_a_page_without_a_query_loads_no_torch(indexes):
    """Only the thread that warms the models loads them, and torch; the page does not wait for it."""
    code = (
        "import sys\n"
        "from embedsearch.index import Index\n"
        "Index.warm = lambda _index: None\n"
        "from streamlit.testing.v1 import AppTest\n"
        f"page = AppTest.from_file({str(PAGE)!r}, default_timeout=60).run()\n"
        "assert not page.exception, page.exception\n"
        "drawn = [str(each.proto) for each in page.get('bidi_component')]\n"
        "assert sum(each.count('<article class') for each in drawn) == 12, drawn  # of the first index\n"
        "print('torch' in sys.modules)"
    )
    environment = {**SRC, "EMBEDSEARCH_INDEXES": str(indexes)}
    done = subprocess.run(
        [sys.executable, "-c", code], text=True, env=environment, capture_output=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_the_settings_stand_twice_and_equal():
    """`streamlit run app.py` looks and behaves as `embedsearch ui`."""
    found = {}

    def walk(prefix, table):
        for name, value in table.items():
            if isinstance(value, dict):
                walk(f"{prefix}{name}.", value)
            else:
                found[prefix + name] = value

    walk("", tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8")))
    assert found == OPTIONS


def test_the_first_free_port_is_taken():
    """A port that somebody listens on is passed over."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        assert free_port(taken) != taken
    assert free_port(taken) == taken


def test_the_command_says_all_that_matters(monkeypatch):
    """No statistics sent, no watcher, this machine only unless the environment says otherwise."""
    monkeypatch.delenv("STREAMLIT_SERVER_ADDRESS", raising=False)
    flags = command(8600, open_browser=False)
    assert {
        "--browser.gatherUsageStats=false",
        "--server.fileWatcherType=none",
        "--server.headless=true",
        "--server.address=localhost",
        "--server.port=8600",
    } <= set(flags)
    monkeypatch.setenv("STREAMLIT_SERVER_ADDRESS", "0.0.0.0")
    flags = command(8600, open_browser=True)
    assert {"--server.headless=false", "--logger.hideWelcomeMessage=true"} <= set(flags)
    assert not [flag for flag in flags if flag.startswith("--server.address")]
    assert address(8600) == "http://0.0.0.0:8600"


@pytest.mark.parametrize("headless", [True, False])
def test_a_browser_is_opened_unless_it_is_not_wanted(monkeypatch, headless):
    """The server opens the page in a browser when it starts, but not with `server.headless`."""
    opened = []
    options = {"server.headless": headless, "server.address": "localhost", "server.port": 8612}
    monkeypatch.setattr(shell, "SOON", 0)
    monkeypatch.setattr(shell.webbrowser, "open", opened.append)
    monkeypatch.setattr(shell.st, "get_option", options.__getitem__)

    async def start():
        async with shell.opens_browser(None):
            await asyncio.sleep(0.05)

    with ThreadPoolExecutor(1) as aside:  # this thread may run the browser's loop
        aside.submit(asyncio.run, start()).result()
    assert opened == ([] if headless else ["http://localhost:8612"])


def test_the_server_keeps_its_memory_level(monkeypatch, tmp_path):
    """The settings that bound heaps and caches are in the server's environment; a person's own go first."""
    for name in MEMORY:
        monkeypatch.delenv(name, raising=False)
    assert environment(tmp_path).items() >= {**MEMORY, "EMBEDSEARCH_INDEXES": str(tmp_path)}.items()
    monkeypatch.setenv("MALLOC_ARENA_MAX", "8")
    assert environment(tmp_path)["MALLOC_ARENA_MAX"] == "8"


def test_ctrl_c_ends_the_page_cleanly(tmp_path):
    """Ctrl-C in the terminal ends the server and the launcher with status 0, and leaves no process."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    code = (
        "import sys; from pathlib import Path; from embedsearch.ui.launch import launch\n"
        f"sys.exit(launch(Path({str(tmp_path)!r}), {port}, False))"
    )
    launcher = subprocess.Popen(
        [sys.executable, "-c", code],
        env=SRC,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 60
        while not _answers(port):
            assert launcher.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        os.killpg(launcher.pid, signal.SIGINT)  # as a terminal does
        _, errors = launcher.communicate(timeout=30)
    finally:
        if launcher.poll() is None:
            os.killpg(launcher.pid, signal.SIGKILL)
    assert launcher.returncode == 0
    assert "Traceback" not in errors
    assert not _answers(port)


def _answers(port):
    try:
        urllib.request.urlopen(f"http://localhost:{port}/_stcore/health", timeout=5).close()
    except OSError:
        return False
    return True
