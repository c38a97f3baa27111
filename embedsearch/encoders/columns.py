"""What is learnt from the columns of a table: how a value of each becomes numbers of a row's vector.

Each column has numbers of its own in the vector, so that a squared distance is a sum over columns. The
numbers of every column have a mean of 0 and a variance of 1 together, times the column's weight: two random
rows are as far apart in one column as in another.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from itertools import accumulate
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from embedsearch.disk.npy import load_arrays
from embedsearch.distances.metric import Vectors
from embedsearch.errors import ItemError

MOST_CATEGORIES = 50  # different values that have a number each; a column of more is compared as text
WIDEST, WIDE = 64, 1024  # numbers of one column, and of a row
LEAST_WIDE = 4
FAR = 12.0  # robust standard deviations; what lies beyond counts by its logarithm
NORMAL = 1.349  # interquartile range of a normal distribution of standard deviation 1
TEXTS = 2000  # rows whose texts are embedded to learn a column of texts
DAY = 86_400.0
# days of a cycle, and what of a column's dates it is
CYCLES = {"year": 365.2425, "week": 7.0, "day": 1.0}
_THOUSANDS = re.compile(r"-?[1-9][0-9]{0,2}(\.[0-9]{3})+")
Numbers = npt.NDArray[np.float64]
Embed = Callable[[list[str]], Vectors]


class Kind(StrEnum):
    """How the values of a column are compared."""

    NUMBER = "number"
    CATEGORY = "category"
    DATE = "date"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Column:
    """What is known of a column.

    Attributes:
        name: its name.
        kind: how its values are compared.
        weight: how often its squared distance counts.
        centre: the median of numbers, or of dates in days since 1970.
        spread: the robust standard deviation of the same: the interquartile range / 1.349.
        values: the categories, each of which has a number of its own, the most frequent first.
        cycles: the cycles of dates, see `CYCLES`.
        missing: whether a number says that the value is missing.
        comma: whether texts of numbers have a decimal comma.
    """

    name: str
    kind: Kind
    weight: float = 1.0
    centre: float = 0.0
    spread: float = 1.0
    values: tuple[str, ...] = ()
    cycles: tuple[str, ...] = ()
    missing: bool = False
    comma: bool = False

    def parsed(self, value: Any) -> float | str | None:
        """Return a value as it is compared: a number, days since 1970, or a text; None where it is missing.

        Raises:
            ItemError: it is of another kind than the column's values.
        """
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        if self.kind in (Kind.CATEGORY, Kind.TEXT):
            return text_of(value)
        try:
            number = _days(value) if self.kind is Kind.DATE else _number(value, self.comma)
        except (TypeError, ValueError, OverflowError):
            what = "a date as in 2026-11-27" if self.kind is Kind.DATE else "a number"
            raise ItemError(f"the column {self.name!r} takes {what}; got {value!r:.60}") from None
        if math.isinf(number):
            raise ItemError(f"the column {self.name!r} holds a number that is not finite")
        return None if math.isnan(number) else number

    def features(self, values: Sequence[float | str | None]) -> Numbers:
        """Return what is compared of values that are no texts, (n, w); of a missing one NaN."""
        if self.kind is Kind.CATEGORY:
            places = {value: at for at, value in enumerate(self.values)}
            folded = {value.casefold(): at for value, at in reversed(places.items())}
            hot = np.zeros((len(values), len(places)))
            for row, value in enumerate(values):
                at = None if value is None else places.get(str(value), folded.get(str(value).casefold()))
                if at is not None:
                    hot[row, at] = 1
            return hot
        held = np.array([np.nan if value is None else value for value in values], np.float64)
        parts = [_squashed((held - self.centre) / self.spread)]
        for name in self.cycles:
            turns = 2 * np.pi * held / CYCLES[name]
            parts += [np.sin(turns), np.cos(turns)]
        return np.stack(parts, 1)  # (n, w)


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A column, and how what is compared of its values becomes numbers of a vector.

    Attributes:
        column: the column.
        mean: (w,) of what is compared; a missing value has this.
        basis: (w, r) directions that are kept, each with its factor.
        apart: the number that says that a value is missing, less that of others.
        share: the share (0 to 1) of missing values, which centres that number.
    """

    column: Column
    mean: Numbers
    basis: Numbers
    apart: float
    share: float

    @property
    def width(self) -> int:
        """How many numbers of a vector are its own."""
        return int(self.basis.shape[1]) + self.column.missing

    def vectors(self, features: Numbers, missing: npt.NDArray[np.bool_]) -> Vectors:
        """Return the column's part of vectors, (n, width) float32.

        Args:
            features: (n, w) see `Column.features`, or vectors of texts; those of missing values do not count.
            missing: (n,) which values are missing.
        """
        if self.column.kind is not Kind.CATEGORY:  # where it is missing, all categories are 0
            features = np.where(missing[:, None], self.mean, features)
        made = (features - self.mean) @ self.basis  # (n, w) (w, r) -> (n, r)
        if self.column.missing:
            made = np.column_stack([made, (missing - self.share) * self.apart])
        return made.astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Learnt:
    """What was learnt from a table.

    Attributes:
        blocks: its columns that count, in their order.
        notes: what a person should know of its columns; sentences.
    """

    blocks: tuple[Block, ...]
    notes: tuple[str, ...] = ()

    @property
    def columns(self) -> list[Column]:
        """The columns that count."""
        return [block.column for block in self.blocks]

    @property
    def has_texts(self) -> bool:
        """Whether a model embeds some of its columns."""
        return any(column.kind is Kind.TEXT for column in self.columns)

    @property
    def places(self) -> list[slice]:
        """Where each column stands in a vector."""
        ends = list(accumulate(block.width for block in self.blocks))
        return [slice(end - block.width, end) for end, block in zip(ends, self.blocks, strict=True)]

    @property
    def dimension(self) -> int:
        """The length of a vector."""
        return sum(block.width for block in self.blocks)

    @property
    def digest(self) -> str:
        """64 hex digits: SHA-256 over all that decides what a vector is."""
        found = hashlib.sha256(json.dumps([asdict(column) for column in self.columns]).encode())
        for block in self.blocks:
            for array in (block.mean, block.basis, np.array([block.apart, block.share])):
                found.update(np.ascontiguousarray(array, "<f8").tobytes())
        return found.hexdigest()

    def save(self, path: Path) -> None:
        """Write it to an .npz file."""
        arrays: dict[str, Any] = {}
        for at, block in enumerate(self.blocks):
            arrays |= {f"{at}/mean": block.mean, f"{at}/basis": block.basis}
        facts = {
            "columns": [asdict(column) for column in self.columns],
            "missing": [[block.apart, block.share] for block in self.blocks],
            "notes": self.notes,
        }
        np.savez_compressed(path, facts=np.array(json.dumps(facts)), **arrays)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            OSError, ValueError, KeyError, zipfile.BadZipFile: the file is missing or is none of these.
        """
        arrays = load_arrays(path)
        facts = json.loads(str(arrays["facts"]))
        blocks = []
        for at, (values, missing) in enumerate(zip(facts["columns"], facts["missing"], strict=True)):
            lists = {"values": tuple(values["values"]), "cycles": tuple(values["cycles"])}
            column = Column(**{**values, **lists, "kind": Kind(values["kind"])})
            blocks.append(Block(column, arrays[f"{at}/mean"], arrays[f"{at}/basis"], *missing))
        return cls(tuple(blocks), tuple(facts["notes"]))


@dataclass(frozen=True, slots=True)
class Summary:
    """The columns of a table, before its texts are embedded.

    Attributes:
        columns: those that count.
        values: of each, its values as they are compared; see `Column.parsed`.
        notes: sentences on those that do not count, and on categories that are compared as text.
    """

    columns: list[Column] = field(default_factory=list)
    values: list[list[float | str | None]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def summary(
    rows: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    weights: Mapping[str, float],
    *,
    comma: bool = False,
) -> Summary:
    """Return what the columns of a table hold.

    Args:
        rows: some rows; numbers, truth values and dates have their types.
        names: of the columns.
        weights: of columns, where they are not 1.
        comma: whether texts of numbers have a decimal comma.
    """
    found = Summary()
    for name in names:
        held = [row.get(name) for row in rows]
        column = _column(Column(name, Kind.TEXT, weights.get(name, 1.0), comma=comma), held)
        values = [] if column is None else [_usable(column, value) for value in held]
        distinct = len({value for value in values if value is not None})
        if column is None or (distinct < 2 and not (column.missing and distinct)):
            what = "holds nothing" if column is None or not distinct else "holds the same value in every row"
            found.notes.append(f"Column {name!r} {what} and is not used.")
            continue
        if column.kind is Kind.TEXT and distinct <= len(rows) / 2:
            found.notes.append(f"Column {name!r} has {distinct:,} different values and is compared as text.")
        found.columns.append(column)
        found.values.append(values)
    return found


def learn(known: Summary, embed: Embed) -> Learnt:
    """Return how the rows of a table become vectors.

    Args:
        known: its columns.
        embed: makes unit vectors (n, d) of texts; asked where a column holds texts.
    """
    widest = min(WIDEST, max(LEAST_WIDE, WIDE // max(1, len(known.columns))))
    blocks = []
    for column, values in zip(known.columns, known.values, strict=True):
        if column.kind is Kind.TEXT:
            looked_at = values[:: max(1, len(values) // TEXTS)]
            features = _embedded(looked_at, embed)
        else:
            looked_at, features = values, column.features(values)
        missing = np.array([value is None for value in looked_at])
        blocks.append(_block(column, features, missing, widest))
    return Learnt(tuple(blocks), tuple(known.notes))


def changed(learnt: Learnt, now: Summary) -> str:
    """Return why a table has to be learnt again, as the end of a sentence; empty where it need not be.

    Few changes do not matter: numbers may move by half of their spread, and a fifth of the values may be new.
    """
    then = {column.name: column for column in learnt.columns}
    here = {column.name for column in now.columns}
    if gone := next((name for name in then if name not in here), ""):
        return f"the column {gone!r} is no longer used"
    for column, values in zip(now.columns, now.values, strict=True):
        if column.name not in then:
            return f"the column {column.name!r} is new"
        if why := _moved(then[column.name], column, values):
            return f"the column {column.name!r} {why}"
    return ""


def text_of(value: Any) -> str:
    """Return a value as the text by which it is compared; a missing one is empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ", ".join(map(text_of, value))
    return value.isoformat() if isinstance(value, date) else " ".join(str(value).split())


