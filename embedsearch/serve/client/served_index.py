"""An index of a server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, overload
from urllib.parse import quote

import numpy as np

from embedsearch.distances.metric import Metric, similarity
from embedsearch.distances.pairs import Closeness
from embedsearch.distances.verdict import Verdict
from embedsearch.errors import ServerError, UsageError
from embedsearch.modalities import UNITS, QueryForm
from embedsearch.query import (
    DEFAULT_K,
    RERANK_K,
    TOKENS,
    AnyQuery,
    By,
    Mode,
    SearchOptions,
    as_query,
    as_single,
    is_several,
)
from embedsearch.records import Content, Modality
from embedsearch.results import Hit, Passage, Results
from embedsearch.serve.client.bodies import body_of, filter_of, term_of
from embedsearch.serve.client.connection import Connection

if TYPE_CHECKING:
    from embedsearch.analysis.compare import Comparison
    from embedsearch.explain.explanation import Explanation, Part
    from embedsearch.store.manifest import Manifest

INDEXES = "/v1/indexes"
TOGETHER = 16  # queries that are asked at a time
# verbs of `Index` that need its files
ELSEWHERE = frozenset(
    {
        "add", "align", "answer", "calibrate", "changes", "delete", "diagnostics", "duplicates", "evaluate",
        "gc", "layout", "map", "rebuild", "rejected", "remove", "rollback", "tune", "verify", "versus",
    }
)  # fmt: skip


@dataclass(slots=True)
class ServedHit(Hit):
    """A hit of a server. Its `path` is one of the server's machine, and its `row` is -1.

    Attributes:
        gone: whether its file was gone when the server answered.
        read: gets the bytes of its file.
    """

    gone: bool = False
    read: Callable[[], bytes] | None = field(default=None, compare=False, repr=False)

    @property
    def is_gone(self) -> bool:
        """Whether its file was gone when the server answered."""
        return self.gone

    @property
    def content(self) -> Content | None:
        """The item itself: its text (str), or the bytes of its file, fetched now; None for a vector.

        Raises:
            ItemNotFoundError, ServerError: the server has it no more, or does not answer.
        """
        if self.text is not None or self.read is None:
            return self.text
        return None if self.modality in (Modality.VECTOR, Modality.ROW) else self.read()


class ServedIndex:
    """An index of a server, with the verbs of an open `Index` that ask and change nothing.

    They take what those of `Index` take, and return and raise the same. A filter is a text or a dict; values
    of fields that are dates are ISO texts. Threads may share it. As a context it closes its connections.
    """

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection, self.name = connection, name
        self._path = f"{INDEXES}/{quote(name, safe='')}"
        _ = self._info  # fails now where there is no such index

    def __repr__(self) -> str:
        found = f"{self.answers:,} {UNITS[self.manifest.unit].plural}"
        return f"<ServedIndex {self.name!r} at {self._connection.shown}: {found}>"

    def __len__(self) -> int:
        return self.manifest.count

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getattr__(self, name: str) -> Any:
        if name in ELSEWHERE:
            raise UsageError(
                f"A server answers searches and changes nothing: `{name}` works where the index "
                f"{self.name!r} lies, with embedsearch.open."
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def close(self) -> None:
        """Close the connections to the server."""
        self._connection.close()

    @cached_property
    def _info(self) -> dict[str, Any]:
        return self._connection.get(self._path)

    @cached_property
    def manifest(self) -> Manifest:
        """What the index was made from and what it held when it was connected to, without its files.

        Raises:
            ServerError: the server is of another version, which says more.
        """
        from embedsearch.store.manifest import Manifest

        found = self._info
        same = (
            "build", "created", "version", "unit", "metric", "backend", "count", "dimension", "encoder",
            "recipe", "fields", "report", "changes", "additions",
        )  # fmt: skip
        try:
            return Manifest.from_json(
                {
                    "name": found["index"],
                    "index": found["search"],
                    "files": {},
                    **{key: found[key] for key in same},
                }
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ServerError(
                f"What the server at {self._connection.shown} says of {self.name!r} can't be read by this "
                f"version of embedsearch: {error}."
            ) from None

    @property
    def answers(self) -> int:
        """How many different hits there can be: records of sounds and videos, else items."""
        return int(self._info["answers"])

    @property
    def about(self) -> str:
        """How texts find images here, or images texts, as half a sentence; empty where they do not."""
        bridge = self._info["bridge"]
        return str(bridge["about"]) if bridge else ""

    def info(self) -> Manifest:
        """Return what the index was made from and what it holds, without its files."""
        return self.manifest

    @overload
    def search(
        self,
        query: list[str] | list[AnyQuery] | list[list[float]],
        k: int | None = ...,
        where: str | Mapping[str, Any] | None = ...,
        strictness: float | None = ...,
        *,
        fold: bool = ...,
        close: bool = ...,
        diverse: bool = ...,
        feedback: bool = ...,
        rerank: bool | int | str = ...,
        rerank_k: int = ...,
        sort: str = ...,
        facets: Sequence[str] = ...,
        mode: Mode | None = ...,
        by: By = ...,
    ) -> list[Results]: ...
    @overload
    def search(
        self,
        query: Any,
        k: int | None = ...,
        where: str | Mapping[str, Any] | None = ...,
        strictness: float | None = ...,
        *,
        fold: bool = ...,
        close: bool = ...,
        diverse: bool = ...,
        feedback: bool = ...,
        rerank: bool | int | str = ...,
        rerank_k: int = ...,
        sort: str = ...,
        facets: Sequence[str] = ...,
        mode: Mode | None = ...,
        by: By = ...,
    ) -> Results: ...
    def search(
        self,
        query: Any,
        k: int | None = None,
        where: str | Mapping[str, Any] | None = None,
        strictness: float | None = None,
        *,
        fold: bool = True,
        close: bool = False,
        diverse: bool = False,
        feedback: bool = False,
        rerank: bool | int | str = "",
        rerank_k: int = RERANK_K,
        sort: str = "",
        facets: Sequence[str] = (),
        mode: Mode | None = None,
        by: By = "record",
    ) -> Results | list[Results]:
        """Return the `k` nearest items; arguments, results and errors as `Index.search`.

        Queries of a list are asked side by side. A server re-ranks by tokens alone, and of what is close it
        sends 1,000 hits at most.

        Raises:
            ServerError: the server does not answer.
        """
        options = SearchOptions(
            k, None, strictness, fold, close, diverse, feedback, rerank, rerank_k, sort, facets, mode, by
        )
        if options.rerank not in ("", TOKENS):
            raise UsageError("A server re-ranks by tokens alone, not by a cross-encoder: give rerank=True.")
        rest = {
            "k": None if k is None else int(k),
            "where": filter_of(where),
            "strictness": strictness,
            "fold": fold,
            "by": by,
            "close": close,
            "diverse": diverse,
            "feedback": feedback,
            "rerank": options.rerank_k if options.rerank else 0,
            "sort": sort,
            "facets": list(options.facets),
            "mode": mode,
        }
        queries = [as_query(each) for each in query] if is_several(query) else [as_query(query)]
        bodies = [{**body_of(each), **rest} for each in queries]
        if not is_several(query):
            return self._found("search", bodies[0])
        with ThreadPoolExecutor(TOGETHER) as threads:
            return list(threads.map(lambda body: self._found("search", body), bodies))

    def similar(self, id: str, k: int = DEFAULT_K, where: str | Mapping[str, Any] | None = None) -> Results:
        """Return the `k` items nearest to an item, itself left out; see `Index.similar`."""
        return self._found("similar", {"item": id, "k": int(k), "where": filter_of(where)})

    def get(self, id: str) -> Hit:
        """Return an item by its id: a `Hit` of rank 0 and distance 0.

        Raises:
            ItemNotFoundError: there is none of that id.
            ServerError: the server does not answer.
        """
        found = self._connection.get(f"{self._path}/items/{_segment(id)}")
        return self._hit(found["item"], self.manifest.metric)

    def explain(self, query: Any, hit: Hit | str) -> Explanation:
        """Return which words or patches of a hit made its similarity; see `Index.explain`.

        The server does not tell norms (they are nan), the scores of all tokens in one list, and where two
        views of an image overlap.
        """
        from embedsearch.explain.explanation import ColumnPart, Explanation

        asked = hit.item if isinstance(hit, Hit) else hit
        made = self._connection.post(f"{self._path}/explain", {**body_of(as_query(query)), "hit": asked})
        grids = {
            name: None if made[name] is None else np.array(made[name], np.float32)
            for name in ("grid", "typical")
        }
        return Explanation(
            id=made["id"],
            kind=QueryForm(made["kind"]),
            metric=Metric(made["metric"]),
            score=made["score"],
            similarity=made["similarity"],
            recomputed=made["recomputed"],
            stored=made["stored"],
            query_norm=np.nan,
            norm=np.nan,
            scores=np.zeros(0, np.float32),
            tokens=_parts(made["tokens"]),
            words=_parts(made["words"]),
            rest=_parts(made["rest"]),
            exact=made["exact"],
            note=made["note"],
            grid=grids["grid"],
            typical=grids["typical"],
            box=tuple(made["box"] or (0.0, 0.0, 1.0, 1.0)),
            neighbours=_parts(made["neighbours"]),
            only_here=tuple(made["only_here"]),
            only_asked=tuple(made["only_asked"]),
            columns=tuple(
                ColumnPart(each["name"], each["asked"], each["held"], each["apart"], each["typical"])
                for each in made["columns"]
            ),
        )

    def compare(self, things: Sequence[Any]) -> Comparison:
        """Compare two or more texts or images by the model of the index; see `embedsearch.compare`."""
        from embedsearch.analysis.compare import Comparison

        asked = [term_of(as_single(thing)) for thing in things]
        (made,) = self._connection.post(f"{self._path}/compare", {"things": asked})["comparisons"]
        percentiles = made["percentiles"]
        return Comparison(
            labels=tuple(made["labels"]),
            distances=np.array(made["distances"], np.float32),
            percentiles=None if percentiles is None else np.array(percentiles, np.float32),
            pairs=None,
            metric=Metric(made["metric"]),
            model=made["model"],
            pooling=made["pooling"],
            layers=tuple(made["layers"]),
            by=made["by"],
        )

    def _found(self, verb: str, body: Mapping[str, Any]) -> Results:
        """Return the results of a search."""
        found = self._connection.post(f"{self._path}/{verb}", body)
        metric = Metric(found["metric"])
        return Results(
            hits=[self._hit(each, metric) for each in found["hits"]],
            metric=metric,
            verdict=Verdict(found["verdict"]) if found["verdict"] else None,
            foreign_rate=found["foreign_rate"],
            reason=found["reason"],
            note=found["note"],
            by=found["by"],
            truncated=found["truncated"],
            unknown=found["unknown"],
            limit=found["limit"],
            close=found["close"],
            found=found["count"],
            order=found["order"],
            feedback=found["feedback"],
            facets={
                name: [(each["value"], each["count"]) for each in counts]
                for name, counts in found["facets"].items()
            },
            mode=found["mode"],
            weight=found["weight"],
        )

    def _hit(self, found: Mapping[str, Any], metric: Metric) -> ServedHit:
        """Return a hit of its JSON object."""
        span, moment, identity = found["span"], found["moment"], found["id"]
        passage = found["passage"]
        path = f"{self._path}/content/{_segment(identity)}"
        return ServedHit(
            rank=found["rank"],
            id=identity,
            row=-1,
            distance=found["distance"],
            similarity=similarity(found["distance"], metric),
            modality=Modality(found["modality"]),
            text=found["text"],
            path=found["path"],
            span=span and (span[0], span[1]),
            fields=found["fields"],
            percentile=found["percentile"],
            label=Closeness(found["closeness"]) if found["closeness"] else None,
            human_score=found["score"],
            unknown=found["unknown"],
            found_by=found["found_by"],
            copies=found["copies"],
            moment=moment and (moment[0], moment[1]),
            rerank_score=found["rerank_score"],
            lit=tuple((start, end) for start, end in found["lit"]),
            bm25=found["bm25"],
            passage=passage and Passage(**{**passage, "span": (passage["span"][0], passage["span"][1])}),
            gone=found["gone"],
            read=lambda: self._connection.request("GET", path).content,
        )


def _segment(identity: str) -> str:
    """Return an id as one part of a path; dots alone would name the folder, or the one above it."""
    return quote(identity, safe="") if identity.strip(".") else "%2E" * len(identity)


def _parts(found: Sequence[Mapping[str, Any]]) -> tuple[Part, ...]:
    """Return the parts of an explanation."""
    from embedsearch.explain.explanation import Part

    return tuple(
        Part(each["text"], each["span"] and (each["span"][0], each["span"][1]), each["score"])
        for each in found
    )
