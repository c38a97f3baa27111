"""Who is told that nothing is close: queries that belong to an index (lost), and foreign ones (flagged).

Texts: customers' questions (banking77, 1,000 held out), Wikipedia passages (xquad; asked with questions), the
documentation of Python's own modules (900 entries held out), captions of drawings (tuxpaint-stamps, each
fifth held out in turn), and unlike sentences (STS-B, 700 held out). Foreign queries come from banking77,
xquad, STS-B and WNUT-17, each asked of the indexes that it does not belong to. The same under filters that
keep a half to a sixteenth of the items, drawn at random, with the limit of all items and with that of the
share.

Words: of sentences of news (wikigold), asked with those of other sentences, and with words of questions and
of tweets. Images: stamps asked with their captions, by class names and aligned with other captions. Where an
index gives no verdict, the rates are those that its limit would have.

Hybrid: entries of Python's documentation, searched by vectors and by words and vectors; the verdicts that
each search gives, and how near its first hit lies to the limit.

Arguments: some of texts, words, images, hybrid; all without one.
"""

import csv
import json
import random
import sys
import tempfile
from pathlib import Path

import numpy as np

import embedsearch as es
from embedsearch.artifacts.scale import of_unit
from embedsearch.crossmodal.crossval import folds_of
from embedsearch.demo.indexes import STAMPS
from embedsearch.distances.metric import normalized
from embedsearch.distances.verdict import Strictness, Verdict, closeness_of
from embedsearch.query import Text
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Record, Unit
from embedsearch.sources import open_source
from tests.benchmarks.common import need, read_jsonl

HELD, ASKED = 2500, 300  # entries that are searched by words too, and queries of each kind
SHARES = (1, 1 / 2, 1 / 4, 1 / 8, 1 / 16)


def banking():
    """Return the questions."""
    with need("text", "banking77_train.tsv").open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file, delimiter="\t")]


