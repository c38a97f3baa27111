import re

import pytest

from embedsearch.disk.lock import write_lock
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Unit
from embedsearch.store.folders import current_build
from embedsearch.store.manifest import Manifest
from embedsearch.ui import jobs
from tests.ui.conftest import QUESTIONS, _table, draw, shown

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
expect.set_options(timeout=60_000)


@pytest.fixture
def empty(serve, tmp_path):
    """A folder without indexes, and the address of a page on it."""
    root = tmp_path / "indexes"
    root.mkdir()
    return root, serve(root)


def card(page, name):
    """The card of an index."""
    return page.locator(f".st-key-es-of-{name}")


def ended(page, title, said="Done"):
    """Wait until a job has ended so."""
    job = page.locator(".es-job.es-announced")
    expect(job).to_contain_text(title, timeout=240_000)  # a model is loaded, perhaps beside other work
    expect(job.locator(".es-badge")).to_have_text(said)
    shown(page)


def manage(page, name, verb):
    """Open what can be done to an index, and choose one; return the dialog."""
    card(page, name).get_by_role("button", name="Manage").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("radio", name=verb).click()
    expect(dialog.get_by_role("button", name=f"{verb} {name}")).to_be_visible()
    return dialog


def test_the_first_index_is_made_on_the_page(visit, empty, tmp_path):
    """From nothing to a search: a path, a preview, a column, a name, a job that a reload shows, a card."""
    _, address = empty
    table = tmp_path / "questions.csv"
    table.write_text("what,about\n" + "".join(f'"{text}","{topic}"\n' for text, topic, *_ in QUESTIONS[:20]))
    page = visit(address=address)
    errors = []
    page.on("console", lambda message: errors.append(message) if message.type == "error" else None)
    expect(page.get_by_role("button", name="Build the demo")).to_be_enabled()
    page.get_by_role("link", name="Choose a folder").click()
    shown(page)
    path = page.get_by_role("combobox", name="Folder or file")
    path.click()
    path.fill(str(tmp_path))
    path.press("Enter")
    expect(page.get_by_role("button", name="Look inside")).to_be_enabled()  # the page has run with it
    path.click()
    page.get_by_role("option", name=str(table)).click()  # the folder's files complete the path
    shown(page)
    page.get_by_role("button", name="Look inside").click()
    expect(page.locator(".es-found")).to_contain_text(re.compile(r"About 2\d rows of 2 columns"))
    expect(page.locator(".es-preview th.es-chosen")).to_have_text("what")
    page.get_by_label("Name", exact=True).fill("no/name")
    page.get_by_role("button", name="Build the index").click()
    expect(page.get_by_text("can't name an index", exact=False)).to_be_visible()
    page.get_by_label("Name", exact=True).fill("faq")
    page.get_by_role("button", name="Build the index").click()
    expect(page.locator(".es-running")).to_contain_text("Build faq")
    page.reload()
    shown(page)
    expect(page.locator(".es-job")).to_contain_text("Build faq")
    ended(page, "Build faq")
    expect(card(page, "faq")).to_contain_text("20 texts")
    expect(card(page, "faq")).to_contain_text("exact: recall 100")
    page.get_by_role("button", name="Close").click()
    expect(page.locator(".es-job")).to_have_count(0)
    card(page, "faq").get_by_role("link", name="Search faq").click()
    expect(page).to_have_url(re.compile("index=faq"))
    # at a page's address Streamlit looks for its server beside that first
    assert [each.text for each in errors if "/indexes/_stcore/" not in each.location["url"]] == []


