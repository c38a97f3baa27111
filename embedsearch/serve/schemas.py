"""The JSON that other programs read: what `--json` prints, by command, and what the server answers.

A key that was not asked for is left out; all others are always there. Parts of a manifest have the keys that
they have on disk.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, InstanceOf, PlainSerializer

from embedsearch.analysis.compare import Comparison as Compared
from embedsearch.analysis.duplicates import Duplicates, Group, Member
from embedsearch.analysis.side_by_side import SideBySide
from embedsearch.backends.facts import IndexFacts
from embedsearch.crossmodal import Crossmodal
from embedsearch.disk.facts import to_json
from embedsearch.distances.scale import Scale
from embedsearch.explain import explanation
from embedsearch.indexing.changes import Changes
from embedsearch.modalities import UNITS
from embedsearch.models.catalog import KnownModel
from embedsearch.models.facts import EncoderFacts
from embedsearch.records import Value
from embedsearch.results import Hit as Found
from embedsearch.results import Results
from embedsearch.store.build import Build
from embedsearch.store.facts import (
    AlignFacts,
    Artifacts,
    BuildReport,
    CentringFacts,
    MapFacts,
    ScaleFacts,
    SourceChanges,
    TextModelFacts,
)
from embedsearch.store.manifest import Manifest

VERSION = 1  # of this format

Part = TypeVar("Part")
# a part of a manifest, with its keys on disk
Stored = Annotated[InstanceOf[Part], PlainSerializer(to_json, return_type=Any)]
# what changed in a source; an empty object where nothing was compared
Changed = Annotated[
    InstanceOf[SourceChanges] | None, PlainSerializer(lambda facts: to_json(facts) or {}, return_type=Any)
]


class Model(BaseModel):
    """A JSON object."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _with_version(schema: dict[str, Any]) -> None:
    """Add the version that `Output.printed` puts in front to a JSON schema."""
    schema["properties"] = {"schema": {"const": VERSION}, **schema.get("properties", {})}


class Output(Model):
    """What a command prints: one JSON object, with the version of its format in front."""

    model_config = ConfigDict(json_schema_extra=_with_version)

    def printed(self) -> dict[str, Any]:
        """Return the object as JSON values; keys that were not set are left out."""
        return {"schema": VERSION, **self.model_dump(mode="json", exclude_unset=True)}


class Built(Output):
    """An index that `build` or `rebuild` made, or found up to date."""

    index: str
    build: str
    unit: str
    count: int
    metric: str
    backend: str
    recall: float
    report: Stored[BuildReport]
    changes: Changed
    published: bool = True

    @classmethod
    def of(cls, build: Build, changes: SourceChanges | None) -> Self:
        """Describe a build; `changes` is what changed in its source."""
        manifest = build.manifest
        return cls(
            index=manifest.name,
            build=manifest.build,
            unit=manifest.unit,
            count=manifest.count,
            metric=manifest.metric,
            backend=manifest.backend,
            recall=manifest.index.recall,
            report=manifest.report,
            changes=changes,
        )

    def with_published(self, published: bool) -> Self:
        """Return the same, with whether a new build was published."""
        return self.model_copy(update={"published": published})


class DemoOutput(Output):
    """`demo`: the indexes of the demo."""

    indexes: list[Built]


class DryRunOutput(Output):
    """`rebuild --dry-run`: what a rebuild would do."""

    index: str
    dry_run: bool
    changes: dict[str, Any]

    @classmethod
    def of(cls, index: str, changes: Changes) -> Self:
        """Describe what would change; how far neighbours move is not known."""
        values = to_json(changes.facts())
        del values["neighbours_kept"]
        values["examples"] = {**values["examples"], "removed": values["examples"].get("removed", [])}
        return cls(index=index, dry_run=True, changes=values)


class Passage(Model):
    """A stretch of a long text."""

    text: str
    span: tuple[int, int]
    page: int | None
    heading: str


