"""The lexical index of a build of texts, beside its vectors."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from embedsearch.artifacts import ArtifactContext, amend
from embedsearch.errors import QueryError
from embedsearch.lexical import lexical_class
from embedsearch.lexical.languages import NONE, detect
from embedsearch.lexical.terms import Analyzer, length
from embedsearch.records import Unit
from embedsearch.store.build import Build
from embedsearch.store.facts import LexicalFacts, TunedFacts
from embedsearch.store.items import FIELD, Items, open_table
from embedsearch.store.manifest import ITEMS
from embedsearch.store.previous import PreviousBuild

KIND = "bm25"
TITLES = ("title",)  # fields whose words belong to the text
# Texts of more words in the middle are documents. Measured by `tests.benchmarks.better_answers`: of documents
# 0.6 gains most; short texts, asked with texts of their own kind, lose by all but 0.9, and gain nothing then.
DOCUMENT_WORDS, DOCUMENT_WEIGHT, SHORT_WEIGHT = 15, 0.6, 0.9


def refresh(context: ArtifactContext) -> LexicalFacts | None:
    """Index the texts of a build, or take over the files of the build before where none of them changed."""
    if context.recipe.encoder.unit is not Unit.TEXT:
        return None
    items, given = open_table(context.folder / ITEMS), context.recipe.index.language
    old = context.artifacts_before.lexical
    tuned = old if old is not None and old.tuned is not None and context.same_vectors() else None
    if old is not None and _is_same(context, items, old):
        made = old
    else:
        context.progress.stage("indexing the words of the texts", len(items))
        texts = items["text"]
        step = max(1, len(texts) // 10_000)
        # one by one: `take` would copy all texts
        sample = [texts[row].as_py() or "" for row in range(0, len(texts), step)]
        language = ("" if given == NONE else given) or ("" if given else detect(sample))
        index = lexical_class(KIND).build(
            context.folder, Analyzer(language).of_items(_documents(items, context))
        )
        words = int(np.median([length(text) for text in sample]))
        made = LexicalFacts(KIND, language, index.terms, words, *_chosen(words))
    if tuned is not None:
        made = replace(made, mode=tuned.mode, weight=tuned.weight, tuned=tuned.tuned)
    return made


def set_weight(indexes: Path, name: str, mode: str, weight: float, tuned: TunedFacts) -> Build:
    """Publish a build whose texts are searched in another mode, or with another weight of vectors.

    Raises:
        QueryError: the index has no words.
        IndexNotFoundError, IndexDamagedError, IndexBusyError: as `embedsearch.artifacts.amend`.
    """

    def make(build: Build, folder: Path) -> LexicalFacts:
        facts = build.manifest.artifacts.lexical
        if facts is None:
            raise QueryError(f"The index {name!r} has no words: embedsearch rebuild {name}")
        for file in facts.files:
            shutil.copyfile(build.folder / file, folder / file)
        return replace(facts, mode=mode, weight=weight, tuned=tuned)

    return amend(indexes, name, "lexical", make)


def mode_note(facts: LexicalFacts | None, previous: PreviousBuild | None) -> str:
    """Return the sentence that says that texts are searched otherwise than before; often empty."""
    if facts is None or previous is None:
        return ""
    old = previous.build.manifest.artifacts.lexical
    before = "vector" if old is None else old.mode
    if facts.mode == before:
        return ""
    now = {"hybrid": "vectors and words", "vector": "vectors alone", "lexical": "words alone"}[facts.mode]
    return f"Texts are searched by {now} from now on ({facts.mode}). To search as before: --mode {before}."


def _chosen(words: int) -> tuple[str, float]:
    """Return the default mode and weight of texts of so many words."""
    return ("hybrid", DOCUMENT_WEIGHT) if words > DOCUMENT_WORDS else ("vector", SHORT_WEIGHT)


def _is_same(context: ArtifactContext, items: Items, old: LexicalFacts) -> bool:
    """Take over the files of the build before; False, and none is, where they are of other texts."""
    assert context.previous is not None  # whose facts these are
    build = context.previous.build
    columns = ["id", "text", "hash", *_titles(items)]
    same = (
        build.manifest.recipe.index.language == context.recipe.index.language
        and all(map(context.readable, old.files))
        and _titles(items) == _titles(build.items)
        and items.select(columns).equals(build.items.select(columns))
    )
    if same:
        for name in old.files:
            shutil.copyfile(build.folder / name, context.folder / name)
    return same


def _titles(items: Items) -> list[str]:
    """Return the columns whose words belong to the text."""
    names = [FIELD + name for name in TITLES if FIELD + name in items.column_names]
    return [name for name in names if str(items.schema.field(name).type) == "string"]


def _documents(items: Items, context: ArtifactContext) -> Iterator[tuple[str, str]]:
    """Yield the id and the text of each item with its titles; no id where that is a hash of the text."""
    columns = ["id", "start", "hash", "text", *_titles(items)]
    for batch in items.select(columns).to_batches():
        rows = zip(*(column.to_pylist() for column in batch.columns), strict=True)
        for identity, start, content, *texts in rows:
            text, *titles = (each or "" for each in texts)
            known = [title for title in titles if title not in text]
            record = identity if start is None else identity.rpartition("#")[0]  # of a part of a text
            yield "" if content.startswith(record) else record, "\n".join([*known, text])
        context.progress.advance(len(batch))
