"""One server on small real indexes, and one browser, for the whole session."""

import csv
import functools
import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import pytest
from PIL import Image, ImageDraw

from embedsearch.encoders import open_encoder
from embedsearch.indexing.build import build_index
from embedsearch.recipe import EncoderRecipe, Recipe, SourceRecipe
from embedsearch.records import Unit
from embedsearch.ui.launch import command

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HOSTILE = "<script>alert(1)</script> **bold** $x$ :smile:"

QUESTIONS = [
    ("How do I get my money back?", "refund", 3.5, True),
    ("I want a refund for a coat that does not fit.", "refund", 12.25, True),
    ("The shop has not returned what I paid.", "refund", 40.0, False),
    ("Can I send the shoes back and be repaid?", "refund", 7.0, True),
    ("My parcel has not arrived yet.", "delivery", 2.0, False),
    ("Where is the letter that you posted on Monday?", "delivery", 9.0, False),
    ("How long does shipping to Norway take?", "delivery", 15.75, True),
    ("The courier left the box with a neighbour.", "delivery", 21.0, False),
    ("I forgot my password.", "login", 1.0, True),
    ("The app says that my PIN is wrong.", "login", 4.0, False),
    ("How can I change the e-mail address of my account?", "login", 6.5, True),
    ("The page signs me out every five minutes.", "login", 33.0, False),
    ("Which wine goes with mushrooms?", "food", 18.0, True),
    ("The soup needs more salt and a bay leaf.", "food", 27.5, False),
    ("How long must an egg boil to be soft?", "food", 5.0, True),
    ("Knead the dough and let it rest for an hour.", "food", 11.0, False),
    ("Rain is expected in the north tomorrow.", "weather", 14.0, False),
    ("Will the wind drop before the evening?", "weather", 16.0, True),
    ("The frost killed the tomatoes.", "weather", 19.5, False),
    ("A storm closed the harbour for two days.", "weather", 22.0, False),
    (HOSTILE, 'it\'s "odd"', 50.0, False),
    ("The script of the film shows a bold smile.", 'it\'s "odd"', 49.0, False),
]
SENTENCES = [
    ("She deposited the cheque at the bank on Friday.", "money"),
    ("The bank raised its interest rates again.", "money"),
    ("He works as a teller in a bank downtown.", "money"),
    ("My bank refused to give me a loan.", "money"),
    ("The bank charges a fee for every transfer.", "money"),
    ("We opened a savings account at the bank.", "money"),
    ("They sat on the bank of the river and fished.", "river"),
    ("The boat drifted towards the muddy bank.", "river"),
    ("Willows grow along the bank of the stream.", "river"),
    ("The flood washed away the river bank.", "river"),
    ("Otters dug a hole in the steep bank of the creek.", "river"),
    ("Reeds covered the bank where the ducks nest.", "river"),
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run a failed test of a browser once more: on a loaded machine a page's parts come in another order."""
    for item in items:
        if "visit" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.flaky(reruns=1))


def draw(folder: Path) -> None:
    """Draw 5 kinds of images in 4 colours, a folder a kind, and one whose caption is hostile."""
    colours = {"red": "#c22", "blue": "#24a", "green": "#283", "grey": "#667"}
    for name, colour in colours.items():
        for kind in ("disc", "bars", "rings", "squares", "star"):
            image = Image.new("RGB", (240, 200), "white")
            pen = ImageDraw.Draw(image)
            if kind == "disc":
                pen.ellipse((60, 40, 180, 160), fill=colour)
            elif kind == "bars":
                for x in range(20, 220, 40):
                    pen.rectangle((x, 10, x + 18, 190), fill=colour)
            elif kind == "rings":
                for side in range(20, 95, 18):
                    pen.ellipse((120 - side, 100 - side, 120 + side, 100 + side), outline=colour, width=6)
            elif kind == "squares":
                for at in range(9):
                    x, y = 40 + at % 3 * 60, 20 + at // 3 * 60
                    pen.rectangle((x, y, x + 40, y + 40), fill=colour)
            else:
                pen.regular_polygon((120, 100, 90), 3, fill=colour)
                pen.regular_polygon((120, 100, 90), 3, 180, fill=colour)
            (folder / kind).mkdir(exist_ok=True)
            image.save(folder / kind / f"{name} {kind}.png")
    (folder / "star" / "red star.txt").write_text(HOSTILE, encoding="utf-8")
    Image.linear_gradient("L").save(folder / "gone.png")
    (folder / "notes.pdf").touch()


def _table(path: Path, header: tuple[str, ...], rows: list[tuple[object, ...]]) -> SourceRecipe:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return SourceRecipe("csv", str(path), text=("text",))


