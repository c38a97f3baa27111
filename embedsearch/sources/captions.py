"""Pairs of an image and its caption."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from embedsearch.errors import SourceError, SourceNotFoundError
from embedsearch.records import Rejected, unbroken
from embedsearch.sources.delimited import read_table
from embedsearch.sources.lines import read_lines

COLUMNS = ("image", "caption")
ENCODING = "utf-8"


def read_captions(path: Path) -> Iterator[tuple[str, str] | Rejected]:
    """Yield the image's id or path, and the caption, of each pair that has a caption.

    A line that can't be read is yielded as `Rejected`.

    Args:
        path: .csv, .tsv or .jsonl with the columns `image` and `caption`.

    Raises:
        SourceNotFoundError, SourceError: the file is missing, or has no such columns.
    """
    if not path.is_file():
        raise SourceNotFoundError(f"There is no file {path}.")
    for pair in _objects(path) if path.suffix.casefold() == ".jsonl" else _rows(path):
        if isinstance(pair, Rejected):
            yield pair
        elif pair[1].strip():
            yield unbroken(pair[0].strip()), unbroken(pair[1].strip())


def _objects(path: Path) -> Iterator[tuple[str, str] | Rejected]:
    for line in read_lines(path, ENCODING):
        if line.problem or line.text.strip():
            try:
                row = json.loads(line.text)
                yield str(row["image"]), str(row["caption"] or "")
            except (ValueError, KeyError, TypeError, RecursionError):
                why = f"an object with 'image' and 'caption' was expected: {line.text[:60]!r}"
                if line.problem:
                    why = f"the line {_without_option(line.problem)}"
                yield Rejected(f"{path.name}:{line.number}", why)


def _rows(path: Path) -> Iterator[tuple[str, str] | Rejected]:
    rows = read_table(path, ENCODING)
    head = [name.strip().casefold() for name in next(rows).cells]
    if not set(COLUMNS) <= set(head):
        raise SourceError(f"{path}: the columns image and caption were expected; it has {head!r:.200}.")
    image, caption = (head.index(name) for name in COLUMNS)
    for row in rows:
        if row.problem:
            yield Rejected(f"{path.name}:{row.line}", f"the row {_without_option(row.problem)}")
        else:
            yield row.cells[image], row.cells[caption]


def _without_option(problem: str) -> str:
    """Replace what names --encoding, which sources have and captions have not."""
    return (
        "is not UTF-8 text: save the file as such" if problem.startswith(f"is not {ENCODING} ") else problem
    )
