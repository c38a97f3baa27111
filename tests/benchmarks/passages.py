"""How often a document of ten pages is found by a question about any page, by the size of its passages.

    python -m tests.benchmarks.passages XQUAD [SIZE ...]

Documents are ten paragraphs of XQuAD each, in their order, a paragraph a page; the questions paraphrase a
sentence each, and are compared by vectors alone. The other documents are ten pages of definitions from
Debian's wordnet-base. A size is `off`, `auto` or a number of tokens. One line a size: vectors, seconds of
processor time, and how often the right document is the first of all.
"""

import json
import resource
import sys
import tempfile
from itertools import islice
from pathlib import Path

import embedsearch as es
from tests.benchmarks.wordnet import definitions

PAGES, DEFINITIONS, OTHERS, EVERY = 10, 6, 1000, 8


def documents(folder):
    """Return documents of ten paragraphs, and pairs of a question and the id of its document."""
    corpus, questions = (
        [json.loads(line) for line in (folder / name).open()] for name in ("corpus.jsonl", "queries.jsonl")
    )
    owners = {each["_id"]: f"x{at // PAGES}" for at, each in enumerate(corpus)}
    texts = [each["text"] for each in corpus]
    made = [
        {"id": f"x{at}", "text": "\n\f\n".join(texts[PAGES * at : PAGES * (at + 1)])}
        for at in range(len(texts) // PAGES)
    ]
    return made, [(each["text"], owners[each["positive"]]) for each in questions]


def others(count):
    """Return documents of ten pages of definitions."""
    lines = iter(definitions())
    pages = [". ".join(islice(lines, DEFINITIONS)) for _ in range(PAGES * count)]
    return [
        {"id": f"w{at}", "text": "\n\f\n".join(pages[PAGES * at : PAGES * (at + 1)])} for at in range(count)
    ]


def main(folder, sizes):
    """Print a line a size."""
    mine, questions = documents(Path(folder))
    everything, asked = [*mine, *others(OTHERS)], questions[::EVERY]
    for size in sizes:
        before = resource.getrusage(resource.RUSAGE_SELF)
        with tempfile.TemporaryDirectory() as indexes:
            index = es.build(everything, name="d", text="text", id="id", passages=size, indexes=indexes)
            after = resource.getrusage(resource.RUSAGE_SELF)
            found = index.search([question for question, _ in asked], k=1, mode="vector")
        right = sum(hits[0].id == wanted for hits, (_, wanted) in zip(found, asked, strict=True))
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(
            f"passages size={size} documents={len(everything)} vectors={len(index)} seconds={seconds:.0f} "
            f"first={right}/{len(asked)} ratio={right / len(asked):.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:] or ["off", "auto", "128"])
