"""What words, tokens and feedback add to vectors: nDCG@10, recall@10 and latency, on folders of BEIR's shape.

Each folder holds corpus.jsonl (`_id`, `title`, `text`), queries.jsonl (`_id`, `text`) and qrels/test.tsv
(query, item, grade). The rows come from the product itself, `es.build` and `search(mode=...)`, but for
reciprocal rank fusion (of the first 100 of both lists, with 60), which is reckoned here from both. Re-ranked
are the first 50, by tokens that the index keeps as int8.

Arguments: folders; `xquad` makes one of the shared data, `docs` of Python's documentation (the first sentence
of an entry asks for the rest of it), `packages` of the Debian packages of this machine (a synopsis asks for
the description), `intents` of questions to a bank, which are short (a question asks for those of its intent);
`ids` asks for 300 items of Python's documentation by their ids; `million` indexes the words of that many
texts, with the lexical index alone.
"""

import json
import random
import re
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import embedsearch as es
from embedsearch.demo.pydocs import PythonDocs
from embedsearch.lexical.bm25 import BM25Index
from embedsearch.lexical.terms import Analyzer
from embedsearch.query import MODES
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Record
from tests.benchmarks.common import need, read_jsonl

DEEP, K, RERANKED, TIMED = 100, 60, 50, 100
QUERIES, WORDS, BODY = 300, 5, 40  # of a set; words of a query, and of a text, at least
SENTENCES, STATUS = Path("/usr/share/wordnet"), Path("/var/lib/dpkg/status")


def xquad():
    """Return XQuAD's English passages by id, and its questions with the passages that answer them."""
    corpus, queries = (
        read_jsonl(need("text", "xquad_en", f"{name}.jsonl")) for name in ("corpus", "queries")
    )
    return {each["_id"]: each["text"] for each in corpus}, [(q["text"], [q["positive"]]) for q in queries]


def docs():
    """Return the entries of Python's documentation without their first sentence, and some of these."""
    items, asked = {}, []
    for each in PythonDocs(SourceRecipe("python-docs", "")):
        if isinstance(each, Record):
            first, _, rest = str(each.content).partition(": ")[2].partition(". ")
            if len(first.split()) >= WORDS and len(rest.split()) >= BODY:
                items[each.id] = rest
                asked.append((first, [each.id]))
    return items, random.Random(0).sample(asked, QUERIES)


def packages():
    """Return the descriptions of installed packages, one of each source, and their synopses."""
    items, asked, sources = {}, [], set()
    for block in need_file(STATUS).read_text(encoding="utf-8").split("\n\n"):
        field = dict(re.findall(r"^([\w-]+): (.*(?:\n .*)*)", block, re.MULTILINE))
        synopsis, _, rest = field.get("Description", "").partition("\n")
        source = field.get("Source", field.get("Package", "")).split(" ")[0]
        body = " ".join(rest.replace("\n .", " ").split())
        if source not in sources and len(body.split()) >= BODY:
            sources.add(source)
            items[field["Package"]] = body
            asked.append((synopsis, [field["Package"]]))
    return items, asked


def intents():
    """Return questions to a bank, and others of their intents."""
    rows = [line.split("\t") for line in need("text", "banking77_train.tsv").read_text().splitlines()[1:]]
    random.Random(0).shuffle(rows)
    asked, held = rows[:QUERIES], rows[QUERIES : 10 * QUERIES]
    by_intent = {}
    for at, (intent, _) in enumerate(held):
        by_intent.setdefault(intent, []).append(f"b{at}")
    items = {f"b{at}": text for at, (_, text) in enumerate(held)}
    return items, [(text, by_intent[intent]) for intent, text in asked if intent in by_intent]


def folder_of(root, name):
    """Write a set of items and queries as a folder of BEIR's shape; return the folder."""
    items, queries = SETS[name]()
    folder = root / name
    (folder / "qrels").mkdir(parents=True)
    judged = [f"q{at}\t{item}\t1" for at, (_, wanted) in enumerate(queries) for item in wanted]
    files = {
        "corpus.jsonl": [json.dumps({"_id": key, "text": text}) for key, text in items.items()],
        "queries.jsonl": [json.dumps({"_id": f"q{at}", "text": each[0]}) for at, each in enumerate(queries)],
        "qrels/test.tsv": ["query-id\tcorpus-id\tscore", *judged],
    }
    for path, lines in files.items():
        (folder / path).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def need_file(path):
    """Return a file of this machine, or end with a line that says it is missing."""
    if not path.is_file():
        sys.exit(f"skipped: {path} is missing")
    return path


SETS = {"xquad": xquad, "docs": docs, "packages": packages, "intents": intents}


