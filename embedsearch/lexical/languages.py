"""The language of texts: by the frequent words that they hold, or as it is given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from runpy import run_path

import regex

from embedsearch.errors import RecipeError, nearest

NONE = "none"  # words are taken as they are
SAMPLE = 1000  # texts that are looked at
LEAST = 0.1  # share of the words that must be frequent words of the language
_WORD = regex.compile(r"\p{L}+")


def check_language(name: str) -> str:
    """Return `name` if it is a language of Snowball's stemmers, `none`, or empty.

    Raises:
        RecipeError: it is something else.
    """
    if not name:
        return name
    from Stemmer import algorithms

    known = [NONE, *algorithms()]
    if name not in known:
        raise RecipeError(
            f"Unknown language {name!r:.40}; there are {', '.join(known)}.{nearest(name, known)}"
        )
    return name


def detect(texts: Sequence[str]) -> str:
    """Return the language of some texts, a name of Snowball; empty where their frequent words do not tell.

    The lists of frequent words are those of bm25s: of English, German, Dutch, French, Spanish, Portuguese,
    Italian, Russian, Swedish, Norwegian, Danish and Turkish.
    """
    from Stemmer import algorithms

    package = find_spec("bm25s")
    assert package is not None and package.origin is not None
    # of the package this file alone is run: the others load Numba, and 40 MB with it
    lists = run_path(str(Path(package.origin).with_name("stopwords.py")))

    step = max(1, len(texts) // SAMPLE)
    words = Counter(word for text in texts[::step] for word in _WORD.findall(text.casefold()))
    shares = {
        language: sum(words[word] for word in set(lists[f"STOPWORDS_{name}"]))
        for language in algorithms()
        for name in [("EN_PLUS" if language == "english" else language.upper())]
        if f"STOPWORDS_{name}" in lists
    }
    best = max(shares, key=lambda language: shares[language])
    return best if shares[best] > LEAST * words.total() else ""
