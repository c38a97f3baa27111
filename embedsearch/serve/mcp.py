"""The MCP server: tools by which a language model searches indexes. None of them writes.

An answer is one JSON text in the form that `--json` prints, made small: long texts are cut, and the key `cut`
says so. The image of an item stands beside it.
"""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from http import HTTPStatus
from json import dumps
from typing import Annotated, Any, ParamSpec

from mcp.server import MCPServer
from mcp.server.mcpserver import Image
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import CallToolResult, ImageContent, TextContent, ToolAnnotations
from pydantic import Field
from starlette.types import ASGIApp, Receive, Scope, Send

from embedsearch import __version__
from embedsearch.analysis.compare import compare
from embedsearch.encoders import Encoder
from embedsearch.encoders.engines import QUERY
from embedsearch.encoders.vision.decode import ImageSource, open_rgb
from embedsearch.errors import EmbedsearchError, ItemError
from embedsearch.explain.explanation import Explanation
from embedsearch.explain.heatmap import overlay
from embedsearch.explain.shown import image_of
from embedsearch.index import Index
from embedsearch.modalities import UNITS, QueryForm
from embedsearch.query import AnyQuery, Mode, Row, Text, Word
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Unit
from embedsearch.results import Hit, Results
from embedsearch.serve import schemas
from embedsearch.serve.http.gate import Gate
from embedsearch.serve.http.problems import RefusedError, response
from embedsearch.serve.http.server import Server, Settings
from embedsearch.serve.http.work import Threads

MOST_HITS = 50
MOST_COMPARED = 20
MOST_INDEXES = 100
MOST_PARTS = 60  # of an explanation
ANSWER = 20_000  # characters of the texts of all hits, and of the text of one item
HIT = 2_000  # characters of the text of one hit, and of its fields
VALUE = 300  # characters of one field of a hit
BODY = 2**20  # bytes of a request
SECONDS = 120.0  # for a request
SIDE = 1024  # longest side of an image, in pixels
QUALITY = 85  # of JPEG
CUT_FIELDS = "Long values of fields are cut, and what does not fit is left out."

INSTRUCTIONS = (
    "embedsearch finds texts, images, sounds, videos, words and rows of tables by what they mean. Call "
    "list_indexes first: it names the indexes and their fields. A smaller distance means more related. The "
    "verdict nothing_close means that nothing in the index is about the query."
)

P = ParamSpec("P")
Name = Annotated[str, Field(description="The name of an index, from list_indexes.")]
Id = Annotated[str, Field(description="The id of an item, from the hits of a search.")]
Count = Annotated[int, Field(ge=1, le=MOST_HITS, description="How many hits.")]
Where = Annotated[
    str,
    Field(
        description="A filter over the fields, as in: topic = 'payments' and year >= 2024. Empty for none."
    ),
]
Asked = Annotated[
    str,
    Field(
        description="A text. For an index of words it is a sentence, for an index of rows values of columns, "
        "as in: price=20 colour=red"
    ),
]
Which = Annotated[
    int | str | None,
    Field(description="For an index of words: which word of the sentence, as its number from 1 or the word."),
]
Close = Annotated[
    bool, Field(description="Return only items that are close to the query; count says how many there are.")
]
Diverse = Annotated[bool, Field(description="Return items that differ from one another.")]
Rerank = Annotated[
    bool,
    Field(description="Order the first hits again, word by word. Good for long texts; takes about a second."),
]
Feedback = Annotated[
    bool, Field(description="Search a second time with the mean of the first 3 hits added to the query.")
]
Sort = Annotated[
    str,
    Field(description="A field to sort the hits by; - before it descends. Empty for the nearest first."),
]
By = Annotated[
    Mode | None,
    Field(
        description="For an index of texts: search by meaning (vector), by words such as names and numbers "
        "(lexical), or by both (hybrid). Leave it out for what suits the index."
    ),
]
Compared = Annotated[list[str], Field(min_length=2, max_length=MOST_COMPARED, description="The texts.")]
Basis = Annotated[str, Field(description="Compare by the model of this index. Empty for the default model.")]
Start = Annotated[int, Field(ge=0, description="Where in a long text to begin, in characters.")]


def make_server(server: Server) -> MCPServer[Any]:
    """Return an MCP server with the tools, on the indexes of `server`."""
    made: MCPServer[Any] = MCPServer(
        "embedsearch",
        version=__version__,
        instructions=INSTRUCTIONS,
        log_level="WARNING",
        subscriptions=False,  # a client would listen for as long as it likes, and nothing ever changes
    )
    tools = Tools(server)
    reads = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
    for tool in (
        tools.list_indexes, tools.search, tools.similar, tools.get_item, tools.explain, tools.compare,
    ):  # fmt: skip
        made.add_tool(tool, annotations=reads)
    return made


