"""The first query on the page against later ones, in Chromium: at most twice as long.

A new server is started for each repetition. The page of an index is opened, and a query is typed into it: as
soon as its field is there, or two seconds later, which is what a person needs to type. Meanwhile the server
loads the models. A time runs from the Enter key until all hits are drawn. Texts are definitions of WordNet,
images are stamps of Tux Paint, which texts ask for.

    python -m tests.benchmarks.page_first [repetitions]
"""

import shutil
import statistics
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

from playwright.sync_api import sync_playwright

import embedsearch as es
from embedsearch.demo.indexes import STAMPS
from tests.benchmarks.cold_query import definitions
from tests.benchmarks.common import served
from tests.ui.conftest import ARGUMENTS, CHROMIUM, shown

REPETITIONS = 3
PAUSES = (0.0, 2.0)  # seconds before the first query
TEXTS, EVERY = 500, 20  # texts, and one of so many stamps
FIELD = "What are you looking for?"
QUERIES = (
    "a large bird that can not fly", "the study of the stars", "a sudden storm at sea", "money that is owed",
    "a sharp tool for cutting wood", "someone who sells flowers", "a game played with a small ball",
)  # fmt: skip


def make(folder):
    """Build an index of texts and one of images."""
    es.build(definitions(TEXTS), name="texts", text="text", id="id", indexes=folder / "indexes")
    root = next((path for path in STAMPS if path.is_dir()), None)
    if root is None:
        sys.exit("skipped: the Tux Paint stamps are not installed")
    (folder / "stamps").mkdir()
    for path in sorted(root.rglob("*.png"))[::EVERY]:
        shutil.copy(path, folder / "stamps")
    es.build(folder / "stamps", name="images", indexes=folder / "indexes")


def ask(page, query):
    """Type a query, and return the seconds until its hits are drawn."""
    page.get_by_label(FIELD).fill(query)
    started = time.perf_counter()
    page.get_by_label(FIELD).press("Enter")
    page.wait_for_url(lambda address: query.split()[-1] in address)
    shown(page)
    return time.perf_counter() - started


def main(repetitions):
    """Print the medians of the first and of later queries."""
    with tempfile.TemporaryDirectory() as made, sync_playwright() as playwright:
        folder = Path(made)
        make(folder)
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for index, pause in product(("texts", "images"), PAUSES):
            runs = []
            for _ in range(repetitions):
                with served(folder) as (port, _):
                    page = chromium.new_page()
                    page.set_default_timeout(120_000)
                    page.goto(f"http://localhost:{port}/?index={index}")
                    page.get_by_label(FIELD).wait_for()
                    time.sleep(pause)
                    first, *later = [ask(page, query) for query in QUERIES]
                    runs.append((first, statistics.median(later)))
                    page.close()
            first, later = (statistics.median(column) for column in zip(*runs, strict=True))
            ratio = statistics.median(one / other for one, other in runs)
            when = f"first after {pause:g} s: {first:.2f} s, later {later:.2f} s"
            print(f"page_first_{index} ratio={ratio:.2f} ({when})", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else REPETITIONS)
