"""What an index is made from, and its file `indexes/NAME/recipe.toml`.

A recipe is complete: `embedsearch rebuild NAME` needs nothing else. Paths in it are absolute.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from operator import index
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import tomli_w

from embedsearch.errors import RecipeError, nearest
from embedsearch.records import Unit

RECIPE_FILE = "recipe.toml"
STORAGES = ("fp32", "fp16")
# not written where it says nothing, so that recipes of before 0.7 stay as they are; see `disk.facts.stored`
_OPTIONAL = {"optional": True}
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
        id: the column that holds the key; empty for the hash of the content.
        encoding: the text encoding of CSV, TSV, JSONL and text files.
        split: the split of a data set.
    """

    kind: str
    location: str
    text: tuple[str, ...] = ()
    image: str = ""
    id: str = ""
    encoding: str = "utf-8"
    split: str = ""
    vector: str = field(default="", metadata=_OPTIONAL)

    def __post_init__(self) -> None:
        check_types(self)


@dataclass(frozen=True, slots=True)
class EncoderOptions:
    """Which vectors are taken out of which model. An empty value means "as the model declares".

    Attributes:
        unit: what gets a vector of its own: `text`, `word`, `token` or `image`; empty for what the source
            holds.
        model: a name in the catalogue, a hub id, or a folder.
        revision: the hub revision (branch, tag or commit).
        pooling: `cls` or `mean` for texts and images, `projection` for those of a model of two towers,
            `mean` or `first` (sub-token) for words.
        layers: hidden layers averaged into one; -1 is the last, 0 the embedding layer's output.
        patch_tokens_only: leave CLS and register tokens out of an image's mean.
        precision: `auto`, `fp32`, `bf16` or `fp16`.
        engine: `auto`, `torch` or `openvino`.
        decoding: `auto`, `full`, or `draft`: large JPEGs are decoded at a smaller scale, to at least three
            times the side that the model sees.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        batch_tokens: padded tokens (texts) in one batch; 0 lets the encoder choose.
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

    def __post_init__(self) -> None:
        check_types(self)
        if self.batch_tokens < 0:
            raise RecipeError(f"A batch can't have {self.batch_tokens} tokens. Give 0 or more.")


@dataclass(frozen=True, slots=True)
class EncoderRecipe(EncoderOptions):
    """Encoder options whose unit is settled and whose model is a name, a hub id or an absolute folder.

    Attributes:
        unit: what gets a vector of its own.
        dimension: numbers in a vector that was made elsewhere; 0 where a model makes the vectors.
    """

    unit: Unit
    dimension: int = field(default=0, metadata=_OPTIONAL)


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """How vectors become an index.

    Attributes:
        metric: a name in `embedsearch.distances.metric.Metric`.
        backend: a name in `embedsearch.backends.BACKENDS`, or `auto`: by size and memory.
        memory: what building and the open index may hold, such as `4GB`; empty for half of what is free.
        recall: the recall@10 against exact search (0 to 1) that an approximate index is tuned to.
        queries: a file of queries to tune with, absolute; empty for items that are held out.
        storage: `fp32` or `fp16`, what the vectors are kept in.
        keep: how many builds stay on disk, the one in force among them.
        max_rejected: share of entries (0 to 1) that may be quarantined before a build fails.
    """

    metric: str = "cosine"
    backend: str = "auto"
    memory: str = ""
    recall: float = 0.95
    queries: str = ""
    storage: str = "fp32"
    keep: int = 2
    max_rejected: float = 0.5

    def __post_init__(self) -> None:
        check_types(self)
        if self.storage not in STORAGES:
            raise RecipeError(
                f"Unknown storage {self.storage!r}; there are {', '.join(STORAGES)}."
                + nearest(self.storage, STORAGES)
            )
        if not 0 < self.recall <= 1:
            raise RecipeError(f"The recall {self.recall:g} can't be reached for; take a share such as 0.95.")
        if not 0 <= self.max_rejected <= 1:
            raise RecipeError(f"max_rejected is a share from 0 to 1; got {self.max_rejected:g}.")
        if self.keep < 1:
            raise RecipeError(f"{self.keep} builds can't be kept: the one in force is one. Take 1 or more.")
        if self.memory:
            parse_memory(self.memory)


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

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """Return the recipe as tables of plain values, without its name."""
        return {part: asdict(getattr(self, part)) for part in ("source", "encoder", "index")}

    def save(self, folder: Path) -> None:
        """Write `recipe.toml` into `folder`, atomically."""
        document = self.as_dict()
        target = folder / RECIPE_FILE
        aside = folder / f".{RECIPE_FILE}.new"
        aside.write_text(tomli_w.dumps(document), encoding="utf-8")
        aside.replace(target)

    @classmethod
    def load(cls, folder: Path) -> Recipe:
        """Read `folder/recipe.toml`; the index is named after the folder.

        Raises:
            RecipeError: the file is missing, is not TOML, or holds unknown or ill-typed entries.
        """
        path = folder / RECIPE_FILE
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RecipeError(
                f"{path} is missing. Build the index again: embedsearch build SOURCE --name {folder.name}"
            ) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RecipeError(
                f"{path} is not valid TOML: {error}. Mend it, or build the index again: "
                f"embedsearch build SOURCE --name {folder.name}"
            ) from None
        return cls.from_dict(folder.name, document, path)

    @classmethod
    def from_dict(cls, name: str, document: Mapping[str, Any], path: Path | None = None) -> Recipe:
        """Make a recipe of the tables that `as_dict` returns.

        Args:
            name: of the index.
            document: the tables.
            path: the file that they come from, for what is said of errors.

        Raises:
            RecipeError: they hold unknown or ill-typed entries.
        """
        path = path or Path(RECIPE_FILE)
        try:
            encoder = dict(document["encoder"])
            encoder["unit"] = Unit(encoder["unit"])
            return cls(
                name=name,
                source=_part(SourceRecipe, document["source"], path),
                encoder=_part(EncoderRecipe, encoder, path),
                index=_part(IndexOptions, document.get("index", {}), path),
            )
        except (KeyError, ValueError, TypeError) as error:
            raise RecipeError(f"{path} is incomplete or has an impossible value: {error}.") from None


def _part(kind: type[Any], values: dict[str, Any], path: Path) -> Any:
    """Make one part of a recipe from a TOML table, tuples for lists."""
    if not isinstance(values, dict):
        raise RecipeError(f"{path}: a table of entries was expected where it has {values!r:.60}.")
    known = [item.name for item in fields(kind)]
    for name in values:
        if name not in known:
            raise RecipeError(f"{path} has an unknown entry {name!r}.{nearest(name, known)}")
    frozen = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    try:
        return kind(**frozen)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from None


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


def parse_memory(text: str) -> int:
    """Return the bytes that `text` names: a number with kB, MB, GB or TB (powers of 1000), or KiB to TiB.

    Raises:
        RecipeError: it is no such number.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*", text, re.IGNORECASE)
    if not found or float(found[1]) == 0:
        raise RecipeError(f"{text!r} is no amount of memory; write it like 4GB or 500MB.")
    power = " kmgt".index(found[2].lower()) if found[2] else 0
    return int(float(found[1]) * (1024 if found[3] else 1000) ** power)


