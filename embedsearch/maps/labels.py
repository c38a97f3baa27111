"""Names of groups of items: the words that set a group's texts, captions or labels apart.

Class-based TF-IDF (Grootendorst 2022, BERTopic): W(t, c) = tf(t, c) log(1 + A / f(t)), where tf(t, c) is the
share of word t among the words of group c, f(t) how often it stands in all groups, and A the mean number of
words of a group. That discounts "the" and "my" too little, and there is no list of such words for every
language: so W is multiplied by the logarithm of how many times as large a share of the group's items holds
the word as of all others, up to e^3, and what is not twice as large is left out.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import PurePath

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from embedsearch.backends import Rows
from embedsearch.errors import QueryError, nearest
from embedsearch.splitters.words import words
from embedsearch.store.items import FIELD

WORDS = 3
LIFT, MOST_LIFT = math.log(2), 3.0  # logarithms
LEAST = 2  # items of the group that must hold a word


def text_fields(items: pa.Table) -> list[str]:
    """Return the names of the fields that hold texts, in their order."""
    return [
        column.name.removeprefix(FIELD)
        for column in items.schema
        if column.name.startswith(FIELD) and pa.types.is_string(column.type)
    ]


def check_field(items: pa.Table, field: str) -> None:
    """See that groups can be named from a field.

    Raises:
        QueryError: the field holds no texts, or there is none of that name.
    """
    known = text_fields(items)
    if field not in known:
        has = f"those with texts are {', '.join(known)}" if known else "none of its fields holds texts"
        raise QueryError(
            f"The groups of this index can't be named from the field {field!r}: {has}.{nearest(field, known)}"
        )


def documents(items: pa.Table, rows: Rows, field: str = "") -> list[str]:
    """Return what names some items, a text each.

    Args:
        items: see `embedsearch.store.items`.
        rows: (m,) ascending.
        field: which field says it. Without one it is the text, or the word itself; of an image all its
            fields that hold texts, or where it has none the name of its file.
    """
    fields = [FIELD + each for each in ([field] if field else text_fields(items))]
    columns = ["id", "text", "path", "start", "end", *fields]
    entries: list[str] = []
    for batch, within in _batches(items.select(columns), rows):
        part = batch.take(pa.array(within)).to_pydict()
        for at in range(len(within)):
            entry = " ".join(part[each][at] for each in fields if part[each][at])
            if not field:
                text, start = part["text"][at], part["start"][at]
                if text is None:
                    entry = entry or PurePath(part["path"][at] or part["id"][at]).stem.replace("_", " ")
                else:
                    entry = text if start is None else text[start : part["end"][at]]
            entries.append(entry)
    return entries


def _batches(items: pa.Table, rows: Rows) -> Iterable[tuple[pa.RecordBatch, Rows]]:
    """Yield the batches of a table, and which of their own rows are among `rows`, where any are."""
    start = 0
    for batch in items.to_batches():
        first, last = np.searchsorted(rows, (start, start + len(batch)))
        if first < last:
            yield batch, rows[first:last] - start
        start += len(batch)


def distinctive_words(
    texts: Sequence[str], labels: npt.NDArray[np.integer], groups: int, most: int = WORDS
) -> list[list[str]]:
    """Return the words that set each group apart, the most telling first.

    A word that begins like one already taken ("cards", "card") is left out. Where no word is distinctive, as
    in a group of one item, the highest by the formula alone are taken.

    Args:
        texts: a text for each item.
        labels: (n,) the group of each, from 0.
        groups: how many there are.
        most: how many words of each, at most.
    """
    counts = [Counter[str]() for _ in range(groups)]  # words
    holders = [Counter[str]() for _ in range(groups)]  # items that hold a word
    sizes = np.bincount(labels, minlength=groups)
    for text, label in zip(texts, labels.tolist(), strict=True):
        found = _words(text)
        counts[label].update(found)
        holders[label].update(set(found))
    total, held = Counter[str](), Counter[str]()
    for each, holding in zip(counts, holders, strict=True):
        total.update(each)
        held.update(holding)
    mean = total.total() / max(1, groups)
    names = []
    for group in range(groups):
        own, others = int(sizes[group]), len(texts) - int(sizes[group])
        amount = max(1, counts[group].total())
        scores = {word: n / amount * math.log(1 + mean / total[word]) for word, n in counts[group].items()}
        apart = {}
        for word, score in scores.items():
            inside = holders[group][word]
            outside = held[word] - inside + 1  # so that a word of this group alone has a finite lift
            lift = math.log(inside / own * (others + 1) / outside)
            if inside >= LEAST and lift >= LIFT:
                apart[word] = score * min(lift, MOST_LIFT)
        names.append(_first(apart or scores, most))
    return names


def _words(text: str) -> list[str]:
    """Return the words of a text, small; numbers and single Latin letters are none."""
    found = (text[start:end].casefold() for start, end in words(text))
    return [
        word
        for word in found
        if any(letter.isalpha() for letter in word) and (len(word) > 1 or not word.isascii())
    ]


def _first(scores: dict[str, float], most: int) -> list[str]:
    taken: list[str] = []
    for word in sorted(scores, key=lambda word: (-scores[word], word)):
        if len(taken) == most:
            break
        if not any(word.startswith(each) or each.startswith(word) for each in taken):
            taken.append(word)
    return taken
