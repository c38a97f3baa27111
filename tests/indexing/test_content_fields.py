"""Fields that images have of their own: in an index, its filters and its rebuilds."""

from datetime import datetime

import pytest
from PIL import Image

import embedsearch as es
from embedsearch.encoders.vision import photo
from embedsearch.encoders.vision.to_rgb import ON_BLACK
from embedsearch.indexing.build import build_index
from embedsearch.recipe import EncoderRecipe, Recipe, SourceRecipe
from embedsearch.records import Unit
from tests.encoders.vision.test_photo import exif
from tests.fakes import LetterEncoder


@pytest.fixture
def photos(tmp_path):
    """A folder of four photos: three with metadata, of three summers, and one without."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for at, year in enumerate((2021, 2022, 2023)):
        metadata = exif(taken=f"{year}:07:01 12:00:00", model=f"Pixel {at}", place=year > 2021)
        Image.new("RGB", (40 + at, 30), (80 * at, 0, 0)).save(folder / f"{year}.jpg", exif=metadata)
    Image.new("RGB", (20, 10), "white").save(folder / "plain.png")
    return folder


def built(kind, location, tmp_path, **columns):
    """Build an index of images, and open it."""
    recipe = Recipe("photos", SourceRecipe(kind, str(location), **columns), EncoderRecipe(Unit.IMAGE))
    describe = lambda recipe: LetterEncoder(recipe).spec  # noqa: E731
    build_index(recipe, tmp_path / "indexes", load=LetterEncoder, describe=describe)
    return es.index.open_index("photos", tmp_path / "indexes", load=LetterEncoder)


def test_photos_are_found_by_what_they_say(photos, tmp_path):
    """Date, camera, size and place are fields of their types, and filters compare them."""
    ix = built("images", photos, tmp_path)
    types = ix.info().fields
    assert {name: types[name] for name in ("taken", "camera", "width", "latitude")} == {
        "taken": "timestamp[us]", "camera": "string", "width": "int64", "latitude": "double",
    }  # fmt: skip
    found = lambda where: {hit.id for hit in ix.search(es.MoreLike("plain.png"), where=where)}  # noqa: E731
    assert found("taken >= '2022-01-01'") == {"2022.jpg", "2023.jpg"}
    assert found("taken < '2022-07-01T12:00:01' and width > 40") == {"2022.jpg"}
    assert found("camera = 'Google Pixel 0'") == {"2021.jpg"}
    assert found("latitude > 47 and longitude < 0") == {"2022.jpg", "2023.jpg"}
    assert ix.get("2021.jpg").fields["taken"] == datetime(2021, 7, 1, 12)
    assert ix.get("plain.png").fields["height"] == 10


def test_a_rebuild_keeps_fields_without_opening_files(photos, tmp_path, monkeypatch):
    """Photos that did not change keep their fields, and only new ones are opened."""
    before = built("images", photos, tmp_path)
    want = {name: dict(before.get(name).fields) for name in ("2021.jpg", "2022.jpg", "plain.png")}
    Image.new("RGB", (7, 9)).save(photos / "new.png")
    monkeypatch.setattr("embedsearch.store.source_state.RACY", 0)
    read = photo.fields_of
    opened = []
    monkeypatch.setattr(photo, "fields_of", lambda content: opened.append(content) or read(content))
    built("images", photos, tmp_path)  # notes the times of files, which are too recent before
    opened.clear()
    Image.new("RGB", (3, 4)).save(photos / "newer.png")
    ix = built("images", photos, tmp_path)
    assert len(opened) == 1
    assert {name: dict(ix.get(name).fields) for name in want} == want
    assert (ix.get("newer.png").fields["width"], ix.get("new.png").fields["height"]) == (3, 9)


def test_what_was_done_to_images_is_reported(tmp_path):
    """The report counts white icons that are laid on black; none, where there are none."""
    folder = tmp_path / "icons"
    folder.mkdir()
    for at in range(3):
        icon = Image.new("RGBA", (24, 24))
        icon.paste((255, 255, 255, 255) if at else (200, 0, 0, 255), (at, 0, 12, 12 + at))
        icon.save(folder / f"{at}.png")
    recipe = EncoderRecipe(Unit.IMAGE, precision="fp32", preparation=2)
    build = build_index(Recipe("icons", SourceRecipe("images", str(folder)), recipe), tmp_path / "indexes")
    assert build.manifest.report.notes == (
        f"{ON_BLACK[0].upper()}{ON_BLACK[1:]}: 2 of the images embedded now.",
    )
    made = es.open("icons", indexes=tmp_path / "indexes").explain(es.MoreLike("0.png"), "1.png")
    assert made.note == f"How the image was read: {ON_BLACK}."


def test_a_column_of_the_same_name_stays(photos, tmp_path):
    """What a table says of `camera` and `width` is kept, empty cells too; the rest comes from the image."""
    table = photos.parent / "photos.csv"
    table.write_text("file,camera,width\nphotos/2021.jpg,borrowed,\nphotos/2022.jpg,own,wide\n")
    fields = built("csv", table, tmp_path, image="file").get("photos/2021.jpg").fields
    assert (fields["camera"], fields["width"], fields["height"]) == ("borrowed", None, 30)
    assert fields["taken"] == datetime(2021, 7, 1, 12)
