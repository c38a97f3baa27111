"""What a server that keeps vectors has to do for the builds of an index."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from embedsearch.backends import Rows
from embedsearch.backends.remote.columns import Column
from embedsearch.distances.metric import Vectors
from embedsearch.query import Both, Compare, Tree

NODE, BORN, GONE, DRAW, VECTOR = "node", "born", "gone", "draw", "vector"
FOREVER = 2**62  # the generation in which a row goes that is still there
EXACT, GRAPH = "FLAT", "HNSW"  # kinds of an index, by which addresses call them
LINKS, CONSTRUCTION = 16, 100  # of a graph
ROWS = 500  # that are written at a time; a message holds at most 64 MB
DEEPEST = 60  # conditions within one another
# what each row has beside the columns of its item
KNOWN = {
    NODE: Column(NODE, "INT64", "", "int64"),
    BORN: Column(BORN, "INT64", "", "int64"),
    GONE: Column(GONE, "INT64", "", "int64"),
    DRAW: Column(DRAW, "DOUBLE", "", "float"),
}
Condition = Any  # which rows are meant, in the language of a server
Translate = Callable[[Tree, Mapping[str, Column]], Condition]


class UntranslatableError(Exception):
    """The server can't evaluate a filter, or not as it is meant."""


def between(column: str, low: float, high: float) -> Tree:
    """Return the condition that a column is at least `low` and less than `high`."""
    return Both(Compare(column, ">=", low), Compare(column, "<", high))


class Server(Protocol):
    """A connection to a server, which threads may share.

    Every method raises `ServerError` where the server does not answer, or refuses.

    Attributes:
        uri: of the server, or the path of an embedded one's file.
        backend: the name in `BACKENDS`.
        longest: the most characters of an index's name that the name of a collection may hold.
    """

    uri: str
    backend: str
    longest: int

    @staticmethod
    def translate(tree: Tree, columns: Mapping[str, Column]) -> Condition:
        """Return a filter in the language of the server.

        Args:
            tree: over these columns, its values of their types.
            columns: those that the collection has, by the name in the filter.

        Raises:
            UntranslatableError: the server can't evaluate it.
        """

    def location(self, name: str) -> str:
        """Return how readers name an index on the server."""

    @property
    def collections(self) -> list[str]:
        """The names of all collections."""

    def has(self, collection: str) -> bool:
        """Whether there is a collection of that name."""

    def alias(self, name: str) -> str:
        """Return the collection that an alias stands for; empty for none."""

    def point(self, alias: str, collection: str) -> None:
        """Have an alias stand for a collection, in one step."""

    def unpoint(self, alias: str) -> None:
        """Delete an alias, where there is one."""

    def drop(self, collection: str) -> None:
        """Delete a collection, where there is one."""

    def rename(self, collection: str, name: str) -> None:
        """Give a collection another name, in one step."""

    def create(self, collection: str, columns: Sequence[tuple[str, str]], dimension: int) -> None:
        """Make a collection of rows with a number (`NODE`), a vector, and columns.

        Args:
            collection: its name.
            columns: name and type of each: `BOOL`, `INT64`, `FLOAT`, `DOUBLE` or `VARCHAR`.
            dimension: numbers in a vector; 0 for rows without vectors.
        """

    def index(self, collection: str, kind: str, measure: str) -> None:
        """Have the vectors of a collection indexed, now and as they come.

        Args:
            collection: its name.
            kind: `EXACT` or `GRAPH`.
            measure: `IP` or `L2`.
        """

    def flush(self, collection: str) -> None:
        """Have what was written lie where it will be indexed."""

    def insert(self, collection: str, rows: Sequence[dict[str, Any]]) -> None:
        """Add rows: a value for each column."""

    def mark(self, collection: str, nodes: Sequence[int], until: int) -> None:
        """Set the generation in which some rows go; readers find it so when this returns."""

    def delete(self, collection: str, condition: Condition) -> None:
        """Delete rows."""

    def wait(self, collection: str, node: int) -> None:
        """Wait until readers find a row, and with it all that was written before."""

    def rows(self, collection: str, condition: Condition, columns: Sequence[str]) -> list[dict[str, Any]]:
        """Return columns of rows, as the last write left them."""

    def vectors(self, collection: str, nodes: Rows, dimension: int) -> Vectors:
        """Return the vectors of rows by their number: (m,) -> (m, d) float32."""

    def dimension(self, collection: str) -> int:
        """Return how many numbers the vectors of a collection have."""

    def search(
        self, collection: str, queries: Vectors, k: int, condition: Condition, measure: str, ef: int
    ) -> tuple[Vectors, Rows]:
        """Return what the server measures and the numbers of the k nearest rows of each query.

        Args:
            collection: where to look.
            queries: (q, d) float32, ready.
            k: how many.
            condition: which rows may be found.
            measure: `IP` or `L2`.
            ef: efSearch; 0 where every row is compared.

        Returns:
            Inner products or squared distances, and numbers, (q, k) each, the nearest first; the numbers are
            -1 where there are no more.
        """
