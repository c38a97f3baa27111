"""What an index is made from, and its file `indexes/NAME/recipe.toml`.

A recipe is complete: `embedsearch rebuild NAME` needs nothing else. Paths in it are absolute.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from operator import index
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import tomli_w

from embedsearch.disk.facts import from_json, stored, to_json
from embedsearch.disk.paths import expanded
from embedsearch.errors import RecipeError, nearest
from embedsearch.records import Unit

RECIPE_FILE = "recipe.toml"
MEMORY, KEPT = "memory", "source"  # the kind of source that is kept in the index's folder, and where there
STORAGES = ("fp32", "fp16")
KEPT_TOKENS = ("int8", "1bit")
ITEMS = ("local", "remote")  # where the items of an index on a server can be had
# What of an image its vector is made of: the middle that the model's own preprocessing takes, the whole, or
# the mean of both; auto is both where the longer side is over 1.3 times the shorter, and else the middle.
VIEWS = ("auto", "centre", "whole", "both")
# How an image file becomes what a model sees; indexes keep the version that made them.
# 1: embedsearch 0.6: the middle alone; transparency on white; 16-bit grey divided by 257.
# 2: `VIEWS`; the ground by contrast; wide numbers by their range, see `embedsearch.encoders.vision.to_rgb`.
# 3: the same of 16-bit colours, where OpenCV is installed.
PREPARATION = 3
MOST_WEIGHT = 1_000_000  # of a column
DEVICE_RULE = re.compile(r"auto|(cpu|cuda|mps)(:\d+)?")
NAME_RULE = re.compile(r"[^\W_][\w.-]{0,99}")


@dataclass(frozen=True, slots=True)
class SourceRecipe:
    """Where records come from; the kinds are the rows of `embedsearch.sources.SOURCES`.

    Attributes:
        kind: a name in `embedsearch.sources.SOURCES`.
        location: an absolute path, or what the kind takes in its place (a hub data set's id).
        text: the columns joined by a newline as the text.
        image: the column that holds the image, as a path or as bytes.
        vector: the column that holds a vector made elsewhere.
        sound: the column that holds the sound, as a path or as bytes.
        document: the column that holds the path of a document.
        spans: the column that holds the labelled spans of the text.
        exclude: patterns of paths and names in a folder that are not read, as of a shell.
        id: the column that holds the key; empty for the hash of the content.
        encoding: the text encoding of CSV, TSV, JSONL and text files.
        split: the split of a data set, or the sheet of a workbook.
        header: `yes` or `no`: whether the first row of a table holds names; empty to find out.
        decimal: the sign before the fraction of numbers in a CSV or TSV file, `.` or `,`.
        keep_na: read NA, null, None and the like in tables as texts, not as missing.
        ids: of a file of vectors, an absolute file with an id for each, in their order.
        fields: of a file of vectors, an absolute table with a row for each, in their order.
        rows: whether the rows of a table are embedded as they are, by their columns.
        columns: of rows, the columns that count; empty for all but the key.
        ocr: whether pages of PDFs that hold no text are read by optical character recognition.
    """

    kind: str
    location: str
    text: tuple[str, ...] = ()
    image: str = ""
    id: str = ""
    encoding: str = "utf-8"
    split: str = ""
    vector: str = field(default="", metadata=stored(optional=True))
    sound: str = field(default="", metadata=stored(optional=True))
    document: str = field(default="", metadata=stored(optional=True))
    spans: str = field(default="", metadata=stored(optional=True))
    exclude: tuple[str, ...] = field(default=(), metadata=stored(optional=True))
    header: str = field(default="", metadata=stored(optional=True))
    decimal: str = field(default=".", metadata=stored(optional=True))
    keep_na: bool = field(default=False, metadata=stored(optional=True))
    ids: str = field(default="", metadata=stored(optional=True))
    fields: str = field(default="", metadata=stored(optional=True))
    rows: bool = field(default=False, metadata=stored(optional=True))
    columns: tuple[str, ...] = field(default=(), metadata=stored(optional=True))
    ocr: bool = field(default=False, metadata=stored(optional=True))

    def __post_init__(self) -> None:
        check_types(self)


@dataclass(frozen=True, slots=True)
class EncoderOptions:
    """Which vectors are taken out of which model. An empty value means "as the model declares".

    Attributes:
        unit: what gets a vector of its own: `text`, `word`, `token`, `span` or `image`; empty for what the
            source holds.
        model: a name in the catalogue, a hub id, or a folder.
        revision: the hub revision (branch, tag or commit).
        pooling: `cls` or `mean` for texts and images, `projection` for those of a model of two towers,
            `mean` or `first` (sub-token) for words and spans.
        layers: hidden layers averaged into one; -1 is the last, 0 the embedding layer's output.
        patch_tokens_only: leave CLS and register tokens out of an image's mean.
        precision: `auto`, `fp32`, `bf16` or `fp16`.
        engine: `auto`, `torch` or `openvino`.
        decoding: `auto`, `full`, or `draft`: large JPEGs are decoded at a smaller scale, to at least three
            times the side that the model sees.
        views: a name in `VIEWS`.
        windows: of sounds, seconds of a window and from one to the next, as in `10/5`; empty for these.
        passages: how long texts are split: `auto` (what the model does not read whole), `off`, or the tokens
            of a passage.
        weights: of rows, how often a column's squared distance counts, as in `price=2`.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        batch_tokens: padded tokens (texts) in one batch; 0 lets the encoder choose.
        query_model: of vectors made elsewhere, the model that made them, which texts are asked through: a
            name in the catalogue, a hub id, or a folder; empty where no text is asked.
    """

    unit: str = ""
    model: str = ""
    revision: str = ""
    pooling: str = ""
    layers: tuple[int, ...] = (-1,)
    patch_tokens_only: bool = False
    precision: str = "auto"
    engine: str = "auto"
    decoding: str = "auto"
    device: str = "auto"
    batch_tokens: int = 0
    views: str = field(default="auto", metadata=stored(optional=True))
    windows: str = field(default="", metadata=stored(optional=True))
    passages: str = field(default="auto", metadata=stored(optional=True))
    query_model: str = field(default="", metadata=stored(optional=True))
    weights: tuple[str, ...] = field(default=(), metadata=stored(optional=True))

    def __post_init__(self) -> None:
        check_types(self)
        if self.views not in VIEWS:
            raise RecipeError(
                f"Unknown views {self.views!r}; there are {', '.join(VIEWS)}.{nearest(self.views, VIEWS)}"
            )
        if self.batch_tokens < 0:
            raise RecipeError(f"A batch can't have {self.batch_tokens} tokens. Give 0 or more.")
        weights_of(self.weights)


@dataclass(frozen=True, slots=True)
class EncoderRecipe(EncoderOptions):
    """Encoder options whose unit is settled and whose model is a name, a hub id or an absolute folder.

    Attributes:
        unit: what gets a vector of its own.
        dimension: numbers in a vector that was made elsewhere; 0 where a model makes the vectors.
        preparation: the version of how images are prepared, see `PREPARATION`; 1 for other units too.
        splitter: how texts are split where words have vectors, a name in `embedsearch.splitters.words.RULES`,
            empty for the rule of 0.6; how long texts are, a rule of `embedsearch.splitters.passages`, empty
            where they are not; how sounds and videos are.
        own: stands for an encoder of the caller's program, called `model`, see
            `embedsearch.encoders.own.identity_of`; empty where `model` is one that can be loaded.
        table: of rows, the file of what was learnt from their table; each build has one of its own, and none
            is named in a recipe on disk.
    """

    unit: Unit
    dimension: int = field(default=0, metadata=stored(optional=True))
    preparation: int = field(default=1, metadata=stored(optional=True))
    splitter: str = field(default="", metadata=stored(optional=True))
    own: str = field(default="", metadata=stored(optional=True))
    table: str = field(default="", metadata=stored(optional=True))


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """How vectors become an index.

    Attributes:
        metric: a name in `embedsearch.distances.metric.Metric`; empty for what the unit has.
        backend: a name in `embedsearch.backends.BACKENDS`, or `auto`: by size and memory.
        memory: what building and the open index may hold, such as `4GB`; empty for half of what is free.
        recall: the recall@10 against exact search (0 to 1) that an approximate index is tuned to.
        queries: a file of queries to tune with, absolute; empty for items that are held out.
        storage: `fp32` or `fp16`, the precision of the stored vectors.
        keep: how many builds stay on disk, the current one among them.
        max_rejected: share of entries (0 to 1) that may be rejected before a build fails.
        captions: of images, the field that holds their captions, which texts are compared with too; empty
            for none.
        center: whether the mean of the vectors is taken off before they are compared; None for what is usual
            of the unit. In the recipe of an index, None is no.
        dim: the number of main directions that centred vectors are reduced to; 0 for all.
        language: of texts, the language whose stems are counted as words, a name of Snowball such as
            `english`; `none` to count words as they are, empty to find out.
        shard_size: the most vectors in a shard, where the backend is `sharded`.
        keep_tokens: of texts, `int8` or `1bit` to keep the hidden states of their tokens for re-ranking;
            empty to compute them when asked.
        uri: of the server that keeps the vectors, or the absolute path of a file for an embedded one; empty
            for a backend that needs none.
        items: `remote` where the server holds the items too, so that a reader needs no folder; else `local`.
    """

    metric: str = ""
    backend: str = "auto"
    memory: str = ""
    recall: float = 0.95
    queries: str = ""
    storage: str = "fp32"
    keep: int = 2
    max_rejected: float = 0.5
    captions: str = field(default="caption", metadata=stored(optional=True))
    center: bool | None = field(default=None, metadata=stored(optional=True))
    dim: int = field(default=0, metadata=stored(optional=True))
    language: str = field(default="", metadata=stored(optional=True))
    keep_tokens: str = field(default="", metadata=stored(optional=True))
    shard_size: int = field(default=10_000_000, metadata=stored(optional=True))
    uri: str = field(default="", metadata=stored(optional=True))
    items: str = field(default="local", metadata=stored(optional=True))

    def __post_init__(self) -> None:
        check_types(self)
        if self.storage not in STORAGES:
            raise RecipeError(
                f"Unknown storage {self.storage!r}; there are {', '.join(STORAGES)}."
                + nearest(self.storage, STORAGES)
            )
        if self.keep_tokens not in ("", *KEPT_TOKENS):
            raise RecipeError(
                f"Tokens are kept as {' or '.join(KEPT_TOKENS)}; got {self.keep_tokens!r}."
                + nearest(self.keep_tokens, KEPT_TOKENS)
            )
        if self.items not in ITEMS:
            raise RecipeError(
                f"Items are {' or '.join(ITEMS)}; got {self.items!r}.{nearest(self.items, ITEMS)}"
            )
        if self.items == "remote" and not self.uri:
            raise RecipeError("Items are remote where a server holds them: name it with --uri.")
        if not 0 < self.recall <= 1:
            raise RecipeError(f"recall is a share over 0 and up to 1, such as 0.95; got {self.recall:g}.")
        if not 0 <= self.max_rejected <= 1:
            raise RecipeError(f"max_rejected is a share from 0 to 1; got {self.max_rejected:g}.")
        if self.keep < 1:
            raise RecipeError(f"keep is {self.keep}, and the current build is always kept. Give 1 or more.")
        if self.memory:
            parse_memory(self.memory)
        if self.shard_size < 1:
            raise RecipeError(f"shard_size is a number of vectors, 1 or more; got {self.shard_size}.")
        if self.dim < 0:
            raise RecipeError(f"dim is a number of dimensions, 1 or more; got {self.dim}.")
        if self.dim and self.center is False:
            raise RecipeError(
                "dim keeps the main directions of centred vectors: leave it out, or do not turn centring off."
            )

    @property
    def centred(self) -> bool:
        """Whether vectors are centred."""
        return bool(self.center or self.dim)


Options = TypeVar("Options", EncoderOptions, IndexOptions)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that `build` needs to make the index `name`."""

    name: str
    source: SourceRecipe
    encoder: EncoderRecipe
    index: IndexOptions = field(default_factory=IndexOptions)

    def __post_init__(self) -> None:
        check_name(self.name)

    def save(self, folder: Path) -> None:
        """Write `recipe.toml` into `folder`, atomically.

        Raises:
            RecipeError: a folder of that name is in its place.
        """
        if (folder / RECIPE_FILE).is_dir():
            raise RecipeError(f"{folder / RECIPE_FILE} is a folder. Move it away and run the command again.")
        document = to_json(self)
        del document["name"]  # the folder has it
        aside = folder / f".{RECIPE_FILE}.new"
        aside.write_text(tomli_w.dumps(document), encoding="utf-8")
        aside.replace(folder / RECIPE_FILE)

    @classmethod
    def load(cls, folder: Path) -> Recipe:
        """Read `folder/recipe.toml`; the index is named after the folder.

        Raises:
            RecipeError: the file is missing, is not TOML, or holds unknown or ill-typed entries.
        """
        path = folder / RECIPE_FILE
        again = f"build the index again: embedsearch build SOURCE --name {folder.name}"
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
            recipe = from_json(cls, {**document, "name": folder.name})
            if not DEVICE_RULE.fullmatch(recipe.encoder.device):
                raise RecipeError(
                    f"the entry 'device' is {recipe.encoder.device!r:.80}; there are auto, cpu, cuda, cuda:N "
                    "and mps"
                )
            return replace(recipe, source=kept_in(folder, recipe.source))
        except FileNotFoundError:
            raise RecipeError(f"{path} is missing. B{again[1:]}") from None
        except IsADirectoryError:
            raise RecipeError(f"{path} is a folder. Move it away, then {again}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RecipeError(f"{path} is not valid TOML: {error}. Correct it, or {again}") from None
        except (ValueError, TypeError, RecipeError) as error:
            raise RecipeError(f"{path}: {error}. Correct it, or {again}") from None


def kept_in(folder: Path, source: SourceRecipe) -> SourceRecipe:
    """Return the recipe of a source; one that an index keeps is in `folder`, wherever that was before."""
    if source.kind != MEMORY:
        return source
    return replace(source, location=str(folder.resolve() / KEPT / Path(source.location).name))


def check_name(name: str) -> str:
    """Return `name` if it can name an index: a letter or digit, then letters, digits, `.`, `_`, `-`.

    Raises:
        RecipeError: it can't (a path separator, a space, a leading dot, over 100 characters, ...).
    """
    if not isinstance(name, str) or not NAME_RULE.fullmatch(name) or name.endswith("."):
        raise RecipeError(
            f"{name!r} can't name an index: use 1 to 100 letters, digits, '.', '_' or '-', "
            "a letter or digit first, as in 'holidays-2026'."
        )
    return name


def absolute_uri(uri: str) -> str:
    """Return the URI of a server as it is, and the path of a file as an absolute one; empty for none."""
    return uri if not uri or "://" in uri else str(expanded(uri).resolve())


def parse_memory(text: str) -> int:
    """Return the bytes that `text` names: a number with kB, MB, GB or TB (powers of 1000), or KiB to TiB.

    Raises:
        RecipeError: it is not such a number.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*", text, re.IGNORECASE)
    if not found or float(found[1]) == 0:
        raise RecipeError(f"{text!r} is not an amount of memory. Write it like 4GB or 500MB.")
    power = " kmgt".index(found[2].lower()) if found[2] else 0
    return int(float(found[1]) * (1024 if found[3] else 1000) ** power)


def unit_of(value: Any) -> Unit:
    """Return the unit of that name.

    Raises:
        RecipeError: there is no such unit.
    """
    try:
        return Unit(value)
    except ValueError:
        raise RecipeError(
            f"Unknown unit {value!r:.60}; there are {', '.join(Unit)}.{nearest(str(value), Unit)}"
        ) from None


def layers_of(value: Any) -> tuple[int, ...]:
    """Return hidden layers, one or several, as numbers.

    Raises:
        RecipeError: they are not whole numbers.
    """
    try:
        return tuple(index(each) for each in (value if isinstance(value, Iterable) else (value,)))
    except TypeError:
        raise RecipeError(f"Layers are whole numbers, as in -1 or (-1, -2); got {value!r:.60}.") from None


def columns_of(value: Any) -> tuple[str, ...]:
    """Return the names of columns, one or several.

    Raises:
        RecipeError: they are not names.
    """
    if not isinstance(value, Iterable) or isinstance(value, bytes):
        raise RecipeError(f"A column's name is a str, and several are a list of them; got {value!r:.60}.")
    return (value,) if isinstance(value, str) else tuple(value)


def weights_of(weights: Iterable[str]) -> dict[str, float]:
    """Return the weights of columns by name, of texts such as `price=2`.

    Raises:
        RecipeError: one is not written so, or its number is not over 0 and at most 1,000,000.
    """
    found: dict[str, float] = {}
    for each in weights:
        name, _, text = each.rpartition("=")
        try:
            found[name] = float(text)
        except ValueError:
            found[name] = 0.0
        if not name or not 0 < found[name] <= MOST_WEIGHT:
            raise RecipeError(
                f"{each!r:.80} is no weight of a column. Write it like price=2, the number over 0 and at "
                f"most {MOST_WEIGHT:,}."
            )
    return found


def joined(options: Options, **given: Any) -> Options:
    """Return `options` with those of `given` that differ from their default.

    Raises:
        RecipeError: an option was given in both places.
    """
    default = type(options)()
    named = {name: value for name, value in given.items() if value != getattr(default, name)}
    for name in named:
        if getattr(options, name) != getattr(default, name):
            raise RecipeError(
                f"The option {name!r} was given twice, by itself and in {type(options).__name__}. "
                "Give it once."
            )
    return replace(options, **named)


def check_types(part: Any) -> None:
    """Check that the fields of a part of a recipe have their declared types.

    Raises:
        RecipeError: it holds something else.
    """
    for name, kind in get_type_hints(type(part)).items():
        value = getattr(part, name)
        if any(
            isinstance(each, str) and "\0" in each
            for each in (value if isinstance(value, tuple) else (value,))
        ):
            raise RecipeError(f"the entry {name!r} holds a null character.")
        if not _fits(value, kind):
            inner = [each for each in get_args(kind) if each is not NoneType]
            is_list = get_origin(kind) is tuple
            name_of = (inner[0] if inner else kind).__name__
            wanted = f"list of {name_of}" if is_list else name_of
            raise RecipeError(f"the entry {name!r} is {value!r:.80}, where a {wanted} was expected.")


def _fits(value: Any, kind: Any) -> bool:
    """Whether a TOML value is of the type of a recipe's entry; a bool is not a whole number."""
    if NoneType in (inner := get_args(kind)):  # X | None
        return value is None or _fits(value, inner[0])
    if inner:  # tuple[X, ...]
        return isinstance(value, tuple) and all(_fits(each, inner[0]) for each in value)
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    return isinstance(value, kind) or (kind is float and isinstance(value, int))
