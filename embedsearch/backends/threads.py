"""How many threads FAISS takes."""

import faiss


def limit_threads(count: int) -> None:
    """Have FAISS take at most `count` threads for what the calling thread asks of it."""
    faiss.omp_set_num_threads(count)
