"""The page as a process of its own. Loads neither Streamlit nor torch, so that it starts at once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from embedsearch.errors import EmbedsearchError
from embedsearch.serve.memory import MEMORY
from embedsearch.ui import jobs
from embedsearch.ui.theme import HOSTS, OPTIONS, Option

# not beside pages/, which Streamlit would take for its own
SCRIPT = Path(__file__).with_name("script.py")  # makes the server
PAGE = Path(__file__).with_name("page.py")  # draws the page
HOST, FIRST_PORT, PORTS = "localhost", 8501, 100
ADDRESS = "STREAMLIT_SERVER_ADDRESS"  # the environment variable that names another address to listen on
ALLOW_BUILD = "EMBEDSEARCH_UI_ALLOW_BUILD"  # the variable of `embedsearch ui --allow-build`
UPLOAD = 200  # megabytes of a file, where indexes may be built from it
EVERYWHERE = ("", "0.0.0.0", "::")  # all interfaces
PATIENCE = 5  # seconds that the server gets to end by itself
MOST_DEATHS, WITHIN = 3, 60.0  # seconds
ASKED_TO_END = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
CAUSES = {
    signal.SIGBUS: " A file was truncated while it was read.",
    signal.SIGKILL: " The machine may have run out of memory.",
}


def command(port: int, open_browser: bool, hosts: Sequence[str] = ()) -> list[str]:
    """Return the command that serves the page.

    Settings go on the command line, because a person may start it in any folder.

    Args:
        port: the port.
        open_browser: whether a browser window is opened.
        hosts: names that the page answers to, beside those of this machine.
    """
    bound = os.environ.get(ADDRESS)
    named = [] if bound is None or bound in EVERYWHERE else [bound]
    allowed = [*HOSTS, *named, *hosts]
    options: dict[str, Option] = {
        **OPTIONS,
        "server.headless": not open_browser,
        "server.port": port,
        "server.allowedHosts": allowed,
    }
    if bound is None:
        options["server.address"] = HOST  # people's images are not for the whole network
    if is_allowed() or (bound in (None, *HOSTS) and not hosts):
        options["server.maxUploadSize"] = UPLOAD
    flags = [f"--{name}={_plain(each)}" for name, value in options.items() for each in _listed(value)]
    return [sys.executable, "-m", "streamlit", "run", str(SCRIPT), *flags]


def environment(indexes: Path) -> dict[str, str]:
    """Return the environment of a server over a folder of indexes."""
    return {**MEMORY, **os.environ, "EMBEDSEARCH_INDEXES": str(indexes)}


def is_allowed() -> bool:
    """Whether visitors may build indexes even where the page is open to other machines."""
    return os.environ.get(ALLOW_BUILD, "").lower() in ("1", "true", "yes", "on")


def address(port: int) -> str:
    """Return where a person finds the page."""
    return f"http://{os.environ.get(ADDRESS, HOST)}:{port}"


def warning() -> str:
    """Return a sentence where the page is open to other machines; empty where it is not."""
    if os.environ.get(ADDRESS, HOST) not in EVERYWHERE:
        return ""
    return (
        f"Warning: {ADDRESS} makes the page listen on all network interfaces. Everyone who can reach this "
        "machine can see all indexes. A browser elsewhere also needs --allow-host with the name that it uses."
    )


def free_port(first: int = FIRST_PORT) -> int:
    """Return the first port from `first` on that nobody listens on; `first` where all are taken."""
    for port in range(first, first + PORTS):
        with socket.socket() as tried:
            if tried.connect_ex((HOST, port)):
                return port
    return first


def launch(indexes: Path, port: int, open_browser: bool, hosts: Sequence[str] = ()) -> int:
    """Serve the page until Ctrl-C, SIGTERM or SIGHUP. A server that a signal killed is started again.

    Args:
        indexes: the folder of indexes.
        port: the port.
        open_browser: whether a browser window is opened.
        hosts: see `command`.

    Returns:
        The exit status: 0 after Ctrl-C, else the server's; 128 and the signal's number where this process got
        SIGTERM or SIGHUP, or where the server was killed three times within a minute.
    """
    try:
        return _launch(indexes, port, open_browser, hosts)
    finally:
        if stopped := jobs.cancel_own(indexes):
            _report(f"“{stopped}” was stopped. The work so far is kept: the page Indexes resumes it.")


def _launch(indexes: Path, port: int, open_browser: bool, hosts: Sequence[str]) -> int:
    deaths: list[float] = []
    while True:
        # the open pages connect again by themselves
        with _signals_end():
            status = _serve(command(port, open_browser and not deaths, hosts), environment(indexes))
        if status >= 0:
            return status
        killed_by = signal.Signals(-status)
        if killed_by in ASKED_TO_END:
            return 128 + killed_by
        now = time.monotonic()
        deaths = [*(each for each in deaths if now - each < WITHIN), now]
        _report(f"The server of the page was killed by {killed_by.name}.{CAUSES.get(killed_by, '')}")
        for damage in _damaged(indexes):
            _report(damage)
        if len(deaths) == MOST_DEATHS:
            _report(
                f"It was killed {MOST_DEATHS} times within a minute, so it is not started again. Remove the "
                "cause named above, then run: embedsearch ui"
            )
            return 128 + killed_by
        _report("The server is started again.")


@contextmanager
def _signals_end() -> Iterator[None]:
    """Have SIGTERM and SIGHUP raise SystemExit, which ends the server too; one ignored (nohup) stays so."""

    def end(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)}
    for each, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(each, end)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _serve(arguments: Sequence[str], environment: dict[str, str]) -> int:
    """Run the server until it ends or Ctrl-C; return its status, negative for the signal that killed it."""
    server = subprocess.Popen(arguments, env=environment)
    try:
        return server.wait()
    except KeyboardInterrupt:  # the terminal has sent it to the server as well
        _end(server)
        return 0
    finally:
        if server.poll() is None:
            server.terminate()
            _end(server)


def _end(server: subprocess.Popen[bytes]) -> None:
    """Wait for the server to end by itself, then kill it."""
    try:
        server.wait(PATIENCE)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        server.kill()
        server.wait()


def _damaged(indexes: Path) -> Iterator[str]:
    """Yield what is wrong with each damaged index."""
    from embedsearch.store.build import open_build
    from embedsearch.store.folders import list_names

    for name in list_names(indexes):
        try:
            open_build(indexes, name)
        except (EmbedsearchError, OSError) as error:
            yield str(error)


def _listed(value: Option) -> Sequence[str | bool | int]:
    return value if isinstance(value, list) else [value]


def _plain(value: str | bool | int) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _report(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
