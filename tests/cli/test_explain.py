"""The command explain."""

import pytest
from PIL import Image

QUERY = "I want my money returned"


@pytest.fixture(scope="module")
def refund(built):
    """The id of the nearest question."""
    return built.json("search", "faq", QUERY, "-k", 1)["hits"][0]["id"]


def test_a_texts_words_add_up_in_json(built, refund):
    """The JSON holds words, tokens and the rest, whose scores add up to 1 - distance."""
    made = built.json("explain", "faq", QUERY, refund)
    total = sum(part["score"] for part in (*made["words"], *made["rest"]))
    assert total == pytest.approx(1 - made["recomputed"], abs=1e-4)
    assert made["stored"] == pytest.approx(made["recomputed"], abs=0.02)
    assert {"schema", "index", "build", "id", "kind", "metric", "exact", "note"} <= set(made)
    assert [part["text"] for part in made["rest"]] == ["[CLS]", "[SEP]"]
    assert (made["kind"], made["exact"], made["grid"]) == ("text", True, None)


def test_a_texts_words_are_printed_with_bars(built, refund):
    """Each word stands in a line with its score; the sum and the distance stand with them."""
    result = built("explain", "faq", QUERY, refund)
    assert result.exit_code == 0, result.stderr
    assert "money" in result.stdout
    assert "[SEP]" in result.stdout
    assert "█" in result.stdout
    assert "1 - distance" in result.stdout


def test_a_word_shows_its_neighbours(built):
    """In an index of words the words around are told, and those that the sentences don't share."""
    query = ("He hid the key under the mat.", "--word", "key")
    hit = built.json("search", "terms", *query, "-k", 1)["hits"][0]
    made = built.json("explain", "terms", query[0], hit["id"], *query[1:])
    assert made["kind"] == "word"
    assert made["neighbours"]
    assert "hid" in made["only_asked"]
    assert "Only in the query: " in built("explain", "terms", query[0], hit["id"], *query[1:]).stdout


def test_an_image_prints_its_grid_and_saves_its_heat(built, sources, tmp_path):
    """An image's patches are rows of shades and numbers; --save writes the image in its size."""
    asked = ("--image", sources / "pictures" / "red" / "red 0.png")
    identity = built.json("search", "pictures", *asked, "-k", 2)["hits"][1]["id"]
    made = built.json("explain", "pictures", identity, *asked)
    assert (len(made["grid"]), len(made["grid"][0])) == (11, 14)  # both views of a wide one
    total = sum(map(sum, made["grid"])) + sum(part["score"] for part in made["rest"])
    assert total == pytest.approx(1 - made["recomputed"], abs=1e-4)
    result = built("explain", "pictures", identity, *asked, "--save", tmp_path / "heat.png")
    assert result.exit_code == 0, result.stderr
    assert "11 x 14 patches" in result.stdout
    assert Image.open(tmp_path / "heat.png").size in {(40, 30), (41, 30)}
    odd = built("explain", "pictures", identity, *asked, "--save", tmp_path / "heat.odd")
    assert odd.exit_code == 1
    assert "name it .png or .jpg" in odd.stderr


def test_what_does_not_fit_is_said(built, refund, tmp_path):
    """A missing query or id, too many of them, and a text saved as an image end in a sentence."""
    assert built("explain", "faq", refund).exit_code == 2
    assert built("explain", "faq", "a", "b", "c").exit_code == 2
    assert built("explain", "faq", QUERY, "no such id").exit_code == 1
    saved = built("explain", "faq", QUERY, refund, "--save", tmp_path / "x.png")
    assert (saved.exit_code, "has none. Leave --save out" in saved.stderr) == (1, True)
