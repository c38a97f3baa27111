"""The routes of the server, and the forms that they take."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from json import dumps
from typing import Any, TypeVar

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import HTMLResponse

from embedsearch import __version__
from embedsearch.serve.http.gate import Gate
from embedsearch.serve.http.metrics import MEDIA_TYPE as METRICS
from embedsearch.serve.http.page import page
from embedsearch.serve.http.problems import MEDIA_TYPE, BodyError, RefusedError, answer_errors, of_body
from embedsearch.serve.http.server import Server, Settings
from embedsearch.serve.requests import (
    CompareRequest,
    EmbeddingsRequest,
    ExplainRequest,
    SearchRequest,
    SimilarRequest,
)
from embedsearch.serve.schemas import (
    CompareOutput,
    EmbeddingsOutput,
    ExplainOutput,
    InfoOutput,
    ItemOutput,
    ListOutput,
    Output,
    Problem,
    SearchOutput,
    Status,
)

Body = TypeVar("Body", bound=BaseModel)

JSON, FORM = "application/json", "multipart/form-data"
LARGE = 2**16  # bytes of a body that is read in a thread
FIELDS = 20  # of a form
FILES = ("image", "sound")  # fields of a form that are uploaded
REFS = "#/components/schemas/{model}"
EXAMPLES: dict[type[BaseModel], Any] = {
    SearchRequest: {"text": "can I have a refund", "k": 3, "where": "topic = 'payments'"},
    SimilarRequest: {"item": "1", "k": 3},
    ExplainRequest: {"text": "refund", "hit": "1"},
    CompareRequest: {"things": [{"text": "a cat sleeps"}, {"text": "a kitten naps"}]},
    EmbeddingsRequest: {"model": "all-MiniLM-L6-v2", "input": ["a cat", "a kitten"]},
}
# what any route may refuse, and what those may that name an index or take a body
ANY = (401, 403, 421, 429, 500, 503)
NAMED = (400, 404, *ANY)
TAKING = (400, 404, 413, 415, 422, *ANY)


def make_app(settings: Settings) -> FastAPI:
    """Return the server as an ASGI app."""
    server = Server(settings)
    app = FastAPI(
        title="embedsearch",
        version=__version__,
        summary="Search the indexes of a folder by what their items mean.",
        lifespan=server.lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    answer_errors(app)
    app.add_middleware(
        Gate,
        hosts=settings.hosts,
        origins=settings.origins,
        token=settings.token,
        most_bytes=int(settings.mebibytes * 2**20),
        seconds=settings.seconds,
        observe=server.metrics.answered,
    )
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=("GET", "POST"),
            allow_headers=("Authorization", "Content-Type"),
        )
    _add_indexes(app, server)
    _add_items(app, server)
    _add_others(app, server)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]  # as FastAPI's documentation does
    return app


def _add_indexes(app: FastAPI, server: Server) -> None:
    """Add what is asked of an index as a whole."""

    @app.get("/v1/indexes", **_answered(ListOutput, ANY))
    async def indexes() -> Response:
        """List the indexes."""
        return _json(await server.list())

    @app.get("/v1/indexes/{name}", **_answered(InfoOutput, NAMED))
    async def info(name: str) -> Response:
        """Show all about an index."""
        return _json(await server.info(name))

    @app.post("/v1/indexes/{name}/search", **_answered(SearchOutput, TAKING, SearchRequest, form=True))
    async def search(name: str, request: Request) -> Response:
        """Find the items nearest to a text, an image, a sound, an item, a vector, a row or weighted parts.

        An image or a sound is uploaded in a form, or is base64 in JSON.
        """
        return _json(await server.search(name, await _body(request, SearchRequest, uploads=True)))

    @app.post("/v1/indexes/{name}/similar", **_answered(SearchOutput, TAKING, SimilarRequest))
    async def similar(name: str, request: Request) -> Response:
        """Find the items nearest to an item, itself left out."""
        return _json(await server.similar(name, await _body(request, SimilarRequest)))

    @app.post("/v1/indexes/{name}/explain", **_answered(ExplainOutput, TAKING, ExplainRequest))
    async def explain(name: str, request: Request) -> Response:
        """Show which words, patches or columns of an item make its similarity to a query."""
        return _json(await server.explain(name, await _body(request, ExplainRequest)))

    @app.post("/v1/indexes/{name}/compare", **_answered(CompareOutput, TAKING, CompareRequest))
    async def compare(name: str, request: Request) -> Response:
        """Compare texts, images or sounds, each with each, by the model of an index."""
        return _json(await server.compare(name, await _body(request, CompareRequest)))


def _add_items(app: FastAPI, server: Server) -> None:
    """Add what is asked of one item; an id is percent-encoded, and may hold slashes."""

    @app.get("/v1/indexes/{name}/items/{id:path}", **_answered(ItemOutput, NAMED))
    async def item(name: str, id: str) -> Response:
        """Return an item by its id."""
        return _json(await server.item(name, id))

    @app.get(
        "/v1/indexes/{name}/content/{id:path}", **_sent(NAMED, "text/plain", "image/*", "audio/*", "video/*")
    )
    async def content(name: str, id: str) -> Response:
        """Return the text of an item, or the bytes of its file."""
        return await server.content(name, id)

    @app.get("/v1/indexes/{name}/thumbnails/{id:path}", **_sent((*NAMED, 422), "image/jpeg"))
    async def thumbnail(name: str, id: str) -> Response:
        """Return a small JPEG of an image, of a frame of a video, or of the spectrogram of a sound."""
        return await server.thumbnail(name, id)


def _add_others(app: FastAPI, server: Server) -> None:
    """Add vectors of texts, and what tells of the server."""

    @app.post("/v1/embeddings", **_answered(EmbeddingsOutput, TAKING, EmbeddingsRequest))
    async def embeddings(request: Request) -> Response:
        """Return the vectors of texts, as OpenAI does; they are pooled, and not scaled to length 1."""
        return await server.embed(await _body(request, EmbeddingsRequest))

    @app.get("/health", **_answered(Status, ()))
    async def health() -> Response:
        """Say that the server lives."""
        return _json(Status(status="ok"))

    @app.get("/ready", **_answered(Status, (503,)))
    async def ready() -> Response:
        """Say whether the indexes are open and their models loaded."""
        if not server.ready:
            raise RefusedError(
                HTTPStatus.SERVICE_UNAVAILABLE, "The server opens its indexes and loads their models."
            )
        return _json(Status(status="ready"))

    @app.get("/metrics", **_sent(ANY, "text/plain"))
    async def metrics() -> Response:
        """Return counts, latencies, the queue, models and memory, for Prometheus."""
        return Response(server.metrics.text(), media_type=METRICS)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        """Show what the server has, for people."""
        return HTMLResponse(page(app.openapi()))


def _json(output: BaseModel) -> Response:
    values = output.printed() if isinstance(output, Output) else output.model_dump(mode="json")
    return Response(dumps(values, ensure_ascii=False), media_type=JSON)


async def _body(request: Request, form: type[Body], *, uploads: bool = False) -> Body:
    """Return what a request holds.

    Raises:
        BodyError: it is not of that form.
        RefusedError: it is no JSON, and no form either.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind == JSON:
            content = await request.body()
            if len(content) > LARGE:
                return await asyncio.to_thread(_parsed, form, content)
            return _parsed(form, content)
        if kind == FORM and uploads:
            return form.model_validate(await _fields(request))
    except ValidationError as error:
        raise of_body(error) from None
    taken = f"{JSON} or {FORM}" if uploads else JSON
    raise RefusedError(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Send the body as {taken}; got {kind or 'no content-type':.80}."
    )


