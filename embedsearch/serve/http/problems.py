"""What a failed request is answered with: problem details (RFC 9457) with the library's own sentences."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from embedsearch.errors import EmbedsearchError, ItemError, NotFoundError, UsageError
from embedsearch.serve.schemas import Problem

MEDIA_TYPE = "application/problem+json"
# the first row that an error is of; anything else can't be helped by the client
STATUS: tuple[tuple[type[EmbedsearchError], HTTPStatus], ...] = (
    (UsageError, HTTPStatus.BAD_REQUEST),
    (ItemError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (EmbedsearchError, HTTPStatus.SERVICE_UNAVAILABLE),
)
GONE = 499  # the client went before it had sent its request; nobody reads the answer
RETRY_AFTER = 1  # seconds
AGAIN = ", or Input should be "
MOST_SHOWN = 5  # keys with faults, of one body
SCALARS = ("bool", "int", "float", "str")  # what a value of a row may be
FAILED = "The server failed on this request. Its log says why."


class RefusedError(Exception):
    """A request that the server refuses by itself."""

    def __init__(self, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers


def busy(why: str) -> RefusedError:
    """Return what a request is refused with that may be sent again."""
    headers = {"Retry-After": str(RETRY_AFTER)}
    return RefusedError(HTTPStatus.TOO_MANY_REQUESTS, f"{why} Ask again in {RETRY_AFTER} s.", headers)


class BodyError(Exception):
    """A body that is not of the form that the route takes."""


def of_body(error: ValidationError) -> BodyError:
    """Return what is wrong with a body, in sentences that name its keys."""
    faults: dict[str, list[str]] = {}
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        texts = faults.setdefault(_key(fault["loc"]), [])
        texts.append(fault["msg"].removeprefix("Value error, "))
    said = [
        (f"{key}: " if key else "") + ", or ".join(dict.fromkeys(texts)).replace(AGAIN, ", or ")
        for key, texts in faults.items()
    ]
    more = f" (and {len(said) - MOST_SHOWN:,} more)" if len(said) > MOST_SHOWN else ""
    return BodyError("; ".join(said[:MOST_SHOWN]) + more)


def _key(place: tuple[int | str, ...]) -> str:
    """Return the key of a body that a fault is at, without pydantic's names of the types that it tried."""
    parts = [f"{part:.80}" if isinstance(part, str) else str(part) for part in place]
    tried = [at for at, part in enumerate(parts) if "[" in part or part.startswith("constrained-")]
    parts = parts[: tried[0]] if tried else parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] in SCALARS else parts)


def response(
    status: int, detail: str, kind: str = "", title: str = "", headers: Mapping[str, str] | None = None
) -> Response:
    """Return the answer to a failed request.

    Args:
        status: the HTTP status.
        detail: a sentence for people.
        kind: the name of the library's error; empty for the server's own.
        title: what such errors have in common; the phrase of the status without it.
        headers: that are sent with it.
    """
    problem = Problem(
        type=f"urn:embedsearch:{kind}" if kind else "about:blank",
        title=title or HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        message=detail,
    )
    return Response(problem.model_dump_json(), status, headers, MEDIA_TYPE)


def of_error(error: EmbedsearchError) -> Response:
    """Return the answer where the library raised an error."""
    status = next(status for kind, status in STATUS if isinstance(error, kind))
    title = (type(error).__doc__ or "").partition("\n")[0]
    return response(status, str(error), type(error).__name__, title)


def answer_errors(app: FastAPI) -> None:
    """Have an app answer every error with problem details."""

    async def by_library(_request: Request, error: Any) -> Response:
        return of_error(error)

    async def by_server(_request: Request, error: Any) -> Response:
        return response(error.status, error.detail, headers=error.headers)

    async def by_form(_request: Request, error: Any) -> Response:
        return response(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))

    async def by_framework(_request: Request, error: Any) -> Response:
        detail = error.detail
        if error.status_code == HTTPStatus.NOT_FOUND and detail == HTTPStatus.NOT_FOUND.phrase:
            detail = "The server has no such address. GET /docs lists what it has."
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            detail = f"This address takes only {(error.headers or {}).get('Allow', 'another method')}."
        return response(error.status_code, detail, headers=error.headers)

    async def by_accident(_request: Request, _error: Exception) -> Response:  # uvicorn logs it
        return response(HTTPStatus.INTERNAL_SERVER_ERROR, FAILED)

    async def by_client(_request: Request, _error: Any) -> Response:
        return Response(status_code=GONE)

    app.add_exception_handler(ClientDisconnect, by_client)
    app.add_exception_handler(EmbedsearchError, by_library)
    app.add_exception_handler(RefusedError, by_server)
    app.add_exception_handler(BodyError, by_form)
    app.add_exception_handler(HTTPException, by_framework)
    app.add_exception_handler(Exception, by_accident)