class Hit(Model):
    """An item that a search found; an image's bytes are left out."""

    rank: int
    id: str
    distance: float
    modality: str
    text: str | None
    path: str | None
    span: tuple[int, int] | None
    fields: dict[str, Any]
    percentile: float | None
    closeness: str | None
    score: float | None
    unknown: float
    gone: bool
    found_by: str
    copies: int
    moment: tuple[float, float] | None
    rerank_score: float | None
    lit: list[tuple[int, int]]
    bm25: float | None
    passage: Passage | None

    @classmethod
    def of(cls, hit: Found) -> Self:
        """Describe a hit."""
        return cls(
            rank=hit.rank,
            id=hit.id,
            distance=hit.distance,
            modality=hit.modality,
            text=hit.text,
            path=hit.path,
            span=hit.span,
            fields={name: _plain(value) for name, value in hit.fields.items()},
            percentile=hit.percentile,
            closeness=hit.label,
            score=hit.human_score,
            unknown=round(hit.unknown, 4),
            gone=hit.is_gone,
            found_by=hit.found_by,
            copies=hit.copies,
            moment=hit.moment,
            rerank_score=hit.rerank_score,
            lit=list(hit.lit),
            bm25=hit.bm25,
            passage=None if hit.passage is None else Passage(**asdict(hit.passage)),
        )


