"""A source of numbered texts, and an encoder that gives each the row of its number.

So a build goes its whole way without a model, and what is measured is the rest.
"""

import numpy as np

from embedsearch import sources
from embedsearch.encoders import Prepared
from embedsearch.models.spec import EncoderSpec
from embedsearch.recipe import EncoderRecipe, IndexOptions, Recipe, SourceRecipe
from embedsearch.records import Modality, Record, Unit
from embedsearch.sources.table import Reading

sources.SOURCES["numbers"] = "tests.benchmarks.numbers:Numbers"
DIMENSION = 384


class Numbers:
    """Texts "0", "1", ... as many as the location says, with two fields."""

    def __init__(self, recipe):
        self._count = int(recipe.location)

    def modality(self):
        """See `Source.modality`."""
        return Modality.TEXT

    def count(self):
        """See `Source.count`."""
        return self._count

    def reading(self):
        """See `Source.reading`."""
        return Reading()

    def passed_over(self):
        """See `Source.passed_over`."""
        return {}

    def __iter__(self):
        for number in range(self._count):
            fields = {"parity": "odd" if number % 2 else "even", "thousand": number // 1000}
            yield Record(str(number), Modality.TEXT, str(number), fields)


class RowEncoder:
    """The text "n" has the vector `rows(n, n + 1)[0]`, the query "n" the vector `queries[n]`.

    Other texts, the background of a scale, are queries in their turn.
    """

    dimension = DIMENSION
    device, precision, engine, decoding = "cpu", "fp32", "rows", ""

    def __init__(self, rows, queries):
        """Take a function of a first number and an end that gives the vectors between, and queries (q, d)."""
        self._rows, self._queries = rows, queries
        self.spec = EncoderSpec(
            model="rows", revision="", unit=Unit.TEXT, pooling="mean", layers=(-1,), patch_tokens_only=False,
            max_length=None, prompts={"query": "", "passage": ""}, files={},
        )  # fmt: skip

    def prepare(self, items, role="passage"):  # noqa: ARG002
        """See `Encoder.prepare`."""
        numbers = (int(item) if item.isdigit() else -1 for item in items)
        return [Prepared({"number": np.array(number)}, cost=1) for number in numbers]

    def run(self, prepared):
        """See `Encoder.run`."""
        first = int(prepared[0].inputs["number"])
        if first < 0:
            rows = np.resize(self._queries, (len(prepared), DIMENSION))
        else:
            rows = self._rows(first, first + len(prepared))
        for position in range(len(prepared)):
            yield position, rows[position : position + 1]

    def encode(self, items, role="passage"):
        """See `Encoder.encode`; asked for queries only."""
        assert role == "query"
        return self._queries[[int(item) if item.isdigit() else at for at, item in enumerate(items)]]


def recipe(count, **index):
    """Return the recipe of an index of so many numbers."""
    source = SourceRecipe("numbers", str(count))
    return Recipe("numbers", source, EncoderRecipe(Unit.TEXT), IndexOptions(**index))


def write_queries(path, numbers):
    """Write a file of queries by their numbers, and return its path."""
    path.write_text("".join(f"{number}\t{number}\n" for number in numbers), encoding="utf-8")
    return str(path)
