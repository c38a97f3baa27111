"""What the server does for each route: the open indexes, and the threads that work for requests."""

from __future__ import annotations

import asyncio
import mimetypes
import os
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import PIL.Image
from fastapi import FastAPI, Response
from starlette.responses import FileResponse, PlainTextResponse

from embedsearch.analysis.compare import compare
from embedsearch.artifacts.thumbnails import SIDE
from embedsearch.encoders import Encoder
from embedsearch.encoders.vision.decode import DAMAGED, UPLOADED_PIXELS, check_upload, opened
from embedsearch.errors import IndexDamagedError, IndexNotFoundError, ItemError, ItemNotFoundError, UsageError
from embedsearch.explain.shown import moment_of, thumbnail
from embedsearch.index import Index
from embedsearch.modalities import MODALITIES, Card, QueryForm
from embedsearch.query import AnyQuery, Image, MoreLike, Sound, singles_of
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Modality, Unit
from embedsearch.results import Hit
from embedsearch.serve.http import embeddings
from embedsearch.serve.http.metrics import Metrics
from embedsearch.serve.http.opened import Opened, OpenIndexes, Question, answer, answers
from embedsearch.serve.http.work import Batches, Places, Threads
from embedsearch.serve.requests import (
    CompareRequest,
    EmbeddingsRequest,
    ExplainRequest,
    SearchRequest,
    SimilarRequest,
)
from embedsearch.serve.schemas import (
    CompareOutput,
    Comparison,
    ExplainOutput,
    InfoOutput,
    ItemOutput,
    ListOutput,
    SearchOutput,
)
from embedsearch.splitters.sound import scan
from embedsearch.store.build import manifests

Answer = TypeVar("Answer")

BATCH, QUEUE, SECONDS, MEBIBYTES = 32, 256, 30.0, 32  # the defaults of `Settings`
HEAVY = 2  # threads that decode and explain: a large image takes hundreds of megabytes
LIGHT = 4  # threads that read items
UPLOADED_MINUTES = 10  # of the sounds of one request
# a file of the source is shown by the browser, and never run
HARMLESS = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox"}


@dataclass(frozen=True, slots=True)
class Settings:
    """What a server is started with.

    Attributes:
        indexes: the folder of indexes.
        hosts: names that it answers to, beside localhost and addresses.
        token: that a request must carry; empty for none.
        origins: origins of web pages whose scripts may ask; none by default.
        batch: queries that go through a model together, at most.
        queue: requests that may wait for a model; over it they are answered with 429.
        seconds: for a request.
        mebibytes: of a body.
        warm: whether opening an index loads its models, and not the first query that needs one.
    """

    indexes: Path
    hosts: Sequence[str] = ()
    token: str = ""
    origins: Sequence[str] = ()
    batch: int = BATCH
    queue: int = QUEUE
    seconds: float = SECONDS
    mebibytes: float = MEBIBYTES
    warm: bool = True