def _plain(value: Value | None) -> Any:
    """Return a field's value as JSON has it: dates as ISO text; no NaN and no infinity."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.isoformat() if isinstance(value, date) else value


class Vote(Model):
    """What the hits say that the query is, by their labels."""

    value: str
    count: int
    total: int
    counts: dict[str, int]

    @classmethod
    def of(cls, results: Results) -> Self | None:
        """Describe the vote of the hits; None where they have no labels."""
        vote = results.vote()
        if vote is None:
            return None
        return cls(value=vote.value, count=vote.count, total=vote.total, counts=vote.counts)


class FacetValue(Model):
    """A value of a field, and how many of what was found have it; null for no value."""

    value: Any
    count: int


class SearchOutput(Output):
    """`search`: the hits of a query, nearest first unless another order was asked for."""

    index: str
    build: str
    metric: str
    by: str
    verdict: str | None
    foreign_rate: float | None
    reason: str
    note: str
    truncated: bool
    unknown: float
    limit: float | None
    close: bool
    count: int
    order: str
    feedback: bool
    facets: dict[str, list[FacetValue]]
    mode: str
    weight: float | None
    vote: Vote | None
    hits: list[Hit]

    @classmethod
    def of(cls, manifest: Manifest, results: Results) -> Self:
        """Describe the results of a query."""
        return cls(
            index=manifest.name,
            build=manifest.build,
            metric=results.metric,
            by=results.by,
            verdict=results.verdict,
            foreign_rate=results.foreign_rate,
            reason=results.reason,
            note=results.note,
            truncated=results.truncated,
            unknown=round(results.unknown, 4),
            limit=results.limit,
            close=results.close,
            count=results.found,
            order=results.order,
            feedback=results.feedback,
            facets={
                name: [FacetValue(value=_plain(value), count=count) for value, count in counts]
                for name, counts in results.facets.items()
            },
            mode=results.mode,
            weight=results.weight,
            vote=Vote.of(results) if UNITS[manifest.unit].votes else None,
            hits=[Hit.of(hit) for hit in results.hits],
        )


class ItemOutput(Output):
    """An item of an index by its id: a hit of rank 0 and distance 0."""

    index: str
    build: str
    item: Hit

    @classmethod
    def of(cls, manifest: Manifest, hit: Found) -> Self:
        """Describe an item."""
        return cls(index=manifest.name, build=manifest.build, item=Hit.of(hit))


class ExplainedPart(Model):
    """A word, a token, or what stands for no place in the item."""

    text: str
    span: tuple[int, int] | None
    score: float

    @classmethod
    def all_of(cls, parts: Sequence[explanation.Part]) -> list[Self]:
        """Describe parts of an explanation."""
        return [cls(text=part.text, span=part.span, score=part.score) for part in parts]


class ExplainedColumn(Model):
    """A column of a row: both values, what it adds to the distance (its square for l2), and usually adds."""

    name: str
    asked: str | None
    held: str
    apart: float
    typical: float

    @classmethod
    def of(cls, part: explanation.ColumnPart) -> Self:
        """Describe a column."""
        return cls(name=part.name, asked=part.asked, held=part.held, apart=part.apart, typical=part.typical)


class ExplainOutput(Output):
    """`explain`: which words or patches make the similarity of a hit."""

    index: str
    build: str
    id: str
    kind: str
    metric: str
    score: float
    similarity: float
    recomputed: float
    stored: float
    exact: bool
    note: str
    words: list[ExplainedPart]
    tokens: list[ExplainedPart]
    rest: list[ExplainedPart]
    grid: list[list[float]] | None
    typical: list[list[float]] | None
    box: tuple[float, float, float, float] | None
    neighbours: list[ExplainedPart]
    only_here: list[str]
    only_asked: list[str]
    columns: list[ExplainedColumn]

    @classmethod
    def of(cls, manifest: Manifest, made: explanation.Explanation) -> Self:
        """Describe an explanation."""
        return cls(
            index=manifest.name,
            build=manifest.build,
            id=made.id,
            kind=made.kind,
            metric=made.metric,
            score=made.score,
            similarity=made.similarity,
            recomputed=made.recomputed,
            stored=made.stored,
            exact=made.exact,
            note=made.note,
            words=ExplainedPart.all_of(made.words),
            tokens=ExplainedPart.all_of(made.tokens),
            rest=ExplainedPart.all_of(made.rest),
            grid=None if made.grid is None else made.grid.tolist(),
            typical=None if made.typical is None else made.typical.tolist(),
            box=None if made.grid is None else made.box,
            neighbours=ExplainedPart.all_of(made.neighbours),
            only_here=list(made.only_here),
            only_asked=list(made.only_asked),
            columns=[ExplainedColumn.of(each) for each in made.columns],
        )


class Comparison(Model):
    """How far things are apart by one model, pooling and layer; both tables are (n, n)."""

    labels: list[str]
    distances: list[list[float]]
    percentiles: list[list[float]] | None
    pairs_of: str
    metric: str
    model: str
    pooling: str
    layers: list[int]
    by: str

    @classmethod
    def of(cls, compared: Compared) -> Self:
        """Describe a comparison, distances to 6 digits, percentiles to 4."""
        percentiles = compared.percentiles
        return cls(
            labels=list(compared.labels),
            distances=compared.distances.astype(float).round(6).tolist(),
            percentiles=None if percentiles is None else percentiles.astype(float).round(4).tolist(),
            pairs_of=compared.pairs_of,
            metric=compared.metric,
            model=compared.model,
            pooling=compared.pooling,
            layers=list(compared.layers),
            by=compared.by,
        )


class CompareOutput(Output):
    """`compare`: a comparison for each pooling and each layer."""

    comparisons: list[Comparison]


class Difference(Model):
    """What two indexes differ in: what it is called, and how it is in each."""

    name: str
    index: str
    versus: str


class VersusOutput(Output):
    """`versus`: the answers of two indexes to one query."""

    index: str
    build: str
    versus: str
    versus_build: str
    overlap: float
    rank_biased_overlap: float
    differs: list[Difference]
    notes: list[str]
    pairs: list[tuple[int, int]]
    hits: list[Hit]
    versus_hits: list[Hit]

    @classmethod
    def of(cls, left: Manifest, right: Manifest, found: SideBySide) -> Self:
        """Describe the answers of two indexes."""
        return cls(
            index=left.name,
            build=left.build,
            versus=right.name,
            versus_build=right.build,
            overlap=found.overlap,
            rank_biased_overlap=found.rbo,
            differs=[Difference(name=name, index=here, versus=there) for name, here, there in found.differs],
            notes=list(found.notes),
            pairs=[(here + 1, there + 1) for here, there in found.pairs],
            hits=[Hit.of(hit) for hit in found.left],
            versus_hits=[Hit.of(hit) for hit in found.right],
        )


class ScaleWord(Model):
    """A word for distances, up to which distance it is used, and what that distance means."""

    word: str
    up_to: float
    percentile: float
    score: float | None


class CalibrateOutput(Output):
    """`calibrate`: the distance scale of an index."""

    index: str
    build: str
    scale: Stored[ScaleFacts]
    words: list[ScaleWord]

    @classmethod
    def of(cls, build: Build, facts: ScaleFacts, scale: Scale) -> Self:
        """Describe the scale of a build."""
        words = [
            ScaleWord(
                word=word, up_to=end, percentile=scale.pairs.percentile(end), score=scale.human_score(end)
            )
            for end, word in scale.pairs.labels
        ]
        return cls(index=build.manifest.name, build=build.manifest.build, scale=facts, words=words)


class AlignOutput(Output):
    """`align`: how well texts find the images of an index."""

    index: str
    build: str
    text: Stored[TextModelFacts]
    align: Stored[AlignFacts]


class ListedIndex(Model):
    """An index in a list; of a damaged one only its name and the error."""

    name: str
    unit: str = ""
    count: int = 0
    dimension: int = 0
    metric: str = ""
    model: str = ""
    created: str = ""
    fields: dict[str, str] = {}
    error: str = ""

    @classmethod
    def of(cls, name: str, manifest: Manifest) -> Self:
        """Describe an index that can be read."""
        return cls(
            name=name,
            unit=manifest.unit,
            count=manifest.count,
            dimension=manifest.dimension,
            metric=manifest.metric,
            model=manifest.encoder.spec.model,
            created=manifest.created,
            fields=dict(manifest.fields),
        )


class ListOutput(Output):
    """`list`: the indexes of a folder."""

    folder: str
    indexes: list[ListedIndex]

    @classmethod
    def of(cls, folder: Path, found: Mapping[str, Manifest | str]) -> Self:
        """Describe the indexes of a folder; see `embedsearch.store.build.manifests`."""
        listed = [
            ListedIndex(name=name, error=each) if isinstance(each, str) else ListedIndex.of(name, each)
            for name, each in found.items()
        ]
        return cls(folder=str(folder), indexes=listed)


class Bridge(Model):
    """What lets an index be asked with what it does not hold."""

    by: str
    about: str
    asks: str
    model: str

    @classmethod
    def of(cls, crossmodal: Crossmodal) -> Self:
        """Describe it."""
        return cls(by=crossmodal.by, about=crossmodal.about, asks=crossmodal.asks, model=crossmodal.model)


class InfoOutput(Output):
    """`info`: all about an index."""

    index: str
    build: str
    created: str
    version: str
    unit: str
    count: int
    answers: int
    dimension: int
    metric: str
    backend: str
    search: Stored[IndexFacts]
    bridge: Bridge | None
    changes: Changed
    additions: Stored[Artifacts]
    bytes: int
    fields: dict[str, str]
    encoder: Stored[EncoderFacts]
    recipe: dict[str, Any]
    report: Stored[BuildReport]
    centring: Stored[CentringFacts] | None
    quarantine: list[dict[str, Any]] = []
    diagnostics: dict[str, Any] = {}

    @classmethod
    def of(
        cls,
        name: str,
        build: Build,
        crossmodal: Crossmodal | None,
        rejected: list[dict[str, Any]] | None,
        diagnostics: dict[str, Any] | None,
    ) -> Self:
        """Describe an index; what was rejected and the diagnostics only where they were asked for."""
        manifest = build.manifest
        made = cls(
            index=name,
            build=manifest.build,
            created=manifest.created,
            version=manifest.version,
            unit=manifest.unit,
            count=manifest.count,
            answers=build.answers,
            dimension=manifest.dimension,
            metric=manifest.metric,
            backend=manifest.backend,
            search=manifest.index,
            bridge=Bridge.of(crossmodal) if crossmodal else None,
            changes=manifest.changes,
            additions=_with_rates(build),
            bytes=build.bytes_on_disk,
            fields=dict(manifest.fields),
            encoder=manifest.encoder,
            recipe=manifest.to_json()["recipe"],
            report=manifest.report,
            centring=manifest.centring,
        )
        asked_for = {"quarantine": rejected, "diagnostics": diagnostics}
        return made.model_copy(update={key: each for key, each in asked_for.items() if each is not None})


def _with_rates(build: Build) -> Artifacts:
    """Return what a build's manifest says of its artifacts, and the rates of verdicts as they are now."""
    from embedsearch.artifacts.scale import with_rates

    artifacts, scale = build.manifest.artifacts, build.scale
    if artifacts.scale is None or scale is None:
        return artifacts
    return replace(artifacts, scale=with_rates(artifacts.scale, scale))


