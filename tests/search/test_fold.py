import pytest

from embedsearch.cli.search import _print
from embedsearch.query import MoreLike, Word
from embedsearch.records import Unit
from tests.fakes import picture, text

# ten identical texts are nearest to "aab"; "ba" and "ab" have one vector and two contents
TEXTS = [
    *(text(f"same {at}", "aab", parity=at % 2) for at in range(10)),
    text("ba", "ba", parity=0),
    text("ab", "ab", parity=0),
    *(text(f"far {at}", "z" * (at + 1) + "a", parity=1) for at in range(5)),
]


def found(results):
    """Return the id of each hit and how many others it stands for."""
    return [(hit.id, hit.copies) for hit in results]


@pytest.mark.parametrize("backend", ["exact", "hnsw"])
def test_the_same_content_is_one_hit(make_searcher, backend):
    """Ten equal texts are one hit that counts nine more; k hits come all the same, ranked without gaps."""
    results = make_searcher(TEXTS, backend=backend).search("aab", 4)
    assert (found(results)[0], set(found(results)[1:3])) == (("same 0", 9), {("ba", 0), ("ab", 0)})
    assert found(results)[3] == ("far 0", 0)
    assert [hit.rank for hit in results] == [1, 2, 3, 4]


def test_unfolded_hits_are_those_of_before(make_searcher):
    """Without folding each item is a hit of its own, at the same distance, and none stands for others."""
    searcher = make_searcher(TEXTS)
    results = searcher.search("aab", 11, fold=False)
    assert found(results) == [*((f"same {at}", 0) for at in range(10)), ("ba", 0)]
    folded = searcher.search("aab", 2)
    assert [hit.distance for hit in folded] == [results[0].distance, results[10].distance]
    assert (folded.verdict, folded.foreign_rate) == (results.verdict, results.foreign_rate)


def test_only_what_a_filter_keeps_is_counted(make_searcher):
    """The items that a filter keeps out are neither hits nor counted; the query's own item is neither."""
    searcher = make_searcher(TEXTS)
    assert found(searcher.search("aab", 2, "parity = 1")) == [("same 1", 4), ("far 0", 0)]
    assert found(searcher.search(MoreLike("same 3"), 2)) == [("same 0", 8), ("ba", 0)]
    assert [found(each) for each in searcher.search(["aab", "ab"], 1)] == [[("same 0", 9)], [("ba", 0)]]


def test_fewer_contents_than_hits(make_searcher):
    """Where all items have one content, that is the only hit."""
    assert found(make_searcher(TEXTS[:10]).search("aab", 5)) == [("same 0", 9)]


def test_words_of_equal_sentences_are_one_hit(make_searcher):
    """The same word at the same place of equal sentences is one hit; another word of them is another."""
    entries = [text(str(at), "abba baab") for at in range(6)] + [text("x", "abba xx")]
    results = make_searcher(entries, unit=Unit.WORD).search(Word("abba baab", 1), 3)
    assert sorted(found(results)) == sorted([("0#0", 5), ("0#5", 5), ("x#0", 0)])


def test_equal_images_are_one_hit(make_searcher, tmp_path):
    """Images of the same bytes are one hit."""
    from PIL import Image

    for name, colour in (("a", "red"), ("b", "red"), ("c", "blue")):
        Image.new("RGB", (4, 4), colour).save(tmp_path / f"{name}.png")
    searcher = make_searcher([picture(name, tmp_path / f"{name}.png") for name in "abc"], unit=Unit.IMAGE)
    assert found(searcher.search(tmp_path / "a.png", 2)) == [("a", 1), ("c", 0)]


def test_the_command_says_how_many_more(make_searcher, capsys):
    """`search` prints how many items of the same content a hit stands for."""
    searcher = make_searcher(TEXTS)
    _print(searcher, searcher.search("aab", 2), "record")
    assert capsys.readouterr().out.count("and 9 more with the same content") == 1
    _print(searcher, searcher.search("aab", 2, fold=False), "record")
    assert "more with the same content" not in capsys.readouterr().out
