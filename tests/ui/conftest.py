"""A server of the page on real indexes, and a headless Chromium, once a session."""

import csv
import json
import os
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

import embedsearch as es
from embedsearch.ui.launch import command

CHROMIUM = Path("/usr/bin/chromium")
QUESTIONS = [
    ("How do I get my money back?", "refund", 3),
    ("I want a refund for my order.", "refund", 5),
    ("The shop sent my payment back to me twice.", "refund", 8),
    ("My card has not arrived yet.", "delivery", 2),
    ("Where is the parcel that I ordered?", "delivery", 9),
    ("Can you deliver to my neighbour?", "delivery", 4),
    ("I forgot my password.", "login", 1),
    ("The app says that my PIN is wrong.", "login", 6),
    ("I can't sign in on my new phone.", "login", 7),
    ("<script>alert(1)</script> **bold** $x$ :smile: <b>cards</b>", "odd", 10),
]
SENTENCES = [
    "She put the key into the lock and opened the door.",
    "He lost the key to his flat.",
    "The caretaker has a spare key for every room.",
    "Press any key on the keyboard to continue.",
    "Hold the shift key while you type the letter.",
    "Sing the song in the key of C major.",
    "The pianist changed to a minor key.",
    "The bank of the river was covered with reeds.",
    "They walked along the bank and watched the water.",
    "The bank raised the interest on all accounts.",
    "I opened an account at the bank in town.",
]
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


def need_chromium():
    """Skip where there is no browser."""
    if not CHROMIUM.is_file():
        pytest.skip(f"{CHROMIUM} is missing: the page is driven in Debian's chromium")


def draw(folder):
    """Draw shapes in colours: a folder for each shape, a file for each colour, captions beside some."""
    for shape in ("disc", "square", "stripes"):
        (folder / shape).mkdir(parents=True)
        for colour in ("crimson", "seagreen", "royalblue", "orange"):
            image = Image.new("RGB", (320, 240), "white")
            pen = ImageDraw.Draw(image)
            if shape == "disc":
                pen.ellipse((80, 40, 240, 200), fill=colour)
            elif shape == "square":
                pen.rectangle((80, 40, 240, 200), fill=colour)
            else:
                for at in range(0, 320, 40):
                    pen.rectangle((at, 0, at + 20, 240), fill=colour)
            image.save(folder / shape / f"{colour}.png")
    (folder / "disc" / "crimson.txt").write_text(
        "<img src=x onerror=alert(1)> a **red** disc", encoding="utf-8"
    )


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """Return the folder of drawn pictures."""
    folder = tmp_path_factory.mktemp("shapes")
    draw(folder)
    return folder


@pytest.fixture(scope="session")
def indexes(tmp_path_factory, pictures):
    """Return a folder with the indexes faq (texts), shapes (images) and terms (words)."""
    root = tmp_path_factory.mktemp("page")
    with (root / "faq.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("question", "topic", "weight"), *QUESTIONS])
    rows = [json.dumps({"body": sentence, "at": at}) for at, sentence in enumerate(SENTENCES)]
    (root / "terms.jsonl").write_text("\n".join(rows), encoding="utf-8")
    folder = root / "indexes"
    es.build(root / "faq.csv", name="faq", text="question", indexes=folder)
    es.build(root / "terms.jsonl", name="terms", text="body", unit="word", indexes=folder)
    es.build(pictures, name="shapes", indexes=folder)
    return folder


@pytest.fixture(scope="session")
def address(indexes, tmp_path_factory):
    """Return the address of a server of the page, started as `embedsearch ui` starts it."""
    need_chromium()
    with socket.create_server(("localhost", 0)) as free:
        port = free.getsockname()[1]
    log = (tmp_path_factory.mktemp("server") / "log").open("w")
    environment = {**os.environ, "EMBEDSEARCH_INDEXES": str(indexes)}
    server = subprocess.Popen(command(port, False), env=environment, stdout=log, stderr=subprocess.STDOUT)
    root = f"http://localhost:{port}"
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{root}/_stcore/health", timeout=1).close()
            break
        except OSError:
            assert server.poll() is None, Path(log.name).read_text()
            time.sleep(0.1)
    yield root
    server.terminate()
    server.wait(10)


@pytest.fixture(scope="session")
def browser():
    """Return a headless Chromium."""
    need_chromium()
    sync_api = pytest.importorskip("playwright.sync_api")
    sync_api.expect.set_options(timeout=60_000)  # the first query loads the model
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    """Return a new page of 1400 x 1000 pixels; no test may end with an alert or a traceback on it."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.set_default_timeout(60_000)
    alerts = []
    page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
    yield page
    assert alerts == []
    assert page.get_by_text("Traceback").count() == 0
    context.close()