class EvalOutput(Output):
    """`eval`: recall, latency in milliseconds, sizes in bytes, and quality where there are judgements."""

    index: str
    build: str
    backend: str
    count: int
    dimension: int
    asked: str
    recall: float
    recall_when_built: float
    latency: dict[str, float]
    bytes: int
    bytes_of_files: dict[str, int]
    filters: list[dict[str, int | float]] = []
    labels: dict[str, str | float] = {}
    vote: dict[str, Any] = {}
    rejected: list[dict[str, str]] = []
    judged: dict[str, int | float] = {}
    tuned: dict[str, Any] = {}
    pairs: dict[str, int | float] = {}


class Duplicate(Model):
    """An item of a group of copies, and its distance to the item that is kept."""

    id: str
    row: int
    distance: float

    @classmethod
    def of(cls, member: Member) -> Self:
        """Describe a member of a group."""
        return cls(id=member.id, row=member.row, distance=member.distance)


class DuplicateGroup(Model):
    """Items that are copies of one another; `keep` is the id of the one to keep."""

    exact: bool
    members: list[Duplicate]
    distance: float
    keep: str

    @classmethod
    def of(cls, group: Group) -> Self:
        """Describe a group."""
        return cls(
            exact=group.exact,
            members=[Duplicate.of(each) for each in group.members],
            distance=group.distance,
            keep=group.members[0].id,
        )