def unit_of(value: Any) -> Unit:
    """Return the unit of that name.

    Raises:
        RecipeError: there is none.
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
        RecipeError: they are none.
    """
    try:
        return tuple(index(each) for each in (value if isinstance(value, Iterable) else (value,)))
    except TypeError:
        raise RecipeError(f"Layers are whole numbers, as in -1 or (-1, -2); got {value!r:.60}.") from None


def columns_of(value: Any) -> tuple[str, ...]:
    """Return the names of columns, one or several.

    Raises:
        RecipeError: they are no names.
    """
    if not isinstance(value, Iterable) or isinstance(value, bytes):
        raise RecipeError(f"A column's name is a str, and several are a list of them; got {value!r:.60}.")
    return (value,) if isinstance(value, str) else tuple(value)


def joined(options: Options, **given: Any) -> Options:
    """Return options with those that were given by name, where these are no defaults.

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
    """See that a part of a recipe holds what it is declared to hold.

    Raises:
        RecipeError: it does not.
    """
    for name, kind in get_type_hints(type(part)).items():
        value = getattr(part, name)
        if any(
            isinstance(each, str) and "\0" in each
            for each in (value if isinstance(value, tuple) else (value,))
        ):
            raise RecipeError(f"the entry {name!r} holds a null character.")
        if not _fits(value, kind):
            inner = get_args(kind)
            wanted = f"list of {inner[0].__name__}" if inner else kind.__name__
            raise RecipeError(f"the entry {name!r} is {value!r:.80}, where a {wanted} was expected.")


def _fits(value: Any, kind: Any) -> bool:
    """Whether a TOML value is of the type of a recipe's entry; a truth value is no whole number."""
    if inner := get_args(kind):  # tuple[X, ...]
        return isinstance(value, tuple) and all(_fits(each, inner[0]) for each in value)
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    return isinstance(value, kind) or (kind is float and isinstance(value, int))
