"""Cards without a browser."""

from dataclasses import replace

from embedsearch.distances.metric import Metric
from embedsearch.lexical.terms import Analyzer
from embedsearch.records import Modality
from embedsearch.results import Hit, Passage, Results
from embedsearch.ui.widgets import cards, share


def hit(text, span=None, fields=None, path=None):
    """A hit of rank 1."""
    modality = Modality.IMAGE if path else Modality.TEXT
    return Hit(1, "id", 0, 0.5, 0.5, modality, text, path, span, fields or {})


def test_a_card_escapes_what_a_source_says():
    """Tags and quotes in texts and fields stay text, also around a marked word and in a cut text."""
    hostile = '<img src=x onerror="alert(1)">'
    for shown in (
        cards.text(hit(hostile)),
        cards.text(hit(f"a word {hostile}", (2, 6))),
        cards.text(hit(hostile * 400)),
    ):
        assert "<img" not in shown
        assert "&lt;img" in shown
    assert "<mark>word</mark>" in cards.text(hit("a word", (2, 6)))


def test_a_long_sentence_is_cut_around_its_word():
    """The marked word stays in sight however long its sentence is."""
    text = "x " * 5000 + "here" + " y" * 5000
    shown = cards.text(hit(text, (10_000, 10_004)))
    assert "<mark>here</mark>" in shown
    assert len(shown) < 500


def test_a_card_shows_what_folds():
    """A long text and a long list of fields fold, with all of them in the page."""
    assert "<details" in cards.text(hit("word " * 200))
    assert "<details" not in cards.text(hit("short"))
    shown = cards.fields(hit("x", fields={f"f{n}": n for n in range(9)} | {"none": None, "on": True}))
    assert "4 more fields" in shown
    assert "<dt>f8</dt><dd>8</dd>" in shown
    assert "<dt>on</dt><dd>yes</dd>" in shown
    assert "none" not in shown


def test_visitors_from_elsewhere_get_no_paths(monkeypatch, tmp_path):
    """On the page for this machine alone a card and a saved file name the file; on any other they do not."""
    shown = hit(None, path=str(tmp_path / "a.png"))
    (tmp_path / "a.png").touch()
    for here in (True, False):
        for room in (cards, share):
            monkeypatch.setattr(room, "may_build", lambda here=here: here)
        (saved,) = share.told(Results([shown], Metric.COSINE))
        assert (str(tmp_path) in cards.image(shown)) is here
        assert saved.path == (shown.path if here else None)


def test_a_huge_text_is_cut():
    """A text of a megabyte does not travel to the browser."""
    shown = cards.text(hit("z" * 10**6))
    assert len(shown) < 5000
    assert "1,000,000 characters" in shown


def test_a_text_whose_file_is_gone_says_so(tmp_path):
    """The card says it before what the distance means; a text without a file says nothing."""
    lost = Hit(1, "a.txt", 0, 0.5, 0.5, Modality.TEXT, "a cat", str(tmp_path / "a.txt"), None, {})
    assert cards.said(lost) == '<p class="es-said">its file is gone</p>'
    (tmp_path / "a.txt").touch()
    assert cards.said(lost) == cards.said(hit("a cat")) == ""


def test_a_passage_shows_its_document_its_page_and_the_words_of_the_query():
    """Above a passage stand the title of its document, page and headings; words of the query are lit."""
    fields = {"title": "On <animals>", "page": 3, "heading": "Beasts > Zebras", "file": "a.pdf"}
    found = replace(
        hit("A zebra grazes.", fields=fields), passage=Passage("A zebra grazes.", (40, 55), 3, "B")
    )
    shown = cards.content(found, Analyzer("english").marker(["grazing zebras in a zoo"]))
    assert '<p class="es-title" title="id">On &lt;animals&gt;</p>' in shown
    assert '<p class="es-said" title="Beasts &gt; Zebras">page 3 · Beasts &gt; Zebras</p>' in shown
    assert "A <mark>zebra</mark> <mark>grazes</mark>." in shown
    assert "<dt>file</dt>" in cards.fields(found)
    assert "<dt>page</dt>" not in cards.fields(found)
    assert "es-title" not in cards.content(hit("A zebra grazes.", fields={"title": "x"}))


def test_a_passage_shows_short_headings_and_whole_sentences():
    """A paragraph that a PDF has as a heading is cut; breaks in sentences and ends of pages are no boxes."""
    fields = {"page": 1, "heading": f"{'long ' * 20}> Below"}
    shown = cards.content(hit("The herd\ngrazes.\n\fNext page", fields=fields))
    assert f'">page 1 · {("long " * 20)[:39].rstrip()}… &gt; Below</p>' in shown
    assert "The herd grazes.\n\nNext page" in shown