def _moved(then: Column, now: Column, values: Sequence[float | str | None]) -> str:
    """Return how the values of a column have changed; empty where little has."""
    texts = (Kind.CATEGORY, Kind.TEXT)
    if then.weight != now.weight:
        return f"has the weight {now.weight:g}"
    if then.kind is not now.kind and not (then.kind in texts and now.kind in texts):
        return f"holds values of the kind {now.kind}, not {then.kind}"
    held = [value for value in values if value is not None]
    if now.missing and not then.missing and len(values) - len(held) > len(values) / 5:
        return "has many missing values"
    if then.kind is Kind.CATEGORY:
        known = set(then.values)
        unseen = sum(str(value) not in known for value in held)
        return "has many new values" if unseen > len(held) / 5 else ""
    if then.kind is not Kind.TEXT:
        if abs(now.centre - then.centre) > then.spread / 2:
            return "has another median"
        if not 2 / 3 < now.spread / then.spread < 3 / 2:
            return "has another spread"
    return ""


def _column(column: Column, held: Sequence[Any]) -> Column | None:
    """Return a column with what its values tell of it; None where it holds nothing."""
    there = [value for value in held if value is not None and text_of(value)]
    if not there:
        return None
    column = replace(column, missing=len(there) < len(held))
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in there):
        return _measured(replace(column, kind=Kind.NUMBER), there)
    if all(isinstance(value, date) for value in there):
        column = _measured(replace(column, kind=Kind.DATE), there)
        return replace(column, cycles=_cycles(there))
    counts = Counter(map(text_of, there))
    if len(counts) <= MOST_CATEGORIES and len(counts) <= max(2, len(there) / 2):
        values = sorted(counts, key=lambda value: (-counts[value], value))
        return replace(column, kind=Kind.CATEGORY, values=tuple(values))
    return column


