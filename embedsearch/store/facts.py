"""The parts of a manifest: what it says of a build, of its source, and of each artifact.

The keys on disk are those of embedsearch 0.6; see `embedsearch.disk.facts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from embedsearch.backends.facts import IndexFacts
from embedsearch.disk.facts import stored


@dataclass(frozen=True, slots=True)
class BuildReport:
    """Counts and seconds of a build.

    Attributes:
        entries: what the source yielded, rejected entries included.
        records: entries that the source could read.
        items: vectors.
        reused: vectors taken from the build before.
        rejected: entries, or single sentences of one, that have no vector.
        truncated: texts cut at the model's limit.
        lost_words: words that have no vector: they lie beyond that limit, or the model does not know them.
        waited: seconds spent waiting for input.
        computed: seconds spent in the model.
        seconds: seconds of the whole build.
        passed_over: how many files of the source are not read, by kind, such as ".pdf".
        unknown: texts of which the model does not know more than a third.
        notes: what a person should know of how the source was read, and of what was done to show what images
            hold; sentences.
    """

    entries: int
    records: int
    items: int
    reused: int
    rejected: int
    truncated: int
    lost_words: int
    waited: float
    computed: float
    seconds: float
    unknown: int = field(default=0, metadata=stored(optional=True))
    passed_over: Mapping[str, int] = field(default_factory=dict, metadata=stored(optional=True))
    notes: tuple[str, ...] = field(default=(), metadata=stored(optional=True))

    @property
    def passed(self) -> str:
        """What was passed over, most first, as in "12 .pdf, 3 .html"; empty for nothing."""
        from embedsearch.sources.paths import listed

        return listed(self.passed_over)


@dataclass(frozen=True, slots=True)
class NeighboursKept:
    """How many of their 10 nearest neighbours items kept from one build to the next.

    Attributes:
        share: 0 to 1; None where no item was kept.
        sample: number of items measured.
    """

    share: float | None
    sample: int


@dataclass(frozen=True, slots=True)
class SourceChanges:
    """What changed in the source since the build before, counted in records.

    Attributes:
        added: new ones.
        changed: known ones with another content or other fields.
        removed: ones that are gone.
        unchanged: ones that are the same.
        rejected: entries that can't be read or embedded.
        to_embed: records whose content the build before had no vector of.
        examples: a few ids of each kind of change.
        neighbours_kept: how far neighbours moved; None where it was not measured.
    """

    added: int
    changed: int
    removed: int
    unchanged: int
    rejected: int = field(metadata=stored("quarantined"))
    to_embed: int
    examples: Mapping[str, tuple[str, ...]]
    neighbours_kept: NeighboursKept | None


@dataclass(frozen=True, slots=True)
class BackgroundFacts:
    """The unrelated queries of a scale: where they are from, and their number."""

    of: str
    count: int


@dataclass(frozen=True, slots=True)
class JudgedFacts:
    """Pairs of texts that people judged.

    Attributes:
        of: the file that holds them.
        pairs: their number.
        spearman: rank correlation of the index's distances with the scores, -1 to 1.
        lowest: the lowest score.
        highest: the highest score.
    """

    of: str
    pairs: int
    spearman: float
    lowest: float
    highest: float


@dataclass(frozen=True, slots=True)
class OwnFacts:
    """Queries that belong to an index, which a person gave to set the limit by.

    Attributes:
        of: the file that holds them.
        count: their number.
        allowed: share (0 to 1) of them that may be told that nothing is close.
        lost: share of them that is told so, by a limit that was set with the other half of them.
        flagged: share of the unrelated queries that is told so, by the same limits.
    """

    of: str
    count: int
    allowed: float
    lost: float
    flagged: float


@dataclass(frozen=True, slots=True)
class ScaleFacts:
    """The distance scale of a build; see `embedsearch.artifacts.scale`.

    Attributes:
        pairs: number of random pairs that were compared.
        background: the unrelated queries; None without.
        limit: the largest closeness of an answer that is close; None where there is no verdict.
        stated_rate: share (0 to 1) of unrelated queries that find something as close; None likewise.
        people: the judged pairs; None without.
        pairs_of: what the random pairs are of; empty for the items.
        strictness: the share (0 to 1) of unrelated queries that are to be told that nothing is close; None
            where the index chooses.
        own: the queries that belong, which set the limit; None without.
        lost: share (0 to 1) of `own`, or of items that look for others, which the limit tells that nothing is
            close, whether a verdict is given or not; None where that was not measured.
        unjudged: a sentence that says why there is no verdict; empty where there is one.
        files: its files.
    """

    pairs: int
    background: BackgroundFacts | None
    limit: float | None
    stated_rate: float | None
    people: JudgedFacts | None
    pairs_of: str = field(default="", metadata=stored(optional=True))
    strictness: float | None = field(default=None, metadata=stored(optional=True))
    own: OwnFacts | None = field(default=None, metadata=stored(optional=True))
    lost: float | None = field(default=None, metadata=stored(optional=True))
    unjudged: str = field(default="", metadata=stored(optional=True))
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TextModelFacts:
    """The text encoder whose space images are projected into."""

    model: str
    revision: str
    pooling: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class ConseFacts:
    """The class head that projects images: its number of classes, temperature, and how many classes count."""

    classes: int
    temperature: float
    top: int


@dataclass(frozen=True, slots=True)
class AlignFacts:
    """A projection fitted to captions.

    Attributes:
        source: the file of captions, or the field that holds them.
        pairs: number of pairs of an image and a caption.
        images: number of images with captions.
        rejected: number of captions that belong to no image or can't be read.
        captions: number of different captions.
        strength: of the ridge regression, chosen by cross-validation.
        share: of the fitted map in the projection, 0 to 1; class names have the rest.
        asked: number of captions that were asked with.
        answers: number of images among which their image was looked for.
        measured: recall@1, recall@5, recall@10 and median_rank by cross-validation, for `conse`, `ridge`
            and `both`.
    """

    source: str
    pairs: int
    images: int = field(metadata=stored("pictures"))
    rejected: int = field(metadata=stored("left_out"))
    captions: int
    strength: float
    share: float
    asked: int
    answers: int
    measured: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class CaptionsFacts:
    """The captions of images that texts are compared with; see `embedsearch.crossmodal.captions`.

    Attributes:
        field: the field that holds them.
        count: number of images that have one.
        embedded: number of different captions that this build embedded; the rest is of the build before.
        index: the index over their vectors.
    """

    field: str
    count: int
    embedded: int
    index: IndexFacts


@dataclass(frozen=True, slots=True)
class CrossmodalFacts:
    """How texts find the images of a build; see `embedsearch.crossmodal`.

    Attributes:
        by: `towers`, `conse` or `align`.
        text: the text encoder; None for `towers`, whose model has its own.
        conse: the class head; None where class names have no share.
        align: the fitted projection; None without.
        index: the index over the projections; of `towers` its recall for texts alone, or None.
        captions: the captions; None where no image has one.
        files: its files.
    """

    by: str
    text: TextModelFacts | None = field(default=None, metadata=stored(optional=True))
    conse: ConseFacts | None = field(default=None, metadata=stored(optional=True))
    align: AlignFacts | None = field(default=None, metadata=stored(optional=True))
    index: IndexFacts | None = field(default=None, metadata=stored(optional=True))
    captions: CaptionsFacts | None = field(default=None, metadata=stored(optional=True))
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupFacts:
    """A group of a map: its name, its distinctive words, its size, and the median place of its items."""

    name: str
    words: tuple[str, ...]
    size: int
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class MovedFacts:
    """How far items moved since the map before, as shares of that map's radius.

    Attributes:
        kept: number of items that were there before.
        median: of their moves.
        p95: the 95th percentile of them.
    """

    kept: int
    median: float
    p95: float


@dataclass(frozen=True, slots=True)
class MapSettings:
    """What was asked of a map: its method, the number of groups (0: chosen), the field that names them."""

    method: str
    clusters: int
    names: str


@dataclass(frozen=True, slots=True)
class MapFacts:
    """A map; see `embedsearch.maps`.

    Attributes:
        method: `pca` or `umap`.
        explained: shares of the variance along both axes, 0 to 1; None for UMAP.
        laid_out: number of items laid out; the others are placed between them.
        preserved: mean share (0 to 1) of the nearest neighbours that are nearest on the map too.
        neighbours: how many of the nearest that is about.
        measured: number of items that it was measured on.
        moved: since the map before, where that was made by the same method.
        clusters: its groups.
        settings: what was asked for.
        files: its files.
    """

    method: str
    explained: tuple[float, ...] | None
    laid_out: int
    preserved: float
    neighbours: int
    measured: int
    moved: MovedFacts | None
    clusters: tuple[GroupFacts, ...]
    settings: MapSettings
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CentringFacts:
    """How the vectors of a build were centred; see `embedsearch.distances.centring`.

    Attributes:
        fingerprint: SHA-256 of the mean and the directions.
        items: number of vectors that they were fitted to.
        numbers: of a vector of the model.
        explained: share (0 to 1) of the variance that is left.
    """

    fingerprint: str
    items: int
    numbers: int
    explained: float


@dataclass(frozen=True, slots=True)
class TunedFacts:
    """Judged queries that the weight of vectors was chosen by.

    Attributes:
        of: the file that holds them.
        queries: their number.
        measured: nDCG@10 of the modes `vector`, `lexical` and `hybrid`, 0 to 1.
    """

    of: str
    queries: int
    measured: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class LexicalFacts:
    """The lexical index over the texts of a build; see `embedsearch.lexical`.

    Attributes:
        kind: a name in `embedsearch.lexical.LEXICAL`.
        language: the stemmer of its words; empty where words are taken as they are.
        terms: number of different terms.
        words: how many words half of the texts have at most.
        mode: how a text is searched for where nothing else is asked: `hybrid` or `vector`.
        weight: of vectors in the mode `hybrid`, 0 to 1; words have the rest.
        tuned: what the weight was chosen by; None for the default.
        files: its files.
    """

    kind: str
    language: str
    terms: int
    words: int
    mode: str
    weight: float
    tuned: TunedFacts | None = field(default=None, metadata=stored(optional=True))
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TokensFacts:
    """The tokens of texts that are kept for re-ranking; see `embedsearch.artifacts.tokens`.

    Attributes:
        kind: `int8` or `1bit`.
        dimension: numbers in a token's vector.
        count: number of tokens of all texts.
        size: bytes that they take.
        computed: number of texts whose tokens this build computed; the rest is of the build before.
        files: its files.
    """

    kind: str
    dimension: int
    count: int
    size: int
    computed: int
    files: tuple[str, ...] = ()


ArtifactFacts = ScaleFacts | CrossmodalFacts | MapFacts | LexicalFacts | TokensFacts


@dataclass(frozen=True, slots=True)
class Artifacts:
    """The artifacts of a build, None for those that it does not carry; see `embedsearch.artifacts`."""

    scale: ScaleFacts | None = field(default=None, metadata=stored(optional=True))
    crossmodal: CrossmodalFacts | None = field(default=None, metadata=stored("bridge", optional=True))
    map: MapFacts | None = field(default=None, metadata=stored(optional=True))
    lexical: LexicalFacts | None = field(default=None, metadata=stored(optional=True))
    tokens: TokensFacts | None = field(default=None, metadata=stored(optional=True))

    @property
    def files(self) -> frozenset[str]:
        """The files of all artifacts."""
        every = (self.scale, self.crossmodal, self.map, self.lexical, self.tokens)
        return frozenset(name for facts in every if facts is not None for name in facts.files)

    def with_(self, name: str, facts: ArtifactFacts) -> Artifacts:
        """Return these with another artifact of that name."""
        return replace(self, **{name: facts})  # type: ignore[arg-type]
