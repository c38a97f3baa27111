"""What people judged: queries, which items answer them, and pairs of texts with scores."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from embedsearch.errors import SourceError, SourceNotFoundError

MAX_GRADE = 10**6
MAX_SCORE = 1e9
TEXT_COLUMNS = ("text", "query", "question")
# what the first row may call its columns, small and without spaces, - and _
ID_NAMES = ("id", "qid", "queryid", "questionid", "key")
TEXT_NAMES = (
    *TEXT_COLUMNS,
    "queries",
    "questions",
    "texts",
    "querytext",
    "questiontext",
    "sentence",
    "title",
)
PAIR_COLUMNS = (("text1", "text2"), ("s1", "s2"), ("sentence1", "sentence2"))


def read_queries(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the id and the text of queries.

    Args:
        path: JSONL with `id` (or `_id`) and `text`; else a table, .csv or separated by tabs: of two columns,
            an id and a text, or with names in its first row, such as `id` and `query`, in any order.

    Raises:
        SourceNotFoundError, SourceError: the file is missing or holds something else.
    """
    if path.suffix == ".jsonl":
        for number, line in enumerate(_text(path).split("\n"), 1):  # splitlines() cuts at U+2028 too
            if line.strip():
                try:
                    row = json.loads(line)
                    text = next(str(row[name]) for name in TEXT_COLUMNS if name in row)
                    yield str(row["id"] if "id" in row else row["_id"]), text
                except (ValueError, KeyError, TypeError, StopIteration, RecursionError):
                    raise SourceError(
                        f"{path}:{number}: an object with 'id' and 'text' was expected: {line[:60]!r}"
                    ) from None
        return
    columns: tuple[int, int] | None = None  # of the id and of the text
    for number, row in enumerate(_rows(path), 1):
        if not row:
            continue
        is_first, columns = columns is None, columns or _columns(row) or (0, 1)
        if len(row) <= max(columns):
            raise SourceError(f"{path}:{number}: an id and a text were expected; got {row!r:.80}.")
        if not (is_first and _columns(row)):
            yield row[columns[0]], row[columns[1]]


def _columns(row: Sequence[str]) -> tuple[int, int] | None:
    """Return where a row of names has the id and the text; None for a row that names neither."""
    names = [re.sub(r"[\s_-]", "", name).casefold() for name in row]
    named = [
        next((at for at, name in enumerate(names) if name in known), None) for known in (ID_NAMES, TEXT_NAMES)
    ]
    if named == [None, None]:
        return None
    identity, text = named
    if identity is None:
        return (1, 0) if text == 0 else (0, text or 0)
    return identity, (1 if identity == 0 else 0) if text is None else text


def read_qrels(path: Path) -> Iterator[tuple[str, str, int]]:
    """Yield query, item and grade of judgements.

    Args:
        path: TREC's `query 0 item grade`, or a table of query, item and grade, perhaps with names above.

    Raises:
        SourceNotFoundError, SourceError: the file is missing or holds something else.
    """
    for number, line in enumerate(_text(path).split("\n"), 1):
        parts = line.rstrip("\r").split("\t") if "\t" in line else line.split()
        if not parts:
            continue
        try:
            query, item, grade = parts if len(parts) == 3 else (parts[0], *parts[2:])
            yield query, item, _grade(grade)
        except ValueError:
            if number > 1 or len(parts) != 3:  # the first line may name three columns
                raise SourceError(
                    f"{path}:{number}: 'query 0 item grade' or 'query item grade' was expected: {line[:60]!r}"
                ) from None


def read_pairs(path: Path) -> Iterator[tuple[str, str, float]]:
    """Yield two texts and their score.

    Args:
        path: a table with the columns `score`, and `text1` and `text2` (or s1, s2; sentence1, sentence2).

    Raises:
        SourceNotFoundError, SourceError: the file is missing or holds something else.
    """
    rows = _rows(path)
    head = [name.strip().casefold() for name in next(rows, [])]
    pair = next((pair for pair in PAIR_COLUMNS if {*pair, "score"} <= set(head)), None)
    if pair is None:
        raise SourceError(f"{path}: the columns score, text1 and text2 were expected; it has {head!r:.200}.")
    left, right, score = (head.index(name) for name in (*pair, "score"))
    for number, row in enumerate(rows, 2):
        try:
            value = float(row[score])
            if not abs(value) <= MAX_SCORE:
                raise ValueError(row[score])
            yield row[left], row[right], value
        except (ValueError, IndexError):
            raise SourceError(
                f"{path}:{number}: two texts and a score were expected; got {row!r:.80}."
            ) from None


def _grade(text: str) -> int:
    value = float(text)
    if not abs(value) <= MAX_GRADE:
        raise ValueError(text)
    return int(value)


def _rows(path: Path) -> Iterator[list[str]]:
    file = io.StringIO(_text(path), newline="")
    if path.suffix == ".csv":
        rows = csv.reader(file)
    else:
        rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
    try:
        yield from rows
    except csv.Error as error:
        raise SourceError(f"{path}:{rows.line_num}: it can't be read as a table: {error}.") from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise SourceNotFoundError(f"There is no file {path}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} can't be read as text: {error}") from None
