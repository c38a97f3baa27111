"""What the benchmark scripts share: where the data lies, and the plain calls that serve as oracles."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
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


def recall_of(found, queries, vectors):
    """Return the recall of distances found, (q, k), by cosine, against comparing with all stored vectors."""
    from embedsearch.distances.metric import normalized

    asked, k, together = normalized(queries), found.shape[1], 50_000
    best = np.full(found.shape, np.inf, np.float32)
    for start in range(0, len(vectors), together):
        part = normalized(vectors[start : start + together].astype(np.float32))
        far = 1 - asked @ part.T  # (q, d) (d, b) -> (q, b)
        best = np.sort(np.concatenate([best, np.partition(far, k - 1, axis=1)[:, :k]], 1), axis=1)[:, :k]
    return float((found <= best[:, -1:] + 1e-6).mean())


def anonymous(pid):
    """Return the anonymous memory of a process in bytes; 0 when it has just ended."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon:")), 0)


def measured(module, *arguments):
    """Run a module in a process of its own; return its JSON and its peak of anonymous memory in bytes."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    highest = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            highest = max(highest, anonymous(process.pid))
            time.sleep(0.05)
        printed = process.stdout.read()
    if process.returncode:
        sys.exit(process.returncode)
    return json.loads(printed), highest


@contextmanager
def served(folder):
    """Serve the page over `folder`/indexes; once it answers, give its port and the id of its process."""
    from embedsearch.ui.launch import command, environment

    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            command(port, open_browser=False), env=environment(folder / "indexes"), stdout=log, stderr=log
        ) as server,
    ):
        try:
            deadline = time.monotonic() + 120
            while True:
                try:
                    urllib.request.urlopen(f"http://localhost:{port}/_stcore/health", timeout=5).close()
                    break
                except OSError:
                    if server.poll() is not None or time.monotonic() > deadline:
                        sys.exit("the server does not answer")
                    time.sleep(0.2)
            yield port, server.pid
        finally:
            server.terminate()
