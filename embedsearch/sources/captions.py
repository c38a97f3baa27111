"""Pairs of a picture and what is said of it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

from embedsearch.errors import SourceError, SourceNotFoundError

COLUMNS = ("image", "caption")


def read_captions(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the picture's id or path, and the caption, of each pair that has a caption.

    Args:
        path: .csv, .tsv or .jsonl with the columns `image` and `caption`.

    Raises:
        SourceNotFoundError, SourceError: the file is missing, or holds something else.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise SourceNotFoundError(f"There is no file {path}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} can't be read as text: {error}") from None
    pairs = _objects(path, text) if path.suffix == ".jsonl" else _rows(path, text)
    for image, caption in pairs:
        if caption.strip():
            yield image, caption.strip()


def _objects(path: Path, text: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.split("\n"), 1):  # splitlines() cuts at U+2028 too
        if line.strip():
            try:
                row = json.loads(line)
                yield str(row["image"]), str(row["caption"] or "")
            except (ValueError, KeyError, TypeError, RecursionError):
                raise SourceError(
                    f"{path}:{number}: an object with 'image' and 'caption' was expected: {line[:60]!r}"
                ) from None


def _rows(path: Path, text: str) -> Iterator[tuple[str, str]]:
    file = io.StringIO(text, newline="")
    rows = csv.reader(file) if path.suffix == ".csv" else csv.reader(file, delimiter="\t")
    try:
        head = [name.strip().casefold() for name in next(rows, [])]
        if not set(COLUMNS) <= set(head):
            raise SourceError(f"{path}: the columns image and caption were expected; it has {head!r:.200}.")
        image, caption = (head.index(name) for name in COLUMNS)
        for row in rows:
            if not row:
                continue
            if len(row) <= max(image, caption):
                raise SourceError(
                    f"{path}:{rows.line_num}: a picture and a caption were expected; got {row!r:.80}."
                )
            yield row[image], row[caption]
    except csv.Error as error:
        raise SourceError(f"{path}:{rows.line_num}: it can't be read as a table: {error}.") from None