def _parsed(form: type[Body], content: bytes) -> Body:
    """Return what JSON holds; errors as `_body`."""
    try:
        return form.model_validate_json(content)
    except ValidationError as error:
        raise of_body(error) from None


async def _fields(request: Request) -> dict[str, str | bytes]:
    """Return the fields of a form, uploads as bytes."""
    fields: dict[str, str | bytes] = {}
    async with request.form(max_files=1, max_fields=FIELDS) as form:
        for name, value in form.multi_items():
            if name in fields:
                raise BodyError(f"{name}: the form has it twice.")
            if isinstance(value, UploadFile) is not (name in FILES):
                raise BodyError(
                    f"{name}: upload it as a file." if name in FILES else f"{name}: it is no file."
                )
            fields[name] = await value.read() if isinstance(value, UploadFile) else value
    return fields


def _problems(statuses: tuple[int, ...]) -> dict[int | str, dict[str, Any]]:
    schema = {"$ref": REFS.format(model=Problem.__name__)}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }


def _answered(
    output: type[BaseModel],
    statuses: tuple[int, ...],
    body: type[BaseModel] | None = None,
    *,
    form: bool = False,
) -> dict[str, Any]:
    """Return what a route says of itself: its answer, its errors and its body."""
    said: dict[str, Any] = {"responses": {200: {"model": output}, **_problems(statuses)}}
    if body is not None:
        schema = {"$ref": REFS.format(model=body.__name__)}
        content: dict[str, Any] = {JSON: {"schema": schema, "example": EXAMPLES[body]}}
        if form:
            content[FORM] = {"schema": _upload_schema()}
        said["openapi_extra"] = {"requestBody": {"required": True, "content": content}}
    return said


def _upload_schema() -> dict[str, Any]:
    """Return the schema of a form with a file: what `SearchRequest` has that fits into a field."""
    own = SearchRequest.model_json_schema()["properties"]
    properties: dict[str, Any] = {name: {"type": "string", "format": "binary"} for name in FILES}
    properties["where"] = {"type": "string", "maxLength": 4000}
    properties |= {name: own[name] for name in ("k", "fold", "by", "mode")}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _sent(statuses: tuple[int, ...], *media_types: str) -> dict[str, Any]:
    """Return what a route says of itself whose answer is no JSON."""
    schema = {"type": "string"}
    sent = {"description": "OK", "content": {each: {"schema": schema} for each in media_types}}
    return {"responses": {200: sent, **_problems(statuses)}, "response_class": Response}


def _openapi(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI schema, with the forms of bodies, which routes read by themselves."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        schemas = made["components"]["schemas"]
        forms: tuple[type[BaseModel], ...] = (Problem, *EXAMPLES)
        for form in forms:
            schema = form.model_json_schema(ref_template=REFS)
            schemas |= schema.pop("$defs", {})
            schemas[form.__name__] = schema
        app.openapi_schema = made
    return app.openapi_schema
