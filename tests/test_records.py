"""The outline of a document: its pages and headings, by a character of its text."""

from embedsearch.records import Outline, headings_in


def test_pages_are_counted_at_form_feeds():
    """A form feed ends a page; a text without one has no pages."""
    text = "one\n\f\ntwo\n\f\nthree"
    outline = Outline.of(text)
    assert [outline.fields(text.index(word))["page"] for word in ("one", "two", "three")] == [1, 2, 3]
    assert Outline.of("one").fields(0) == {}


def test_headings_form_a_path():
    """A heading of a level ends those of the same and of deeper levels."""
    text = "before\n# A\na\n## B\nb\n### C\nc\n## D\nd\n# E\ne\n"
    outline = Outline.of(text)
    found = [outline.fields(text.index(f"\n{each}\n") + 1).get("heading") for each in "abcde"]
    assert found == ["A", "A > B", "A > B > C", "A > D", "E"]
    assert "heading" not in outline.fields(0)


def test_a_number_sign_without_a_space_is_no_heading():
    """#tag and a line in the middle of which # stands are text."""
    assert Outline.of("#tag\nsee # 3").headings == ()


def test_a_line_of_code_is_no_heading():
    """Comments in a block of code are no headings; a block ends with as many marks as it began with."""
    text = "# A\n```sh\n# b\n```\n## C\n~~~~\n# d\n~~~\n```\n# e\n~~~~\n# F\n``` \n# g"
    assert [(each.level, each.text) for each in headings_in(text)] == [(1, "A"), (2, "C"), (1, "F")]
