"""A real Milvus server for tests, in a network namespace of its own: it listens on all addresses.

Its package needs old libraries, so that it stands in an environment of its own, which `.ci/run` makes:
`.venv-milvus`, or the folder that $EMBEDSEARCH_MILVUS names.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

HOME = Path(os.environ.get("EMBEDSEARCH_MILVUS", Path(__file__).parents[2] / ".venv-milvus"))
STARTING = 60  # seconds
# in the namespace: bring loopback up, start the server, and forward a socket of the file system to it
INSIDE = """
import subprocess, sys
sys.path.insert(0, sys.argv[1])
from tests.backends.milvus_server import forward
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
server = subprocess.Popen([sys.argv[2], "--data", sys.argv[3]])
forward(lambda: ("unix", sys.argv[4]), lambda: ("tcp", ("127.0.0.1", 19530)))
server.wait()
"""


def why_not():
    """Return why no server can be started here; empty where it can."""
    if not (HOME / "bin" / "milvus-server").is_file():
        return f"no Milvus server is installed in {HOME}"
    if not (shutil.which("unshare") and shutil.which("ip")):
        return "unshare and ip are not installed"
    tried = subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "this user may not make a network namespace"


def _open(kind, address):
    made = socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET)
    made.connect(address)
    return made


def _pump(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    for each in (source, target):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def forward(at, to):
    """Pass all that comes to one socket on to another, in threads; return the address of the first."""
    kind, address = at()
    listener = socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET)
    listener.bind(address)
    listener.listen()

    def serve():
        with contextlib.suppress(OSError):
            while True:
                asked, _ = listener.accept()
                try:
                    answering = _open(*to())
                except OSError:  # the server does not listen yet
                    asked.close()
                    continue
                for pair in ((asked, answering), (answering, asked)):
                    threading.Thread(target=_pump, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()


class RunningServer:
    """A server, and the URI at which this process reaches it."""

    def __init__(self, folder):
        self._folder, self._socket = folder, folder / "socket"
        self.port = forward(lambda: ("tcp", ("127.0.0.1", 0)), lambda: ("unix", str(self._socket)))[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self):
        """Start it, and wait until it answers a question."""
        self._socket.unlink(missing_ok=True)
        command = [sys.executable, "-c", INSIDE, Path(__file__).parents[2], HOME / "bin" / "milvus-server"]
        command += [self._folder / "data", self._socket]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["unshare", "-n", *map(str, command)],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        started = time.monotonic()
        while not self._answers():
            if time.monotonic() - started > STARTING or self._process.poll() is not None:
                self.stop()
                pytest.skip(f"the Milvus server did not start: {(self._folder / 'log').read_text()[-300:]}")
            time.sleep(0.3)

    def _answers(self):
        from pymilvus import MilvusClient
        from pymilvus.exceptions import MilvusException

        if not self._socket.exists():
            return False
        try:
            client = MilvusClient(self.uri, timeout=2)
            client.list_collections()
        except (MilvusException, OSError):
            return False
        client.close()
        return True

    def stop(self):
        """End it as a crash does."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@contextlib.contextmanager
def running(folder):
    """Start a server that keeps its data in a folder; skip where that can't be had."""
    if reason := why_not():
        pytest.skip(reason)
    server = RunningServer(folder)
    try:
        yield server
    finally:
        server.stop()
