"""Asks a server over HTTP, and raises what it answers as the errors of the library."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from embedsearch import errors
from embedsearch.errors import EmbedsearchError, MissingExtraError, QueryError, ServerError, UsageError

if TYPE_CHECKING:
    import httpx

CONNECT, ANSWER = 5.0, 120.0  # seconds for a connection, and for an answer
TRIES = 6  # of a request that the server has no room for
LONGEST = 10.0  # seconds between two tries


class Connection:
    """A server to ask. Threads may share it."""

    def __init__(self, url: str, token: str) -> None:
        """Prepare to ask the server at `url`; nothing is asked yet.

        Raises:
            UsageError: `url` is no address of a server.
            MissingExtraError: httpx is not installed.
        """
        try:
            import httpx
        except ImportError:
            raise MissingExtraError(
                "Asking a server needs httpx: pip install 'embedsearch[client]'"
            ) from None
        try:
            parts = urlsplit(url)
            parts.port  # noqa: B018  raises where it is no number
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{url!r:.200} is no address of a server: write it like http://localhost:8000.")
        # without a password
        self.shown = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))
        try:
            self._http = httpx.Client(
                base_url=url,
                headers={b"Authorization": f"Bearer {token}".encode()} if token else {},
                timeout=httpx.Timeout(ANSWER, connect=CONNECT),
            )
        except httpx.InvalidURL as error:
            raise UsageError(f"{url!r:.200} is no address of a server: {error}.") from None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str) -> dict[str, Any]:
        """Return the JSON object at a path; errors as `request`."""
        return self._object(self.request("GET", path))

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the JSON object that answers a body; errors as `request`."""
        try:
            return self._object(self.request("POST", path, body))
        except (TypeError, ValueError) as error:
            raise QueryError(
                f"The query can't be sent as JSON ({error}). Use finite numbers, texts, dates and booleans."
            ) from None

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        """Return the answer to a request; one that the server has no room for is asked again later.

        Raises:
            ServerError: the server can't be reached, refuses the token, has no room, or is another one.
            EmbedsearchError: what the server raised, such as a QueryError.
        """
        import httpx

        for tries_left in reversed(range(TRIES)):
            try:
                answer = self._http.request(method, path, json=body)
            except httpx.ConnectError as error:
                raise ServerError(
                    f"No server answers at {self.shown} ({error}). Start one with `embedsearch serve`, or "
                    "check the address."
                ) from None
            except httpx.TimeoutException:
                raise ServerError(f"The server at {self.shown} took too long to answer.") from None
            except httpx.HTTPError as error:
                raise ServerError(f"The server at {self.shown} broke the connection: {error}.") from None
            if answer.status_code == httpx.codes.TOO_MANY_REQUESTS and tries_left:
                time.sleep(_seconds(answer.headers.get("Retry-After", "")))
                continue
            break
        if answer.is_success:
            return answer
        raise self._error(answer)

    def _object(self, answer: httpx.Response) -> dict[str, Any]:
        """Return the JSON object in an answer."""
        try:
            values = answer.json()
        except ValueError:
            values = None
        if not isinstance(values, dict):
            raise self._stranger(answer)
        return values

    def _error(self, answer: httpx.Response) -> EmbedsearchError:
        """Return the error that an answer tells of."""
        try:
            problem = answer.json()
            kind, detail = str(problem["type"]), str(problem["detail"])
        except (ValueError, KeyError, TypeError):
            return self._stranger(answer)
        if answer.status_code == 401:
            return ServerError(f"The server at {self.shown} refuses: {detail} Give it as the token.")
        raised = getattr(errors, kind.removeprefix("urn:embedsearch:"), None)
        if isinstance(raised, type) and issubclass(raised, EmbedsearchError):
            return raised(detail)
        if answer.status_code in (400, 422):
            return QueryError(detail)
        return ServerError(f"The server at {self.shown} answers {answer.status_code}: {detail}")

    def _stranger(self, answer: httpx.Response) -> ServerError:
        """Return the error where an answer is not of this server's form."""
        what = f"{answer.status_code} {answer.reason_phrase}".strip()
        return ServerError(
            f"What answers at {self.shown} is no server of embedsearch, or a proxy before one: it answered "
            f"{what}."
        )


def _seconds(given: str) -> float:
    """Return how long to wait for what a Retry-After header says; a second where it says nothing."""
    return min(float(given), LONGEST) if given.isdecimal() else 1.0