class Server:
    """The open indexes, the threads that work for requests, and what they do."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.ready = False
        self.places = Places(settings.queue)  # for a model
        self.search_threads = Threads(max(1, (os.cpu_count() or 1) // 2), self.places, "search")
        self.heavy = Threads(HEAVY, Places(settings.queue), "heavy")
        self.light = Threads(LIGHT, Places(settings.queue), "light")
        self.indexes = OpenIndexes(settings.indexes, self._batches, warm=settings.warm)
        self.metrics = Metrics(
            lambda: self.places.taken + self.heavy.places.taken,
            lambda: len(self.indexes),
            lambda: len(self.indexes.encoders),
        )
        self._own: Encoder | None = None  # the default encoder of texts, once somebody asks for vectors by it
        self._embedding: weakref.WeakKeyDictionary[
            Encoder, Batches[embeddings.Texts, embeddings.Embedded]
        ] = weakref.WeakKeyDictionary()

    def _batches(self, index: Index) -> Batches[Question, SearchOutput]:
        return Batches(
            lambda questions: _outputs(index, questions),
            self.search_threads.executor,
            self.settings.batch,
            self.metrics.batch,
        )

    @asynccontextmanager
    async def lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        """Open the indexes beside the first requests; drop what waits at the end."""
        warming = asyncio.create_task(self._warm())
        yield
        self.ready = False
        warming.cancel()
        self.indexes.close()
        for threads in (self.search_threads, self.heavy, self.light):
            threads.close()

    async def _warm(self) -> None:
        await self.indexes.warm()
        self.ready = True

    async def held(self, name: str, work: Callable[[Opened], Awaitable[Answer]]) -> Answer:
        """Return what `work` makes of an open index; one whose files turn out damaged is closed."""
        opened = await self.indexes.get(name)
        try:
            return await work(opened)
        except IndexDamagedError:
            self.indexes.forget(name, opened)
            raise

    async def search(self, name: str, asked: SearchRequest) -> SearchOutput:
        """Answer a search; texts, items and vectors together with those of others.

        Files, and what is re-ranked, go by themselves.
        """
        question = Question.of(asked.query(), asked, asked.strictness, asked.mode)

        async def work(opened: Opened) -> SearchOutput:
            if asked.reads_file or asked.rerank:
                return await self.heavy.run(_by_itself, opened.index, question)
            with self.places.one():
                return await opened.batches.ask(question)

        return await self.held(name, work)

    async def similar(self, name: str, asked: SimilarRequest) -> SearchOutput:
        """Answer a search for more like an item."""
        question = Question.of(MoreLike(asked.item), asked)

        async def work(opened: Opened) -> SearchOutput:
            if asked.rerank:
                return await self.heavy.run(_by_itself, opened.index, question)
            with self.places.one():
                return await opened.batches.ask(question)

        return await self.held(name, work)

    async def explain(self, name: str, asked: ExplainRequest) -> ExplainOutput:
        """Explain the similarity of an item."""

        def explained(index: Index) -> ExplainOutput:
            query = asked.query()
            _check_files(index, [query])
            return ExplainOutput.of(index.manifest, index.explain(query, asked.hit))

        return await self.held(name, lambda opened: self.heavy.run(explained, opened.index))

    async def compare(self, name: str, asked: CompareRequest) -> CompareOutput:
        """Compare things, each with each."""

        def compared(index: Index) -> CompareOutput:
            things = [each.query() for each in asked.things]
            _check_files(index, things)
            return CompareOutput(comparisons=[Comparison.of(compare(things, index=index))])

        return await self.held(name, lambda opened: self.heavy.run(compared, opened.index))

    async def item(self, name: str, identity: str) -> ItemOutput:
        """Return an item."""

        def found(index: Index) -> ItemOutput:
            return ItemOutput.of(index.manifest, index.get(identity))

        return await self.held(name, lambda opened: self.light.run(found, opened.index))

    async def content(self, name: str, identity: str) -> Response:
        """Return an item's text, or its file."""

        def found(index: Index) -> Response:
            hit = index.get(identity)
            if hit.text is not None:
                return PlainTextResponse(hit.text, headers=HARMLESS)
            if hit.image is not None:
                return Response(hit.image, headers=HARMLESS, media_type=_media_type(hit))
            # `Path.is_file` raises where a folder above may not be entered
            if hit.path is None or not os.path.isfile(hit.path) or not os.access(hit.path, os.R_OK):  # noqa: PTH113
                raise ItemNotFoundError(
                    f"The item {identity!r} of the index {name!r} has no text, and no file that can be read."
                )
            return FileResponse(hit.path, headers=HARMLESS, media_type=_media_type(hit))

        return await self.held(name, lambda opened: self.light.run(found, opened.index))

    async def thumbnail(self, name: str, identity: str) -> Response:
        """Return a small image of an item."""

        def small(index: Index) -> bytes:
            hit = index.get(identity)
            card = MODALITIES[hit.modality].card
            if card not in (Card.IMAGE, Card.VIDEO, Card.SOUND):
                raise ItemNotFoundError(f"The item {identity!r} of the index {name!r} has no image.")
            try:
                return thumbnail(hit.image or Path(hit.path or ""), card, moment_of(hit), SIDE)
            except OSError:
                raise ItemNotFoundError(f"The file of {identity!r} can't be read.") from None

        content = await self.held(name, lambda opened: self.heavy.run(small, opened.index))
        return Response(content, headers=HARMLESS, media_type="image/jpeg")

    async def info(self, name: str) -> InfoOutput:
        """Describe an index."""

        def described(index: Index) -> InfoOutput:
            return InfoOutput.of(index.name, index.build, index.crossmodal, None, None)

        return await self.held(name, lambda opened: self.light.run(described, opened.index))

    async def list(self) -> ListOutput:
        """List the indexes."""
        folder = self.settings.indexes
        return ListOutput.of(folder, await self.light.run(manifests, folder))

    async def embed(self, asked: EmbeddingsRequest) -> Response:
        """Return the vectors of texts."""
        texts = [asked.input] if isinstance(asked.input, str) else asked.input
        together = self.settings.batch  # so that those of others come in between
        with self.places.one():
            encoder, batches = await self._encoder(asked)
            embeddings.checked_dimension(asked, encoder.dimension)
            parts = [
                await batches.ask(embeddings.Texts(encoder, texts[at : at + together], asked.input_type))
                for at in range(0, len(texts), together)
            ]
        answer = await self.light.run(lambda: embeddings.output(asked, parts).model_dump_json())
        return Response(answer, media_type="application/json")

    async def _encoder(
        self, asked: EmbeddingsRequest
    ) -> tuple[Encoder, Batches[embeddings.Texts, embeddings.Embedded]]:
        """Return the encoder of an index, or of a model by its name."""
        own = MODALITIES[Modality.TEXT].default_model
        if asked.model not in (own, *(each.manifest.encoder.spec.model for each in self.indexes.held())):
            with suppress(UsageError, IndexNotFoundError):  # it may name no index, but a model
                await self.indexes.get(asked.model)
        reading = [each for each in self.indexes.held() if embeddings.reads_texts(each)]
        named = [each for each in reading if asked.model == each.name]
        named += [each for each in reading if asked.model == each.manifest.encoder.spec.model]
        if not named and asked.model != own:
            raise embeddings.unknown_model(asked, reading, own)

        def load() -> Encoder:
            if named:
                return named[0].encoder
            self._own = self.indexes.encoders.load(EncoderRecipe(Unit.TEXT))  # no index keeps it
            return self._own

        encoder = await self.light.run(load)
        if encoder not in self._embedding:
            self._embedding[encoder] = Batches(
                embeddings.embed,
                self.search_threads.executor,
                self.settings.batch,
                self.metrics.batch,
                lambda asked: len(asked.texts),
            )
        return encoder, self._embedding[encoder]


