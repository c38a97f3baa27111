"""Plain vectors, centred ones and 256 main directions: which neighbours have the same label.

Images: clothing photos, Tux Paint's stamps by their folder, OpenMoji's emoji by their block of Unicode.
Texts: bank questions by their intent, and XQuAD, whose questions look for the passage that answers them.
Printed are, in percent, the first neighbour of the same label (1-NN) and the share of the first ten (P@10),
each item without itself; of XQuAD how often the right passage is first and the mean of 1 / rank. The vectors
of one plain build are compared in the three ways, so that all differences are those of centring.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

import embedsearch as es
from embedsearch.demo.emoji import has_emoji
from embedsearch.demo.indexes import EMOJI
from embedsearch.distances.centring import fit
from embedsearch.distances.metric import normalized
from embedsearch.encoders import open_encoder, preparation_of
from embedsearch.indexing.build import build_index
from embedsearch.recipe import EncoderRecipe, Recipe, SourceRecipe
from embedsearch.records import Unit
from tests.benchmarks.common import need, read_jsonl

STAMPS = Path("/usr/share/tuxpaint/stamps")
K, DIM, BLOCK = 10, 256, 2000


def labelled(folder):
    """Yield the name, the vectors (n, d) and the labels (n,) of each set that is here."""

    def built(name, source, **options):
        return name, *_of(es.build(source, name=name, indexes=folder, center=False, **options).build)

    for part in ("test", "validation"):
        yield built(f"clothing_{part}", need("images", "clothing", part))
    if STAMPS.is_dir():
        yield built("stamps", STAMPS, kind="images")
    if has_emoji():
        encoder = EncoderRecipe(Unit.IMAGE, preparation=preparation_of(Unit.IMAGE))
        recipe = Recipe("emoji", SourceRecipe("emoji", EMOJI), encoder)
        yield "emoji", *_of(build_index(recipe, Path(folder)))
    yield built("banking77_texts", need("text", "banking77_train.tsv"), text="text")


def _of(build):
    return np.asarray(build.vectors, np.float32), np.array(build.items["field:label"].to_pylist())


def ways(vectors):
    """Yield each way's name, and what it makes of vectors of the model."""
    yield "plain", np.asarray
    yield "centred", fit(vectors).apply
    if len(vectors) >= DIM:
        yield f"pca_{DIM}", fit(vectors, DIM).apply


def precision(vectors, labels):
    """Return 1-NN and P@10 in percent, each item without itself."""
    unit, hits = normalized(vectors), []
    for start in range(0, len(unit), BLOCK):
        near = unit[start : start + BLOCK] @ unit.T
        near[np.arange(len(near)), start + np.arange(len(near))] = -2
        first = np.argsort(-near, axis=1, kind="stable")[:, :K]
        hits.append(labels[first] == labels[start : start + BLOCK, None])  # (b, k)
    right = np.concatenate(hits)
    return 100 * right[:, 0].mean(), 100 * right.mean()


def answers():
    """Print how well the questions of XQuAD find the passages that answer them."""
    folder = need("text", "xquad_en")
    passages = {each["_id"]: each["text"] for each in read_jsonl(folder / "corpus.jsonl")}
    queries = read_jsonl(folder / "queries.jsonl")
    encoder = open_encoder(EncoderRecipe(Unit.TEXT))
    ids, vectors = list(passages), encoder.encode(list(passages.values()))
    asked = encoder.encode([each["text"] for each in queries], "query")
    right = np.array([ids.index(each["positive"]) for each in queries])
    for way, place in ways(vectors):
        near = normalized(place(asked)) @ normalized(place(vectors)).T
        rank = 1 + (near > near[np.arange(len(right)), right][:, None]).sum(1)
        print(f"xquad_{way} first={100 * (rank == 1).mean():.2f} reciprocal={100 * (1 / rank).mean():.2f}")


def main():
    """Print the figures, a line for each set and way."""
    with tempfile.TemporaryDirectory() as folder:
        for name, vectors, labels in labelled(folder):
            plain = precision(vectors, labels)
            for way, place in ways(vectors):
                one, ten = precision(place(vectors), labels)
                print(
                    f"{name}_{way} 1nn={one:.2f} p10={ten:.2f} (of {len(labels):,} items; "
                    f"{one - plain[0]:+.2f} {ten - plain[1]:+.2f})"
                )
                sys.stdout.flush()
    answers()


if __name__ == "__main__":
    main()
