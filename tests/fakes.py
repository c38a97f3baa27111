"""A legible encoder without torch, and a source that is a list: tests of the rest assert exact rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from embedsearch.distances.metric import Vectors
from embedsearch.encoders import Encoder, Prepared, all_ready, gather
from embedsearch.encoders.hidden_states import HiddenStates, View
from embedsearch.encoders.vision.decode import open_rgb
from embedsearch.errors import ItemError
from embedsearch.modalities import UNITS
from embedsearch.models.spec import EncoderSpec, Role
from embedsearch.progress import Silent
from embedsearch.recipe import EncoderRecipe, SourceRecipe
from embedsearch.records import Entry, Modality, Passages, Record, Sentence, Span, Unit
from embedsearch.sources.table import Reading
from embedsearch.splitters.words import words

UNREADABLE = "☠"
WORD_LIMIT = 8
FRUITS = ["apple", "apples", "berry", "cherry", "date", "elder", "fig", "grape", "pear", "plum"]
COLOURS = {"red": (255, 0, 0), "pink": (255, 128, 128), "navy": (0, 0, 128), "white": (255, 255, 255)}


def letters(text: str) -> Vectors:
    """Count the letters a to z of `text`: (26,) float32, so "abba" is (2, 2, 0, ...)."""
    return np.array([text.lower().count(chr(97 + letter)) for letter in range(26)], np.float32)


def colour(picture: Any) -> Vectors:
    """Return the mean red, green and blue of an image in [0, 1], then 23 zeros: (26,) float32."""
    pixels = np.asarray(open_rgb(picture), np.float32)
    return np.concatenate([pixels.mean((0, 1)) / 255, np.zeros(23)]).astype(np.float32)


@dataclass(slots=True)
class Asked(Prepared):
    """Letters counted, and of what."""

    item: Any = None


class Told(Silent):
    """Remembers the stages that work went through."""

    def __init__(self) -> None:
        self.stages: list[str] = []

    def stage(self, text: str, total: int | None = None) -> None:  # noqa: ARG002
        """See `Progress.stage`."""
        self.stages.append(text)


class LetterEncoder:
    """Counts letters; an image is its mean colour. Texts over `WORD_LIMIT` words are cut there.

    `embedded` holds everything that went through `run`, in order.
    """

    dimension = 26
    device = "cpu"
    engine = "letters"
    decoding = ""

    def __init__(self, recipe: EncoderRecipe, version: str = "1") -> None:
        self.precision = "fp32" if recipe.precision == "auto" else recipe.precision
        self.embedded: list[Any] = []
        self.spec = EncoderSpec(
            model=recipe.model or "letters",
            revision="",
            unit=recipe.unit,
            pooling=recipe.pooling or "mean",
            layers=recipe.layers,
            patch_tokens_only=False,
            max_length=None if recipe.unit is Unit.IMAGE else WORD_LIMIT,
            prompts={"query": "", "passage": ""},
            files={"weights": version},
        )

    def prepare(self, items: Sequence[Any], role: Role = "passage") -> list[Any]:  # noqa: ARG002
        """See `Encoder.prepare`; long texts are cut, and not split into passages."""
        return [self._prepare(item.text if isinstance(item, Passages) else item) for item in items]

    def _prepare(self, item: Any) -> Prepared | ItemError:
        text = item.text if isinstance(item, Sentence) else item if isinstance(item, str) else ""
        if UNREADABLE in text:
            return ItemError("the text holds a skull")
        if self.spec.unit is Unit.IMAGE:
            try:
                return Asked({"row": colour(item)}, cost=1, item=item)
            except ItemError as error:
                return error
        found = words(text)
        units: tuple[Span, ...] | None = None
        if isinstance(item, Sentence):
            units = found if item.spans is None else item.spans
            units = tuple(span for span in units if span in found[:WORD_LIMIT])
            if not units:
                return ItemError("the sentence holds no word that the model can read")
        rows = [letters(text)] if units is None else [letters(text[start:end]) for start, end in units]
        return Asked(
            {"row": np.stack(rows)},
            cost=max(1, len(found)),
            units=units,
            truncated=len(found) > WORD_LIMIT,
            lost=0 if units is None else max(0, len(found) - WORD_LIMIT),
            item=item,
        )

    def run(self, prepared: Sequence[Prepared]) -> Iterator[tuple[int, Vectors]]:
        """See `Encoder.run`; the dearest first, so that order has to be restored."""
        for position in sorted(range(len(prepared)), key=lambda position: -prepared[position].cost):
            self.embedded.append(getattr(prepared[position], "item", None))
            yield position, np.atleast_2d(prepared[position].inputs["row"]).astype(np.float32)

    def encode(self, items: Sequence[Any], role: Role = "passage") -> Vectors:
        """See `Encoder.encode`."""
        prepared = all_ready(items, self.prepare(items, role))
        return gather(prepared, self.run(prepared), self.dimension)

    def hidden_states(self, item: Any, role: Role = "passage") -> HiddenStates:
        """See `Encoder.hidden_states`: of words of a text, letters of a word, pixels of an image.

        A row is a token's letters times the number of tokens, so that their mean is the letters counted.
        """
        vector = self.encode([item], role)[0]
        if self.spec.unit is Unit.IMAGE:
            pixels = np.asarray(open_rgb(item), np.float32) / 255  # (H, W, 3)
            height, width, _ = pixels.shape
            rows = np.pad(pixels.reshape(-1, 3), ((0, 0), (0, 23)))
            spans: list[Span | None] = [None] * len(rows)
            names, grid = [""] * len(rows), (height, width)
        else:
            text = item.text if isinstance(item, Sentence) else item
            own = item.spans[0] if isinstance(item, Sentence) else None
            spans = [*words(text)] if own is None else [(at, at + 1) for at in range(*own)]
            names, grid = [text[start:end] for start, end in spans], None
            rows = np.stack([letters(name) for name in names]) * len(names)
        weights = np.full(len(rows), 1 / len(rows), np.float32)
        views = (View(grid),) if grid else ()
        return HiddenStates(rows, weights, vector, True, tuple(names), tuple(spans), views)


def version(number: str) -> Callable[[EncoderRecipe], Encoder]:
    """Return a `load` whose encoder has other weights: the same dimension, another fingerprint."""
    return lambda recipe: LetterEncoder(recipe, number)


def read_ahead(monkeypatch: Any, count: int) -> None:
    """Have builds read so many records at a time, of whatever unit."""
    for unit, row in UNITS.items():
        monkeypatch.setitem(UNITS, unit, replace(row, records_ahead=count))


# what the sources called "list" hold, by location
LISTS: dict[str, Iterable[Entry]] = {}


class ListSource:
    """Yields what `LISTS` holds for its location."""

    def __init__(self, recipe: SourceRecipe) -> None:
        self._entries = LISTS[recipe.location]

    def modality(self) -> Modality:
        """Images where the first record is one."""
        records = (entry for entry in self._entries if isinstance(entry, Record))
        return next((record.modality for record in records), Modality.TEXT)

    def count(self) -> int | None:
        """See `Source.count`."""
        return len(self._entries) if isinstance(self._entries, list) else None

    def reading(self) -> Reading:
        """See `Source.reading`."""
        return Reading()

    def passed_over(self) -> dict[str, int]:
        """See `Source.passed_over`."""
        return {}

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)


def text(identity: str, content: str, **fields: Any) -> Record:
    """Return a text record."""
    return Record(identity, Modality.TEXT, content, fields)


def all_of(space: Any) -> Vectors:
    """Return all vectors (n, d) that a space, or a crossmodal, compares queries with."""
    return space.take(np.arange(len(space.backend)))


def picture(identity: str, content: Any, **fields: Any) -> Record:
    """Return an image record."""
    return Record(identity, Modality.IMAGE, content, fields)


def many(count: int = 300) -> list[Record]:
    """Return so many texts of random letters, with their number as a field."""
    draw = np.random.default_rng(0)
    return [text(str(at), "".join(draw.choice(list("abcdefgh"), 9)), number=at) for at in range(count)]


def fruit_entries() -> list[Record]:
    """Return `FRUITS` as records, with their length and first letter as fields."""
    return [text(word, word, length=len(word), first=word[0]) for word in FRUITS]
