"""An index that is open: every verb of a user."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from embedsearch.encoders import Encoder, open_encoder
from embedsearch.explain.attribution import explain
from embedsearch.explain.explanation import Explanation
from embedsearch.query import DEFAULT_K
from embedsearch.recipe import EncoderRecipe
from embedsearch.results import Hit, Results
from embedsearch.search.filters import Tree
from embedsearch.search.searcher import Searcher
from embedsearch.store.build import Build, open_current
from embedsearch.store.folders import indexes_folder


class Index(Searcher):
    """An open index. Opening it verifies its files; the model is loaded by the first query that needs it.

    May be shared by threads.
    """

    def answer(self, query: Any, k: int = DEFAULT_K, where: str | Tree | None = None) -> Results:
        """Search, by the verb of 0.6; it goes with the next version."""
        warnings.warn("Index.answer is now Index.search.", DeprecationWarning, stacklevel=2)
        return self.search(query, k, where)

    def explain(self, query: Any, hit: Hit | str) -> Explanation:
        """Return which words or patches of a hit made its score; see `embedsearch.explain.attribution`.

        Args:
            query: what was asked, as in `search`.
            hit: a hit, or the id of any item.

        Raises:
            QueryError, ItemNotFoundError, ItemError: as `search`; the item's picture may be gone, too.
            ModelError: it is not known which tokens of this model are which part of a picture.
        """
        return explain(self, query, hit)


def open_index(
    name: str,
    indexes: str | Path | None = None,
    *,
    load: Callable[[EncoderRecipe], Encoder] = open_encoder,
) -> Index:
    """Open an index for searching.

    Args:
        name: the index's name.
        indexes: the folder of indexes; $EMBEDSEARCH_INDEXES or ./indexes without it.
        load: what makes the encoder, for callers that share encoders.

    Raises:
        IndexNotFoundError: there is none of that name.
        IndexDamagedError: its files are missing, truncated or altered.

    Example:
        >>> open_index("faq").search("how do I get my money back", k=5)[0].text  # doctest: +SKIP
        'I want a refund'
    """
    return open_current(indexes_folder(indexes), name, lambda build: Index(Build(build), load))
