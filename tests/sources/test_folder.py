import os
from pathlib import Path

import pytest
from PIL import Image

from embedsearch.errors import RecipeError, SourceError, SourceNotFoundError
from embedsearch.records import Modality, Record
from embedsearch.sources import folder, image_files
from embedsearch.sources.guess import guess
from embedsearch.sources.image_files import IMAGE_SUFFIXES
from embedsearch.sources.paths import listed
from tests.sources.reading import contents, fields, read, rejected, source

CASES = Path(__file__).parents[3] / "shared" / "cases"


def put(path: Path, data: bytes = b"x") -> Path:
    """Write a file, with the folders that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_a_image_is_known_by_its_relative_path(tmp_path):
    """The id is the posix path from the root, the content the absolute path, the label the sub-folder."""
    put(tmp_path / "b.PNG")
    put(tmp_path / "été 2024" / "à la plage" / "a b.jpg")
    assert read("images", tmp_path) == [
        Record(
            "b.PNG", Modality.IMAGE, tmp_path / "b.PNG", {"label": None, "file": "b.PNG", "caption": None}
        ),
        Record(
            "été 2024/à la plage/a b.jpg",
            Modality.IMAGE,
            tmp_path / "été 2024/à la plage/a b.jpg",
            {"label": "été 2024/à la plage", "file": "a b.jpg", "caption": None},
        ),
    ]


def test_the_order_is_that_of_the_path_parts(tmp_path):
    """Images come sorted by name at each level, whatever the file system's own order is."""
    for name in ("b/2.png", "a.png", "b/10.png", "b.png", "c/d/e.png", "B.png"):
        put(tmp_path / name)
    assert [entry.id for entry in read("images", tmp_path)] == [
        "B.png", "a.png", "b/10.png", "b/2.png", "b.png", "c/d/e.png",
    ]  # fmt: skip


def test_only_images_that_pillow_opens_are_listed(tmp_path):
    """SVG, sounds and hidden files are passed over; mirrored helpers are images like others."""
    for suffix in ("jpg", "jpeg", "png", "gif", "bmp", "webp", "tif", "tiff", "avif", "ppm"):
        put(tmp_path / f"x.{suffix}")
    for name in ("x.svg", "x.ogg", "x.dat", ".hidden.png", ".git/y.png", "x_mirror.png", "x_mirror_flip.png"):
        put(tmp_path / name)
    assert sorted(entry.id for entry in read("images", tmp_path)) == [
        "x.avif", "x.bmp", "x.gif", "x.jpeg", "x.jpg", "x.png", "x.ppm", "x.tif", "x.tiff", "x.webp",
        "x_mirror.png", "x_mirror_flip.png",
    ]  # fmt: skip


