"""The page as a process of its own. Loads neither Streamlit nor torch, so that it starts at once."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from embedsearch.ui.theme import OPTIONS

SCRIPT = Path(__file__).with_name("script.py")  # not beside pages/, which Streamlit would take for its own
HOST, FIRST_PORT, PORTS = "localhost", 8501, 100
PATIENCE = 5  # seconds that the server gets to end by itself


def command(port: int, open_browser: bool) -> list[str]:
    """Return the command that serves the page.

    Settings go on the command line, because a person may start it in any folder.

    Args:
        port: the port.
        open_browser: whether a browser window is opened.
    """
    options = {**OPTIONS, "server.headless": not open_browser, "server.port": port}
    if "STREAMLIT_SERVER_ADDRESS" not in os.environ:
        options["server.address"] = HOST  # people's images are not for the whole network
    flags = [f"--{name}={_plain(value)}" for name, value in options.items()]
    return [sys.executable, "-m", "streamlit", "run", str(SCRIPT), *flags]


def address(port: int) -> str:
    """Return where a person finds the page."""
    return f"http://{os.environ.get('STREAMLIT_SERVER_ADDRESS', HOST)}:{port}"


def free_port(first: int = FIRST_PORT) -> int:
    """Return the first port from `first` on that nobody listens on; `first` where all are taken."""
    for port in range(first, first + PORTS):
        with socket.socket() as tried:
            if tried.connect_ex((HOST, port)):
                return port
    return first


def _plain(value: str | bool | int) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def launch(indexes: Path, port: int, open_browser: bool) -> int:
    """Serve the page until Ctrl-C.

    Args:
        indexes: the folder of indexes.
        port: the port.
        open_browser: whether a browser window is opened.

    Returns:
        The exit status: 0 after Ctrl-C, else the server's.
    """
    environment = {**os.environ, "EMBEDSEARCH_INDEXES": str(indexes)}
    server = subprocess.Popen(command(port, open_browser), env=environment)
    try:
        return server.wait()
    except KeyboardInterrupt:  # the terminal has sent it to the server as well
        try:
            server.wait(PATIENCE)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            server.kill()
            server.wait()
        return 0
    finally:
        if server.poll() is None:
            server.terminate()
