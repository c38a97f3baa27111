"""Documents: what of each kind of file is read, and why a file is rejected."""

import os
import subprocess
import sys
from datetime import date

import pytest

from embedsearch.errors import ItemError
from embedsearch.recipe import SourceRecipe
from embedsearch.records import Document, Outline, Record
from embedsearch.sources import documents, open_source
from embedsearch.sources.documents import DocumentFile
from embedsearch.sources.guess import guess
from tests.sources import papers

TEXT = "A zebra with black and white stripes grazes on the savanna."
MADE = {
    ".pdf": papers.pdf([["# Birds", "A wren sings."], ["# Beasts", TEXT]], "A title", "Ada"),
    ".docx": papers.docx(["# Birds", "A wren sings.", "## Beasts", TEXT], "A title", "Ada"),
    ".pptx": papers.pptx([("Birds", "A wren sings."), ("Beasts", TEXT)], "A title", "Ada"),
    ".epub": papers.epub([("Birds", "A wren sings."), ("Beasts", TEXT)], "A title", "Ada"),
    ".html": papers.html(TEXT, "A title", "Ada"),
    ".eml": papers.email(TEXT, "A title", "ada@example.org"),
}
PATHS = {".docx": "Birds > Beasts", ".html": "Top > Below", ".eml": None}
PAGES = {".pdf": 2, ".pptx": 2}


def read(folder, data, suffix, *, ocr=False):
    """Return the document in a file of these bytes."""
    path = folder / f"a{suffix}"
    path.write_bytes(data)
    return DocumentFile(path, suffix, ocr).read()


@pytest.mark.parametrize("suffix", MADE)
def test_text_title_author_date_page_and_headings_are_read(suffix, tmp_path):
    """Of each kind the text is read, what it says of itself, its pages and the path of its headings."""
    found = read(tmp_path, MADE[suffix], suffix)
    assert TEXT in found.text
    assert found.fields["title"] == "A title"
    assert found.fields["author"] == ("ada@example.org" if suffix == ".eml" else "Ada")
    if suffix != ".html":
        assert found.fields["date"] == date(2026, 2, 3)
    place = Outline.of(found.text).fields(found.text.index(TEXT))
    assert place.get("heading") == PATHS.get(suffix, "Beasts")
    assert place.get("page") == PAGES.get(suffix)


def test_addresses_and_front_matter_are_left_out(tmp_path):
    """Of an HTML page the text is read, without scripts, addresses of links and what the head says."""
    assert read(tmp_path, MADE[".html"], ".html").text.split() == [
        "#",
        "Top",
        "##",
        "Below",
        *TEXT.split(),
        "linked",
    ]


def test_marks_of_bold_print_are_left_out_and_names_are_whole(tmp_path):
    """Bold print leaves no marks; underscores and asterisks within names and formulas stay."""
    page = papers.html("<p>A <b>bold</b> class has __init__ and snake__case__name; 2**3**4.</p>", "", "")
    assert "A bold class has __init__ and snake__case__name; 2**3**4." in read(tmp_path, page, ".html").text


def test_a_file_that_breaks_the_library_is_rejected_and_later_ones_are_read(tmp_path):
    """After a file at which the library for PDFs stops, it alone is rejected; the others are read apart."""
    files = [MADE[".pdf"].replace(b"D:2026", b"D:202\xda"), MADE[".pdf"], papers.LOCKED]
    for at, data in enumerate(files):
        (tmp_path / f"{at}.pdf").write_bytes(data)
    code = """if True:
        import sys
        from pathlib import Path
        from embedsearch.sources.documents import DocumentFile
        for path in sorted(Path(sys.argv[1]).iterdir()):
            try:
                print(*DocumentFile(path, ".pdf", False).read().fields.values())
            except Exception as error:
                print(error)
    """
    asked = [sys.executable, "-c", code, str(tmp_path)]  # a process of its own, as the library stays broken
    found = subprocess.run(asked, capture_output=True, check=True, text=True).stdout.splitlines()
    assert found == [
        "it is damaged, or no PDF: open it and save it again",
        "A title Ada 2026-02-03",
        "it is protected by a password: save a copy without one",
    ]


@pytest.mark.parametrize(
    ("data", "suffix", "reason"),
    [
        (papers.LOCKED, ".pdf", "it is protected by a password: save a copy without one"),
        (papers.scan(TEXT), ".pdf", "it is a scan, whose pages hold images and no text: --ocr reads it"),
        (MADE[".pdf"][:200], ".pdf", "it is damaged, or no PDF: open it and save it again"),
        (b"no archive", ".docx", "it is damaged, or no Word file: open it and save it again"),
        (b"", ".epub", "the file is empty"),
        (b"<html><body></body></html>", ".html", "it holds no text"),
    ],
)
def test_what_cant_be_read_says_why(data, suffix, reason, tmp_path):
    """Files that are locked, scanned, broken or empty are rejected, each with its reason."""
    with pytest.raises(ItemError) as raised:
        read(tmp_path, data, suffix)
    assert str(raised.value) == reason


