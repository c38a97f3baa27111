"""The page of an index of sounds, in a real browser: hits play from the second that was found."""

import numpy as np
import pytest

import embedsearch as es
from tests.sounds import clicks, noise, packed, tone, write
from tests.ui.conftest import ARGUMENTS, CHROMIUM, shown

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory, serve):
    """The address of a page on an index of four sounds; a noise begins in one after 30 seconds."""
    folder = tmp_path_factory.mktemp("sounds")
    long = np.concatenate([tone(30, 300), noise(10, seed=2), tone(10, 300)])
    write(folder / "s", long=long, hiss=noise(2), clicks=clicks(2), hum=tone(2, 120))
    es.build(folder / "s", name="sounds", indexes=folder / "indexes", engine="torch")
    return serve(folder / "indexes")


def card(page, name):
    """The card of a sound."""
    return page.locator(".es-card").filter(has_text=name)


def test_an_uploaded_sound_finds_the_second_and_it_plays_from_there(visit, sounds):
    """The long sound is found at its noise; its player stands there, plays on, and Why draws a heat."""
    page = visit({"index": "sounds"}, address=sounds)
    expect(page.get_by_text("Or record one")).to_be_visible()
    page.locator("input[type=file]").set_input_files(
        {"name": "hiss.wav", "mimeType": "audio/wav", "buffer": packed(noise(3, seed=8))}
    )
    expect(page.get_by_text("Like your sound")).to_be_visible()
    shown(page)
    expect(card(page, "long.wav")).to_contain_text("0:30 to 0:40")
    player = card(page, "long.wav").locator("audio.es-audio")
    page.wait_for_function("[...document.querySelectorAll('audio.es-audio')].every(a => a.readyState >= 1)")
    assert player.evaluate("audio => audio.currentTime") == pytest.approx(30, abs=0.05)
    player.evaluate("audio => { audio.muted = true; return audio.play(); }")
    page.wait_for_function(
        "[...document.querySelectorAll('audio.es-audio')].some(a => a.currentTime > 30.3 && !a.error)"
    )
    expect(page.locator(".es-still").first).to_be_hidden()
    card(page, "hiss.wav").get_by_role("button", name="Why").click()
    expect(page.locator(".st-key-es-why-image img")).to_be_visible()
    expect(page.get_by_text("than they fit the average sound of this index")).to_be_visible()
    page.keyboard.press("Escape")


def test_what_is_no_sound_is_refused(visit, sounds):
    """The page says why, and asks nothing."""
    page = visit({"index": "sounds"}, address=sounds)
    page.locator("input[type=file]").set_input_files(
        {"name": "silent.wav", "mimeType": "audio/wav", "buffer": packed(0 * tone(1))}
    )
    expect(page.get_by_text("silent.wav can't be used: it is silent")).to_be_visible()
    expect(page.get_by_text("Like your sound")).to_be_hidden()


@pytest.fixture
def microphone(browser, tmp_path):
    """A browser whose microphone hears `clicks`, again and again."""
    heard = write(tmp_path, rate=48_000, heard=clicks(4, 48_000)) / "heard.wav"
    fake = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    chromium = browser.browser.browser_type.launch(
        executable_path=CHROMIUM, args=[*ARGUMENTS, *fake, f"--use-file-for-fake-audio-capture={heard}"]
    )
    yield chromium
    chromium.close()


@pytest.mark.flaky(reruns=1)
def test_what_the_microphone_hears_finds_its_sound(microphone, sounds):
    """A recording of clicks is kept, asks, and finds the file of clicks first."""
    page = microphone.new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{sounds}?index=sounds")
    shown(page)
    page.get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(3000)
    page.get_by_role("button", name="Stop recording").click()
    expect(page.get_by_text("Like your sound")).to_be_visible()
    shown(page)
    expect(page.locator(".es-card").first).to_contain_text("clicks.wav")
