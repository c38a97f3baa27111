"""Whether unrelated queries are told that nothing is close, and related ones are not.

Four indexes: customer questions (banking77, 1,000 held out), Wikipedia passages (xquad; asked with their
questions), the documentation of Python's own modules (900 entries held out), captions of drawings
(tuxpaint-stamps, each fifth held out in turn). Foreign queries come from banking77, xquad, STS-B and WNUT-17,
each asked of the indexes that it does not belong to.
"""

import csv
import json
import random
import tempfile
from pathlib import Path

import numpy as np

import embedsearch as es
from embedsearch.distances.scale import Verdict
from embedsearch.recipe import SourceRecipe
from embedsearch.sources import open_source
from tests.benchmarks.common import need, read_jsonl

STAMPS = Path("/usr/share/tuxpaint/stamps")


def banking():
    """Return the questions."""
    with need("text", "banking77_train.tsv").open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file, delimiter="\t")]


def sentences():
    """Return the sentences of STS-B."""
    with need("text", "stsb_dev.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return sorted({row[name] for row in rows for name in ("s1", "s2")})


def captions():
    """Return the stamps' English captions."""
    files = sorted(STAMPS.rglob("*.txt"))
    first = (file.read_text(encoding="utf-8", errors="replace").split("\n", 1)[0].strip() for file in files)
    return sorted({caption for caption in first if caption})


def held_out(texts, count, folds=1):
    """Return pairs of the texts to index and `count` to ask with, drawn at random; others in each fold."""
    texts = list(texts)
    random.Random(0).shuffle(texts)
    starts = [fold * count for fold in range(folds)]
    return [(texts[:at] + texts[at + count :], texts[at : at + count]) for at in starts]


def main():
    """Print the table and its figures."""
    questions = held_out(banking(), 1000)
    passages = [row["text"] for row in read_jsonl(need("text", "xquad_en", "corpus.jsonl"))]
    asked_passages = [row["text"] for row in read_jsonl(need("text", "xquad_en", "queries.jsonl"))]
    entries = [str(entry.content) for entry in open_source(SourceRecipe("python-docs", "python"))]
    drawings = captions()
    tweets = [" ".join(row["tokens"]) for row in read_jsonl(need("ner", "wnut17_dev.jsonl"))]
    indexed = {
        "banking77": questions,
        "xquad": [(passages, asked_passages)],
        "python": held_out(entries, 900),
        "stamps": held_out(drawings, len(drawings) // 5, folds=5),
    }
    foreign = {"banking77": questions[0][1], "xquad": asked_passages, "stsb": sentences(), "wnut17": tweets}
    encoder = es.load_encoder(engine="torch", device="cpu")
    vectors = {name: encoder.encode(texts, "query") for name, texts in foreign.items()}
    lost, told = [], []
    with tempfile.TemporaryDirectory(prefix="embedsearch-bench-") as folder:
        for name, folds in indexed.items():
            flagged = {other: [] for other in vectors if other != name}
            missed, rates = [], []
            for fold, (texts, own) in enumerate(folds):
                source = Path(folder) / f"{name}-{fold}.jsonl"
                lines = (json.dumps({"text": text}) + "\n" for text in texts)
                source.write_text("".join(lines), encoding="utf-8")
                searcher = es.build(
                    source, name=source.stem, text="text", engine="torch", indexes=Path(folder) / "indexes"
                )
                for other, shares in flagged.items():
                    shares.append(nothing_close(searcher, vectors[other]))
                missed.append(nothing_close(searcher, encoder.encode(own, "query")))
                rates.append(searcher.manifest.artifacts.scale.stated_rate)
            lost.append(np.mean(missed))
            told += [np.mean(shares) for shares in flagged.values()]
            shown = ", ".join(f"{other} {np.mean(shares):.3f}" for other, shares in flagged.items())
            asked = sum(len(own) for _, own in folds)
            print(
                f"nothing_close_{name} value={lost[-1]:.3f} (of {asked:,} of its own held out are told that "
                f"nothing is close; of foreign ones: {shown}; stated rate {np.mean(rates):.3f})",
                flush=True,
            )
    print(
        f"nothing_close value={np.mean(told):.3f} (of foreign queries on average are told so, of the worst "
        f"pair {min(told):.3f}; of its own {max(lost):.3f} at most)"
    )


def nothing_close(searcher, queries):
    """Return the share of queries (q, d) that are told that nothing is close."""
    far, _ = searcher.build.backend.search(queries, 3)
    return float(np.mean([searcher.build.scale.verdict(row)[0] is Verdict.NOTHING_CLOSE for row in far]))


if __name__ == "__main__":
    main()