def test_the_suffixes_are_those_that_pillow_reads():
    """Every suffix that Pillow registers is an image's, but of formats that it only names or can't decode."""
    Image.init()
    without_a_reader = {"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF", "HEIF"}
    kinds = {end: kind for end, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    assert {end for end, kind in kinds.items() if kind not in without_a_reader} <= IMAGE_SUFFIXES
    assert IMAGE_SUFFIXES - kinds.keys() <= {".mpo"}  # which Pillow opens as a JPEG


def test_a_file_of_another_suffix_is_known_by_its_content(tmp_path):
    """An image without a suffix, or with one that nothing has, is read; raw files and videos are not."""
    picture = Image.new("RGB", (8, 8), "teal")
    for name, kind in (
        ("noext", "JPEG"),
        ("a.bak", "PNG"),
        ("b.tmp", "WEBP"),
        ("c", "TIFF"),
        ("d.x", "JPEG2000"),
    ):
        picture.save(tmp_path / name, kind)
    picture.save(tmp_path / "raw.nef", "TIFF")
    picture.save(tmp_path / "page.html", "PNG")
    put(tmp_path / "clip.m4v", b"\0\0\0\x20ftypisom")
    put(tmp_path / "notes", b"BM is how a bitmap begins")
    opened = source("images", tmp_path)
    assert [entry.id for entry in opened] == ["a.bak", "b.tmp", "c", "d.x", "noext"]
    assert opened.passed_over() == {".nef": 1, ".html": 1, ".m4v": 1, "without a suffix": 1}
    assert guess(str(tmp_path))[0] == "images"


def test_the_mixed_folder_is_read(shared_data, monkeypatch):
    """Of the cases' mixed folder all but the HEICs are read without their reader, and these are named."""
    mixed = shared_data.parent / "cases" / "mixed"
    monkeypatch.setattr(image_files, "find_spec", lambda _: None)
    opened = source("images", mixed)
    assert [entry.id for entry in opened] == ["a.jpg", "b.jfif", "c.jpe", "d.jp2", "noext"]
    told = listed(opened.passed_over())
    assert told == "2 .heic (pip install 'embedsearch[heif]' to read them)"


@pytest.mark.parametrize("installed", [True, False])
def test_heif_images_count_where_their_reader_is_installed(tmp_path, monkeypatch, installed):
    """A .heic is listed only if pillow_heif can be imported; else it is passed over by name."""
    monkeypatch.setattr(image_files, "find_spec", lambda _: object() if installed else None)
    put(tmp_path / "a.heic")
    put(tmp_path / "b.png")
    expected = ["a.heic", "b.png"] if installed else ["b.png"]
    assert [entry.id for entry in read("images", tmp_path)] == expected
    assert source("images", tmp_path).passed_over() == ({} if installed else {".heic": 1})


def test_without_the_heif_reader_a_folder_of_heif_says_how_to_get_it(tmp_path, monkeypatch):
    """The error on a folder without images names the extra that would find some; so does guessing."""
    monkeypatch.setattr(image_files, "find_spec", lambda _: None)
    put(tmp_path / "a.heic")
    for attempt in (lambda: source("images", tmp_path), lambda: guess(str(tmp_path))):
        with pytest.raises(SourceError, match=r"1 \.heic \(pip install 'embedsearch\[heif\]'"):
            attempt()


@pytest.mark.parametrize(
    ("text", "caption"),
    [
        ("  A red bird.\n", "A red bird."),
        ("A bird\nin a tree", "A bird\nin a tree"),
        (
            "A bird.\naf.utf8='n Voël.\npt_BR.utf8=Um.\nsr@latin.utf8=Ptica.\nca@valencia.utf8=Ocell.\n",
            "A bird.",
        ),
        ("Size:\nheight=3\nof width=4", "Size:\nheight=3\nof width=4"),
        ("\n \n", None),
    ],
)
def test_the_caption_is_the_text_beside_the_image(tmp_path, text, caption):
    """The same-named .txt is the caption; of one language a line, the plain English line alone."""
    put(tmp_path / "a.png")
    put(tmp_path / "a.txt", text.encode())
    put(tmp_path / "a_mirror.png")
    assert [field["caption"] for field in fields(read("images", tmp_path))] == [caption, None]


def test_a_caption_in_another_encoding_is_read_by_the_recipes(tmp_path):
    """`encoding` holds for captions; bytes that do not fit cost a character, never the image."""
    put(tmp_path / "a.png")
    put(tmp_path / "a.txt", "Café".encode("latin-1"))
    assert fields(read("images", tmp_path, encoding="latin-1"))[0]["caption"] == "Café"
    assert fields(read("images", tmp_path))[0]["caption"] == "Caf\ufffd"


def test_what_can_not_be_a_image_is_rejected_with_its_reason(tmp_path):
    """Empty files, broken links and links to themselves are rejected; the rest goes on."""
    put(tmp_path / "a.png", b"")
    (tmp_path / "b.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "c.png").symlink_to(tmp_path / "c.png")
    put(tmp_path / "d.png")
    entries = read("images", tmp_path)
    assert rejected(entries) == {
        "a.png": "the file is empty",
        "b.png": f"it can't be read: it links to {tmp_path}/nowhere.png, which is not there",
        "c.png": "it can't be read: Too many levels of symbolic links",
    }
    assert contents(entries) == [tmp_path / "d.png"]


def test_a_name_that_is_no_utf8_is_rejected(tmp_path):
    """A file name that could not be stored is shown with its bytes escaped."""
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")).write_bytes(b"x")
    assert rejected(read("images", tmp_path)) == {"\\xff.png": "its name is not UTF-8: rename it"}


def test_links_are_followed_but_never_in_a_circle(tmp_path):
    """A link to another folder is read; one to a folder that the walk is in is passed over."""
    put(tmp_path / "else" / "x.png")
    root = tmp_path / "root"
    put(root / "a" / "y.png")
    (root / "a" / "up").symlink_to(root)
    (root / "other").symlink_to(tmp_path / "else")
    assert [entry.id for entry in read("images", root)] == ["a/y.png", "other/x.png"]


def test_every_link_to_a_folder_is_followed(tmp_path):
    """Two links to one folder are two folders; a link that was passed over keeps no other one out."""
    put(tmp_path / "else" / "a.png")
    root = tmp_path / "root"
    put(root / "x" / "b.png")
    for link, target in (("2019", tmp_path / "else"), ("2020", tmp_path / "else"), ("y", root / "x")):
        (root / link).symlink_to(target)
    (root / "x" / "up").symlink_to(root / "x")
    found = [entry.id for entry in read("images", root)]
    assert found == ["2019/a.png", "2020/a.png", "x/b.png", "y/b.png"]


def test_folders_that_link_to_each_other_come_to_an_end(tmp_path):
    """Of nine folders with a link to each other one, links are followed through two of them."""
    for own in range(9):
        put(tmp_path / str(own) / "x.png")
        for other in set(range(9)) - {own}:
            (tmp_path / str(own) / f"to {other}").symlink_to(tmp_path / str(other))
    found = [entry.id for entry in read("images", tmp_path)]
    assert [sum(each.count("to ") == links for each in found) for links in range(4)] == [9, 72, 504, 0]


def test_a_deep_folder_is_walked_to_its_end(tmp_path):
    """Folders nested deeper than Python may call are no matter."""
    levels = [tmp_path]
    for _ in range(1100):
        levels.append(levels[-1] / "d")
        levels[-1].mkdir()
    put(levels[-1] / "x.png")
    try:
        assert [entry.id for entry in read("images", tmp_path)] == ["d/" * 1100 + "x.png"]
    finally:  # what clears the folder of tests away calls itself
        (levels[-1] / "x.png").unlink()
        for level in reversed(levels[1:]):
            level.rmdir()


def test_what_is_no_file_is_rejected_and_never_waited_for(tmp_path):
    """A pipe among the images is rejected; one where a caption would be is left alone."""
    os.mkfifo(tmp_path / "a.png")
    put(tmp_path / "b.png")
    os.mkfifo(tmp_path / "b.txt")
    entries = read("images", tmp_path)
    assert rejected(entries) == {"a.png": "it can't be read: it is neither a file nor a folder"}
    assert contents(entries) == [tmp_path / "b.png"]


def test_a_folder_that_can_not_be_listed_is_rejected(tmp_path, monkeypatch):
    """A sub-folder without permission costs itself alone."""
    put(tmp_path / "a" / "x.png")
    put(tmp_path / "b" / "y.png")
    scandir = os.scandir

    def guarded(path):
        if Path(path).name == "a":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    entries = read("images", tmp_path)
    assert rejected(entries) == {"a": "it can't be read: Permission denied"}
    assert contents(entries) == [tmp_path / "b" / "y.png"]


def test_a_path_with_dots_is_made_absolute(tmp_path, monkeypatch):
    """`..` in the location works, and the content is a clean absolute path."""
    put(tmp_path / "pics" / "x.png")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    assert contents(read("images", "../pics")) == [tmp_path / "pics" / "x.png"]


@pytest.mark.parametrize("kind", ["images", "texts"])
def test_a_wrong_place_is_refused_at_once(tmp_path, kind):
    """Missing, a file, without any match, or asked for columns: each error says what to do."""
    put(tmp_path / "photos" / "x.dat")
    with pytest.raises(SourceNotFoundError, match=r"photo does not exist\. Did you mean 'photos'\?"):
        source(kind, tmp_path / "photo")
    with pytest.raises(SourceError, match="is a file; expected a folder of"):
        source(kind, tmp_path / "photos" / "x.dat")
    with pytest.raises(SourceError, match=r"photos holds no (images|texts); expected .* It holds 1 \.dat"):
        source(kind, tmp_path / "photos")
    with pytest.raises(SourceError, match="has no columns: leave out --text, --id"):
        source(kind, tmp_path / "photos", ("body",), id="key")


def test_a_text_file_is_one_text(tmp_path):
    """The content is the whole text as it is; label and file as for images."""
    put(tmp_path / "b.md", b"# Title\n\nBody\n")
    put(tmp_path / "notes" / "a.txt", b"\xef\xbb\xbfwith a mark")
    put(tmp_path / "notes" / "c.rst", "sixteen é".encode("utf-16"))
    put(tmp_path / "notes" / "d.html")
    entries = read("texts", tmp_path)
    path = tmp_path / "b.md"
    fields = {"label": None, "file": "b.md"}
    assert entries[0] == Record("b.md", Modality.TEXT, "# Title\n\nBody\n", fields, path=path)
    path = tmp_path / "notes" / "a.txt"
    fields = {"label": "notes", "file": "a.txt"}
    assert entries[1] == Record("notes/a.txt", Modality.TEXT, "with a mark", fields, path=path)
    assert contents(entries[2:]) == ["sixteen é"]


def test_texts_that_can_not_be_read_are_rejected(tmp_path, monkeypatch):
    """Another encoding, nothing but blanks, NUL bytes, too large: each has its reason."""
    monkeypatch.setattr(folder, "FILE_LIMIT", 40)
    put(tmp_path / "a.txt", b"caf\xe9")
    put(tmp_path / "b.txt", b"")
    put(tmp_path / "c.txt", b" \n ")
    put(tmp_path / "d.txt", "wide".encode("utf-16-le"))
    put(tmp_path / "e.txt", b"x" * 41)
    put(tmp_path / "f.txt", b"fine")
    entries = read("texts", tmp_path)
    assert rejected(entries) == {
        "a.txt": "the file is not utf-8 text: name the file's encoding, as in --encoding cp1252",
        "b.txt": "the file is empty",
        "c.txt": "the file is empty",
        "d.txt": "the file holds a NUL byte: if the file is UTF-16, say so with --encoding utf-16",
        "e.txt": "the file is over 40 bytes: split it into several texts",
    }
    assert contents(entries) == ["fine"]
    assert contents(read("texts", tmp_path, encoding="cp1252"))[0] == "café"


def test_what_is_not_read_is_counted_by_kind(tmp_path):
    """Suffixes, files without one and folders of thumbnails count; captions and hidden files do not."""
    for name in (
        "a.jpg", "a.txt", "b/c.PNG", "b/c.txt", "b/lonely.txt", "x.pdf", "b/y.PDF", "z.html", "README",
        ".hidden.pdf", ".git/config", "@eaDir/a.jpg/SMALL.jpg", "b/@eaDir/c.PNG/SMALL.jpg",
        ".thumbnails/a.png",
    ):  # fmt: skip
        put(tmp_path / name)
    images = source("images", tmp_path)
    assert [entry.id for entry in images] == ["a.jpg", "b/c.PNG"]
    assert images.passed_over() == {
        ".pdf": 2, ".html": 1, "without a suffix": 1, ".txt": 1, "@eaDir/": 2, ".thumbnails/": 1,
    }  # fmt: skip
    texts = source("texts", tmp_path)
    assert len(list(texts)) == 3
    assert texts.passed_over()[".jpg"] == 1


def test_kinds_that_are_not_read_stay_few(tmp_path):
    """Files whose suffixes are numbers or whole words do not fill the report."""
    put(tmp_path / "a.txt")
    for number in range(40):
        put(tmp_path / f"part.{number:03d}")
    put(tmp_path / "mail.host:2,s")
    kinds = source("texts", tmp_path).passed_over()
    assert (len(kinds), kinds[".000"], kinds["of other kinds"]) == (30, 1, 12)


@pytest.mark.skipif(not CASES.is_dir(), reason=f"{CASES} is missing")
def test_folders_of_thumbnails_are_left_out():
    """A folder as Synology's Photo Station leaves it holds one image, and says what it passes over."""
    photos = source("images", CASES / "synology")
    assert [entry.id for entry in photos] == ["2020/hopper.jpg"]
    assert photos.passed_over() == {"@eaDir/": 1}


def test_patterns_exclude_files_and_folders(tmp_path):
    """A pattern is held against names and relative paths; a folder is left out whole; both are counted."""
    for name in ("a.jpg", "draft 1.jpg", "old/b.jpg", "new/old/c.jpg", "new/d.jpg", "new/e.png"):
        put(tmp_path / name)
    images = source("images", tmp_path, exclude=("draft*", "old/", "new/*.png"))
    assert [entry.id for entry in images] == ["a.jpg", "new/d.jpg"]
    assert images.passed_over() == {"--exclude draft*": 1, "--exclude old/": 2, "--exclude new/*.png": 1}


def test_a_file_has_nothing_to_exclude(tmp_path):
    """--exclude on a table is refused, and the message says what to do."""
    table = put(tmp_path / "a.csv", b"text\nx\n")
    with pytest.raises(RecipeError, match="Leave --exclude out"):
        source("csv", table, exclude=("x",))


def test_a_link_to_a_disk_that_is_not_mounted_is_rejected(tmp_path):
    """A link that leads nowhere and one to an empty folder are rejected, each with where it leads."""
    put(tmp_path / "photos" / "a.jpg")
    (tmp_path / "empty").mkdir()
    (tmp_path / "photos" / "nas").symlink_to(tmp_path / "gone")
    (tmp_path / "photos" / "usb").symlink_to(tmp_path / "empty")
    (tmp_path / "photos" / "b.jpg").symlink_to(tmp_path / "gone.jpg")
    assert rejected(read("images", tmp_path / "photos")) == {
        "b.jpg": f"it can't be read: it links to {tmp_path}/gone.jpg, which is not there",
        "nas": f"it can't be read: it links to {tmp_path}/gone, which is not there",
        "usb": f"it can't be read: it links to {tmp_path}/empty, which is empty",
    }
