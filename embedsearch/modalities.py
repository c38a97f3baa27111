"""What embedsearch can embed: one row a modality, and under it one row a unit.

To add a modality: its names in `embedsearch.records.Modality` and `Unit`, a row here, and the files that the
row names (an encoder, a splitter). Other code does not ask which modality or unit it has; it asks for a
property of the row.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from embedsearch.records import Modality, Unit

SPLITTER = "unicode"  # how texts are split into words and sentences since 0.7
FRAMES = "1/10"  # how videos are: seconds between frames, and levels by which near-equal ones may differ
# How long texts are: tokens of the longest text that stays whole ("model" for what the model reads), of a
# passage, and of the overlap of two passages.
PASSAGES = "model/64/16"
WINDOWS = "10/5"  # how sounds are split: seconds of a window, and from one to the next
# The embedding by which a dual encoder, such as CLIP, compares texts and images.
PROJECTION = "projection"


class QueryForm(StrEnum):
    """What a person gives to ask for a unit."""

    TEXT = "text"
    WORD = "word"  # a sentence, and which of its words is meant
    IMAGE = "image"
    SOUND = "sound"
    VECTOR = "vector"  # ready, or of an item: nothing can be embedded
    ROW = "row"  # values of columns


class Card(StrEnum):
    """How an item is shown."""

    TEXT = "text"
    IMAGE = "image"
    VIDEO = "video"  # the frame of its moment, and a player
    ROW = "row"  # its columns
    SOUND = "sound"  # the spectrogram of its moment, and a player


class Reader(StrEnum):
    """Which files of a model say how its input is read."""

    TOKENIZER = "tokenizer"
    PREPROCESSOR = "preprocessor"
    COLUMNS = "columns"  # what was learnt from a table
    NONE = "none"  # there is no model


@dataclass(frozen=True, slots=True)
class UnitRow:
    """What gets a vector of its own.

    Attributes:
        unit: its name.
        plural: its name in the plural.
        encoder: "module:class" of what makes its vectors, imported on first use.
        poolings: the poolings that it may have, the default first.
        records_ahead: records that are read ahead of the model at a time.
        form: what a person gives to ask for it.
        query: the same in words, such as "a whole text".
        splitter: "module:function" of `embedsearch.splitters`, from a content to pairs of a start
            and a part; the encoder reads the parts. Empty where it reads the content itself.
        tower: "module:class" of the encoder where the pooling is `PROJECTION`; empty for `encoder`.
        declared: whether the pooling, the Dense layers and the prompts that a model declares apply to it.
        general: where random pairs and unrelated queries come from when the index has none of its own; empty
            for nowhere.
        has_duplicates: whether two items of the same content are duplicates.
        compared: its name on the page where things are compared; empty where it can't be.
        asked_by: the modality that finds it through a dual encoder, captions or class names; None for none.
        splitting: how `splitter` splits a new index's records, see `EncoderRecipe.splitter`; empty without.
        unjudged: a sentence that says why answers get no verdict; empty where they may get one.
        parts_ahead: parts of records that are prepared for the model at a time; 0 for all of those that are
            read ahead.
        grouped: whether a record may have several items, of which a search returns the nearest one alone.
        timed: whether an item is a stretch of time of its record. Its span is in milliseconds then.
        is_labelled: whether only a source with labelled spans has it.
        votes: whether the labels of the hits say what a query is.
        spec: "module:function", from a recipe to the specification of its encoder, which is made of the
            recipe alone then; empty where the files of one model tell it.
        by_columns: whether each column of a table has numbers of its own in a vector: how they are made is
            learnt from the table, and a query may name some of the columns.
        metric: the distance that is used where none is asked for.
        part: what one vector of several in a record is of; empty for the unit itself.
        centred: whether a new index centres its vectors where it is not told.
    """

    unit: Unit
    plural: str
    encoder: str
    poolings: tuple[str, ...]
    records_ahead: int
    form: QueryForm
    query: str
    splitter: str = ""
    splitting: str = ""
    tower: str = ""
    declared: bool = False
    general: str = ""
    has_duplicates: bool = True
    compared: str = ""
    asked_by: Modality | None = None
    unjudged: str = ""
    part: str = ""
    parts_ahead: int = 0
    grouped: bool = False
    timed: bool = False
    is_labelled: bool = False
    votes: bool = False
    spec: str = ""
    by_columns: bool = False
    metric: str = "cosine"
    centred: bool = False


@dataclass(frozen=True, slots=True)
class ModalityRow:
    """What a record's content is.

    Attributes:
        modality: its name.
        units: what of it can get a vector of its own, the default first.
        default_model: the bundled model that reads it.
        reader: which files of a model say how it is read.
        card: how an item is shown.
        switching: seconds after which a thread hands over Python's lock while a model runs; see
            `embedsearch.indexing.runners.local`.
        size: "module:function", from a content to whole numbers that say how large it is; the largest of
            duplicates is the best.
        largest: what the best of duplicates is called.
        check: "module:class" of the second check of near duplicates, see
            `embedsearch.analysis.duplicates.Check`; empty where there is nothing to check.
        alike: what items are called that are near each other and no duplicates.
        caution: what to know before duplicates are deleted; empty for nothing.
        keeps_bytes: whether an item keeps its content where that is bytes, to be shown.
        kept: "module:function", from the bytes of a content that is read when it is needed to those that an
            item keeps of it; empty for all of them.
        found_by_texts: whether captions or class names can place its items among texts.
        facts: "module:function", from a content to fields that it has of its own; empty for none.
        fact_names: the names of these fields, and of those that a `Document` has.
        good_for: what its default model tells, and what not; empty where nothing needs to be known.
    """

    modality: Modality
    units: tuple[UnitRow, ...]
    default_model: str
    reader: Reader
    card: Card
    switching: float
    size: str
    largest: str
    alike: str
    check: str = ""
    caution: str = ""
    keeps_bytes: bool = True
    kept: str = ""
    found_by_texts: bool = False
    facts: str = ""
    fact_names: tuple[str, ...] = ()
    good_for: str = ""


# measured by tests.benchmarks.verdicts
_WORDS_UNJUDGED = "There is no verdict for {}: those that belong here are often no closer than others."
_ROWS = (
    ModalityRow(
        Modality.TEXT,
        units=(
            UnitRow(
                Unit.TEXT,
                plural="texts",
                encoder="embedsearch.encoders.text:TextEncoder",
                poolings=("cls", "mean", PROJECTION),
                records_ahead=2048,  # enough to sort by length
                form=QueryForm.TEXT,
                query="a whole text",
                asked_by=Modality.IMAGE,
                tower="embedsearch.encoders.towers:TextTower",
                declared=True,
                general="general sentences",
                compared="Texts",
                part="passage",
                grouped=True,
            ),
            UnitRow(
                Unit.WORD,
                plural="words",
                encoder="embedsearch.encoders.words:WordEncoder",
                poolings=("mean", "first"),
                records_ahead=512,
                form=QueryForm.WORD,
                query="a word in its sentence",
                splitter="embedsearch.splitters.words:split_words",
                splitting=SPLITTER,
                general="words in general sentences",
                unjudged=_WORDS_UNJUDGED.format("words"),
                has_duplicates=False,  # the same word in two sentences is none
                compared="Words in their sentences",
                votes=True,
            ),
            UnitRow(
                Unit.TOKEN,
                plural="tokens",
                encoder="embedsearch.encoders.words:WordEncoder",
                poolings=("row",),
                records_ahead=512,
                form=QueryForm.WORD,
                query="a word in its sentence",
                splitter="embedsearch.splitters.words:split_tokens",
                splitting=SPLITTER,
                general="words in general sentences",
                unjudged=_WORDS_UNJUDGED.format("tokens"),
                has_duplicates=False,
                votes=True,
            ),
            UnitRow(
                Unit.SPAN,
                plural="spans",
                encoder="embedsearch.encoders.words:WordEncoder",
                poolings=("mean", "first"),
                records_ahead=512,
                form=QueryForm.WORD,
                query="words in their sentence",
                splitter="embedsearch.splitters.words:split_spans",
                splitting=SPLITTER,
                general="words in general sentences",
                unjudged=_WORDS_UNJUDGED.format("spans"),
                has_duplicates=False,
                is_labelled=True,
                votes=True,
            ),
        ),
        default_model="all-MiniLM-L6-v2",
        reader=Reader.TOKENIZER,
        card=Card.TEXT,
        switching=1e-5,
        size="embedsearch.analysis.sizes:characters",
        largest="the longest",
        fact_names=("title", "author", "date"),
        alike="Say the same",
        check="embedsearch.analysis.same_text:TextCheck",
        caution="One word can change what a text says. Read the marked words before you delete.",
    ),
    ModalityRow(
        Modality.IMAGE,
        units=(
            UnitRow(
                Unit.IMAGE,
                plural="images",
                encoder="embedsearch.encoders.images:ImageEncoder",
                poolings=("mean", "cls", PROJECTION),
                records_ahead=256,  # each takes megabytes
                form=QueryForm.IMAGE,
                query="an image (--image FILE) or an item of it (--item ID)",
                asked_by=Modality.TEXT,
                compared="Images",
                centred=True,  # measured by tests.benchmarks.centring
            ),
        ),
        default_model="efficientnet-lite2",
        reader=Reader.PREPROCESSOR,
        card=Card.IMAGE,
        switching=1e-4,
        size="embedsearch.analysis.sizes:pixels",
        largest="the largest",
        alike="Look-alikes",
        check="embedsearch.analysis.same_image:ImageCheck",
        caution="Fine detail is not compared. Look at the images before you delete.",
        kept="embedsearch.encoders.vision.kept:kept",
        found_by_texts=True,
        facts="embedsearch.encoders.vision.photo:fields_of",
        fact_names=("taken", "camera", "width", "height", "latitude", "longitude"),
    ),
    ModalityRow(
        Modality.VIDEO,
        units=(
            UnitRow(
                Unit.FRAME,
                plural="videos",
                encoder="embedsearch.encoders.frames:FrameEncoder",
                poolings=("mean", "cls", PROJECTION),
                records_ahead=4,  # a film takes minutes
                form=QueryForm.IMAGE,
                query="an image (--image FILE) or a video of it (--item ID)",
                splitter="embedsearch.splitters.frames:split_frames",
                splitting=FRAMES,
                asked_by=Modality.TEXT,
                parts_ahead=64,
                grouped=True,
                timed=True,
            ),
        ),
        default_model="efficientnet-lite2",
        reader=Reader.PREPROCESSOR,
        card=Card.VIDEO,
        switching=1e-4,
        size="embedsearch.analysis.sizes:frame_pixels",
        largest="the largest",
        alike="Look-alikes",
        check="embedsearch.analysis.same_video:VideoCheck",
        caution="Only five frames of each video are compared, and no sound. Watch before you delete.",
        keeps_bytes=False,
        found_by_texts=True,
        facts="embedsearch.splitters.video:fields_of",
        fact_names=("duration", "width", "height", "codec", "title", "taken"),
    ),
    ModalityRow(
        Modality.SOUND,
        units=(
            UnitRow(
                Unit.SOUND,
                plural="sounds",
                part="window",
                encoder="embedsearch.encoders.audio:sound_encoder",
                poolings=("mean", PROJECTION),
                records_ahead=32,
                form=QueryForm.SOUND,
                query="a sound (--sound FILE) or an item of it (--item ID)",
                splitter="embedsearch.splitters.windows:split_windows",
                splitting=WINDOWS,
                asked_by=Modality.TEXT,
                parts_ahead=64,
                grouped=True,
                timed=True,
            ),
        ),
        default_model="efficientnet-lite2-spectrogram",
        reader=Reader.PREPROCESSOR,
        card=Card.SOUND,
        switching=1e-4,
        size="embedsearch.analysis.sizes:none",
        largest="the first",
        alike="Sound alike",
        caution="Only the first seconds of each sound are compared. Listen before you delete.",
        found_by_texts=True,
        facts="embedsearch.splitters.tags:fields_of",
        fact_names=("title", "artist", "duration", "sample_rate"),
        good_for="telling kinds of sounds apart, such as a bell and rain; it does not know what is said",
    ),
    ModalityRow(
        Modality.VECTOR,
        units=(
            UnitRow(
                Unit.VECTOR,
                plural="vectors",
                encoder="embedsearch.encoders.given:GivenEncoder",
                spec="embedsearch.encoders.given:given_spec",
                poolings=("given",),
                records_ahead=4096,
                form=QueryForm.VECTOR,
                query="items of it, as in 'king - man + woman', or a vector of the same model (--vector)",
            ),
        ),
        default_model="",
        reader=Reader.NONE,
        card=Card.TEXT,
        switching=5e-3,  # no model runs: Python's usual
        size="embedsearch.analysis.sizes:none",
        largest="the first",
        alike="Near each other",
        keeps_bytes=False,
    ),
    ModalityRow(
        Modality.ROW,
        units=(
            UnitRow(
                Unit.ROW,
                plural="rows",
                encoder="embedsearch.encoders.rows:RowEncoder",
                spec="embedsearch.encoders.rows:rows_spec",
                poolings=("columns",),
                records_ahead=4096,
                form=QueryForm.ROW,
                query="values of columns, as in price=20 colour=red, or an item of it (--item ID)",
                by_columns=True,
                metric="l2",
                unjudged="There is no verdict for rows: no rows are known that do not belong to the table.",
            ),
        ),
        default_model="all-MiniLM-L6-v2",
        reader=Reader.COLUMNS,
        card=Card.ROW,
        switching=1e-5,
        size="embedsearch.analysis.sizes:none",
        largest="the first",
        alike="Near each other",
        keeps_bytes=False,
    ),
)
MODALITIES: dict[Modality, ModalityRow] = {row.modality: row for row in _ROWS}
UNITS: dict[Unit, UnitRow] = {unit.unit: unit for row in _ROWS for unit in row.units}
_MODALITY_OF = {unit.unit: row for row in _ROWS for unit in row.units}
_BY_FORM = {unit.form: unit for row in reversed(_ROWS) for unit in reversed(row.units)}


def modality_of(unit: Unit) -> ModalityRow:
    """Return the row of the modality that a unit is taken from."""
    return _MODALITY_OF[unit]


def good_for(unit: Unit, model: str) -> str:
    """Return what the model of an index is good for, and what not; empty where that is not known."""
    row = _MODALITY_OF[unit]
    return row.good_for if model == row.default_model else ""


def unit_of(form: QueryForm) -> UnitRow:
    """Return the first unit that is asked for so."""
    return _BY_FORM[form]