def test_an_upload_is_built_managed_and_removed(visit, empty):
    """Uploaded vectors of a table are an index; each verb is a job, and a failure is a sentence."""
    root, address = empty
    page = visit(path="indexes", address=address)
    page.get_by_role("radio", name="Upload").click()
    rows = "".join(f"{n},{n % 7},{n % 5}\n" for n in range(40))
    page.locator("input[type=file]").set_input_files(
        {"name": "../t.csv", "mimeType": "text/csv", "buffer": f"size,a,b\n{rows}".encode()}
    )
    expect(page.locator(".es-found")).to_contain_text("rows of 3 columns")
    page.get_by_role("radio", name="Whole rows").click()
    expect(page.locator(".es-preview th.es-chosen")).to_have_count(3)
    page.get_by_label("Name", exact=True).fill("rows")
    page.get_by_role("button", name="Build the index").click()
    ended(page, "Build rows")
    assert (root / "rows" / "uploaded" / "t.csv").is_file()

    card(page, "rows").get_by_role("button", name="Rebuild").click()
    ended(page, "Rebuild rows")
    expect(page.locator(".es-job")).to_contain_text("Nothing has changed")
    dialog = manage(page, "rows", "Map")
    dialog.get_by_role("radio", name="PCA").click()
    dialog.get_by_role("button", name="Map rows").click()
    ended(page, "Map rows")
    dialog = manage(page, "rows", "Roll back")
    expect(dialog.get_by_role("radio", name=re.compile("vectors"))).to_have_count(1)
    dialog.get_by_role("button", name="Roll back rows").click()
    ended(page, "Roll back rows")
    dialog = manage(page, "rows", "Calibrate")
    dialog.get_by_label("Unrelated queries").fill("not a row")
    dialog.get_by_label("Unrelated queries").press("Control+Enter")
    dialog.get_by_role("button", name="Calibrate rows").click()
    ended(page, "Calibrate rows", "Did not work")
    expect(page.locator(".es-job-said")).not_to_contain_text("Traceback")
    dialog = manage(page, "rows", "Remove")
    expect(dialog.get_by_role("button", name="Remove rows")).to_be_disabled()
    dialog.get_by_text("Yes, delete rows").click()
    dialog.get_by_role("button", name="Remove rows").click()
    ended(page, "Remove rows")
    expect(card(page, "rows")).to_have_count(0)
    assert not (root / "rows").exists()


def test_a_job_is_seen_and_stopped_from_another_page(visit, empty):
    """Every page shows a running job and leads to it, and says what another command builds."""
    root, address = empty
    page = visit(address=address)
    page.get_by_role("button", name="Build the demo").click()
    expect(page.locator(".es-running")).to_contain_text("Build the demo")
    page.goto(f"{address}duplicates")
    shown(page)
    badge = page.locator(".st-key-es-busy").get_by_role("link", name="Build the demo")
    expect(badge).to_be_visible()
    box = badge.bounding_box()
    assert box["x"] + box["width"] <= 1300
    badge.click()
    expect(page).to_have_url(re.compile("/indexes"))
    expect(page.locator(".es-running")).to_contain_text("Build the demo")
    expect(page.locator(".st-key-es-busy a")).to_have_count(0)
    page.get_by_role("button", name="Stop").click()
    ended(page, "Build the demo", "Stopped")
    assert jobs.latest(root).command == ("demo", "--no-page")
    (root / "films").mkdir()
    (root / "films" / "recipe.toml").touch()
    with write_lock(root / "films"):
        page.goto(f"{address}duplicates")
        told = page.locator(".st-key-es-busy").get_by_role("link", name="Building films")
        expect(told).to_be_visible()
    expect(told).to_have_count(0)


def test_an_index_is_calibrated_and_aligned(visit, serve, build, tmp_path):
    """Both are jobs with what was typed or given, and the index's card shows what came of them."""
    root, images = tmp_path / "indexes", tmp_path / "images"
    images.mkdir()
    draw(images)
    for image in images.rglob("* *.png"):
        image.with_suffix(".txt").write_text(f"a {image.stem}", encoding="utf-8")
    questions = _table(tmp_path / "questions.csv", ("text", "topic"), [row[:2] for row in QUESTIONS])
    build(root, "questions", questions, Unit.TEXT)
    build(root, "images", SourceRecipe("images", str(images)), Unit.IMAGE)
    page = visit(path="indexes", address=serve(root))
    dialog = manage(page, "questions", "Calibrate")
    dialog.get_by_label("Unrelated queries").fill("\n".join(f"the colour of planet {n}" for n in range(100)))
    dialog.get_by_label("Unrelated queries").press("Control+Enter")
    dialog.get_by_role("button", name="Calibrate questions").click()
    ended(page, "Calibrate questions")
    dialog = manage(page, "images", "Align")
    dialog.get_by_role("button", name="Align images").click()
    ended(page, "Align images")
    facts = Manifest.load(current_build(root / "images")).artifacts.crossmodal
    assert facts is not None
    assert facts.align is not None


def test_a_page_that_is_open_to_others_shows_indexes_alone(visit, serve, indexes):
    """With --allow-host nothing can be built or removed, and no path of the machine is shown."""
    page = visit(path="indexes", address=serve(indexes, ("example.org",)))
    expect(card(page, "questions")).to_contain_text("22 texts")
    expect(card(page, "images")).to_contain_text("Passed over")
    expect(page.get_by_text("so indexes can only be looked at here")).to_be_visible()
    for label in ("Rebuild", "Manage", "Look inside", "Build"):
        expect(page.get_by_role("button", name=label)).to_have_count(0)
    assert str(indexes.parent) not in page.locator("body").inner_text()
    assert not (indexes / jobs.FOLDER).exists()
