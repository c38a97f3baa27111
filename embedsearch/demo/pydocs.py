"""The documentation that comes with Python: something to search on a machine without a network.

`PythonDocs` has the public functions, classes and methods of the standard library, and of numpy, torch and
PIL where they are installed. `PythonSentences` has full sentences of the same texts, for words in context.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from embedsearch.demo.documentation import STANDARD_LIBRARY, Documented, read
from embedsearch.demo.prose import description, sentences
from embedsearch.errors import SourceNotFoundError
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Entries, Modality, Record, Rejected, content_hash
from embedsearch.sources.table import NothingToReport

# "See torch.abs()": nothing to find by
POINTER = re.compile(r"(?:See|Refer to|Alias (?:for|of)|(?:In|Out-of)-place version of)\b.{,90}$")
MOST_SENTENCES = 3500
NAME = re.compile(r"(?<=[\w,;)] )(?!(?:True|False|None|If|The|This|When)\b)[A-Z][A-Za-z0-9-]+")
# Words that these texts use in several senses: a port of a host, a port to Windows.
SENSES = "address block class date event host key port record signal stream table thread tree window"
POLYSEME = re.compile(rf"\b(?:{SENSES.replace(' ', '|')})(?:e?s)?\b")


def _package(item: Documented) -> str:
    """Return `python`, or the name of a package."""
    top = item.module.split(".", 1)[0]
    return top if top in ("numpy", "torch", "PIL") else "python"


class PythonDocs(NothingToReport):
    """The documented public functions, classes and methods of the installed Python, by name."""

    def __init__(self, recipe: SourceRecipe) -> None:  # noqa: ARG002
        if not (STANDARD_LIBRARY / "os.py").is_file():
            raise SourceNotFoundError(
                f"{STANDARD_LIBRARY} does not hold the sources of Python's standard library. Use a Python "
                "that is installed with them (most are)."
            )

    @cached_property
    def _entries(self) -> list[Record | Rejected]:
        documented, rejected = read()
        return [*self._records(documented), *rejected]

    def _records(self, documented: list[Documented]) -> Iterator[Record]:
        for item in without_copies(documented):
            fields = {"module": item.module, "kind": item.kind, "signature": item.signature}
            text = f"{item.name}: {description(item.doc)}"
            yield Record(item.name, Modality.TEXT, text, {**fields, "package": _package(item)})

    def modality(self) -> Modality:
        """Texts."""
        return Modality.TEXT

    def count(self) -> int | None:
        """Return how many entries there are; it takes reading them, a matter of seconds."""
        return len(self._entries)

    def __iter__(self) -> Entries:
        """Yield a record for each entry in a stable order, then what can't be read."""
        yield from self._entries


class PythonSentences(PythonDocs):
    """Sentences of that documentation which name things, or use words of several senses."""

    def _records(self, documented: list[Documented]) -> Iterator[Record]:
        written: dict[str, Documented] = {}  # of several places of a sentence the first stands
        for item in documented:
            for sentence in sentences(item.doc):
                written.setdefault(sentence, item)
        for text in choose([*written]):
            item = written[text]
            fields = {"module": item.module, "name": item.name, "package": _package(item)}
            yield Record(content_hash(text)[:16], Modality.TEXT, text, fields)


def without_copies(documented: Iterable[Documented]) -> list[Documented]:
    """Return items by name: of those with the same last name and words, the one with the plainest name.

    Passages are left out, and methods that only point to another item. The first of several of a name stands.
    """
    seen: set[object] = set()
    kept: list[Documented] = []
    items = [item for item in documented if item.kind != "passage"]
    for item in sorted(items, key=lambda item: (item.kind == "method", item.name.count("."), len(item.name))):
        words = description(item.doc)
        keys = {item.name, (item.name.rpartition(".")[2], words)}
        pointer = item.kind == "method" and POINTER.match(words)
        if words and not pointer and seen.isdisjoint(keys):
            kept.append(item)
        seen |= keys
    return sorted(kept)


def choose(written: Sequence[str], most: int = MOST_SENTENCES) -> list[str]:
    """Return at most `most` sentences worth looking up words in, in the order in which they came.

    Those with words of several senses come first, then those that name things. Of sentences that differ in
    names only the first is taken.
    """
    worth = [text for text in written if POLYSEME.search(text) or NAME.search(text)]
    first = {NAME.sub("_", text): text for text in reversed(worth)}.values()
    ranked = sorted(first, key=lambda text: (not POLYSEME.search(text), content_hash(text)))
    chosen = set(ranked[:most])
    return [text for text in written if text in chosen]