def make_app(settings: Settings) -> ASGIApp:
    """Return an MCP server that is asked over HTTP, at `/mcp`, as an ASGI app."""
    transport = make_server(Server(settings)).streamable_http_app(
        json_response=True,
        stateless_http=True,  # each request stands alone, so a restart loses no session
        # the gate checks the host and the origin
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )

    async def posted(scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse GET: it would wait, for as long as the client likes, for messages that never come."""
        if scope["type"] == "http" and scope["method"] == "GET":
            detail = "The tools are called by POST."
            refusal = response(HTTPStatus.METHOD_NOT_ALLOWED, detail, headers={"Allow": "POST"})
            await refusal(scope, receive, send)
        else:
            await transport(scope, receive, send)

    return Gate(
        posted,
        hosts=settings.hosts,
        origins=settings.origins,
        token=settings.token,
        most_bytes=BODY,
        seconds=SECONDS,
        observe=lambda *_: None,
    )


def _with_sentences(
    tool: Callable[P, Awaitable[CallToolResult]],
) -> Callable[P, Awaitable[CallToolResult]]:
    """Let the caller of a tool read the messages of errors that are raised on purpose."""

    @wraps(tool)
    async def called(*args: P.args, **kwargs: P.kwargs) -> CallToolResult:
        try:
            return await tool(*args, **kwargs)
        except (EmbedsearchError, RefusedError) as error:
            raise ToolError(str(error)) from error

    return called


class Tools:
    """The tools; their docstrings are the descriptions that a language model reads."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._default: Encoder | None = None  # the encoder of texts, once they are compared without an index

    async def _of(
        self, name: str, threads: Threads, work: Callable[[Index], CallToolResult]
    ) -> CallToolResult:
        """Return what `work` makes of an index in a thread."""
        return await self._server.held(name, lambda opened: threads.run(work, opened.index))

    @_with_sentences
    async def list_indexes(self) -> CallToolResult:
        """List the indexes: what each holds, how many items, and the fields that a filter may name."""
        values, notes = (await self._server.list()).printed(), []
        every = values["indexes"]
        values["indexes"] = every[:MOST_INDEXES]
        if len(every) > MOST_INDEXES:
            notes.append(f"The first {MOST_INDEXES} of {len(every):,} indexes are listed.")
        for each in values["indexes"]:
            if "fields" in each:
                each["fields"], is_cut = _small(each["fields"], HIT)
                notes += ["Not all fields are listed."] if is_cut else []
        return _answer(values, notes)

    @_with_sentences
    async def search(
        self,
        index: Name,
        query: Asked,
        k: Count = 10,
        where: Where = "",
        word: Which = None,
        close: Close = False,
        diverse: Diverse = False,
        mode: By = None,
        rerank: Rerank = False,
        feedback: Feedback = False,
        sort: Sort = "",
    ) -> CallToolResult:
        """Find the items of an index that are nearest to a text by what they mean, nearest first.

        Where texts are long their words count too: then the best comes first.
        """

        def found(opened: Index) -> CallToolResult:
            asked = _query(opened, query, word)
            results = opened.search(
                asked,
                k,
                where,
                close=close,
                diverse=diverse,
                mode=mode,
                rerank=rerank,
                feedback=feedback,
                sort=sort,
            )
            return _found(opened, results)

        return await self._of(index, self._server.search_threads, found)

    @_with_sentences
    async def similar(self, index: Name, id: Id, k: Count = 10, where: Where = "") -> CallToolResult:
        """Find the items of an index that are nearest to one of its items."""

        def found(opened: Index) -> CallToolResult:
            return _found(opened, opened.similar(id, k, where))

        return await self._of(index, self._server.search_threads, found)

    @_with_sentences
    async def get_item(self, index: Name, id: Id, start: Start = 0) -> CallToolResult:
        """Return an item with its fields: text or image, a frame of a video, the spectrogram of a sound."""
        return await self._of(index, self._server.heavy, lambda opened: _item(opened.get(id), start))

    @_with_sentences
    async def explain(self, index: Name, query: Asked, id: Id, word: Which = None) -> CallToolResult:
        """Show which words or columns of an item make it similar to a query; for an image, its heat map."""

        def explained(opened: Index) -> CallToolResult:
            return _explanation(opened, opened.explain(_query(opened, query, word), id))

        return await self._of(index, self._server.heavy, explained)

    @_with_sentences
    async def compare(self, texts: Compared, index: Basis = "") -> CallToolResult:
        """Return the distance of each text to each other, and the percent of random pairs farther apart."""
        if index:
            return await self._of(index, self._server.heavy, lambda opened: _compared(texts, opened))
        return await self._server.heavy.run(lambda: _compared(texts, None, self._encoder()))

    def _encoder(self) -> Encoder:
        """Return the default encoder of texts; the first call loads it."""
        recipe = EncoderRecipe(Unit.TEXT, precision="fp32", engine=QUERY)
        self._default = self._server.indexes.encoders.load(recipe)
        return self._default


def _query(index: Index, text: str, word: int | str | None) -> AnyQuery:
    """Return the query that a text is for an index."""
    if UNITS[index.manifest.unit].form is QueryForm.ROW:
        return Row.of(text)
    return Text(text) if word is None else Word(text, word)


def _found(index: Index, results: Results) -> CallToolResult:
    """Return the results of a search; the more hits, the less of the text and the fields of each."""
    values, notes = schemas.SearchOutput.of(index.manifest, results).printed(), []
    room = min(HIT, ANSWER // max(1, len(results)))
    for hit in values["hits"]:
        text, span = hit["text"], hit["span"]
        if text is not None and len(text) > room:
            # around the word that was found
            start = max(0, min(span[0] - room // 2, len(text) - room)) if span else 0
            hit["text"] = text[start : start + room]
            hit["span"] = span and [at - start for at in span]
            notes.append(f"Texts are cut to {room:,} characters; get_item has them whole.")
        hit["fields"], is_cut = _small(hit["fields"], room)
        notes += [CUT_FIELDS] if is_cut else []
    return _answer(values, notes)


def _item(hit: Hit, start: int) -> CallToolResult:
    """Return an item, its text from a character on."""
    values, notes, image = schemas.Hit.of(hit).model_dump(mode="json"), [], None
    values["fields"], is_cut = _small(values["fields"], ANSWER, ANSWER)
    notes += [CUT_FIELDS] if is_cut else []
    if hit.text is not None:
        values["text"] = hit.text[start : start + ANSWER]
        if len(values["text"]) < len(hit.text):
            notes.append(f"The text is cut: it has {len(hit.text):,} characters; these begin at {start:,}.")
    elif hit.path or hit.image:
        try:
            image = _small_image(image_of(hit))
        except (ItemError, OSError) as error:
            notes.append(f"It can't be shown: {error}")
    return _answer(values, notes, image)


def _explanation(index: Index, made: Explanation) -> CallToolResult:
    """Return an explanation, and the heat map of an image."""
    values, notes, image = schemas.ExplainOutput.of(index.manifest, made).printed(), [], None
    for key in ("tokens", "grid", "typical", "box"):  # the words and the heat map say the same
        del values[key]
    for key in ("words", "rest", "neighbours", "columns", "only_here", "only_asked"):
        if len(values[key]) > MOST_PARTS:
            values[key] = _greatest(values[key])
            notes.append(f"The {MOST_PARTS} {key} that count most are shown.")
    if made.drawn is not None:
        image = _small_image(overlay(image_of(index.get(made.id)), made.drawn, made.box))
    return _answer(values, notes, image)


def _compared(texts: list[str], index: Index | None, encoder: Encoder | None = None) -> CallToolResult:
    """Return a comparison of texts by the model of an index, or by an encoder."""
    made = schemas.Comparison.of(compare(texts, index=index, encoder=encoder))
    values = schemas.CompareOutput(comparisons=[made]).printed()
    labels = values["comparisons"][0]["labels"]
    values["comparisons"][0]["labels"] = [label[:VALUE] for label in labels]
    return _answer(values, ["Long texts are cut."] if any(len(each) > VALUE for each in labels) else [])


def _small(fields: dict[str, Any], room: int, longest: int = VALUE) -> tuple[dict[str, Any], bool]:
    """Return the fields that fit into `room` characters, in their order, and whether anything was cut."""
    kept: dict[str, Any] = {}
    for name, whole in fields.items():
        value = whole[:longest] if isinstance(whole, str) else whole
        size = len(dumps({name: value}, ensure_ascii=False))
        if size <= room:
            kept[name] = value
            room -= size
    return kept, kept != fields


def _greatest(parts: list[Any]) -> list[Any]:
    """Return the parts with the greatest scores, in their order; of what has no score the first."""
    scores = [abs(part["score"]) if isinstance(part, dict) and "score" in part else 0 for part in parts]
    best = sorted(range(len(parts)), key=lambda at: -scores[at])[:MOST_PARTS]
    return [parts[at] for at in sorted(best)]


def _small_image(source: ImageSource) -> ImageContent:
    """Return an image as a small JPEG.

    Raises:
        ItemError: it can't be read.
    """
    image, file = open_rgb(source, SIDE), io.BytesIO()
    image.thumbnail((SIDE, SIDE))
    image.save(file, "JPEG", quality=QUALITY)
    return Image(data=file.getvalue(), format="jpeg").to_image_content()


def _answer(
    values: dict[str, Any], notes: Sequence[str], image: ImageContent | None = None
) -> CallToolResult:
    """Return an answer as a JSON text, whose key `cut` says what was cut, and an image beside it."""
    if notes:
        values["cut"] = " ".join(dict.fromkeys(notes))
    text = TextContent(text=dumps(values, ensure_ascii=False))
    return CallToolResult(content=[text] if image is None else [text, image])
