"""What a manifest says of an index over vectors."""

from __future__ import annotations

from dataclasses import dataclass, field

from embedsearch.disk.facts import stored


@dataclass(frozen=True, slots=True)
class Step:
    """Search parameters for one share of allowed rows.

    Attributes:
        share: share of the rows that may be found, (0, 1].
        ef_or_nprobe: efSearch of a graph, nprobe of lists.
        rerank_k: number of candidates that are ranked again by the stored vectors, for 10 hits.
        recall: recall@10 that was measured with these parameters.
    """

    share: float
    ef_or_nprobe: int = field(metadata=stored("effort"))
    rerank_k: int = field(metadata=stored("depth"))
    recall: float


@dataclass(frozen=True, slots=True)
class Tuned:
    """What is known of an approximate index beside its recall.

    Attributes:
        wanted: recall@10 that its search parameters were chosen for, (0, 1].
        steps: the parameters, for all rows first; none where every vector is compared.
        masked: number of its nodes whose row is gone.
        added: number of rows added since it was made.
    """

    wanted: float
    steps: tuple[Step, ...] = ()
    masked: int = 0
    added: int = 0


@dataclass(frozen=True, slots=True)
class IndexFacts:
    """What a manifest says of an index over vectors.

    Attributes:
        kind: a name in `embedsearch.backends.BACKENDS`; empty where only the recall was measured.
        tuned: what is known of an approximate index; None for an exact one.
        recall: recall@10 against exact search, 0 to 1, as measured when it was made.
        queries: number of queries that it was measured with; 0 where every vector is compared.
        made: `anew`, or `extended` from the build before.
        asked: which queries those were, for people.
        threads: how many threads compare one query; 0 for as many as FAISS takes, as in builds of 0.9.
    """

    kind: str = field(default="", metadata=stored(optional=True))
    tuned: Tuned | None = field(default=None, metadata=stored(flat=True))
    recall: float = 1.0
    queries: int = field(default=0, metadata=stored(optional=True))
    made: str = field(default="", metadata=stored(optional=True))
    asked: str = field(default="", metadata=stored(optional=True))
    threads: int = field(default=0, metadata=stored(optional=True))
