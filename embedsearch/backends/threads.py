"""How many threads FAISS takes."""

from collections.abc import Iterator
from contextlib import contextmanager

import faiss


def limit_threads(count: int) -> None:
    """Have FAISS take at most `count` threads for what the calling thread asks of it."""
    faiss.omp_set_num_threads(count)


@contextmanager
def one_thread() -> Iterator[None]:
    """Have FAISS compute in the calling thread alone meanwhile."""
    before = faiss.omp_get_max_threads()
    limit_threads(1)
    try:
        yield
    finally:
        limit_threads(before)
