"""Token-level F1 of a 10-nearest-neighbour vote over words in their sentence (WNUT-17, train against dev).

A word votes with the type of its entity (O, person, location, ...); F1 is micro-averaged over the types
other than O. Ours: the word encoder and the FAISS backend. Peer: transformers and numpy, written plainly.
"""

from collections import Counter

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer

import embedsearch as es
from embedsearch.backends.exact import ExactBackend
from tests.benchmarks.common import need, plain_neighbours, read_jsonl, text_model_folder

NEIGHBOURS = 10


def sentence(tokens):
    """Return tokens as a sentence with their spans."""
    spans, at = [], 0
    for token in tokens:
        spans.append((at, at + len(token)))
        at += len(token) + 1
    return es.Sentence(" ".join(tokens), tuple(spans))


def types(rows, kept):
    """Return the entity type of every kept token, B- and I- left out."""
    return np.array(
        [
            tag.split("-")[-1]
            for row, keep in zip(rows, kept, strict=True)
            for tag in np.array(row["tags"])[keep]
        ]
    )


def plain_words(rows):
    """Embed the tokens by the plain call: the mean of a word's sub-token rows; and which have any."""
    folder = text_model_folder()
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    vectors, kept = [], []
    for row in rows:
        inputs = tokenizer(
            row["tokens"], is_split_into_words=True, truncation=True, max_length=256, return_tensors="pt"
        )
        with torch.no_grad():
            hidden = model(**inputs).last_hidden_state[0]  # (1, T, D) -> (T, D)
        words = inputs.word_ids()
        positions = [
            [t for t, word in enumerate(words) if word == index] for index in range(len(row["tokens"]))
        ]
        kept.append([bool(found) for found in positions])
        vectors += [hidden[found].mean(0).numpy() for found in positions if found]
    return np.stack(vectors), kept


def vote(neighbours, train_types):
    """Return the most frequent type among each word's neighbours; the nearer one wins a tie."""
    return np.array([Counter(train_types[row]).most_common(1)[0][0] for row in neighbours])


def f1(found, true):
    """Return micro-averaged F1 over all types but O."""
    hits = int(((found == true) & (true != "O")).sum())
    precision, recall = hits / max((found != "O").sum(), 1), hits / (true != "O").sum()
    return float(2 * precision * recall / max(precision + recall, 1e-12))


def main():
    """Print the figure."""
    train, dev = read_jsonl(need("ner", "wnut17_train.jsonl")), read_jsonl(need("ner", "wnut17_dev.jsonl"))
    train_plain, train_kept = plain_words(train)
    dev_plain, dev_kept = plain_words(dev)
    train_types, dev_types = types(train, train_kept), types(dev, dev_kept)
    plain = f1(vote(plain_neighbours(dev_plain, train_plain, NEIGHBOURS), train_types), dev_types)

    encoder = es.load_encoder(unit="word", precision="fp32")
    train_ours = encoder.encode([sentence(row["tokens"]) for row in train])
    dev_ours = encoder.encode([sentence(row["tokens"]) for row in dev])
    index = ExactBackend.build([train_ours], encoder.dimension, es.Metric.COSINE)
    _, neighbours = index.search(dev_ours, NEIGHBOURS)
    ours = f1(vote(neighbours, train_types), dev_types)
    what = f"token F1 of a {NEIGHBOURS}-NN vote over {len(dev_types)} words"
    print(f"wnut17 value={ours:.4f} ({what}; plain {plain:.4f})")


if __name__ == "__main__":
    main()
