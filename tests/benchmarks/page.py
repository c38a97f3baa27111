"""The page on 100,000 texts and on images: Enter to painted hits, 200 hits, layout shift, and 20 sessions.

A time runs from the Enter key until the hits are drawn: of images, until the thumbnails on the screen are
there. Sessions are websockets that ask queries of their own, one after the other; each answer is compared
with the library's. Their figures are given in processor time of the server, too. `images` measures images.

    python -m tests.benchmarks.page [seconds of the sessions | images]
"""

import re
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
from playwright.sync_api import sync_playwright

import embedsearch as es
from tests.benchmarks.common import anonymous, served
from tests.benchmarks.page_first import FIELD
from tests.benchmarks.serve import NAME, index, processor_time
from tests.benchmarks.wordnet import cache
from tests.ui.conftest import ARGUMENTS, CHROMIUM, shown
from tests.ui.session import session
from tests.ui.test_layout_shift import WATCH

QUERIES, K, MANY, IMAGES = 50, 48, 200, "stamps"
SESSIONS, SECONDS = 20, 120
PAINTED = """
() => [...document.querySelectorAll(".es-image > img")].every(
  (image) => image.naturalWidth > 0 || image.getBoundingClientRect().top > innerHeight)
"""


def images():
    """Return the folder with the index of the Tux Paint stamps, made once, and their captions, each once."""
    root, folder = Path("/usr/share/tuxpaint/stamps"), cache() / "page"
    if not root.is_dir():
        return folder, []
    source = cache() / "page-stamps"  # without the sounds, which are more than the images
    for image in (
        each for each in root.rglob("*.png") if not source.joinpath(each.relative_to(root)).exists()
    ):
        for file in filter(Path.is_file, (image.with_suffix(".txt"), image)):
            target = source / file.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    es.build(source, name=IMAGES, indexes=folder)  # what has not changed is not embedded again
    items = es.open(IMAGES, folder).build.items
    return folder, list(dict.fromkeys(filter(None, items["field:caption"].to_pylist())))


def ask(page, query):
    """Type a query, and return the seconds until its hits are painted."""
    page.get_by_label(FIELD).fill(query)
    started = time.perf_counter()
    page.get_by_label(FIELD).press("Enter")
    page.wait_for_url(lambda address: parse_qs(urlsplit(address).query).get("q") == [query])
    shown(page)
    page.wait_for_function(PAINTED)
    return time.perf_counter() - started


def browse(address, name, queries):
    """Print how long queries of one index take in a browser."""
    with sync_playwright() as playwright:
        page = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS).new_page()
        page.set_default_timeout(120_000)
        page.add_init_script(WATCH)
        page.goto(f"{address}?index={name}&k={K}&close=no")
        shown(page)
        taken = [ask(page, query) for query in queries][2:]  # the first two load what all need
        shift = page.evaluate("window.shift")
        page.goto(f"{address}?index={name}&k={MANY}&close=no")
        shown(page)
        many = [ask(page, query) for query in queries[:7]][2:]
        print(
            f"page_{name} p95={1000 * np.percentile(taken, 95):.0f} ms, median {1000 * np.median(taken):.0f} "
            f"ms ({len(taken)} queries, {K} hits); {MANY} hits in {np.median(many):.2f} s; shift {shift:.3f}",
            flush=True,
        )


def crowd(port, server, library, queries, seconds):
    """Print how long queries of 20 sessions take, and how many answers are not the library's."""
    ends = time.monotonic() + seconds
    taken, wrong, messages = [], [], []

    def visit(number):
        with session(port, seconds=600) as visitor:
            at = number
            while time.monotonic() < ends:
                query = queries[at % len(queries)]
                at += SESSIONS
                started = time.perf_counter()
                said = visitor.ask(index=NAME, q=query, close="no")
                taken.append(time.perf_counter() - started)
                messages.append(visitor.received)
                found = re.findall(r'data-item=\\*"([^"\\]+)', said)
                wrong.append(found != [hit.item for hit in library.search(query)])

    computed, before = processor_time(server), anonymous(server)
    with ThreadPoolExecutor(SESSIONS) as threads:
        list(threads.map(visit, range(SESSIONS)))
    print(
        f"page_sessions p95={np.percentile(taken, 95):.2f} s, median {np.median(taken):.2f} s "
        f"({len(taken) / seconds:.1f} queries/s, {(processor_time(server) - computed) / len(taken):.3f} s of "
        f"processor time and {np.median(messages):.0f} messages each; {sum(wrong)} of {len(wrong)} wrong; "
        f"{before / 1e6:.0f} MB before, {anonymous(server) / 1e6:.0f} MB after)"
    )


def main(seconds):
    """Print all figures; without `seconds` those of images."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "indexes").mkdir()
        made, captions = images()
        if captions:
            (folder / "indexes" / IMAGES).symlink_to(made / IMAGES)
        if seconds:
            texts, queries = index()
            (folder / "indexes" / NAME).symlink_to(texts / NAME)
        port, server = stack.enter_context(served(folder))
        address = f"http://localhost:{port}/"
        if captions:
            browse(address, IMAGES, captions[: QUERIES + 2])
        if seconds:
            browse(address, NAME, [query for query in queries if query.split()[-1].isalpha()][: QUERIES + 2])
            crowd(port, server, es.open(NAME, texts), queries, seconds)


if __name__ == "__main__":
    said = sys.argv[1:] or [str(SECONDS)]
    main(None if said == ["images"] else int(said[0]))
