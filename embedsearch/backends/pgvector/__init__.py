"""Vectors in PostgreSQL, by the extension pgvector: https://github.com/pgvector/pgvector."""

from __future__ import annotations

import math
from importlib.util import find_spec

from embedsearch.errors import MissingExtraError

if find_spec("psycopg") is None:
    raise MissingExtraError(
        "The backend pgvector needs the extra pgvector: pip install 'embedsearch[pgvector]'"
    )

from embedsearch.backends.pgvector.conditions import condition
from embedsearch.backends.pgvector.server import MOST_EF, connect, parse
from embedsearch.backends.remote import Remote
from embedsearch.backends.remote.columns import Limits
from embedsearch.backends.remote.server import EXACT
from embedsearch.backends.tuning import SHARES, K

MOST_K = 100  # hits; for more, every row is compared


class PgVector(Remote):
    """A build's vectors in a table of PostgreSQL."""

    name = "pgvector"
    limits = Limits(columns=250, bytes=2**29, nulls=True)  # a row's fixed part has 8 kB
    efs = (10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 192, 256, 384, 512, 768, MOST_EF)
    widest, most_hits, compares = 2000, math.inf, True
    translate = staticmethod(condition)
    connect, parse = staticmethod(connect), staticmethod(parse)

    def _plan(self, share: float, k: int = K) -> tuple[int, int]:
        """Return how to search among a share of the rows: in one part, and with which efSearch.

        The graph goes on until it has found as many rows as are asked for (iterative scan). Where it was not
        measured, or missed too much however large efSearch was, every row is compared: efSearch is 0.
        """
        if self.address.kind == EXACT:
            return 1, 0
        known = {step.share: step.ef_or_nprobe for step in self._known.steps}
        around = [
            min((each for each in SHARES if each >= share), default=1.0),
            max((each for each in SHARES if each <= share), default=0.0),
        ]
        if k > MOST_K or not all(each in known for each in around):
            return 1, 0
        ef = max(known[each] for each in around) * max(1.0, k / K)
        return 1, min(math.ceil(ef), MOST_EF)
