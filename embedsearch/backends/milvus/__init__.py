"""Vectors on a Milvus server, or in Milvus Lite's file: https://milvus.io."""

from __future__ import annotations

import math

from embedsearch.backends.milvus.expressions import expression
from embedsearch.backends.milvus.server import MOST_HITS, connect, parse
from embedsearch.backends.remote import Remote
from embedsearch.backends.remote.columns import Limits
from embedsearch.backends.remote.server import EXACT
from embedsearch.backends.tuning import SHARES, K

MOST_PARTS = 10  # that a share of the rows is searched in


class Milvus(Remote):
    """A build's vectors on a Milvus server, or in Milvus Lite's file."""

    name = "milvus"
    # a collection has up to 64 columns; one with missing values takes two
    limits = Limits(columns=28, bytes=65_535, nulls=False)
    # fmt: off
    efs = (
        10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072,
        4096,
    )
    # fmt: on
    widest, most_hits, compares = math.inf, MOST_HITS, False
    translate = staticmethod(expression)
    connect, parse = staticmethod(connect), staticmethod(parse)

    def _plan(self, share: float, k: int = K) -> tuple[int, int]:
        """Return how to search among a share of the rows: in how many parts, and with which efSearch.

        A server's graph falls apart among some shares, and below these the server compares every row. So
        what is hard in one part is easy in several, which its rows are drawn into. No part is the answer
        where this does not help; efSearch is 0 where no graph is searched.
        """
        if self.address.kind == EXACT:
            return 1, 0
        known = {step.share: step.ef_or_nprobe for step in self._known.steps}
        compares = "://" in self.address.uri and min(known) == min(SHARES)
        for parts in range(1, MOST_PARTS + 1):
            part = share / parts
            around = [min((each for each in SHARES if each >= part), default=1.0)]
            if (below := max((each for each in SHARES if each <= part), default=None)) is not None:
                around.append(below)
            elif not compares:  # Lite searches its graph among however few
                return 0, 0
            if all(each in known for each in around):
                return parts, math.ceil(max(known[each] for each in around) * max(1.0, k / K))
        return 0, 0
