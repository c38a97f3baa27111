"""How often a document of ten pages is found by a question about any page, by the size of its passages.

    python -m tests.benchmarks.passages [SIZE ...]

Documents are ten paragraphs of XQuAD each, in their order, a paragraph a page; the questions paraphrase a
sentence each. Beside them lie 1,000 other documents of ten pages: Wikipedia (wikigold), the documentation
of Python, questions to a bank, pairs of sentences, and WordNet's definitions for the rest. A size is `off`,
`auto` or a number of tokens. A line for each size and mode: vectors, seconds of processor time of the build,
and how often the right document is the first of all.
"""

import resource
import sys
import tempfile
from collections.abc import Iterator

import embedsearch as es
from embedsearch.demo.pydocs import PythonDocs
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Record
from tests.benchmarks.common import need, read_jsonl
from tests.benchmarks.wordnet import definitions

PAGES, WORDS, OTHERS, EVERY = 10, 110, 1000, 4
MODES = ("vector", "hybrid")


def documents() -> tuple[list[dict[str, str]], list[tuple[str, str]]]:
    """Return documents of ten paragraphs, and pairs of a question and the id of its document."""
    corpus, questions = (
        read_jsonl(need("text", "xquad_en", name)) for name in ("corpus.jsonl", "queries.jsonl")
    )
    owners = {each["_id"]: f"x{at // PAGES}" for at, each in enumerate(corpus)}
    made = _bound([each["text"] for each in corpus], "x")
    return list(made), [(each["text"], owners[each["positive"]]) for each in questions]


def others() -> list[dict[str, str]]:
    """Return documents of ten pages of other texts; each holds texts of one collection."""
    python = (each for each in PythonDocs(SourceRecipe("python-docs", "")) if isinstance(each, Record))
    bank, pairs = (
        [line.split("\t") for line in need("text", name).read_text(encoding="utf-8").splitlines()[1:]]
        for name in ("banking77_train.tsv", "stsb_dev.tsv")
    )
    collections = {
        "wikipedia": (" ".join(each["tokens"]) for each in read_jsonl(need("ner", "wikigold.jsonl"))),
        "python": (str(each.content) for each in python),
        "bank": (row[1] for row in bank),
        "pairs": (cell for row in pairs for cell in row if " " in cell),
        "wordnet": iter(definitions()),
    }
    made = [each for name, texts in collections.items() for each in _bound(_pages(texts), name)]
    return made[:OTHERS]


def _pages(texts: Iterator[str]) -> list[str]:
    """Return texts joined to pages of as many words as a paragraph of XQuAD has."""
    pages: list[str] = []
    page: list[str] = []
    for text in texts:
        page.append(text if text.endswith((".", "?", "!")) else f"{text}.")
        if sum(len(each.split()) for each in page) >= WORDS:
            pages.append(" ".join(page))
            page = []
    return pages


def _bound(pages: list[str], name: str) -> Iterator[dict[str, str]]:
    """Yield documents of ten pages each, without those that are left."""
    for at in range(len(pages) // PAGES):
        yield {"id": f"{name}{at}", "text": "\n\f\n".join(pages[PAGES * at : PAGES * (at + 1)])}


def main(sizes: list[str]) -> None:
    """Print the lines of each size."""
    mine, questions = documents()
    everything, asked = [*mine, *others()], questions[::EVERY]
    words = sum(len(each["text"].split()) for each in everything)
    print(f"{len(everything):,} documents of {words / len(everything):.0f} words", flush=True)
    for size in sizes:
        before = resource.getrusage(resource.RUSAGE_SELF)
        with tempfile.TemporaryDirectory() as indexes:
            index = es.build(everything, name="d", text="text", id="id", passages=size, indexes=indexes)
            after = resource.getrusage(resource.RUSAGE_SELF)
            seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            for mode in MODES:
                found = index.search([question for question, _ in asked], k=1, mode=mode)
                right = sum(hits[0].id == wanted for hits, (_, wanted) in zip(found, asked, strict=True))
                print(
                    f"passages size={size} mode={mode} documents={len(everything)} vectors={len(index)} "
                    f"seconds={seconds:.0f} first={right}/{len(asked)} ratio={right / len(asked):.3f}",
                    flush=True,
                )


if __name__ == "__main__":
    main(sys.argv[1:] or ["off", "auto"])
