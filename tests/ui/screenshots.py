"""Photographs every page: python -m tests.ui.screenshots INDEXES FOLDER [readme].

INDEXES is a folder with indexes of the names that the tests use, or any: a view of an index that is not
there shows the first one. Each view is taken at three widths, light and dark. With `readme`, the images of
the README (tests/ui/readme) are made instead, of the demo's indexes: three stills, and a film of a search,
why, and the map.
"""

from __future__ import annotations

import io
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from PIL import Image

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


QUERY = "a fruit that is yellow"
WIDE, TALL, FILMED = 1280, 800, (960, 600)  # pixels of the README's images, and of the film
SHORT, LONG = 350, 2500  # milliseconds that an image of the film stands
STILLS: dict[str, tuple[str, dict[str, str | list[str]]]] = {
    "relatedness": ("relatedness", {"t": TEXTS}),
    "words": ("", {"index": "python-words", "q": "the key of a dictionary", "word": "2"}),
    "indexes": ("indexes", {}),
}


@contextmanager
def opened(indexes: Path) -> Iterator[tuple[Any, str]]:
    """Serve the page on `indexes`; give a page of a browser, and the address."""
    from playwright.sync_api import sync_playwright

    from tests.ui.conftest import ARGUMENTS, CHROMIUM

    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        command(port, open_browser=False), env={**os.environ, "EMBEDSEARCH_INDEXES": str(indexes)}
    )
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
            yield page, f"http://localhost:{port}/"
            browser.close()
    finally:
        server.terminate()
        server.wait()


def settled(page: Any) -> None:
    """Wait until all of a page is drawn, the last images too."""
    from tests.ui.conftest import shown

    shown(page)
    page.wait_for_timeout(1500)


def photograph(indexes: Path, folder: Path) -> None:
    """Write an image of each view, width and theme into `folder`."""
    names = [each.name for each in indexes.iterdir() if (each / "current").is_file()]
    with opened(indexes) as (page, address):
        for name, (path, asked) in VIEWS.items():
            said = {key: each for key, each in asked.items() if key != "index" or each in names}
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                for width in WIDTHS:
                    page.set_viewport_size({"width": width, "height": HEIGHT})
                    page.goto(f"{address}{path}?{urlencode(said, doseq=True)}")
                    settled(page)
                    page.screenshot(path=folder / f"{name}-{width}-{scheme}.png")


def for_readme(indexes: Path, folder: Path) -> None:
    """Write the images of the README into `folder`."""
    with opened(indexes) as (page, address):
        page.emulate_media(color_scheme="light", reduced_motion="reduce")
        page.set_viewport_size({"width": WIDE, "height": TALL})
        for name, (path, asked) in STILLS.items():
            page.goto(f"{address}{path}?{urlencode(asked, doseq=True)}")
            settled(page)
            seen(page).save(folder / f"{name}.webp", quality=80, method=6)
        film(page, address, folder / "film.webp")


def seen(page: Any) -> Image.Image:
    """Return what a page shows."""
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def film(page: Any, address: str, path: Path) -> None:
    """Write a film: a query is typed, its hits, why one was found, and the map."""
    images: list[tuple[Image.Image, int]] = []

    def take(lasts: int) -> None:
        images.append((seen(page).resize(FILMED, Image.Resampling.LANCZOS), lasts))

    page.goto(f"{address}?index=images")
    settled(page)
    take(1500)
    field = page.get_by_label("What are you looking for?")
    for end in range(2, len(QUERY) + 2, 5):
        field.fill(QUERY[:end])
        take(SHORT)
    field.fill(QUERY)
    field.press("Enter")
    page.wait_for_url(lambda at: QUERY.rsplit(maxsplit=1)[-1] in at)
    settled(page)
    take(LONG)
    page.get_by_role("button", name=re.compile("^Why was")).first.click()
    page.get_by_role("dialog").locator("img").wait_for()
    settled(page)
    take(LONG)
    page.goto(f"{address}map?index=images")
    settled(page)
    take(LONG)
    first, *rest = (image for image, _ in images)
    lasts = [each for _, each in images]
    first.save(path, save_all=True, append_images=rest, duration=lasts, loop=0, quality=70, method=6)


if __name__ == "__main__":
    source, target, *mode = sys.argv[1:]
    Path(target).mkdir(parents=True, exist_ok=True)
    (for_readme if mode == ["readme"] else photograph)(Path(source).resolve(), Path(target))
