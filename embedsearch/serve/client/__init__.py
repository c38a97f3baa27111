"""The Python client of the HTTP server: an index of another machine, with the verbs of an open index."""

from __future__ import annotations

import os
from urllib.parse import unquote

from embedsearch.errors import IndexNotFoundError, UsageError
from embedsearch.serve.client.connection import Connection
from embedsearch.serve.client.served_index import INDEXES, ServedIndex


def connect(url: str, index: str = "", *, token: str = "") -> ServedIndex:
    """Return an index of a server that `embedsearch serve` runs.

    Args:
        url: the server's address, such as `http://localhost:8000`; also that of one of its indexes,
            `http://localhost:8000/v1/indexes/faq`.
        index: the index's name; it may be left out where the server has one alone.
        token: what the server asks for; $EMBEDSEARCH_TOKEN without it.

    Raises:
        UsageError: the address is none, or the server has several indexes.
        IndexNotFoundError: it has none of that name.
        ServerError: it can't be reached, refuses the token, or is no server of embedsearch.
        MissingExtraError: httpx is not installed.

    Example:
        >>> connect("http://localhost:8000", "faq").search("how do I get my money back", k=5)[0].text
        'I want a refund'
    """
    address, _, named = f"{url.rstrip('/')}/".partition(f"{INDEXES}/")
    connection = Connection(address.rstrip("/"), token or os.environ.get("EMBEDSEARCH_TOKEN", ""))
    name = index or unquote(named.rstrip("/"))
    if not name:
        names = [each["name"] for each in connection.get(INDEXES)["indexes"]]
        if not names:
            raise IndexNotFoundError(f"The server at {connection.shown} has no index.")
        if len(names) > 1:
            raise UsageError(
                f"The server at {connection.shown} has {len(names):,} indexes: {', '.join(names)}. "
                f"Name one, as in connect({connection.shown!r}, {names[0]!r})."
            )
        (name,) = names
    return ServedIndex(connection, name)
