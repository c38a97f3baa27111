"""Runs the server until it is asked to end."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from collections.abc import Callable
from contextlib import suppress

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from embedsearch.errors import UsageError

HEAD = 10.0  # seconds in which a connection has to bring the head of its next request
INTERRUPTED = 130  # the exit status after Ctrl-C, as a shell has it
DRAIN = 30  # seconds that requests get to end after SIGTERM


class Impatient(H11Protocol):
    """A connection that is closed where no request comes on it, so that such ones do not pile up.

    It is of h11, which bounds the head of a request; httptools does not.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to look for requests."""
        super().connection_made(transport)
        self.loop.call_later(HEAD, self._look, None)

    def _look(self, idle_with: object) -> None:
        """Close the connection if it is idle, and was so at the last look, after the request `idle_with`."""
        is_idle = self.cycle is None or self.cycle.response_complete
        if self.transport.is_closing():
            return
        if is_idle and self.cycle is idle_with:
            self.transport.close()
        else:
            self.loop.call_later(HEAD, self._look, self.cycle if is_idle else self)


def is_local(host: str) -> bool:
    """Whether only this machine reaches what listens at `host`."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def run(app: ASGIApp, token: str, host: str, port: int, is_open: bool, say: Callable[[str], object]) -> None:
    """Serve until Ctrl-C or SIGTERM; requests that are under way are answered first.

    Args:
        app: answers the requests.
        token: that it asks for; empty for none.
        host: the address to listen on.
        port: the port; 0 for any free one.
        is_open: whether it may listen beyond this machine without a token.
        say: gets the address, such as `http://localhost:8000`, once the server listens.

    Raises:
        UsageError: it would be open to other machines, and nobody said that it may; or the address is taken.
    """
    if not is_local(host) and not token and not is_open:
        raise UsageError(
            f"Other machines reach a server at {host}. Give --token with a secret that requests must carry, "
            "or --open if everyone may search."
        )
    listener = _listener(host, port)
    named = f"[{host}]" if ":" in host else "localhost" if is_local(host) else host
    config = uvicorn.Config(
        app,
        http=Impatient,
        log_level="warning",
        access_log=False,  # it would hold what people search for
        server_header=False,
        timeout_graceful_shutdown=DRAIN,
        ws="none",
    )
    server = uvicorn.Server(config)
    say(f"http://{named}:{listener.getsockname()[1]}")
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        os._exit(INTERRUPTED)  # Python would wait for threads whose requests were given up


def _listener(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address.

    Raises:
        UsageError: the address is taken, or none of this machine.
    """
    try:
        family, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address[:2], family=family, backlog=1024)
    except socket.gaierror as error:
        raise UsageError(f"{host!r} is no address of this machine: {error.strerror}.") from None
    except OSError as error:  # whose own sentence repeats the address
        why = os.strerror(error.errno or 0)
        raise UsageError(f"Can't listen at {host}, port {port}: {why}. Give another --port.") from None