class DuplicatesOutput(Output):
    """`dupes`: groups of copies; `others` are the ids of all that is not kept."""

    index: str
    build: str
    metric: str
    threshold: float
    auto: bool
    keep: str
    count: int
    groups: list[DuplicateGroup]
    others: list[str]
    checked: bool
    similar: list[DuplicateGroup]

    @classmethod
    def of(cls, found: Duplicates) -> Self:
        """Describe the copies in an index."""
        return cls(
            index=found.index,
            build=found.build,
            metric=found.metric,
            threshold=found.threshold,
            auto=found.auto,
            keep=found.keep,
            count=found.count,
            groups=[DuplicateGroup.of(group) for group in found.groups],
            others=found.others(),
            checked=found.checked,
            similar=[DuplicateGroup.of(group) for group in found.similar],
        )


class MapOutput(Output):
    """`map`: where the coordinates are, and what two dimensions cost."""

    index: str
    build: str
    coordinates: str
    method: str
    explained: list[float] | None
    laid_out: int
    preserved: float
    neighbours: int
    measured: int
    moved: dict[str, Any] | None
    clusters: list[dict[str, Any]]

    @classmethod
    def of(cls, manifest: Manifest, coordinates: str, facts: MapFacts) -> Self:
        """Describe a map by its facts, without its settings and files."""
        values = {key: value for key, value in to_json(facts).items() if key not in ("settings", "files")}
        return cls(index=manifest.name, build=manifest.build, coordinates=coordinates, **values)


class VerifiedBuild(Model):
    """A build and what is wrong with it; empty where it is whole."""

    build: str
    error: str


class VerifyOutput(Output):
    """`verify`: every build of an index."""

    index: str
    builds: list[VerifiedBuild]


class RollbackOutput(Output):
    """`rollback` and `fetch`: the build that is current now."""

    index: str
    build: str
    created: str
    count: int


class CollectOutput(Output):
    """`gc`: the builds that were deleted, and their bytes together; of the cache, the bytes alone."""

    index: str | None
    removed: list[str]
    bytes: int
    cache_bytes: int = 0


class RemoveOutput(Output):
    """`remove`: the index that was deleted, and the folder that held it."""

    removed: str
    folder: str


class ListedModel(Model):
    """A model that is known by name."""

    name: str
    modality: str
    dimension: int
    pooling: str
    max_length: int | None
    licence: str
    megabytes: int
    package: str
    weights: str
    sha256: str
    preprocessing: str
    query_prompt: str
    passage_prompt: str
    bundled: bool

    @classmethod
    def of(cls, row: KnownModel) -> Self:
        """Describe a row of the catalogue."""
        return cls(
            name=row.name,
            modality=row.modality,
            dimension=row.dimension,
            pooling=row.pooling,
            max_length=row.max_length,
            licence=row.licence,
            megabytes=row.megabytes,
            package=row.package,
            weights=row.weights,
            sha256=row.sha256,
            preprocessing=row.preprocessing,
            query_prompt=row.query_prompt,
            passage_prompt=row.passage_prompt,
            bundled=bool(row.package),
        )


class ModelsOutput(Output):
    """`models`: the models that are known by name."""

    models: list[ListedModel]


class EngineRate(Model):
    """How fast an engine runs models of a kind in a precision on this machine."""

    kind: str
    engine: str
    precision: str
    rate: float


class RatesOutput(Output):
    """`models --here`: what was measured on this machine, the fastest of each kind first."""

    here: list[EngineRate]


class Embedding(Model):
    """A vector of OpenAI's answer: numbers, or base64 of little-endian float32."""

    object: str = "embedding"
    index: int
    embedding: list[float] | str


class Usage(Model):
    """How many tokens were read."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsOutput(Model):
    """OpenAI's answer to a request for embeddings, in the order of the texts."""

    object: str = "list"
    data: list[Embedding]
    model: str
    usage: Usage


class Status(Model):
    """Whether the server lives, and whether it answers queries."""

    status: str


class Problem(Model):
    """Why a request failed, as in RFC 9457; `detail` is the sentence that people read.

    `message` is the same once more, where OpenAI's client looks for it.
    """

    type: str
    title: str
    status: int
    detail: str
    message: str
