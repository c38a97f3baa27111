"""The page of an index of videos, in a real browser: the player starts at the moment that was found."""

import io
import re

import numpy as np
import pytest

import embedsearch as es
from tests.films import BLUE, GREEN, RED, film, scene
from tests.ui.conftest import shown

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
expect.set_options(timeout=60_000)


@pytest.fixture(scope="module")
def films(tmp_path_factory, serve):
    """The address of a page on an index of four videos, two of which no browser plays."""
    folder = tmp_path_factory.mktemp("videos")
    film(folder / "films" / "long.mp4", [(RED, 5), (GREEN, 4), (BLUE, 3)])
    film(folder / "films" / "small.webm", [(BLUE, 3), (RED, 2)])
    film(folder / "films" / "old.avi", [(GREEN, 3)])
    film(folder / "films" / "x265.mp4", [(RED, 2), (BLUE, 2.6)], codec="libx265")
    es.build(folder / "films", name="films", indexes=folder / "indexes", engine="torch")
    return serve(folder / "indexes")


def card(page, name):
    """The card of a video."""
    return page.locator(".es-card").filter(has_text=name)


def played(page, name):
    """Press the button that plays a video, and return its player."""
    button = card(page, name).get_by_role("button", name="Play")
    button.focus()
    button.press("Enter")
    video = page.locator("video.es-video")
    expect(video).to_be_attached()
    return video


def test_a_video_plays_from_the_moment_that_was_found(visit, films):
    """An image finds the scene: its time and frame on the card, and the player's position at its start."""
    page = visit({"index": "films"}, address=films)
    file = io.BytesIO()
    scene(BLUE).save(file, "PNG")
    page.locator("input[type=file]").set_input_files(
        {"name": "blue.png", "mimeType": "image/png", "buffer": file.getvalue()}
    )
    expect(page.get_by_text(re.compile("^The 4 nearest of 4"))).to_be_visible()
    shown(page)
    expect(card(page, "long.mp4")).to_contain_text("0:09 to 0:12")
    with page.expect_response(lambda answer: "/_es_media/" in answer.url) as answer:
        video = played(page, "long.mp4")
    assert answer.value.status == 206  # a part of the file
    page.wait_for_function("document.querySelector('video.es-video').readyState >= 2")
    assert video.evaluate("video => video.currentTime") == pytest.approx(9, abs=0.05)
    expect(page.locator(".es-still")).to_be_hidden()
    video.evaluate("video => { video.muted = true; return video.play(); }")
    page.wait_for_function("document.querySelector('video.es-video').currentTime > 9.3")
    drawn = video.evaluate(
        """video => {
          const canvas = document.createElement("canvas").getContext("2d");
          canvas.drawImage(video, 0, 0, 96, 64);
          return [...canvas.getImageData(60, 40, 1, 1).data];
        }"""
    )
    assert np.abs(np.array(drawn[:3]) - BLUE).max() < 24


@pytest.mark.parametrize(("name", "kind"), [("old.avi", "mpeg4 in AVI"), ("x265.mp4", "hevc in MP4")])
def test_the_page_says_what_the_browser_cannot_play(visit, films, name, kind):
    """In place of the player stand the frame, the reason, and the file to open elsewhere."""
    page = visit({"index": "films", "item": "long.mp4"}, address=films)
    video = played(page, name)
    expect(video).to_be_hidden()
    still = page.locator(".es-still")
    expect(still).to_contain_text(f"This browser can’t play this video ({kind}).")
    expect(still).to_contain_text(f"/films/{name}")
    assert still.locator("img").evaluate("image => image.naturalWidth") == 96


def test_why_shows_the_heat_over_the_frame(visit, films):
    """The explanation is drawn over the frame of the hit, not over the first one."""
    page = visit({"index": "films", "item": "small.webm#0"}, address=films)
    button = card(page, "long.mp4").get_by_role("button", name="Why")
    button.focus()
    button.press("Enter")
    image = page.get_by_role("img", name="Heat over long.mp4")
    expect(image).to_be_visible()
    assert image.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [96, 64]


def test_what_was_not_shown_is_not_sent(films, browser):
    """Only a name that the page gave out leads to a file."""
    answer = browser.request.get(f"{films}_es_media/..%2f..%2fetc%2fpasswd")
    assert answer.status == 404
    assert browser.request.get(f"{films}_es_media/{'x' * 22}").status == 404