def read(folder):
    """Return the items, the texts of judged queries, and the grades of items, the last two by query."""
    items = [
        {"id": each["_id"], "text": "\n".join(filter(None, (each.get("title"), each["text"])))}
        for each in read_jsonl(folder / "corpus.jsonl")
    ]
    grades = {}
    for line in (folder / "qrels" / "test.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query, item, grade = line.split("\t")
        if int(grade) > 0:
            grades.setdefault(query, {})[item] = int(grade)
    texts = {each["_id"]: each["text"] for each in read_jsonl(folder / "queries.jsonl")}
    return [each for each in items if each["text"].strip()], {query: texts[query] for query in grades}, grades


def ndcg(found, grades, k=10):
    """Return nDCG@k of one query with the gain of BEIR, the grade itself."""

    def gain(values):
        return sum(value / np.log2(at + 2) for at, value in enumerate(values[:k]))

    return gain([grades.get(each, 0) for each in found]) / gain(sorted(grades.values(), reverse=True))


def fused(lists):
    """Return what reciprocal rank fusion makes of several lists."""
    scores = {}
    for found in lists:
        for rank, each in enumerate(found, 1):
            scores[each] = scores.get(each, 0) + 1 / (K + rank)
    return sorted(scores, key=lambda each: -scores[each])


def measure(folder, root):
    """Print the table of one folder."""
    items, queries, grades = read(folder)
    name = folder.resolve().name
    index = es.build(items, name="measured", text="text", id="id", indexes=root / name, keep_tokens="int8")
    facts = index.manifest.artifacts.lexical
    print(
        f"{name}: {len(items):,} items of {facts.words} words in the median, {len(queries):,} queries; "
        f"default {facts.mode}, weight of vectors {facts.weight:g}, language {facts.language or '-'}"
    )
    ways = {f"mode={mode}": {"mode": mode} for mode in MODES}
    for mode in ("vector", "hybrid"):
        ways[f"{mode}, re-ranked"] = {"mode": mode, "rerank": RERANKED}
        ways[f"{mode}, feedback"] = {"mode": mode, "feedback": True}
    found = {way: {} for way in ways}
    spent = {way: [] for way in ways}
    for at, (identity, text) in enumerate(queries.items()):
        for way, options in ways.items():
            if at == 0:
                index.search(text, 10, **options)  # what is loaded once
            if at < TIMED:
                started = time.perf_counter()
                index.search(text, 10, **options)
                spent[way].append(1000 * (time.perf_counter() - started))
            results = index.search(text, DEEP, fold=False, **options)
            found[way][identity] = [hit.id for hit in results if hit.id != identity]
    both = [found["mode=vector"], found["mode=lexical"]]
    found["reciprocal rank"] = {each: fused([lists[each] for lists in both]) for each in queries}
    scores = {
        way: 100 * mean(ndcg(lists[each], grades[each]) for each in queries) for way, lists in found.items()
    }
    base = scores["mode=vector"]
    for way, lists in found.items():
        hits = (len(set(lists[each][:10]) & set(grades[each])) / len(grades[each]) for each in queries)
        took = f"{np.median(spent[way]):6.1f} ms" if way in spent else ""
        line = f"nDCG@10 {scores[way]:5.1f} ({scores[way] - base:+.1f})  recall@10 {100 * mean(hits):5.1f}"
        print(f"  {way:18} {line}  {took}")
    gains = {way.removeprefix("mode=").replace(", ", "+"): scores[way] - base for way in ways}
    print(f"BETTER_ANSWERS {name}", *(f"{way}={gain:+.2f}" for way, gain in gains.items()))


def mean(values):
    """Return the mean of numbers."""
    return float(np.mean(list(values)))


def by_id(root):
    """Ask for 300 items of Python's documentation by their ids; print how many are first, by mode."""
    records = [each for each in PythonDocs(SourceRecipe("python-docs", "")) if isinstance(each, Record)]
    items = [{"id": each.id, "text": each.content} for each in records]
    index = es.build(items, name="docs", text="text", id="id", indexes=root / "docs")
    asked = random.Random(1).sample([each["id"] for each in items], 300)
    for mode in (None, *MODES):
        first = [bool(hits) and hits[0].id == each for each, hits in
                 ((each, index.search(each, 1, mode=mode)) for each in asked)]  # fmt: skip
        print(f"IDS mode={mode or 'default'} first={100 * np.mean(first):.1f} %")


def million(count):
    """Index the words of `count` definitions of WordNet, each with another beside it and a number."""
    said = [
        line.split("|", 1)[1].strip()
        for file in sorted(SENTENCES.glob("data.*"))
        for line in file.read_text(encoding="latin1").splitlines()
        if "|" in line
    ]
    draw, analyzer = random.Random(0), Analyzer("english")
    texts = ((f"doc-{at}", f"{said[at % len(said)]} {at} {draw.choice(said)}") for at in range(count))
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        index = BM25Index.build(Path(folder), analyzer.of_items(texts))
        spent = time.process_time() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        size = sum(path.stat().st_size for path in Path(folder).iterdir()) / 1e6
        queries = [analyzer.of_query(each) for each in draw.sample(said, 220)]
        for each in queries[:20]:
            index.scores(each)
        started = time.process_time()
        for each in queries[20:]:
            index.scores(each)
        each = 1000 * (time.process_time() - started) / 200
    print(f"MILLION texts={count:,} terms={index.terms:,} seconds={spent:.1f} peak={peak:.2f} GB "
          f"disk={size:.0f} MB query={each:.1f} ms (processor time)")  # fmt: skip


def main():
    """Measure what the arguments name."""
    with tempfile.TemporaryDirectory() as root:
        for each in sys.argv[1:] or ["xquad", "ids"]:
            if each == "million":
                million(1_000_000)
            elif each.isdigit():
                million(int(each))
            elif each == "ids":
                by_id(Path(root))
            else:
                folder = folder_of(Path(root), each) if each in SETS else Path(each)
                measure(folder, Path(root) / "indexes")


if __name__ == "__main__":
    main()