def _check_files(index: Index, queries: Sequence[AnyQuery]) -> None:
    """Refuse files that must not be decoded.

    Raises:
        ItemError: one of them is refused by `check_upload` or `scan`, or all together are too large.
    """
    pixels = milliseconds = 0
    hears = index.queries.form is QueryForm.SOUND  # the key `image` holds a sound there
    for single in (single for query in queries for single in singles_of(query)):
        if not isinstance(single, Image | Sound) or not isinstance(single.source, bytes):
            continue
        if hears:
            milliseconds += scan(single.source, UPLOADED_MINUTES).milliseconds
        elif isinstance(single, Image):  # a sound is refused unread
            pixels += check_upload(single.source, UPLOADED_PIXELS)
        if pixels > UPLOADED_PIXELS:
            raise ItemError(f"the images together have more than {UPLOADED_PIXELS // 10**6} megapixels")
        if milliseconds > 60_000 * UPLOADED_MINUTES:
            raise ItemError(f"the sounds together last more than {UPLOADED_MINUTES} minutes")


def _by_itself(index: Index, question: Question) -> SearchOutput:
    _check_files(index, [question.query])
    return SearchOutput.of(index.manifest, answer(index, question))


def _outputs(index: Index, questions: Sequence[Question]) -> list[SearchOutput | Exception]:
    """Return what `answers` returns in the form of JSON; that looks each file up."""
    return [
        each if isinstance(each, Exception) else SearchOutput.of(index.manifest, each)
        for each in answers(index, questions)
    ]


def _media_type(hit: Hit) -> str:
    """Return the media type of an item's file; one that a browser would run is not among them."""
    found = mimetypes.guess_type(hit.path)[0] if hit.path else None
    if hit.image is not None:
        with suppress(*DAMAGED, ItemError), opened(hit.image) as image:
            found = PIL.Image.MIME.get(image.format or "")
    return found if found and found.startswith(("image/", "audio/", "video/")) else "application/octet-stream"
