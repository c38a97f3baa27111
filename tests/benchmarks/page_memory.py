"""Memory of the page's server over 1,000 queries of 50 visitors: level after the first 200.

Visitors are websocket sessions, five at a time, who ask 20 queries each and leave: texts of texts, texts and
images of images, items, and the other pages. The memory is the anonymous one (RssAnon): pages of mapped
files, which the system takes back when it needs them, are left out.

    python -m tests.benchmarks.page_memory [queries]
"""

import random
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Lock

import embedsearch as es
from embedsearch.ui.widgets import uploads
from tests.benchmarks.common import anonymous, need, served
from tests.ui.session import session

QUERIES, EACH, TOGETHER = 1000, 20, 5
PATIENCE = 600  # seconds to wait for an answer
SETTLED, REPORTED = 200, 50  # queries
GROWTH = 0.10  # of the level after the first 200 queries, that the rest may add
TEXTS, IMAGES, UPLOADED = 3000, 400, 60
MB = 1e6


def make(folder):
    """Build an index of texts and one of images; return the texts, the ids of the images, and all images."""
    lines = need("text", "banking77_train.tsv").read_text(encoding="utf-8").splitlines()[1 : TEXTS + 1]
    texts = [line.split("\t")[1] for line in lines]
    images = sorted(need("images", "clothing").rglob("*.jpg"))
    chosen = folder / "images"
    for path in images[:IMAGES]:
        target = chosen / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(path)
    es.build(texts, name="texts", indexes=folder / "indexes")
    index = es.build(chosen, name="images", indexes=folder / "indexes")
    return texts, index.build.items["id"].to_pylist(), images


def queries(folder, texts, ids, images):
    """Yield a page and its parameters for each query, without end."""
    draw = random.Random(0)
    kept = [uploads.keep(path.read_bytes(), folder / "indexes") for path in images[-UPLOADED:]]
    while True:
        text, other = draw.sample(texts, 2)
        kind = draw.random()
        if kind < 0.4:
            yield "", {"index": "texts", "q": text[: draw.randrange(10, 80)]}
        elif kind < 0.6:
            yield "", {"index": "images", "q": text}
        elif kind < 0.75:
            yield "", {"index": "images", "item": draw.choice(ids), "k": "50"}
        elif kind < 0.9:
            yield "", {"index": "images", "image": draw.choice(kept)}
        elif kind < 0.95:
            yield "relatedness", {"a": text, "b": other}
        else:
            yield "duplicates", {"index": draw.choice(["texts", "images"])}


def main(count):
    """Ask `count` queries, and print the memory of the server after each fifty."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        drawn = queries(folder, *make(folder))
        port, server = stack.enter_context(served(folder))
        print(f"{'queries':>8} {'MB':>8}\n{0:>8} {anonymous(server) / MB:>8.0f}", flush=True)
        asked = [[next(drawn) for _ in range(EACH)] for _ in range(count // EACH)]
        levels, lock = {0: 0}, Lock()  # the first is the number of queries that are answered

        def visit(own):
            with session(port, seconds=PATIENCE) as visitor:
                for page, parameters in own:
                    visitor.ask(page, **parameters)
                    with lock:
                        done = levels[0] = levels[0] + 1
                        if done % REPORTED == 0:
                            levels[done] = anonymous(server)
                            print(f"{done:>8} {levels[done] / MB:>8.0f}", flush=True)

        with ThreadPoolExecutor(TOGETHER) as threads:
            list(threads.map(visit, asked))
        last = max(levels)
        grown = levels[last] / levels[min(SETTLED, last)] - 1
        print(f"{len(asked)} visitors; after the first {SETTLED} queries the memory grew by {grown:.1%}")
        sys.exit(grown > GROWTH)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else QUERIES)
