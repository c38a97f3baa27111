"""Small copies of images that a build makes."""

import io

import pytest
from PIL import Image

import embedsearch as es
from embedsearch.artifacts import thumbnails
from embedsearch.explain.shown import thumbnail
from embedsearch.modalities import Card


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """An index of three large images, with a cache of its own: their folder, and the index."""
    root = tmp_path_factory.mktemp("thumbnails")
    (root / "images").mkdir()
    for colour in ("red", "green", "blue"):
        Image.new("RGB", (900, 600), colour).save(root / "images" / f"{colour}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        yield root, es.build(root / "images", name="images", indexes=root / "indexes")


def copies(root):
    """The files of small copies, sorted."""
    return sorted((root / "cache" / "embedsearch" / thumbnails.FOLDER).rglob("*"))


def test_a_build_makes_small_copies_and_a_rebuild_only_the_new_ones(built, monkeypatch):
    """The page gets the copy of the build, and decodes no original; what has changed gets a new one."""
    root, index = built
    monkeypatch.setenv("XDG_CACHE_HOME", str(root / "cache"))
    red = root / "images" / "red.png"
    kept = thumbnails.kept_copy(red)
    with Image.open(io.BytesIO(kept)) as image:
        assert image.size == (400, 267)
    assert thumbnail(red, Card.IMAGE, None, thumbnails.SIDE) == kept
    files = [path for path in copies(root) if path.is_file()]
    assert len(files) == 3
    times = {path: path.stat().st_mtime_ns for path in files}
    Image.new("RGB", (600, 900), "yellow").save(red)
    assert thumbnails.kept_copy(red) is None
    index.rebuild()
    with Image.open(io.BytesIO(thumbnails.kept_copy(red))) as image:
        assert image.size == (267, 400)
    assert {path: path.stat().st_mtime_ns for path in files} == times


def test_what_has_no_small_copy_is_still_shown(built, tmp_path, monkeypatch):
    """A lost cache, one that can't be written, a file that is gone and one that is no image end nothing."""
    root, _ = built
    green, blue = root / "images" / "green.png", root / "images" / "blue.png"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert thumbnails.kept_copy(green) is None
    assert thumbnail(green, Card.IMAGE, None, thumbnails.SIDE)
    whole = green.read_bytes()
    with thumbnails.Copies() as copies:
        copies.begin([(tmp_path / "gone.png", whole), (blue, whole[:50]), (green, whole)])
    assert thumbnails.kept_copy(tmp_path / "gone.png") is None
    assert thumbnails.kept_copy(blue) is None
    assert thumbnails.kept_copy(green)
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nothing")
    with thumbnails.Copies() as copies:
        copies.begin([(green, whole)])
    assert thumbnails.kept_copy(green) is None


def test_no_more_copies_are_made_than_allowed(built, tmp_path, monkeypatch):
    """A build makes `MOST` small copies, over all of its batches."""
    root, _ = built
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(thumbnails, "MOST", 2)
    paths = sorted((root / "images").iterdir())
    with thumbnails.Copies() as copies:
        for path in paths:
            copies.begin([(path, path.read_bytes())])
    assert [thumbnails.kept_copy(path) is not None for path in paths] == [True, True, False]
