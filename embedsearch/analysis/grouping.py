"""Greedy grouping: near items as groups around an item that is kept, in which no chain can grow."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from embedsearch.analysis.neighbours import Distances
from embedsearch.backends import Mask, Rows

Around = Callable[[int], tuple[Rows, Distances]]


def greedy_groups(
    first: Rows, second: Rows, distances: Distances, rank: Rows, more: Mask, around: Around
) -> tuple[Rows, Distances]:
    """Choose which rows are kept, and let each other row join one of them.

    The rows are taken in the order of `rank`. A row that is near a kept row joins it, or the nearest of
    several; else the row is kept. So each row makes a pair with the row that it joins, and no two kept rows
    make a pair.

    Args:
        first: (p,) rows that are near `second`, each pair once.
        second: (p,) rows.
        distances: (p,) of the pairs.
        rank: (n,) of each row; smaller ranks are kept first.
        more: (n,) rows that may be in more pairs than these.
        around: finds all rows near such a row, and their distances.

    Returns:
        The row that each row joins (n,), -1 for kept rows; and the distance to it (n,), infinite for kept
        rows.
    """
    count = len(rank)
    sources, targets = np.concatenate([first, second]), np.concatenate([second, first])  # (p,) -> (2 p,)
    order = np.argsort(sources, kind="stable")
    rows, starts = np.unique(sources[order], return_index=True)
    targets, far = targets[order], np.concatenate([distances, distances])[order]
    ends = np.append(starts[1:], len(order))
    kept, distance = np.full(count, -1, np.int64), np.full(count, np.inf)
    for at in np.argsort(rank[rows], kind="stable").tolist():
        row = int(rows[at])
        if kept[row] >= 0:
            continue
        near, apart = targets[starts[at] : ends[at]], far[starts[at] : ends[at]]
        if more[row]:
            found, measured = around(row)
            missed = ~np.isin(near, found)  # an approximate index may see a pair from one side only
            near, apart = np.concatenate([found, near[missed]]), np.concatenate([measured, apart[missed]])
        joins = (rank[near] > rank[row]) & (apart < distance[near])
        kept[near[joins]], distance[near[joins]] = row, apart[joins]
    return kept, distance
