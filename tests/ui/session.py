"""A visitor without a browser: one websocket session of the page's server."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlencode

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect


@contextmanager
def session(port: int, host: str = "", origin: str = "", seconds: float = 60) -> Iterator[Visitor]:
    """Connect to a server on this machine.

    Args:
        port: of the server.
        host: the name that the server is called by.
        origin: the page that the session comes from; that of the host without it.
        seconds: to wait for each message.

    Raises:
        websockets.exceptions.InvalidStatus: the server refuses them.
    """
    host = host or f"localhost:{port}"
    with connect(
        f"ws://{host}/_stcore/stream",
        sock=socket.create_connection(("localhost", port), seconds),
        proxy=None,
        subprotocols=["streamlit"],
        origin=origin or f"http://{host}",
        max_size=None,
        open_timeout=seconds,
    ) as connection:
        yield Visitor(connection, seconds)


class Visitor:
    """Asks for the page at query parameters, and reads what the page shows."""

    def __init__(self, connection: ClientConnection, seconds: float) -> None:
        self._connection, self._seconds = connection, seconds
        self.received = 0  # messages of the last answer

    def ask(self, page: str = "", **parameters: str) -> str:
        """Run a page, named as in the address, at these parameters; return its messages as text.

        Raises:
            websockets.exceptions.ConnectionClosed: the server is gone.
        """
        message = BackMsg()
        message.rerun_script.page_name = page
        message.rerun_script.query_string = urlencode(parameters)
        self._connection.send(message.SerializeToString())
        said = []
        while True:
            received = ForwardMsg.FromString(self._connection.recv(self._seconds))
            said.append(str(received.delta) if received.HasField("delta") else "")
            if received.HasField("script_finished"):
                self.received = len(said)
                return "\n".join(said)
