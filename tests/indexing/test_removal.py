"""Records that are gone from a source: few go without a question, many stop the build."""

from dataclasses import replace

import pytest
from PIL import Image

from embedsearch.errors import TooManyRemovedError
from embedsearch.index import rebuild
from embedsearch.indexing.build import build_index
from embedsearch.recipe import EncoderRecipe, Recipe, SourceRecipe
from embedsearch.records import Unit
from embedsearch.store.build import open_build
from embedsearch.store.folders import current_build
from tests.fakes import LetterEncoder, text, version

TEN = [text(f"id {n}", f"content {n}") for n in range(10)]


def test_more_than_a_fifth_gone_stops_the_build(make_build, tmp_path):
    """3 of 10 gone: nothing is published, and the message names them and the option; 2 of 10 go."""
    first = make_build(TEN)
    with pytest.raises(TooManyRemovedError) as error:
        make_build(TEN[:7], allow_removal=False)
    assert str(error.value) == (
        "3 of the 10 records of small are gone from a list, more than 20%: id 7, id 8, id 9. Is a disk not "
        "mounted? Nothing was published. To remove them: embedsearch rebuild small --allow-removal"
    )
    assert current_build(tmp_path / "small") == first.folder
    assert make_build(TEN[:8], allow_removal=False).manifest.count == 8


def test_what_is_allowed_to_go_is_not_embedded_again(make_build):
    """With the option the build is published, and keeps the vectors of what stays."""
    make_build(TEN)
    build = make_build(TEN[:1], allow_removal=True)
    assert (build.manifest.count, build.manifest.report.reused) == (1, 1)


def test_renamed_records_are_not_gone(make_build):
    """The same contents under other ids are not asked for."""
    make_build(TEN)
    renamed = [replace(each, id=f"new {each.id}") for each in TEN]
    assert make_build(renamed, allow_removal=False).manifest.changes.removed == 10


def test_a_build_that_embeds_everything_asks_too(make_build):
    """Another version of the model keeps no vector; what is gone is counted all the same."""
    make_build(TEN)
    with pytest.raises(TooManyRemovedError, match="9 of the 10"):
        make_build(TEN[:1], load=version("2"), allow_removal=False)


def test_another_source_is_no_removal(make_build):
    """--replace with another source was asked for; with the same source it was not."""
    make_build(TEN)
    with pytest.raises(TooManyRemovedError):
        make_build(TEN[:1], replace_old=True, allow_removal=False)
    other = make_build(TEN[:1], replace_old=True, allow_removal=False, location="another list")
    assert other.manifest.count == 1


@pytest.mark.parametrize("mount", ["empty", "gone", "here"])
def test_a_disk_that_is_not_mounted_removes_nothing(tmp_path, mount):
    """Nine of ten images behind a link: with an empty or a missing target, they stay in the index."""
    photos, disk = tmp_path / "photos", tmp_path / "disk"
    for number in range(10):
        folder = disk if number else photos
        folder.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), (number * 20, 0, 0)).save(folder / f"{number}.png")
    (photos / "nas").symlink_to(disk)
    recipe = Recipe("photos", SourceRecipe("images", str(photos)), EncoderRecipe(Unit.IMAGE))

    def describe(recipe):
        return LetterEncoder(recipe).spec

    root = tmp_path / "indexes"
    first = build_index(recipe, root, load=LetterEncoder, describe=describe)
    assert first.manifest.count == 10
    if mount == "here":
        assert build_index(recipe, root, load=LetterEncoder, describe=describe).folder == first.folder
        return
    disk.rename(tmp_path / "elsewhere")
    if mount == "empty":
        disk.mkdir()
    with pytest.raises(TooManyRemovedError) as error:
        build_index(recipe, root, load=LetterEncoder, describe=describe)
    why = "is empty" if mount == "empty" else "is not there"
    assert f"nas: it can't be read: it links to {disk}, which {why}." in str(error.value)
    assert open_build(root, "photos").folder == first.folder
    build = build_index(recipe, root, allow_removal=True, load=LetterEncoder, describe=describe)
    assert (build.manifest.count, build.manifest.report.rejected) == (1, 1)


def test_the_api_passes_the_permission_on(make_build, tmp_path):
    """`rebuild` stops without `allow_removal`, and goes on with it."""
    make_build(TEN)
    make_build(TEN)
    from tests import fakes

    fakes.LISTS["a list"] = TEN[:2]
    with pytest.raises(TooManyRemovedError):
        rebuild("small", indexes=tmp_path, full=True, load=LetterEncoder)
    assert len(rebuild("small", indexes=tmp_path, full=True, allow_removal=True, load=LetterEncoder)) == 2


def test_others_of_the_same_source_replace_what_is_there(make_build):
    """Ten others in place of ten stop a build, which says so; --replace takes them without another option."""
    make_build(TEN)
    others = [text(f"other {n}", f"another content {n}") for n in range(10)]
    with pytest.raises(TooManyRemovedError, match="10 others are there instead"):
        make_build(others, allow_removal=False)
    build = make_build(others, replace_old=True, allow_removal=False)
    assert (build.manifest.count, build.manifest.changes.removed) == (10, 10)
