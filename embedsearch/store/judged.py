"""Hits that people marked as right or wrong: files in an index's folder, which no build touches.

`queries.tsv` and `qrels.tsv` are what `eval --queries --qrels` reads; `pairs.tsv`, of texts alone, is what
`calibrate --pairs` and `eval --pairs` read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from embedsearch.disk.lock import write_lock
from embedsearch.errors import QueryError

FOLDER = "judged"
QUERIES, QRELS, PAIRS = "queries.tsv", "qrels.tsv", "pairs.tsv"
NAMES = {  # of the columns
    QUERIES: ("id", "query"),
    QRELS: ("query", "item", "grade"),
    PAIRS: ("text1", "text2", "score"),
}
RIGHT, WRONG = 1, 0
GRADES = ("0", "1")
_APART = frozenset("\t\r\n")  # what separates columns and lines


def unmarked(index: str) -> str:
    """Return a sentence on an index of which no hit was judged."""
    return f"No hit of {index} was marked yet: mark some with ✓ and ✗ on the page."


class Judged:
    """The judgements of an index."""

    def __init__(self, index: Path) -> None:
        """Keep where they are; `index` is the folder of the index."""
        self._folder = index / FOLDER
        self.queries, self.qrels, self.pairs = (self._folder / name for name in (QUERIES, QRELS, PAIRS))

    def __len__(self) -> int:
        return sum(1 for _ in _rows(self.qrels))

    def grades(self, query: str) -> dict[str, int]:
        """Return the grade of each judged item of a query, by its id."""
        own = _identity(query)
        return {
            row[1]: int(row[2])
            for row in _rows(self.qrels)
            if len(row) == len(NAMES[QRELS]) and row[0] == own and row[2] in GRADES
        }

    def mark(self, query: str, item: str, grade: int | None, text: str | None = None) -> None:
        """Judge an item for a query.

        Args:
            query: its text.
            item: the item's id.
            grade: `RIGHT`, `WRONG`, or None to take a judgement back.
            text: of the item; None where it is not a text.

        Raises:
            QueryError: the id holds a tab or a line break, which the files can't hold; or a line of a file,
                which a person may have edited, can't be read.
            IndexBusyError: another process writes them at this moment.
            OSError: they can't be written.
        """
        if _APART & set(item):
            raise QueryError(f"The id {item!r:.80} holds a tab or a line break: it can't be judged.")
        own, query = _identity(query), _line(query)
        text = None if text is None else _line(text)
        self._folder.mkdir(exist_ok=True)
        with write_lock(self._folder):
            graded = {(each[0], each[1]): each for each in _whole(self.qrels)}
            paired = {(each[0], each[1]): each for each in _whole(self.pairs)}
            graded.pop((own, item), None)
            if text is not None:
                paired.pop((query, text), None)
            if grade is not None:
                graded[own, item] = [own, item, str(grade)]
                if text is not None:
                    paired[query, text] = [query, text, str(grade)]
            asked = {row[0]: row[1] for row in _whole(self.queries)} | {own: query}
            left = {each[0] for each in graded.values()}
            _write(self.queries, [[key, text] for key, text in asked.items() if key in left])
            _write(self.pairs, paired.values())
            _write(self.qrels, graded.values())


def _identity(query: str) -> str:
    """Return the id of a query, equal for equal texts."""
    return "q" + hashlib.sha256(_line(query).encode()).hexdigest()[:12]


def _line(text: str) -> str:
    """Return a text on one line, without tabs."""
    return " ".join(text.split())


def _rows(path: Path) -> Iterator[list[str]]:
    """Yield the rows of a file below its names; none where it is not there."""
    if not path.is_file():
        return
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        next(file, None)
        yield from (line.rstrip("\r\n").split("\t") for line in file if line.strip())  # a person may edit it


def _whole(path: Path) -> Iterator[list[str]]:
    """Yield the rows of a file, as `_rows`.

    Raises:
        QueryError: one of them has not as many columns as the names above, and would be lost.
    """
    names = NAMES[path.name]
    for row in _rows(path):
        if len(row) != len(names):
            raise QueryError(
                f"{path}: a line with {', '.join(names)}, with tabs between, was expected; got "
                f"{chr(9).join(row)!r:.80}. Mend or delete that line."
            )
        yield row


def _write(path: Path, rows: Iterable[Sequence[str]]) -> None:
    """Write a file aside, and put it in the place of the former one."""
    aside = path.with_suffix(".new")
    with aside.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        file.writelines("\t".join(row) + "\n" for row in (NAMES[path.name], *rows))
    aside.replace(path)