def test_a_huge_file_is_rejected(tmp_path, monkeypatch):
    """A file over the limit is rejected unread, and one with too long a text when it is read."""
    (tmp_path / "big.pdf").touch()
    os.truncate(tmp_path / "big.pdf", documents.DOCUMENT_LIMIT + 1)
    (tmp_path / "a.md").write_text("# A\n\na")
    (big,) = (each for each in open_source(SourceRecipe("documents", str(tmp_path))) if each.id == "big.pdf")
    assert big.reason == "the file is over 268,435,456 bytes: split it into several texts"
    monkeypatch.setattr(documents, "TEXT_LIMIT", 10)
    with pytest.raises(ItemError, match="its text is over 10 characters"):
        read(tmp_path, MADE[".docx"], ".docx")


def test_without_the_extra_a_file_is_tried_again(tmp_path, monkeypatch):
    """Where the library is missing, a file is rejected for this build alone, and the extra is named."""
    monkeypatch.setattr(documents.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(OSError, match=r"pip install 'embedsearch\[documents\]'"):
        read(tmp_path, MADE[".docx"], ".docx")


def test_scans_are_read_by_character_recognition(tmp_path, monkeypatch):
    """With --ocr the pages without text are recognised, and the other pages are as without it."""
    asked = []

    def recognised(data, pages):
        asked.append((data, list(pages)))
        return ["recognised" for _ in pages]

    monkeypatch.setattr(documents, "_recognised", recognised)
    assert read(tmp_path, papers.scan(TEXT), ".pdf", ocr=True).text == "recognised"
    mixed = papers.pdf([["A wren sings."], [], ["The end."]])
    assert read(tmp_path, mixed, ".pdf", ocr=True).text == "A wren sings.\n\f\nrecognised\n\f\nThe end."
    assert [pages for _, pages in asked] == [[0], [1]]


def test_character_recognition_reads_a_scan(tmp_path):
    """The extra `ocr` reads the text of a scanned page."""
    pytest.importorskip("rapidocr_onnxruntime")
    assert "zebra" in read(tmp_path, papers.scan("A zebra grazes."), ".pdf", ocr=True).text


def test_a_folder_of_documents_is_guessed_and_read(tmp_path):
    """A folder with a document is of documents, its text files too; one of plain texts stays one of texts."""
    (tmp_path / "a.txt").write_text("Plain.")
    assert guess(str(tmp_path))[0] == "texts"
    (tmp_path / "b.pdf").write_bytes(MADE[".pdf"])
    (tmp_path / "c.md").write_text("# Title\n\nText.")
    kind, location = guess(str(tmp_path))
    assert kind == "documents"
    records = list(open_source(SourceRecipe(kind, location)))
    assert all(isinstance(each, Record) for each in records)
    assert [each.id for each in records] == ["a.txt", "b.pdf", "c.md"]
    assert [type(each.content.read()) for each in records] == [str, Document, Document]
    assert records[2].content.read().fields == {"title": "Title"}


def test_links_are_their_words():
    """An address is left out, also one with a title."""
    text = 'See [the file](#ref "A title") and [more](https://example.org/a_b).'
    assert documents._cleaned(text) == "See the file and more."


@pytest.mark.parametrize(
    ("front", "fields"),
    [
        ("---\ntitle: A: b\n---\n", None),  # no YAML: it is text
        ("---\nTitle: 'A title'\nauthor: Ada\ndate: 2026-02-03\ntags: [x]\n---\n", "Ada"),
        ("---\r\ntitle: A title\r\nauthors: [name: Ada, Grace]\r\ndate: 2026-02-03\r\n---\r\n", "Ada, Grace"),
        ('+++\ntitle = "A title"\nauthor = "Ada"\ndate = 2026-02-03T04:05:06Z\n+++\n', "Ada"),
        ("---\nonly a sentence\n---\n", None),
        ("---\ntitle: never closed\n", None),
        ("---\ndate: 2026-99-99\n---\n", None),
    ],
)  # fmt: skip
def test_front_matter_is_fields_and_not_text(tmp_path, front, fields):
    """YAML or TOML before a Markdown text gives title, author and date; what is neither stays text."""
    (tmp_path / "a.md").write_text(f"{front}# First\n\n{TEXT}\n", newline="")
    (record,) = open_source(SourceRecipe("documents", str(tmp_path)))
    found = record.content.read()
    if fields is None:
        assert found.text.startswith("---")
        assert found.fields == {"title": "First"}
    else:
        assert found.text == f"# First\n\n{TEXT}\n"
        assert found.fields == {"title": "A title", "author": fields, "date": date(2026, 2, 3)}
