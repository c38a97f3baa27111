"""Maps of 10,003 customer questions: neighbours kept by PCA and by UMAP, and moves after a rebuild.

The rebuild drops a tenth of the questions and adds as many. Peer: a layout from nothing, laid over the old
map as well as it can be. `page` opens the page on a map of 100,000 points, warm: from the address to drawn
points, the layout shift, and a frame while it is zoomed. `many` makes the map of 100,000 vectors of tokens.

    python -m tests.benchmarks.maps [page | many]
"""

import csv
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import embedsearch as es
from embedsearch.artifacts.map import inputs_of, load_map, map_index
from embedsearch.maps import make_map
from embedsearch.maps.alignment import rows_of_same_ids
from embedsearch.maps.inputs import Method, PreviousMap, Settings
from embedsearch.progress import Silent
from tests.benchmarks.common import need, served
from tests.benchmarks.wordnet import token_rows
from tests.ui.conftest import ARGUMENTS, CHROMIUM
from tests.ui.test_layout_shift import WATCH

POINTS, OPENED = 100_000, 7
DRAWN = '.map[data-lit="100000"]'
# milliseconds of each of 40 frames, zooming in and out
FRAMES = """() => new Promise((done) => {
  const root = [...document.querySelectorAll("*")].map((each) => each.shadowRoot)
    .find((each) => each?.querySelector(".map"));
  const [near, far] = ["in", "out"].map((way) => root.querySelector(`[data-zoom=${way}]`));
  const times = [];
  const step = () => {
    times.push(performance.now());
    if (times.length > 40) return done(times.slice(1).map((each, at) => each - times[at]));
    (times.length % 8 < 4 ? near : far).click();
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})"""


def write(path, rows):
    """Write the table."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("key", "text"), *rows])


def page():
    """Print how the page opens and moves a map of 100,000 points; the first opening warms the server."""
    from playwright.sync_api import sync_playwright

    draw, kinds = np.random.default_rng(0), np.arange(POINTS) % 40
    vectors = draw.normal(size=(40, 8))[kinds] + draw.normal(scale=0.2, size=(POINTS, 8))
    fields = [{"kind": f"kind{kind}"} for kind in kinds.tolist()]
    with tempfile.TemporaryDirectory(prefix="embedsearch-bench-") as name, sync_playwright() as playwright:
        folder = Path(name)
        source = ([str(at) for at in range(POINTS)], vectors.astype(np.float32), fields)
        es.build(source, name="many", indexes=folder / "indexes", backend="exact")
        map_index(folder / "indexes", "many", Settings(Method.PCA, names="kind"), Silent())
        with served(folder) as (port, _):
            opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS).new_page()
            opened.add_init_script(WATCH)
            seconds, shifts = [], []
            for _ in range(OPENED + 1):
                started = time.perf_counter()
                opened.goto(f"http://localhost:{port}/map?index=many")
                opened.wait_for_selector(DRAWN, state="attached")
                seconds.append(time.perf_counter() - started)
                opened.wait_for_timeout(500)
                shifts.append(opened.evaluate("window.shift"))
            frames = opened.evaluate(FRAMES)
    print(
        f"map_page value={np.median(seconds[1:]):.2f} (seconds from the address to {POINTS:,} drawn points, "
        f"warm, median of {OPENED}; slowest {max(seconds[1:]):.2f}, first {seconds[0]:.2f}; bar 2)"
    )
    print(f"map_shift value={max(shifts):.4f} (the largest layout shift of these; bar 0.1)")
    print(f"map_frame value={np.median(frames):.0f} (milliseconds of a frame while it is zoomed, no GPU)")


def many():
    """Print how long the map of 100,000 vectors takes by each method, and what it keeps."""
    rows = token_rows()[0]
    vectors = rows[np.linspace(0, len(rows) - 1, POINTS).astype(int)].astype(np.float32)
    with tempfile.TemporaryDirectory(prefix="embedsearch-bench-") as name:
        es.build(
            ([str(at) for at in range(POINTS)], vectors), name="many", indexes=Path(name), backend="exact"
        )
        for method in Method:
            started, before = time.perf_counter(), time.process_time()
            facts = load_map(map_index(Path(name), "many", Settings(method), Silent())).facts
            print(
                f"map_{method}_{POINTS} value={time.perf_counter() - started:.0f} (seconds; "
                f"{time.process_time() - before:.0f} of processor time; {facts.preserved:.3f} of 10 "
                f"neighbours kept; vectors of {vectors.shape[1]} components)",
                flush=True,
            )


def layouts():
    """Print what maps keep, and how far they move."""
    with need("text", "banking77_train.tsv").open(encoding="utf-8", newline="") as file:
        rows = [(f"q{at}", row["text"]) for at, row in enumerate(csv.DictReader(file, delimiter="\t"))]
    order = np.random.default_rng(0).permutation(len(rows))
    tenth = len(rows) // 10
    with tempfile.TemporaryDirectory(prefix="embedsearch-bench-") as name:
        folder = Path(name)
        table = folder / "questions.csv"
        for method in Method:
            write(table, [rows[at] for at in sorted(order[tenth:])])
            es.build(table, name=method, text="text", id="key", indexes=folder)
            old = map_index(folder, method, Settings(method), Silent())
            before = load_map(old)
            write(table, [rows[at] for at in sorted(order[:-tenth])])
            new = es.rebuild(method, indexes=folder).build
            after = load_map(new)
            same = PreviousMap(
                before.facts,
                before.points,
                rows_of_same_ids(new.source_state, old.source_state),
                orientation_only=True,
            )
            fresh = make_map(inputs_of(new), Settings(method), same, Silent())
            print(
                f"map_{method} value={before.facts.preserved:.3f} (share of 10 neighbours kept, "
                f"{len(before.points):,} questions; after the rebuild {after.facts.preserved:.3f})",
                flush=True,
            )
            moved, new_layout = after.facts.moved, fresh.facts.moved
            print(
                f"map_{method}_moved value={moved.median:.3f} (median move of {moved.kept:,} kept "
                f"questions, of the map's radius; p95 {moved.p95:.3f}; from nothing {new_layout.median:.3f}, "
                f"p95 {new_layout.p95:.3f})",
                flush=True,
            )


if __name__ == "__main__":
    {"page": page, "many": many}.get("".join(sys.argv[1:]), layouts)()
