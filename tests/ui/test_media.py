"""What a browser fetches: thumbnails, files, and what a visitor saves."""

import asyncio
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from embedsearch.modalities import Card
from embedsearch.ui import downloads, media
from embedsearch.ui.downloads import Offer
from embedsearch.ui.media import LARGE, SMALL, Known, Shown
from tests.ui.widgets.test_thumbnails import png


def done(answering):
    """What is awaited, in a thread of its own: Playwright has a loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, answering).result()


def fetched(address):
    """The answer to a request for an address of the page."""
    return done(media.answer(address.removeprefix(".")))


def test_an_image_is_sent_small_large_and_as_it_is(tmp_path):
    """A thumbnail has 400 pixels at most, the enlarged image 1460; the file keeps its type."""
    path = tmp_path / "wide.png"
    path.write_bytes(png((3000, 1500)))
    for source in (path, path.read_bytes()):
        at = media.address(Shown(source, Card.IMAGE))
        sizes = [Image.open(io.BytesIO(fetched(at + size).body)).size for size in (SMALL, LARGE)]
        assert sizes == [(400, 200), (1460, 730)]
        assert fetched(at).media_type == "image/png"
        assert fetched(f"{at}/other").status_code == 404
    path.unlink()
    assert fetched(media.address(Shown(path, Card.IMAGE))).status_code == 404
    assert fetched(media.address(Shown(path, Card.IMAGE)) + SMALL).status_code == 404


def test_a_file_that_claims_to_be_a_page_is_not_shown_as_one(tmp_path):
    """It comes as bytes that a browser neither guesses at nor runs."""
    for name in ("evil.svg", "evil.html"):
        (tmp_path / name).write_text("<script>alert(1)</script>")
        answer = fetched(media.address(Shown(tmp_path / name, Card.IMAGE)))
        assert answer.media_type == media.UNKNOWN
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"] == "sandbox"


def test_addresses_cannot_be_guessed_and_end_with_memory(monkeypatch):
    """A name that was not given out leads nowhere; of items without a file, the oldest are forgotten."""
    assert fetched(f".{media.PATH}{'0' * 32}").status_code == 404
    monkeypatch.setattr(media, "MOST_BYTES", 25)
    known = Known()
    for name in "abc":
        known.add(name, Shown(b"x" * 10, Card.IMAGE))
    assert [known.get(name) is None for name in "abc"] == [True, False, False]


def test_a_file_is_made_when_it_is_saved():
    """Each visitor's last offer stands; another name, and another visitor, find nothing."""
    made = []
    key = downloads.visitor()

    def write(path: Path) -> None:
        made.append(path)
        path.write_text("a,b\n")

    (at,) = downloads.addresses(key, Offer({"hits.csv": write})).values()
    assert made == []
    answer = done(downloads.answer(at.removeprefix(".")))
    assert 'filename="hits.csv"' in answer.headers["content-disposition"]
    assert made[0].read_text() == "a,b\n"
    done(answer.background())
    assert not made[0].parent.exists()
    for wrong in (f"{downloads.PATH}{key}/other", f"{downloads.PATH}{downloads.visitor()}/hits.csv"):
        assert done(downloads.answer(wrong)).status_code == 404
