"""What every request passes: its host, its token, its size, its time; and what is counted of it."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from embedsearch.serve.http.problems import RefusedError, busy, response

LOCAL = ("localhost",)
TOGETHER = 8  # of the largest bodies, that all requests may hold at once
OPEN = ("/health", "/ready")  # they say nothing of the indexes, and take no token


def named(host: str) -> str:
    """Return a Host header without its port."""
    name, _, port = host.rpartition(":")
    return (name if port.isdecimal() else host).rstrip(".").lower()


def is_allowed(host: str, names: Sequence[str]) -> bool:
    """Whether a Host header names this machine: by an address, or by a known name.

    A page of another site that has its own name point to this machine sends that name, never an address.
    """
    name = named(host)
    if name in (*LOCAL, *names):
        return True
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


class Gate:
    """An ASGI middleware that refuses what must not reach the routes."""

    def __init__(
        self,
        app: ASGIApp,
        hosts: Sequence[str],
        origins: Sequence[str],
        token: str,
        most_bytes: int,
        seconds: float,
        observe: Callable[[Scope, int, float], None],
    ) -> None:
        """Keep the limits.

        Args:
            app: what is behind.
            hosts: names that the server answers to, beside addresses and localhost.
            origins: of other web pages whose scripts may ask.
            token: that a request must carry; empty for none.
            most_bytes: of a body.
            seconds: from the request's first byte to the answer's.
            observe: gets the scope, the status and the seconds of each answer.
        """
        self._app, self._hosts, self._token = app, tuple(each.lower() for each in hosts), token.encode()
        self._origins = tuple(origins)
        self._most, self._seconds, self._observe = most_bytes, seconds, observe
        self._held = 0  # bytes of bodies, of all requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status, came = time.perf_counter(), 0, 0

        async def receiving() -> Message:
            nonlocal came
            message = await receive()
            size = len(message.get("body", b""))
            came += size
            self._held += size
            if came > self._most:
                raise self._too_large()
            if self._held > TOGETHER * self._most:
                raise busy("The server holds as many large requests as it can.")
            return message

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                limit.reschedule(None)  # a large file may take its time
            await send(message)

        refused: RefusedError | None = None
        try:
            async with asyncio.timeout(self._seconds) as limit:
                self._check(scope)
                await self._app(scope, receiving, sending)
        except RefusedError as error:
            refused = error
        except TimeoutError:
            detail = f"The request took longer than {self._seconds:g} s, and was given up."
            refused = RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, detail)
        except Exception:
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            raise
        finally:
            self._held -= came
            status = refused.status if refused else status
            self._observe(scope, status, time.perf_counter() - started)
        if refused:
            await response(refused.status, refused.detail, headers=refused.headers)(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not is_allowed(host, self._hosts):
            raise RefusedError(
                HTTPStatus.MISDIRECTED_REQUEST,
                "The server does not answer to this host name. Start it with --allow-host and the name.",
            )
        origin = headers.get("origin", "")
        site = origin.partition("://")[2]
        if origin not in ("", *self._origins) and site != host and named(site) not in self._hosts:
            raise RefusedError(HTTPStatus.FORBIDDEN, "Scripts of another web page may not ask this server.")
        if self._token and scope["path"] not in OPEN and not self._knows(headers):
            raise RefusedError(
                HTTPStatus.UNAUTHORIZED,
                "The server asks for its token: send the header Authorization: Bearer TOKEN.",
                {"WWW-Authenticate": "Bearer"},
            )
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._most:
            raise self._too_large()

    def _knows(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        came = given.strip(" \t").encode("latin-1")  # as Starlette has read the bytes
        return scheme.lower() == "bearer" and hmac.compare_digest(came, self._token)

    def _too_large(self) -> RefusedError:
        return RefusedError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A request may have {self._most / 2**20:.3g} MiB at most."
        )
