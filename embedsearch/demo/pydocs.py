"""The documentation that comes with Python: something to search on a machine without a network.

Every public function and class of the standard library, and of numpy, torch and PIL where they are
installed (`PythonDocs`); and full sentences out of the same texts, for an index of words in their
context (`PythonSentences`). Nothing is imported into this process: sources are parsed, and modules
written in C are asked in another process.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from embedsearch.demo.pydocs_installed import language_reference, read_installed, standard_library
from embedsearch.demo.pydocs_text import description, sentences
from embedsearch.errors import SourceNotFoundError
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Entries, Modality, Record, Rejected, content_hash

MOST_SENTENCES = 3500
SHARES = {"python": 0.65, "numpy": 0.13, "torch": 0.17, "PIL": 0.05}
MOST_OF_ONE_DOCSTRING = 6

CAPITALISED = re.compile(r"(?<=[\w,;)] )[A-Z][A-Za-z0-9]+(?:-[A-Za-z0-9]+)*")
NOT_NAMES = "True False None If The This Otherwise When Note Notes Example Examples See Return Returns"
# Words that these texts use in several senses: a port of a host, a port to Windows.
POLYSEMES = re.compile(
    r"\b(?:bit|block|body|cell|channel|character|codec|command|cursor|date|domain|draw|event|field|figure|"
    r"font|frame|handler|header|host|image|kernel|layer|leaf|letter|locale|lock|mask|match|memory|mouse|"
    r"network|node|panel|pattern|pen|pool|port|process|range|record|root|scale|screen|seed|shell|signal|"
    r"stack|stream|string|symbol|table|thread|token|trace|tree|turtle|wave|week|window|word|year)(?:e?s)?\b",
    re.IGNORECASE,
)
# Taken whatever else they hold: few sentences use these words, or this sense of the word, at all.
RARE_WORDS = re.compile(r"\b(?:address(?:es)?|keys?)\b", re.IGNORECASE)
CLASS = re.compile(r"\bclass(?:es)?\b", re.IGNORECASE)
NOT_OF_PYTHON = re.compile(
    r"\b(?:loss|label|indices|imbalance|classification|minibatch|probability|weighting|combining|bidirectional)|"
    r"number of classes|each class|class (?:prob|dimension|value)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence and where it stands."""

    text: str
    module: str
    name: str
    package: str


class _Documentation:
    """What both sources share: entries that are read once, all together, as re-exports need them all."""

    def __init__(self, recipe: SourceRecipe) -> None:  # noqa: ARG002
        _check_sources()
        self._entries: list[Record | Rejected] | None = None

    def _read(self) -> Entries:
        raise NotImplementedError

    def _all(self) -> list[Record | Rejected]:
        if self._entries is None:
            self._entries = list(self._read())
        return self._entries

    def modality(self) -> Modality:
        """Texts."""
        return Modality.TEXT

    def count(self) -> int | None:
        """Return how many entries there are; it takes reading them, a matter of seconds."""
        return len(self._all())

    def __iter__(self) -> Entries:
        """Yield a record for each entry in a stable order, then the files that can't be read."""
        yield from self._all()


class PythonDocs(_Documentation):
    """The documented public functions, classes and methods of the installed Python, by name."""

    def _read(self) -> Entries:
        return _documented()


class PythonSentences(_Documentation):
    """Sentences of that documentation which name things, or use words of several senses."""

    def _read(self) -> Entries:
        return _sentence_entries()


def _check_sources() -> None:
    """Raise SourceNotFoundError where Python came without the sources of its standard library."""
    folder = standard_library()
    if not (folder / "os.py").is_file():
        raise SourceNotFoundError(
            f"{folder} does not hold the sources of Python's standard library. Use a Python that is "
            "installed with them (most are)."
        )


def _documented() -> Entries:
    """Yield the entries of `PythonDocs`."""
    found = read_installed()
    for item in found.items:
        words = description(item.doc)
        if words:
            fields = {
                "module": item.module,
                "kind": item.kind,
                "signature": item.signature,
                "package": item.package,
            }
            yield Record(item.name, Modality.TEXT, f"{item.name}: {words}", fields)
    yield from found.rejected


def _sentence_entries() -> Entries:
    """Yield the entries of `PythonSentences`."""
    found = read_installed()
    texts = [(item.doc, item.module, item.name, item.package) for item in (*found.items, *found.passages)]
    for topic, text in language_reference().items():
        texts.append((text, "pydoc_data.topics", f"help({topic!r})", "python"))
    written = {
        sentence: Sentence(sentence, module, name, package)
        for text, module, name, package in reversed(texts)  # of several places the first stands
        for sentence in sentences(text)
    }
    for chosen in choose(list(reversed(written.values()))):
        fields = {"module": chosen.module, "name": chosen.name, "package": chosen.package}
        yield Record(content_hash(chosen.text)[:16], Modality.TEXT, chosen.text, fields)
    yield from found.rejected


def choose(candidates: list[Sentence], most: int = MOST_SENTENCES) -> list[Sentence]:
    """Return at most `most` sentences worth looking up words in, in the order in which they came.

    Those with rare senses of `address`, `key` and `class` first, then by how many names and words of
    several senses they hold; each package has its share, no docstring many, no wording twice.
    """
    names = named_things(candidates)

    ranked = []
    for sentence in candidates:
        named = len(names & set(CAPITALISED.findall(sentence.text)))
        senses = len(set(POLYSEMES.findall(sentence.text.lower())))
        score, rare = 2 * min(named, 2) + min(senses, 2), has_rare_sense(sentence.text)
        if rare or score:
            ranked.append((not rare, -score, content_hash(sentence.text), sentence))

    room = {package: int(share * most) for package, share in SHARES.items()}
    wordings: set[str] = set()
    taken: Counter[str] = Counter()
    chosen: set[str] = set()
    for rest, _, _, sentence in sorted(ranked, key=lambda row: row[:3]):
        wording = CAPITALISED.sub("_", re.sub(r"\d+", "0", sentence.text))
        crowded = taken[sentence.name] >= MOST_OF_ONE_DOCSTRING and not sentence.name.startswith("help(")
        if (rest and crowded) or room.get(sentence.package, 0) == 0 or wording in wordings:
            continue
        wordings.add(wording)
        taken[sentence.name] += 1
        room[sentence.package] -= 1
        chosen.add(sentence.text)
    return [sentence for sentence in candidates if sentence.text in chosen]


def has_rare_sense(text: str) -> bool:
    """Whether a sentence has `address` or `key`, or `class` as what a class_head tells apart."""
    return bool(RARE_WORDS.search(text) or (CLASS.search(text) and NOT_OF_PYTHON.search(text)))


def named_things(candidates: Iterable[Sentence]) -> set[str]:
    """Return the words that are names: capitalised inside sentences, and seldom written small."""
    modules: defaultdict[str, set[str]] = defaultdict(set)
    capitalised: Counter[str] = Counter()
    small: Counter[str] = Counter()
    for sentence in candidates:
        for word in CAPITALISED.findall(sentence.text):
            capitalised[word] += 1
            modules[word].add(sentence.module)
        small.update(_small_words(sentence.text))
    return {
        word
        for word, count in capitalised.items()
        if (len(modules[word]) > 1 or word[1:].islower())  # not INDEX or OPTION, a module's own stand-ins
        and count > small[word.lower()]
        and word not in NOT_NAMES.split()
    }


def _small_words(text: str) -> Iterator[str]:
    """Yield the words of a text that begin with a small letter."""
    yield from re.findall(r"\b[a-z][a-z0-9-]*\b", text)