def sentences():
    """Return the sentences of STS-B."""
    with need("text", "stsb_dev.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return sorted({row[name] for row in rows for name in ("s1", "s2")})


def tweets():
    """Return the texts of WNUT-17."""
    return [" ".join(row["tokens"]) for row in read_jsonl(need("ner", "wnut17_dev.jsonl"))]


def captions():
    """Return the stamps' English captions."""
    files = sorted(next(path for path in STAMPS if path.is_dir()).rglob("*.txt"))
    first = (file.read_text(encoding="utf-8", errors="replace").split("\n", 1)[0].strip() for file in files)
    return sorted({caption for caption in first if caption})


def held_out(texts, count, folds=1):
    """Return pairs of the texts to index and `count` to ask with, drawn at random; others in each fold."""
    texts = list(texts)
    random.Random(0).shuffle(texts)
    starts = [fold * count for fold in range(folds)]
    return [(texts[:at] + texts[at + count :], texts[at : at + count]) for at in starts]


def build(folder, name, texts, **options):
    """Return an index of texts."""
    source = Path(folder) / f"{name}.jsonl"
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    return es.build(source, name=name, text="text", indexes=Path(folder) / "indexes", **options)


def told(far, limit):
    """Return the share of queries, by their distances (q, k), whose answers lie beyond a limit."""
    return float((closeness_of(far) > limit).mean())


def of_texts(folder):
    """Print the rates of texts, and the same under filters."""
    questions = held_out(banking(), 1000)
    passages = [row["text"] for row in read_jsonl(need("text", "xquad_en", "corpus.jsonl"))]
    asked_passages = [row["text"] for row in read_jsonl(need("text", "xquad_en", "queries.jsonl"))]
    source = open_source(SourceRecipe("python-docs", "python"))
    entries = [str(entry.content) for entry in source if isinstance(entry, Record)]
    drawings = captions()
    indexed = {
        "banking77": questions,
        "xquad": [(passages, asked_passages)],
        "python": held_out(entries, 900),
        "stamps": held_out(drawings, len(drawings) // 5, folds=5),
        "stsb": held_out(sentences(), 700),
    }
    foreign = {"banking77": questions[0][1], "xquad": asked_passages, "stsb": sentences(), "wnut17": tweets()}
    encoder = es.load_encoder()
    vectors = {name: encoder.encode(texts, "query") for name, texts in foreign.items()}
    lost, flagged, worst = [], [], 1.0
    for name, folds in indexed.items():
        rows = [
            rates(build(folder, f"{name}-{fold}", texts), encoder.encode(own, "query"), vectors, name)
            for fold, (texts, own) in enumerate(folds)
        ]
        given = rows[0][0][0]
        for place, share in enumerate(SHARES):
            # under a filter some folds may have no verdict
            those = [row[place] for row in rows]
            verdict = np.mean([each[0] for each in those])
            own, plain = (float(np.mean([each[at] for each in those])) for at in (1, 2))
            others = {other: float(np.mean([each[3][other] for each in those])) for other in those[0][3]}
            shown = ", ".join(f"{other} {rate:.3f}" for other, rate in others.items())
            print(
                f"verdicts_{name}_{share:g} value={own:.3f} (own queries lost; with the limit of all items "
                f"{plain:.3f}; foreign flagged: {shown}; a verdict is given in {verdict:.0%} of the folds)",
                flush=True,
            )
            if share == 1 and given:
                lost.append(own)
                flagged += others.values()
                worst = min(worst, *others.values())
    print(
        f"verdicts_texts value={np.mean(flagged):.3f} (foreign queries flagged where there is a verdict, on "
        f"average; of the worst pair {worst:.3f}; of its own lost {max(lost):.3f} at most)"
    )


def rates(searcher, own, foreign, name):
    """Return for each share whether there is a verdict, the rates of own queries, and of foreign ones."""
    scale, draw, rows = searcher.build.scale, np.random.default_rng(0), []
    unit = normalized(np.asarray(searcher.build.vectors, np.float32))
    for share in SHARES:
        known = scale.among(max(share, scale.shares[-1]))
        limit, whole = (each.limit(Strictness()) for each in (known, scale.answers[0]))
        some = unit[draw.random(len(unit)) < share]
        far = nearest(own, some)
        rows.append(
            (
                not known.unfit(Strictness()),
                told(far, limit),
                told(far, whole),
                {other: told(nearest(each, some), limit) for other, each in foreign.items() if other != name},
            )
        )
    return rows


def nearest(queries, unit):
    """Return the three smallest cosine distances of queries (q, d) to unit vectors (n, d), ascending."""
    return np.sort(1 - normalized(queries) @ unit.T, axis=1)[:, :3]  # (q, d) (d, n) -> (q, 3)


def of_words(folder):
    """Print the rates of words."""
    news = [" ".join(row["tokens"]) for row in read_jsonl(need("ner", "wikigold.jsonl"))]
    indexed, own = held_out(news, 500)[0]
    searcher = build(folder, "words", indexed[:600], unit="word")
    encoder = searcher.encoder
    known = searcher.build.scale.answers[0]
    limit = known.limit(Strictness())

    def rate(texts):
        ready = encoder.prepare(of_unit(texts, Unit.WORD), "query")
        ready = [each for each in ready if not isinstance(each, Exception)]
        vectors = np.concatenate([rows[:1] for _, rows in encoder.run(ready)])
        return told(searcher.build.backend.search(vectors, 3)[0], limit)

    foreign = {"banking77": banking()[:500], "wnut17": tweets()[:500]}
    shown = ", ".join(f"{name} {rate(texts):.3f}" for name, texts in foreign.items())
    print(
        f"verdicts_words value={rate(own):.3f} (words of other news that would be lost; foreign flagged: "
        f"{shown}; no verdict is given)",
        flush=True,
    )


def of_images(folder):
    """Print the rates of images that are asked with texts."""
    found, root = next(path for path in STAMPS if path.is_dir()), Path(folder) / "stamps"
    for image in found.rglob("*.png"):  # the folder holds more sounds than images
        at = root / image.relative_to(found)
        at.parent.mkdir(parents=True, exist_ok=True)
        for path in (image, image.with_suffix(".txt")):
            if path.exists():
                at.with_suffix(path.suffix).symlink_to(path)
    searcher = es.build(root, name="images", precision="fp32", indexes=Path(folder) / "indexes")
    own = [str(text) for text in searcher.build.items["field:caption"].to_pylist() if text]
    foreign = {"banking77": banking()[:500], "wnut17": tweets()[:500]}
    by_text(searcher, "conse", sorted(set(own)), foreign)
    # aligned without a fifth of the captions, which then are asked
    items = searcher.build.items
    both = zip(items["id"].to_pylist(), items["field:caption"].to_pylist(), strict=True)
    pairs = [(identity, str(caption)) for identity, caption in both if caption]
    numbers = {caption: at for at, caption in enumerate(sorted({caption for _, caption in pairs}))}
    fold = folds_of(np.arange(len(pairs)), np.array([numbers[caption] for _, caption in pairs]))
    source = Path(folder) / "captions.csv"
    with source.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            [("image", "caption"), *(pair for pair, at in zip(pairs, fold, strict=True) if at)]
        )
    held = sorted({caption for (_, caption), at in zip(pairs, fold, strict=True) if not at})
    by_text(searcher.align(source), "align", held, foreign)


def by_text(searcher, name, own, foreign):
    """Print the rates of texts that find images."""
    known = searcher.crossmodal.scale.answers[0]
    limit = known.limit(Strictness())

    def far(texts):
        vectors, _ = searcher.crossmodal.embed([Text(text) for text in texts])
        return searcher.crossmodal.backend.search(vectors, 3)[0]

    shown = ", ".join(f"{other} {told(far(texts), limit):.3f}" for other, texts in foreign.items())
    results = searcher.search("a red fish", 3)
    print(
        f"verdicts_images_{name} value={told(far(own), limit):.3f} (of {len(own)} captions lost; foreign "
        f"flagged: {shown}; a verdict is given: {results.verdict is not None}. {results.reason})",
        flush=True,
    )


def of_hybrid(folder):
    """Print the rates of the verdicts of searches by vectors, and by words and vectors."""
    source = open_source(SourceRecipe("python-docs", "python"))
    entries = [str(entry.content) for entry in source if isinstance(entry, Record)]
    random.Random(1).shuffle(entries)
    indexed, own = held_out(entries[:HELD], ASKED)[0]
    searcher = build(folder, "hybrid", indexed)
    foreign = {"banking77": banking()[:ASKED], "wnut17": tweets()[:ASKED]}
    found = {
        mode: {
            name: [searcher.search(text, 3, mode=mode) for text in texts]
            for name, texts in {"own": own, **foreign}.items()
        }
        for mode in ("vector", "hybrid")
    }
    for mode, answers in found.items():
        told_so = {
            name: np.mean([results.verdict is Verdict.NOTHING_CLOSE for results in each])
            for name, each in answers.items()
        }
        beyond = np.mean([results[0].distance > results.limit for results in answers["own"]])
        shown = ", ".join(f"{name} {rate:.3f}" for name, rate in told_so.items() if name != "own")
        print(
            f"verdicts_{mode} value={told_so['own']:.3f} (of {len(own)} own queries lost; foreign flagged: "
            f"{shown}; of own queries {beyond:.3f} have a first hit beyond the limit)",
            flush=True,
        )


def main():
    """Print the figures."""
    wanted = sys.argv[1:] or ["texts", "words", "images", "hybrid"]
    with tempfile.TemporaryDirectory(prefix="embedsearch-bench-") as folder:
        for name in wanted:
            {"texts": of_texts, "words": of_words, "images": of_images, "hybrid": of_hybrid}[name](folder)


if __name__ == "__main__":
    main()