@pytest.fixture(scope="session")
def build() -> Callable[[Path, str, SourceRecipe, Unit], None]:
    """Return a function that builds an index; models load once."""
    load = functools.cache(open_encoder)

    def make(indexes: Path, name: str, source: SourceRecipe, unit: Unit) -> None:
        build_index(Recipe(name, source, EncoderRecipe(unit)), indexes, replace=True, load=load)

    return make


@pytest.fixture(scope="session")
def images(tmp_path_factory) -> Path:
    """The folder of images that the index `images` is made from."""
    folder = tmp_path_factory.mktemp("images")
    draw(folder)
    return folder


@pytest.fixture(scope="session")
def indexes(tmp_path_factory, build, images) -> Path:
    """A folder with the indexes `images`, `questions`, `senses` and `twice` (questions, and shouted)."""
    folder = tmp_path_factory.mktemp("ui")
    root = folder / "indexes"
    questions = _table(folder / "questions.csv", ("text", "topic", "price", "asked"), QUESTIONS)
    build(root, "questions", questions, Unit.TEXT)
    build(root, "senses", _table(folder / "senses.csv", ("text", "sense"), SENTENCES), Unit.WORD)
    shouted = [(f"{row[0]}!", *row[1:]) for row in QUESTIONS]
    twice = _table(
        folder / "twice.csv", ("text", "topic"), [row[:2] for row in QUESTIONS[:1] + QUESTIONS + shouted]
    )
    build(root, "twice", twice, Unit.TEXT)
    build(root, "images", SourceRecipe("images", str(images)), Unit.IMAGE)
    (images / "gone.png").unlink()
    return root


@pytest.fixture(scope="session")
def serve(tmp_path_factory):
    """Return a function that serves the page on a folder of indexes and gives its address."""
    servers = []

    def start(indexes: Path, hosts: tuple[str, ...] = ()) -> str:
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        log = (tmp_path_factory.mktemp("server") / "log").open("wb")
        servers.append(
            subprocess.Popen(
                command(port, False, hosts),
                env={**os.environ, "EMBEDSEARCH_INDEXES": str(indexes)},
                cwd=tmp_path_factory.getbasetemp(),  # so that no .streamlit of the repository helps
                stdout=log,
                stderr=log,
            )
        )
        address = f"http://localhost:{port}/"
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{address}_stcore/health", timeout=5).close()
                return address
            except OSError:
                assert servers[-1].poll() is None, Path(log.name).read_text()
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.1)

    yield start
    for server in servers:
        server.terminate()
        server.wait()


@pytest.fixture(scope="session")
def site(serve, indexes) -> str:
    """The address of the page on `indexes`."""
    return serve(indexes)


@pytest.fixture(scope="session")
def browser():
    """Chromium without a window."""
    if not CHROMIUM.is_file():
        pytest.skip(f"{CHROMIUM} is missing: the page is tested in a real browser (apt install chromium)")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        context = chromium.new_context()  # one for all, so that the page's own files are fetched once
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        context.set_default_timeout(60_000)
        yield context
        chromium.close()


@pytest.fixture
def visit(browser, site):
    """Return a function that opens the page at query parameters, waits until it is shown, and returns it."""
    pages = []

    def go(parameters=(), path="", width=1300, address=site):
        page = browser.new_page()
        page.set_viewport_size({"width": width, "height": 900})
        pages.append(page)
        page.dialogs = []
        page.on("dialog", lambda dialog: (page.dialogs.append(dialog.message), dialog.dismiss()))
        page.goto(f"{address}{path}?{urlencode(parameters, doseq=True)}")
        shown(page)
        return page

    yield go
    for page in pages:
        page.close()


def html_of(page) -> str:
    """All HTML that the page of an `AppTest` shows, the hits at the end."""
    assert not page.exception
    mounted = [each.proto for each in page.get("bidi_component")]
    hits = [
        "".join(json.loads(each.json)["cards"]) for each in mounted if each.component_name.endswith(".hits")
    ]
    return " ".join([each.proto.body for each in page.get("html")] + hits)


def shown(page) -> None:
    """Wait until the page's script has ended and all of it is drawn, and hold that it raised nothing."""
    page.wait_for_selector(".stApp[data-test-script-state=notRunning]")
    page.wait_for_selector(".stMainBlockContainer .stElementContainer", state="attached")
    page.wait_for_function("!document.querySelector('[data-testid=stSkeleton], [data-stale=true]')")
    assert page.locator("[data-testid=stException]").all_inner_texts() == []
