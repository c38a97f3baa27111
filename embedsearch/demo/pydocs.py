"""The documentation that comes with Python: something to search on a machine without a network.

`PythonDocs` has the public functions, classes and methods of the standard library, and of numpy, torch and
PIL where they are installed. `PythonSentences` has full sentences of the same texts, for an index of words in
their context.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from functools import cached_property

from embedsearch.demo.documentation import Documented, read_installed, standard_library
from embedsearch.demo.prose import description, sentences
from embedsearch.errors import SourceNotFoundError
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Entries, Modality, Record, Rejected, content_hash
from embedsearch.sources.table import Reading

MOST_SENTENCES = 3500
SHARES = {"python": 0.65, "numpy": 0.13, "torch": 0.17, "PIL": 0.05}
MOST_OF_ONE_DOCSTRING = 6
NAME = re.compile(
    r"(?<=[\w,;)] )(?!(?:True|False|None|If|The|This|When|Note|See|Returns?)\b)[A-Z][A-Za-z0-9-]+"
)
# Words that these texts use in several senses: a port of a host, a port to Windows.
POLYSEMES = re.compile(
    r"\b(?:bit|block|body|cell|channel|character|codec|command|cursor|date|domain|draw|event|field|figure|"
    r"font|frame|handler|header|host|image|kernel|layer|leaf|letter|locale|lock|mask|match|memory|mouse|"
    r"network|node|panel|pattern|pen|pool|port|process|range|record|root|scale|screen|seed|shell|signal|"
    r"stack|stream|string|symbol|table|thread|token|trace|tree|turtle|wave|week|window|word|year)(?:e?s)?\b",
    re.IGNORECASE,
)
# Few sentences use these words, or this sense of `class`: all are taken.
RARE = re.compile(
    r"\b(?:address(?:es)?|keys?)\b|"
    r"(?=.*\bclass(?:es)?\b).*(?:\b(?:loss|label|indices|imbalance|classification|minibatch|probability|weighting)|"
    r"number of classes|each class|class (?:prob|dimension|value))",
    re.IGNORECASE,
)


class _Documentation:
    """What both sources share: the documentation is read once."""

    def __init__(self, recipe: SourceRecipe) -> None:  # noqa: ARG002
        folder = standard_library()
        if not (folder / "os.py").is_file():
            raise SourceNotFoundError(
                f"{folder} does not hold the sources of Python's standard library. Use a Python that is "
                "installed with them (most are)."
            )

    def _read(self) -> Entries:
        raise NotImplementedError

    @cached_property
    def _entries(self) -> list[Record | Rejected]:
        return list(self._read())

    def modality(self) -> Modality:
        """Texts."""
        return Modality.TEXT

    def count(self) -> int | None:
        """Return how many entries there are; it takes reading them, a matter of seconds."""
        return len(self._entries)

    def reading(self) -> Reading:
        """Nothing to say."""
        return Reading()

    def passed_over(self) -> Mapping[str, int]:
        """Nothing: only a folder holds what is not read."""
        return {}

    def __iter__(self) -> Entries:
        """Yield a record for each entry in a stable order, then what can't be read."""
        yield from self._entries


class PythonDocs(_Documentation):
    """The documented public functions, classes and methods of the installed Python, by name."""

    def _read(self) -> Entries:
        items, _, rejected = read_installed()
        for item in items:
            fields = {
                "module": item.module,
                "kind": item.kind,
                "signature": item.signature,
                "package": item.package,
            }
            yield Record(item.name, Modality.TEXT, f"{item.name}: {description(item.doc)}", fields)
        yield from rejected


class PythonSentences(_Documentation):
    """Sentences of that documentation which name things, or use words of several senses."""

    def _read(self) -> Entries:
        items, passages, rejected = read_installed()
        written: dict[str, Documented] = {}  # of several places of a sentence the first stands
        for item in (*items, *passages):
            for sentence in sentences(item.doc):
                written.setdefault(sentence, item)
        for text in choose(written):
            item = written[text]
            fields = {"module": item.module, "name": item.name, "package": item.package}
            yield Record(content_hash(text)[:16], Modality.TEXT, text, fields)
        yield from rejected


def choose(written: dict[str, Documented], most: int = MOST_SENTENCES) -> list[str]:
    """Return at most `most` sentences worth looking up words in, in the order in which they came.

    Those with rare senses of `address`, `key` and `class` first, then by how many names and words of several
    senses they hold; each package has its share, no docstring many, no wording twice.

    Args:
        written: sentences, and where each stands.
        most: how many to take.
    """
    ranked = []
    for text in written:
        score = 2 * min(len(set(NAME.findall(text))), 2) + min(len(set(POLYSEMES.findall(text.lower()))), 2)
        rare = RARE.search(text) is not None
        if rare or score:
            ranked.append((not rare, -score, content_hash(text), text))
    room = {package: int(share * most) for package, share in SHARES.items()}
    wordings: set[str] = set()
    taken: Counter[str] = Counter()
    chosen: set[str] = set()
    for rest, _, _, text in sorted(ranked):
        item = written[text]
        wording = NAME.sub("_", re.sub(r"\d+", "0", text))
        crowded = rest and taken[item.name] >= MOST_OF_ONE_DOCSTRING
        if crowded or not room.get(item.package) or wording in wordings:
            continue
        wordings.add(wording)
        taken[item.name] += 1
        room[item.package] -= 1
        chosen.add(text)
    return [text for text in written if text in chosen]