def _usable(column: Column, value: Any) -> float | str | None:
    """Return a value as it is compared; None where it is missing, or not to be used."""
    try:
        return column.parsed(value)
    except ItemError:
        return None


def _measured(column: Column, there: Sequence[Any]) -> Column:
    """Return a column of numbers or dates with the centre and the spread of its values."""
    numbers = np.array([each for value in there if (each := _usable(column, value)) is not None], np.float64)
    if not len(numbers):
        return column
    low, centre, high = np.quantile(numbers, (0.25, 0.5, 0.75)).tolist()
    spread = (high - low) / NORMAL or float(numbers.std()) or 1.0
    return replace(column, centre=centre, spread=spread)


def _cycles(there: Sequence[date]) -> tuple[str, ...]:
    """Return the cycles that dates go through: the time of day where they have one."""
    days = np.array([_days(value) for value in there])
    names = [name for name in ("year", "week") if np.ptp(days) > CYCLES[name] / 4]
    return (*names, "day") if np.any(days % 1) else tuple(names)


def _block(column: Column, features: Numbers, missing: npt.NDArray[np.bool_], widest: int) -> Block:
    """Return how what is compared of a column becomes numbers: variance 1, at most `widest` directions.

    Args:
        column: the column.
        features: (n, w) of some of its values.
        missing: (n,) which of these are missing.
        widest: the most directions that are kept.
    """
    share = float(missing.mean())
    there = features if column.kind is Kind.CATEGORY else features[~missing]
    mean = there.mean(0)  # (n, w) -> (w,)
    centred = there - mean
    if column.kind is Kind.DATE:  # the date, and each of its cycles, count the same
        parts = np.array([0, *(1 + at // 2 for at in range(centred.shape[1] - 1))])
        spreads = np.sqrt([(centred[:, parts == part] ** 2).sum(1).mean() for part in parts])
        basis = np.diag(1 / np.where(spreads > 0, spreads, 1))  # (w, w)
    else:
        basis = np.eye(centred.shape[1])
    if centred.shape[1] > widest:
        _, _, directions = np.linalg.svd(centred @ basis, full_matrices=False)
        basis = basis @ directions[:widest].T  # (w, w) (w, r) -> (w, r)
    variance = float(((centred @ basis) ** 2).sum(1).mean())
    apart = 1.0  # where a category is missing, the others' numbers tell half of it
    if column.kind is not Kind.CATEGORY:
        basis, variance = basis / math.sqrt(variance or 1.0), (1 - share) * bool(variance)
    total = variance + (share * (1 - share) if column.missing else 0.0)
    factor = math.sqrt(column.weight / (total or 1.0))
    return Block(column, mean, basis * factor, apart * factor, share)


def _embedded(values: Sequence[float | str | None], embed: Embed) -> Numbers:
    """Return the vectors of texts, (n, d), each different one embedded once; of missing ones NaN."""
    texts = [None if value is None else str(value) for value in values]
    different = list(dict.fromkeys(text for text in texts if text is not None))
    places = {text: at for at, text in enumerate(different)}
    vectors = embed(different).astype(np.float64)
    made = np.full((len(texts), vectors.shape[1]), np.nan)
    for row, text in enumerate(texts):
        if text is not None:
            made[row] = vectors[places[text]]
    return made


def _squashed(z: Numbers) -> Numbers:
    """Return numbers whose distance from 0 grows by its logarithm beyond `FAR`, so that none takes over."""
    far = np.maximum(np.abs(z) - FAR, 0)
    return np.asarray(np.sign(z) * (np.minimum(np.abs(z), FAR) + np.log1p(far)))


def _number(value: Any, comma: bool) -> float:
    if isinstance(value, str):
        text = value.strip()
        if comma and ("," in text or _THOUSANDS.fullmatch(text)):
            text = text.replace(".", "").replace(",", ".")
        return float(text)
    if not isinstance(value, int | float):
        raise TypeError(value)
    return float(value)


def _days(value: Any) -> float:
    """Return a date or a time as days since 1970, in UTC."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value.strip())
    if not isinstance(value, date):
        raise TypeError(value)
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    elif value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return float((value - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) / DAY
