"""What the benchmark scripts share: where the data lies, and the plain calls that serve as oracles."""

import json
import os
import sys
from pathlib import Path

import numpy as np

DATA = Path(os.environ.get("EMBEDSEARCH_DATA", Path(__file__).parents[2].parent / "shared" / "data"))


def need(*parts):
    """Return a path of the shared data, or end with a line that says it is missing."""
    path = DATA.joinpath(*parts)
    if not path.exists():
        sys.exit(f"skipped: {path} is missing; name the folder of the data with EMBEDSEARCH_DATA")
    return path


def text_model_folder():
    """Return the folder of the bundled text model."""
    from embedsearch.models.files import find_files
    from embedsearch.recipe import EncoderRecipe
    from embedsearch.records import Unit

    return find_files(EncoderRecipe(Unit.TEXT)).folder


def plain_texts(texts, batch=64):
    """Embed texts by the plain transformers call and the masked mean, (n, d) float32."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = text_model_folder()
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    rows = []
    for start in range(0, len(texts), batch):
        inputs = tokenizer(
            texts[start : start + batch], padding=True, truncation=True, max_length=256, return_tensors="pt"
        )
        with torch.no_grad():
            hidden = model(**inputs).last_hidden_state  # (B, T, D)
        mask = inputs["attention_mask"].unsqueeze(-1).float()
        rows.append(((hidden * mask).sum(1) / mask.sum(1)).numpy())  # (B, T, D) -> (B, D)
    return np.concatenate(rows)


def plain_neighbours(queries, vectors, k, leave_one_out=False):
    """Return the k nearest rows by cosine, (q, k), by plain numpy; ties go to the lower row."""
    queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    found = np.empty((len(queries), k), np.int64)
    for start in range(0, len(queries), 1000):
        near = queries[start : start + 1000] @ vectors.T
        if leave_one_out:
            rows = np.arange(len(near))
            near[rows, start + rows] = -np.inf
        best = np.argpartition(-near, k, axis=1)[:, :k]
        order = np.take_along_axis(-near, best, 1).argsort(axis=1, kind="stable")
        found[start : start + 1000] = np.take_along_axis(best, order, 1)
    return found


def read_jsonl(path):
    """Return the objects of a .jsonl file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def leave_one_out(searcher, field):
    """Return the share of items whose nearest other item has the same value in `field`."""
    labels = searcher.build.items[f"field:{field}"].to_pylist()
    vectors = np.asarray(searcher.build.vectors)
    _, rows = searcher.build.backend.search(vectors, 2)
    own = np.arange(len(labels))
    # an exact copy of an item may come before the item itself
    other = np.where(rows[:, 0] == own, rows[:, 1], rows[:, 0])
    return float(np.mean([labels[row] == label for row, label in zip(other, labels, strict=True)]))
