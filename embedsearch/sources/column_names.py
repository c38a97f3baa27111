"""Names of columns in one line, as a command line has them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable


def split_names(text: str) -> tuple[str, ...]:
    """Return the names in a list with commas; a name with a comma stands in quotes: `"price, net",colour`."""
    rows = csv.reader(io.StringIO(text), skipinitialspace=True)
    return tuple(name.strip() for row in rows for name in row if name.strip())


def join_names(names: Iterable[str]) -> str:
    """Return names as a list that `split_names` reads."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerow(names)
    return file.getvalue().removesuffix("\n")
