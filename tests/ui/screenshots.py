"""Photographs every page: python -m tests.ui.screenshots INDEXES FOLDER.

INDEXES is a folder with indexes of the names that the tests use, or any: a view of an index that is not
there shows the first one. Each view is taken at three widths, light and dark.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlencode

from embedsearch.ui.launch import command

WIDTHS, SCHEMES, HEIGHT = (390, 1440, 1920), ("light", "dark"), 1000
TEXTS = ["A cat sleeps on the sofa", "The kitten naps on the couch", "The bank raised its rates"]
# name -> page, and what is asked there
VIEWS: dict[str, tuple[str, dict[str, str | list[str]]]] = {
    "search": ("", {"index": "questions", "q": "the package did not come"}),
    "search-images": ("", {"index": "images"}),
    "search-terms": ("", {"index": "questions", "q": "the package did not come", "minus": "refund"}),
    "search-versus": ("", {"index": "questions", "q": "the package did not come", "versus": "twice"}),
    "relatedness": ("relatedness", {"t": TEXTS}),
    "play": ("relatedness", {"kind": "play"}),
    "map": ("map", {"index": "questions"}),
    "duplicates": ("duplicates", {"index": "twice"}),
    "indexes": ("indexes", {}),
}


def photograph(indexes: Path, folder: Path) -> None:
    """Serve the page on `indexes`, and write an image of each view, width and theme into `folder`."""
    from playwright.sync_api import sync_playwright

    from tests.ui.conftest import ARGUMENTS, CHROMIUM, shown

    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        command(port, open_browser=False), env={**os.environ, "EMBEDSEARCH_INDEXES": str(indexes)}
    )
    names = [each.name for each in indexes.iterdir() if (each / "current").is_file()]
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            page = browser.new_page()
            page.set_default_timeout(300_000)  # copies of a large index are looked for while one waits
            while True:
                try:
                    socket.create_connection(("localhost", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.1)
            for name, (path, asked) in VIEWS.items():
                said = {key: each for key, each in asked.items() if key != "index" or each in names}
                for scheme in SCHEMES:
                    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                    for width in WIDTHS:
                        page.set_viewport_size({"width": width, "height": HEIGHT})
                        page.goto(f"http://localhost:{port}/{path}?{urlencode(said, doseq=True)}")
                        shown(page)
                        page.wait_for_timeout(600)  # for the last images
                        page.screenshot(path=folder / f"{name}-{width}-{scheme}.png")
            browser.close()
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    source, target = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    target.mkdir(parents=True, exist_ok=True)
    photograph(source, target)
