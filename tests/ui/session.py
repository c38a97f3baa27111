"""A visitor without a browser: one websocket session of the page's server."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlencode

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect

SECONDS = 60


@contextmanager
def session(port: int, host: str = "", origin: str = "") -> Iterator[Visitor]:
    """Connect to a server; `host` and `origin` are the headers of those names.

    Raises:
        websockets.exceptions.InvalidStatus: the server refuses them.
    """
    host = host or f"localhost:{port}"
    with connect(
        f"ws://{host}/_stcore/stream",
        sock=socket.create_connection(("localhost", port), SECONDS),
        proxy=None,
        subprotocols=["streamlit"],
        origin=origin or f"http://{host}",
        max_size=None,
        open_timeout=SECONDS,
    ) as connection:
        yield Visitor(connection)


class Visitor:
    """Asks for the page at query parameters, and reads what the page shows."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

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
            received = ForwardMsg.FromString(self._connection.recv(SECONDS))
            said.append(str(received.delta) if received.HasField("delta") else "")
            if received.HasField("script_finished"):
                return "\n".join(said)
